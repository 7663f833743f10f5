"""Seconds from a fresh process to the first answer, beside a process that imports JAX and runs one jitted function.

    python benchmarks/first_answer.py [--repeat 5] [--write]

Every row is a process of its own, from its start to its end; rows take turns, so that what else the machine does meets
all of them. Printed are medians of wall and processor time, with the ratio of processor times to that of the bare
process, which what else runs disturbs less. Below are times of what is computed a
second time in one process, with other numbers, in seconds and processor seconds. With --write the table of waiting
times in docs/numerics.md is replaced by what was measured.
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

MODEL = (
    "import steode\n"
    "model = steode.LinearModel(teacher=steode.Constant(1.0), init=steode.Normal(),\n"
    "    weight_quantizer=steode.Uniform(2, 2.0), input_quantizer=steode.Uniform(2, 2.0), noise=0.1)\n"
)
SWEEP = (
    "import numpy as np\n"
    "axes = {'weight_quantizer.range': np.linspace(1.0, 4.0, 100)}\n"
    "steode.sweep(model, axes, 'plateau', t_end=60.0, method='gaussian', progress=False)\n"
)
GAUSS = "model = model.replace(teacher=steode.Normal())\n"
LAPLACE = "model = model.replace(teacher=steode.Laplace())\n"
SAMPLE = (
    "import numpy as np\n"
    "numbers = np.random.default_rng(0).normal(size=1_000_000)\n"
    "model = model.replace(teacher=steode.Empirical(numbers))\n"
)
DENSITY = "steode.solve(model, 20.0, method='density')\n"
BARE = "import jax\njax.jit(lambda x: x * x + 1)(1.0).block_until_ready()\n"
PROGRAMS = {
    "bare JAX": ["-c", BARE],
    "import steode": ["-c", "import steode"],
    "steode --help": ["-m", "steode_command", "--help"],
    "steode solve --no-such-option": ["-m", "steode_command", "solve", "--no-such-option"],
    "first curve, closure": ["-c", f"{MODEL}steode.solve(model, 50.0, method='gaussian')"],
    "first curve, density": ["-c", f"{MODEL}steode.solve(model, 50.0)"],
    "first curve, density, normal teacher": ["-c", MODEL + GAUSS + DENSITY],
    "steode solve, programs kept": ["-m", "steode_command", "solve"],
    "first fixed points": ["-c", f"{MODEL}steode.fixed_points(model)"],
    "first optimal range": ["-c", f"{MODEL}steode.optimal_range(model)"],
    "first plateau sweep, 100 ranges": ["-c", MODEL + SWEEP],
}
"""What is timed -> arguments of Python."""

CHANGED = "model = model.replace(noise=0.12, learning_rate=0.11)\n"
LATER = {
    "density, one teacher value": MODEL + "steode.solve(model, 50.0)\n",
    "density, normal teacher": MODEL + GAUSS + DENSITY,
    "density, Laplace teacher": MODEL + LAPLACE + DENSITY,
    "density, Empirical of 1,000,000": MODEL + SAMPLE + DENSITY,
    "fixed points": MODEL + "steode.fixed_points(model)\n",
    "optimal range": MODEL + "steode.optimal_range(model)\n",
    "plateau sweep, 100 ranges": MODEL + SWEEP,
}
"""What is timed a second time -> a program, whose last statement is timed."""

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "numerics.md"
BEGIN, END = "<!-- waiting times: begin -->", "<!-- waiting times: end -->"


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="processes of every row")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/numerics.md")
    options = parser.parse_args()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    # once for what the disk has to read
    for _ in range(options.repeat + 1):
        for name, arguments in PROGRAMS.items():
            taken[name].append(seconds(arguments))
    medians = {name: medians_of(values[1:]) for name, values in taken.items()}
    print(f"{os.cpu_count()} cores; medians of {options.repeat} fresh processes")
    for name, (wall, cpu) in medians.items():
        print(f"{name:38}{wall:7.2f} s wall{cpu:7.2f} s of processor{cpu / medians['bare JAX'][1]:7.1f} x")
    later = {name: medians_of([again(program) for _ in range(options.repeat)]) for name, program in LATER.items()}
    for name, (wall, cpu) in later.items():
        print(f"later {name:32}{wall:7.2f} s wall{cpu:7.2f} s of processor")
    if options.write:
        write(medians, later)


def write(medians: dict[str, tuple[float, float]], later: dict[str, tuple[float, float]]) -> None:
    """Put the measured times into the page."""
    bare = medians["bare JAX"][1]
    lines = ["| what | wall, s | processor, s | processor, bare JAX = 1 |", "|---|---|---|---|"]
    lines += [f"| {name} | {wall:.2f} | {cpu:.2f} | {cpu / bare:.1f} |" for name, (wall, cpu) in medians.items()]
    lines += [f"| again: {name} | {wall:.2f} | {cpu:.2f} | {cpu / bare:.1f} |" for name, (wall, cpu) in later.items()]
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text("\n".join([f"{before}{BEGIN}", *lines, END + rest.split(END)[1]]))


def medians_of(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Median wall and processor seconds."""
    wall, cpu = zip(*pairs, strict=True)
    return statistics.median(wall), statistics.median(cpu)


def seconds(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor time of one process, which has to end well, or with status 2 where an option is refused."""
    begin, before = time.perf_counter(), processor()
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    taken = time.perf_counter() - begin, processor() - before
    if done.returncode != 2 * ("--no-such-option" in arguments):
        raise RuntimeError(done.stderr.decode())
    return taken


def processor() -> float:
    """Processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def again(program: str) -> tuple[float, float]:
    """Wall and processor seconds of a program's last statement the second time, after the model was changed."""
    head, last = program.rstrip().rsplit("\n", 1)
    timed = (
        f"import time\n{head}\n{last}\n{CHANGED}wall, cpu = time.perf_counter(), time.process_time()\n{last}\n"
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()[-2:]))


if __name__ == "__main__":
    main()
