"""Of whole processes: the memory a run takes beside its estimate, and an end within seconds of Ctrl-C at any moment."""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

MEASURED = """
import json, pathlib, sys
import jax, numpy as np
from steode import LinearModel, Normal, Uniform, simulate
from steode.engine import engine, memory
from steode.systems.linear import job

def peak():
    text = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(text.split("VmHWM:")[1].split()[0])

def spy(*arguments):
    found.append(sum(need(*arguments).host.values()))
    return need(*arguments)

dim, batch, seeds, t_end, snapshots, records, options = json.loads(sys.argv[1])
grid = Uniform(2, 2.0)
model = LinearModel(teacher=Normal(), weight_quantizer=grid, input_quantizer=grid)
simulate(model, 50, 1.0, seeds=2, **options)
need, found = engine.need, []
engine.need = spy
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = peak()
times = {"times": np.linspace(0, t_end, records), "snapshot_times": np.linspace(0, t_end, snapshots + 1)[1:]}
simulate(model.replace(batch_size=batch), dim, t_end, seeds=seeds, **times, **options)
drawn = sum(memory.drawn(dim, seeds, 1, options.get("basis") == "rotated").host.values())
print(json.dumps([peak() - before, found[0], drawn]))
"""
RUNS = {
    "batch": (200, 10**5, 2, 0.1, 1, 3, {}),
    "batch in float64": (200, 10**5, 1, 0.1, 1, 3, {"dtype": "float64"}),
    "held-out samples": (200, 10**5, 1, 0.1, 1, 3, {"test_samples": 3}),
    "dimension": (4 * 10**6, 1, 2, 2e-6, 1, 3, {}),
    "snapshots": (20_000, 1, 100, 0.01, 20, 3, {}),
    "records": (500, 1, 20, 20.0, 1, 10_001, {"histogram_edges": np.linspace(-3, 3, 201).tolist()}),
    "rotation": (2000, 1000, 1, 0.005, 1, 3, {"basis": "rotated"}),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("kind", [pytest.param("batch", marks=pytest.mark.representative), *list(RUNS)[1:]])
def test_the_estimated_memory_is_within_a_factor_of_two_of_the_peak(kind):
    code = [sys.executable, "-c", MEASURED, json.dumps(RUNS[kind])]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    measured, *estimates = json.loads(done.stdout)
    print(f"{kind}: measured {measured / 1e6:.0f} MB, estimated {max(estimates) / 1e6:.0f} MB")
    assert 0.5 < max(estimates) / measured < 2


COMMANDS = (
    ("simulate", "--dim", "3000", "--t-end", "3000", "--seeds", "2"),
    ("run", "--t-end", "300"),
    ("sweep",),
    ("fixed-points", "--stability", "--deployments"),
    ("solve", "--t-end", "1000"),
)


def interrupted(arguments, wait: float, folder) -> tuple[int, str, float]:
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nimport steode_command\n"
    code += "print('ready', flush=True)\nsteode_command.main()"
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    process.stdout.readline()
    time.sleep(wait)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return process.returncode, err, time.monotonic() - begin


@pytest.mark.parametrize("number", [pytest.param(0, marks=pytest.mark.representative), *range(1, 20)])
def test_an_interruption_at_any_moment_ends_the_command_within_seconds(number, tmp_path):
    generator = random.Random(number)
    arguments, wait = COMMANDS[number % len(COMMANDS)], generator.uniform(0.05, 9.0)
    status, err, seconds = interrupted(arguments, wait, tmp_path)
    print(f"{arguments[0]} after {wait:.2f} s: status {status} within {seconds:.2f} s")
    assert seconds < 15
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    if status != 0:  # it may have been done
        assert status == 130
        assert "steode: interrupted" in err.strip().splitlines()[-1]
    assert not list(tmp_path.rglob("*.part"))
