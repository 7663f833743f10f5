"""Fixed points per second on a 100 x 100 grid of learning rate and range, against a SciPy loop on the same equation.

    python benchmarks/fixed_points.py [--bits 2] [--side 100] [--loop 1000]

The loop is what one would write: NumPy for the cell masses of one parameter set, `scipy.optimize.brentq` between the
bounds of the equation, the teacher law integrated at the same nodes. It runs on an evenly spaced part of the grid.
"""

import argparse
import os
import time

import jax
import numpy as np
import scipy.optimize

from steode import LinearModel, Normal, Uniform, fixed_point_function


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=2)
    parser.add_argument("--side", type=int, default=100, help="points along each axis of the grid")
    parser.add_argument("--loop", type=int, default=1000, help="points of the grid given to the loop")
    parser.add_argument("--nodes", type=int, default=8, help="teacher values in each panel")
    options = parser.parse_args()
    model = LinearModel(teacher=Normal(), weight_quantizer=Uniform(options.bits, 1.5), noise=0.1)
    rates, ranges = np.geomspace(0.05, 1.5, options.side), np.linspace(0.5, 4.0, options.side)
    grid = [values.ravel() for values in np.meshgrid(rates, ranges)]
    parameters = dict(zip(("learning_rate", "weight_range"), grid, strict=True))
    function = fixed_point_function(model, teacher_nodes=options.nodes)
    start = time.perf_counter()
    found = function.many(parameters)
    first = time.perf_counter() - start
    start = time.perf_counter()
    found = function.many(parameters)
    again = time.perf_counter() - start
    print(f"{os.cpu_count()} cores, {jax.devices()[0].platform}; {options.bits} bits; {found['V'].size} fixed points")
    print(f"steode: {again:.3f} s, {1e6 * again / found['V'].size:.1f} us each; first call {first:.1f} s")
    print(f"not converged: {np.sum(~found['converged'])}")

    chosen = np.linspace(0, found["V"].size - 1, options.loop).astype(int)
    problems = [problem_of(function, *(values[index] for values in grid)) for index in chosen]
    start = time.perf_counter()
    looped = np.array([by_brentq(*problem) for problem in problems])
    loop = (time.perf_counter() - start) / options.loop
    print(f"NumPy and brentq: {1e6 * loop:.1f} us each, {problems[0][4].size} teacher values")
    print(f"largest relative difference of V: {np.abs(looped / found['V'][chosen] - 1).max():.1e}")
    print(f"ratio after compilation: {loop * found['V'].size / again:.0f}")


def problem_of(function, rate: float, width: float) -> tuple:
    """Numbers of one parameter set as NumPy arrays; not timed."""
    with jax.enable_x64(True):
        problem = function.problem({"learning_rate": rate, "weight_range": width})
    weights = problem.weight_map
    numbers = (weights.levels, weights.thresholds, problem.teacher, problem.teacher_weights)
    return (rate, 0.1, *map(np.asarray, numbers))


def by_brentq(rate: float, noise: float, levels, thresholds, targets, weights) -> float:
    """V of the root of noise^2 + E(Q - w*)^2(V) = V; inputs are not quantized, so targets are the teacher values."""
    inside = (targets > levels[0]) & (targets < levels[-1])
    a, distances = targets[inside, None], levels - targets[inside, None]
    beyond = weights[~inside] @ (targets[~inside] - np.clip(targets[~inside], levels[0], levels[-1])) ** 2
    widths = np.diff(thresholds)
    lowest = noise**2 + beyond
    highest = lowest + weights[inside] @ ((a - levels[0]) * (levels[-1] - a)).ravel()

    def gap(variance: float) -> float:
        slopes = -2 / (rate * variance) * distances
        rises = slopes[:, 1:-1] * widths
        heights = np.concatenate([np.zeros_like(a), np.cumsum(rises, axis=1)], axis=1)
        heights -= heights.max(axis=1, keepdims=True)
        values = np.exp(heights)
        # an exponential cell: width times end value times (e^x - 1)/x
        filled = np.where(
            np.abs(rises) < 1e-12, 1.0, np.expm1(-np.abs(rises)) / np.where(rises == 0, 1.0, -np.abs(rises))
        )
        inner = widths * np.maximum(values[:, :-1], values[:, 1:]) * filled
        masses = np.concatenate([values[:, :1] / slopes[:, :1], inner, -values[:, -1:] / slopes[:, -1:]], axis=1)
        spread = (masses * distances**2).sum(axis=1) / masses.sum(axis=1)
        return lowest + weights[inside] @ spread - variance

    return scipy.optimize.brentq(gap, lowest * (1 - 1e-9), highest * (1 + 1e-9), rtol=1e-12)


if __name__ == "__main__":
    main()
