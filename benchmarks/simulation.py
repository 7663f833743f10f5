"""The simulation engine beside plain programs of the same algorithm: same sizes, same record times, same run.

    python benchmarks/simulation.py [--quick] [--write]

Measured, for dimensions 1000 and 3000 and 1, 8 and 64 seeds: NumPy as one writes it, NumPy with every care (fast
generator, blocks, no temporaries; one seed at a time, and all in one array), a plain `lax.scan` with
`jax.random.normal` in every step, `steode.simulate`, `steode.simulate_paired` (as many learning rates on one stream of
inputs as there are seeds elsewhere), the engine's generator alone, its update alone, and a C program
(benchmarks/online_sgd.c; one core, left out where there is no compiler). All in float32, after a first call that
compiles. Each number is the median over repeats that take turns. --write puts the results into
benchmarks/results/simulation.json and the tables into docs/simulation.md; --quick takes a tenth of the steps.
"""

import argparse
import functools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import lax
from plain_programs import RECORDS, jax_scan, numpy_plain, numpy_together, numpy_tuned

from steode import Constant, LinearModel, Uniform, simulate, simulate_paired
from steode.bridge import entrywise_function
from steode.engine.engine import BLOCK_NUMBERS
from steode.engine.placement import CPU_OPTIONS
from steode.engine.program import _numbers
from steode.systems.linear.literal.system import linear_system

HERE = pathlib.Path(__file__).parent
GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, input_quantizer=GRID, learning_rate=0.1)
REPEATS = {1: 7, 8: 3, 64: 2}
TIMES = {1000: {1: 20.0, 8: 20.0, 64: 3.0}, 3000: {1: 4.0, 8: 2.0, 64: 0.5}}
"""Rescaled time trained, by dimension and number of seeds: long enough that the start of a run does not count."""


def engine(dim, steps, seeds):
    times = np.linspace(0, steps / dim, RECORDS + 1)
    return float(simulate(MODEL, dim, steps / dim, seeds=seeds, times=times).mean("eps_g")[-1])


def engine_paired(dim, steps, seeds):
    """One seed of as many learning rates as there are seeds elsewhere, on one stream of inputs."""
    models = [MODEL.replace(learning_rate=0.1 + 1e-4 * j) for j in range(seeds)]
    runs = simulate_paired(models, dim, steps / dim, times=np.linspace(0, steps / dim, RECORDS + 1))
    return float(np.mean([run.mean("eps_g")[-1] for run in runs]))


@functools.partial(jax.jit, static_argnames=("dim", "blocks", "rows"), compiler_options=CPU_OPTIONS)
def _generate(key, dim, blocks, rows):
    def block(index, total):
        return total + _numbers(key, index * rows, rows, dim + 1, jnp.float32)[0, 0]

    return lax.fori_loop(0, blocks, block, jnp.float32(0))


