"""Time of the density solver and the Gaussian closure beside plain SciPy programs for the same equations, in one run.

    python benchmarks/solvers.py

The plain density program is the method of lines with first-order upwind fluxes and LSODA with a banded Jacobian, on as
many nodes as steode's finest mesh; the plain closure is LSODA on the erf formulas. Both are written from the equations,
as a user would, and share nothing with steode. Times exclude compilation, which is printed apart.
"""

import time

import jax
import numpy as np
import scipy.integrate
import scipy.special

from steode import Constant, LinearModel, Normal, Uniform, solve

MODEL = LinearModel(
    weight_quantizer=Uniform(bits=2, range=2.0),
    input_quantizer=Uniform(bits=2, range=2.0),
    teacher=Constant(1.0),
    init=Normal(std=1.0),
    learning_rate=0.1,
)
TIMES = np.array([1.0, 5.0, 10.0, 25.0, 50.0, 100.0])
PUBLISHED = np.array([0.91294, 0.45544, 0.18450, 0.12758, 0.17121, 0.20352])
ALPHA_1, ALPHA_2 = 0.9692832396712265, 1.0930575624950605
LEVELS, THRESHOLDS = MODEL.weight_quantizer.levels, MODEL.weight_quantizer.thresholds


def plain_density(nodes: int) -> np.ndarray:
    """eps_g at TIMES by upwind finite volumes on a uniform mesh and LSODA."""
    faces = np.linspace(-6, 7, nodes + 1)
    width, centers = faces[1] - faces[0], (faces[1:] + faces[:-1]) / 2
    image = LEVELS[np.searchsorted(THRESHOLDS, centers)]
    drift = -MODEL.learning_rate * (ALPHA_2 * LEVELS[np.searchsorted(THRESHOLDS, faces[1:-1])] - ALPHA_1)
    cost = ALPHA_2 * image**2 - 2 * ALPHA_1 * image + 1.0

    def rate(_, density):
        variance = width * cost @ density
        diffusivity = MODEL.learning_rate**2 * ALPHA_2 * variance / 2
        flux = np.maximum(drift, 0) * density[:-1] + np.minimum(drift, 0) * density[1:]
        flux = flux - diffusivity * np.diff(density) / width
        return (np.concatenate([[0], flux]) - np.concatenate([flux, [0]])) / width

    start = np.exp(-(centers**2) / 2) / np.sqrt(2 * np.pi)
    solution = scipy.integrate.solve_ivp(rate, (0, 100), start, "LSODA", TIMES, lband=1, uband=1, rtol=1e-6, atol=1e-9)
    return width * cost @ solution.y / 2


def plain_closure() -> np.ndarray:
    """eps_g at TIMES by the two closure equations and LSODA."""
    jumps, square_jumps = np.diff(LEVELS), np.diff(LEVELS**2)

    def averages(mean, variance):
        u = (THRESHOLDS - mean) / np.sqrt(variance)
        tails = scipy.special.erfc(u / np.sqrt(2)) / 2
        slope = jumps @ np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi * variance)
        return LEVELS[0] + jumps @ tails, LEVELS[0] ** 2 + square_jumps @ tails, slope

    def residual(image, square):
        return ALPHA_2 * square - 2 * ALPHA_1 * image + 1.0

    def rate(_, state):
        image, square, slope = averages(*state)
        eta = MODEL.learning_rate
        spread = eta**2 * ALPHA_2 * residual(image, square) - 2 * eta * ALPHA_2 * state[1] * slope
        return [-eta * (ALPHA_2 * image - ALPHA_1), spread]

    solution = scipy.integrate.solve_ivp(rate, (0, 100), [0.0, 1.0], "LSODA", TIMES, rtol=1e-7, atol=1e-7)
    return np.array([residual(*averages(*state)[:2]) / 2 for state in solution.y.T])


def timed(function, repeats: int = 5):
    """Result, first time, and median of later times, in seconds."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, seconds[0], float(np.median(seconds[1:]))


def main() -> None:
    """Print one row a program."""
    print(f"case R to tau = 100, {jax.devices()[0].device_kind}, jax {jax.__version__}")
    print(f"{'program':34} {'first':>8} {'each':>9} {'largest distance to published':>30}")
    programs = {
        "steode density, default tolerance": lambda: solve(MODEL, 100, times=TIMES)["eps_g"],
        "plain upwind density, 2048 cells": lambda: plain_density(2048),
        "steode Gaussian closure": lambda: solve(MODEL, 100, times=TIMES, method="gaussian")["eps_g"],
        "plain Gaussian closure": plain_closure,
    }
    for name, function in programs.items():
        values, first, each = timed(function)
        distance = np.abs(values - PUBLISHED).max()
        print(f"{name:34} {first:7.2f}s {1e3 * each:7.1f}ms {distance:30.1e}")


if __name__ == "__main__":
    main()
