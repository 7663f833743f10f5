"""Checkpoints: killed and interrupted runs end with the bits of uninterrupted ones, and nothing written is lost."""

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from steode import (
    CheckpointWarning,
    DivergenceError,
    LinearModel,
    Momentum,
    Normal,
    SpecificationError,
    Uniform,
    simulate,
)
from steode.engine import placement
from steode.systems.linear import job
from steode.systems.linear.trajectory import Trajectory

pytestmark = pytest.mark.representative

MODEL = LinearModel(
    teacher=Normal(), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0), learning_rate=0.3, noise=0.2
)
DIM, T_END = 200, 2000.0
OPTIONS = {
    "seeds": 2,
    "key": 1,
    "times": [0.0, 0.7, 200.0, 1555.5, 2000.0],
    "snapshot_times": [1000.0],
    "test_samples": 7,
}
PROGRAM = """
import sys
from tests.agreement.test_checkpoint import DIM, MODEL, OPTIONS, T_END
from steode import simulate

print("ready", flush=True)
simulate(MODEL, DIM, T_END, **OPTIONS, checkpoint=sys.argv[1], checkpoint_seconds=0)
"""


def run(path=None, **changes):
    return simulate(MODEL, DIM, T_END, **OPTIONS | changes, checkpoint=path, checkpoint_seconds=0)


@pytest.fixture(scope="module")
def whole():
    return run()


def same(a: Trajectory, b: Trajectory) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a.observables) and np.array_equal(
        a.snapshots.weights, b.snapshots.weights
    )


def test_a_killed_run_resumes_and_ends_with_the_same_bits(whole, tmp_path):
    path = tmp_path / "run.npz"
    generator = random.Random(2)
    reached = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE)
        process.stdout.readline()
        before = path.stat().st_mtime_ns if path.exists() else 0
        while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.05))
        process.kill()
        process.communicate()
        with np.load(path) as file:
            reached.append(int(file["steps"]))
    assert reached == sorted(reached)
    assert 0 < reached[0] < T_END * DIM
    assert same(run(path), whole)


def test_what_a_kill_left_of_a_write_is_removed(tmp_path):
    (tmp_path / "run.npz.123.part").write_bytes(b"half a file")
    (tmp_path / "other.npz.123.part").write_bytes(b"of another run")
    run(tmp_path / "run.npz")
    assert sorted(os.listdir(tmp_path)) == ["other.npz.123.part", "run.npz"]


class _Bar:
    """Stands for the progress bar; the user interrupts during its third update."""

    def __init__(self, **_):
        self.updates = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, steps):
        self.updates += 1
        if self.updates == 3:
            raise KeyboardInterrupt


def test_an_interrupted_run_resumes_and_a_finished_one_computes_nothing(whole, tmp_path, monkeypatch):
    path = tmp_path / "folder" / "run.npz"
    with monkeypatch.context() as patch:
        patch.setattr(job, "tqdm", _Bar)
        part = run(path)
    assert part.provenance.settings["interrupted"]
    assert part.times.size < whole.times.size
    assert same(run(path), whole)
    monkeypatch.setattr(placement.Cores, "advance", None)
    assert same(run(path), whole)


def test_what_a_rule_remembers_survives_an_interruption(tmp_path, monkeypatch):
    # without its buffer a run would go on from other weights
    model = MODEL.replace(update_rule=Momentum(0.9), learning_rate=0.03)
    path, whole = tmp_path / "run.npz", simulate(model, DIM, T_END, **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(job, "tqdm", _Bar)
        part = simulate(model, DIM, T_END, **OPTIONS, checkpoint=path, checkpoint_seconds=0)
    assert part.times.size < whole.times.size
    assert same(simulate(model, DIM, T_END, **OPTIONS, checkpoint=path), whole)


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "run.npz"
    run(path)
    content = path.read_bytes()
    for changes, message in (
        ({"key": 2}, "settings.key.1 = 1 instead of 2"),
        ({"times": [2000.0]}, "arrays"),
        ({"initial_weights": np.zeros(DIM)}, "settings.given"),
        ({"seeds": 3}, "settings.seeds = 2 instead of 3"),
    ):
        with pytest.raises(SpecificationError, match=message):
            run(path, **changes)
    with pytest.raises(SpecificationError, match=r"specifications.0.noise = 0.2 instead of 0.1"):
        simulate(MODEL.replace(noise=0.1), DIM, T_END, **OPTIONS, checkpoint=path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "__version__", "0.0.0")
        with pytest.raises(SpecificationError, match="version"):
            run(path)
    assert path.read_bytes() == content
    for damaged in (content[: len(content) // 2], b"", b"text", content[:-100] + bytes(100)):
        path.write_bytes(damaged)
        with pytest.raises(SpecificationError, match="delete it to begin anew"):
            run(path)
        assert path.read_bytes() == damaged


def test_paths_that_cannot_be_written_are_refused_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(placement.Cores, "advance", None)
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "run.npz", "/proc/run.npz"):
        with pytest.raises(SpecificationError, match="checkpoint"):
            run(path)
    for path in ("", 3):
        with pytest.raises(SpecificationError, match="a path"):
            run(path)


def test_a_full_disk_costs_no_result(whole, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    written = []

    def replace(source, target):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(target)
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(os, "replace", replace)
    with pytest.warns(CheckpointWarning, match="No space left on device"):
        assert same(run(path), whole)
    assert os.listdir(tmp_path) == ["run.npz"]
    monkeypatch.setattr(os, "replace", rename)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(run(path), whole)


def test_divergence_keeps_the_last_good_weights():
    model = LinearModel(teacher=Normal(), learning_rate=6.0)
    with pytest.raises(DivergenceError, match="of seed 1") as caught:
        simulate(model, 50, 1000.0, seeds=2, times=[1000.0])
    error = caught.value
    assert error.step == error.tau * 50 == error.last_step + 1
    end = error.last_step / 50
    last = simulate(model, 50, end, seeds=2, times=[0.0], snapshot_times=[end]).snapshots.weights[:, -1]
    assert np.array_equal(error.last_state, last)
    assert np.isfinite(last).all()


def test_sigint_ends_a_run_with_what_is_done(tmp_path):
    # a process started in the background of a shell ignores the signal unless it is told otherwise
    listening = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = listening + PROGRAM.replace(
        "simulate(MODEL, DIM, T_END", "run = simulate(MODEL, 1000, 5 * T_END"
    ).replace(
        "checkpoint_seconds=0)",
        "checkpoint_seconds=0.01)\nprint(run.provenance.settings['interrupted'], run.times.size)",
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path / "run.npz"], stdout=subprocess.PIPE, text=True)
    with contextlib.closing(process.stdout):
        process.stdout.readline()
        while not (tmp_path / "run.npz").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().split()[0] == "True"
    assert process.wait(60) == 0
