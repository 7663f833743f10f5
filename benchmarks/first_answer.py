"""Seconds from a fresh process to the first answer, beside a process that imports JAX and runs one jitted function.

    python benchmarks/first_answer.py [--repeat 5]

Every row is a process of its own, from its start to its end; rows take turns, so that what else the machine does meets
all of them. Printed are medians, and their ratio to that of the bare process.
"""

import argparse
import os
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
BARE = "import jax\njax.jit(lambda x: x * x + 1)(1.0).block_until_ready()\n"
PROGRAMS = {
    "bare JAX": ["-c", BARE],
    "import steode": ["-c", "import steode"],
    "steode --help": ["-m", "steode_command", "--help"],
    "steode solve --no-such-option": ["-m", "steode_command", "solve", "--no-such-option"],
    "first curve, closure": ["-c", f"{MODEL}steode.solve(model, 50.0, method='gaussian')"],
    "first curve, density": ["-c", f"{MODEL}steode.solve(model, 50.0)"],
    "first fixed points": ["-c", f"{MODEL}steode.fixed_points(model)"],
    "first optimal range": ["-c", f"{MODEL}steode.optimal_range(model)"],
    "first plateau sweep, 100 ranges": ["-c", MODEL + SWEEP],
}
"""What is timed -> arguments of Python."""


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="processes of every row")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    # once for what the disk has to read
    for _ in range(options.repeat + 1):
        for name, arguments in PROGRAMS.items():
            taken[name].append(seconds(arguments))
    medians = {name: statistics.median(values[1:]) for name, values in taken.items()}
    print(f"{os.cpu_count()} cores; medians of {options.repeat} fresh processes")
    for name, median in medians.items():
        print(f"{name:34}{median:7.2f} s{median / medians['bare JAX']:7.1f} x")
    print(f"later plateau sweeps, 100 ranges: {again():.2f} s")


def seconds(arguments: list[str]) -> float:
    """Wall time of one process, which has to end well, or with status 2 where an option is refused."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    taken = time.perf_counter() - begin
    if done.returncode != 2 * ("--no-such-option" in arguments):
        raise RuntimeError(done.stderr.decode())
    return taken


def again() -> float:
    """The sweep a second time in one process, over other ranges."""
    other = SWEEP.replace("4.0", "3.9")
    program = f"import time\n{MODEL}{SWEEP}begin = time.perf_counter()\n{other}print(time.perf_counter() - begin)"
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