def generator_alone(dim, steps, seeds):
    rows = BLOCK_NUMBERS["cpu"] // (dim + 1)
    for seed in range(seeds):
        _generate(jnp.asarray([seed, 1], jnp.uint32), dim, -(-steps // rows), rows).block_until_ready()
    return np.nan


@functools.partial(jax.jit, static_argnames=("steps",), compiler_options=CPU_OPTIONS)
def _update(system, teacher, weights, samples, steps):
    def step(k, weights):
        sample = jax.tree.map(lambda values: values[k % values.shape[0]], samples)
        return system.step(teacher, weights, sample, k)[0]

    return lax.fori_loop(0, steps, step, weights)


@functools.cache
def _samples(dim):
    system = linear_system(MODEL, dim, "float32", entrywise_function)
    normals = np.random.default_rng(0).standard_normal((BLOCK_NUMBERS["cpu"] // (dim + 1), dim + 1), np.float32)
    return system, system.sample(jnp.ones(dim), jnp.asarray(normals))


def update_alone(dim, steps, seeds):
    system, samples = _samples(dim)
    teacher, weights = jnp.ones(dim), jnp.zeros(dim)
    for _ in range(seeds):
        _update(system, teacher, weights, samples, steps).block_until_ready()
    return np.nan


def c_program(folder):
    """A function like the others, or None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    program = pathlib.Path(folder) / "online_sgd"
    flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math"]
    built = subprocess.run([compiler, *flags, HERE / "online_sgd.c", "-lm", "-o", program], capture_output=True)
    if built.returncode:
        return None

    def run(dim, steps, seeds):
        output = subprocess.run([program, str(dim), str(steps), str(seeds)], capture_output=True, check=True, text=True)
        return float(output.stdout.split()[1])

    return run


def measure(programs, dim, steps, seeds):
    """Median seconds of wall time of each, and the final error it found."""
    times = {name: [] for name in programs}
    found = {name: float(program(dim, steps, seeds)) for name, program in programs.items()}  # compiles
    for _ in range(REPEATS[seeds]):
        for name, program in programs.items():
            start = time.perf_counter()
            program(dim, steps, seeds)
            times[name].append(time.perf_counter() - start)
    return {name: {"seconds": float(np.median(times[name])), "final eps_g": found[name]} for name in programs}


def compile_seconds(dim):
    """From the first call in a fresh process to its result, less a second call, and the whole first call."""
    program = (
        "import time; from simulation import MODEL, simulate\n"
        f"seconds = []\nfor _ in range(2):\n    start = time.perf_counter(); simulate(MODEL, {dim}, 0.01, seeds=8)\n"
        "    seconds.append(time.perf_counter() - start)\nprint(seconds[0] - seconds[1])"
    )
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def growth(quick):
    """Nanoseconds for a coordinate and step of one seed: over dimensions at fixed work, and over times."""
    work = 4e6 if quick else 4e7
    dims = {}
    for dim in (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000):
        t_end = max(work / dim**2, 2 / dim)
        options = {"times": [0.0, t_end]}
        simulate(MODEL, dim, t_end, **options)
        start = time.perf_counter()
        simulate(MODEL, dim, t_end, **options)
        dims[dim] = (time.perf_counter() - start) / (round(t_end * dim) * dim) * 1e9
    times = {}
    for t_end in (1.0, 3.0, 10.0, 30.0) + (() if quick else (100.0,)):
        start = time.perf_counter()
        simulate(MODEL, 1000, t_end, times=[0.0, t_end])
        times[t_end] = time.perf_counter() - start
    return {"nanoseconds by dimension": dims, "seconds by t_end at dim 1000": times}


def draw(report, path):
    """Cost against dimension and against time, on logarithmic axes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    dims = report["nanoseconds by dimension"]
    left.loglog(list(dims), list(dims.values()), "o-")
    left.set(xlabel="dimension $d$", ylabel="ns for a coordinate and step", title="one seed")
    left.set_ylim(bottom=1)
    times = report["seconds by t_end at dim 1000"]
    right.loglog(list(times), list(times.values()), "o-", label="measured")
    slope = list(times.values())[-1] / list(times)[-1]
    right.loglog(list(times), [slope * time for time in times], "k:", label="proportional to time")
    right.set(xlabel=r"rescaled time $\tau$", ylabel="seconds", title="one seed, $d = 1000$")
    right.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main(quick: bool, write: bool) -> None:
    programs = {
        "NumPy, plain": numpy_plain,
        "NumPy, tuned": numpy_tuned,
        "NumPy, tuned, seeds in one array": numpy_together,
        "lax.scan, jax.random.normal": jax_scan,
        "steode": engine,
        "steode, shared inputs": engine_paired,
        "generator alone": generator_alone,
        "update alone": update_alone,
    }
    with tempfile.TemporaryDirectory() as folder:
        compiled = c_program(folder)
        if compiled is not None:
            programs["C, one core"] = compiled
        results = []
        for dim, times in TIMES.items():
            for seeds, tau in times.items():
                steps = int(tau * dim * (0.1 if quick else 1))
                found = measure(programs, dim, steps, seeds)
                results.append({"dim": dim, "steps": steps, "seeds": seeds, "programs": found})
                print(table(results[-1:]), flush=True)
    report = {
        "command": "python benchmarks/simulation.py" + (" --quick" if quick else "") + (" --write" if write else ""),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "device": jax.devices()[0].device_kind,
        "results": results,
        "seconds to compile": compile_seconds(1000),
        **growth(quick),
    }
    print(json.dumps({key: value for key, value in report.items() if key != "results"}, indent=1))
    if write:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "simulation.json").write_text(json.dumps(report, indent=1) + "\n")
        draw(report, HERE.parent / "docs" / "images" / "simulation_cost.png")
        page = HERE.parent / "docs" / "simulation.md"
        before, rest = page.read_text().split("<!-- benchmark -->\n", 1)
        after = rest.split("<!-- end of benchmark -->\n", 1)[1]
        page.write_text(f"{before}<!-- benchmark -->\n{table(results)}\n<!-- end of benchmark -->\n{after}")


def table(results) -> str:
    """Nanoseconds of wall time for a coordinate, step and seed."""
    columns = [f"d = {row['dim']}, {row['seeds']} seed{'s' * (row['seeds'] > 1)}" for row in results]
    lines = ["| ns per coordinate and step | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name in results[0]["programs"]:
        cells = [
            f"{row['programs'][name]['seconds'] / (row['dim'] * row['steps'] * row['seeds']) * 1e9:.2f}"
            for row in results
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    parser.add_argument("--write", action="store_true", help="write the JSON file and the table of the docs")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.write)
