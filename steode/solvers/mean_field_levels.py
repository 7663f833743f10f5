"""The dynamical mean-field theory with what its time step and its samples cost taken off.

A run of h time step and N samples is too high by c_1 h + c_2/N in first order. Levels k = 0, 1, 2 have 2^k h and N/2^k:
both biases double from one to the next, and 2 V_0 - V_1 has neither. What a next order leaves is estimated by its
distance from 2 V_1 - V_2, over 3, and by the square of the relative correction, (V_0 - V_1)^2/V_0: the larger counts,
for with too long steps the first may be small by chance. The spread over replicates is the statistical error.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy

from steode.errors import UnsupportedError
from steode.solvers.mean_field import Path

REPLICATES = (4, 8, 16)
"""Runs at each level."""
NODES = 16
"""Gauss nodes of the spectrum: 32 changes V by less than a thousandth where an eigenvalue is 8 times the mean."""
FEWEST_STEPS, MOST_STEPS = 200, 1000
LONGEST_STEP = 0.125
"""Longest time step in units of 1/(eta lambda_max): the coarsest level has four times as much, and V is doubled or more
by steps of 1/(eta lambda_max), where an extrapolation does not help."""


class Extrapolated(NamedTuple):
    """A quantity at the wanted times, its statistical error, and what the next order leaves, each (T, ...)."""

    value: np.ndarray
    statistical: np.ndarray
    remainder: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Both together."""
        return np.hypot(self.statistical, self.remainder)


def time_steps(t_end: float, fastest: float, steps: int | None, remedy: str) -> int:
    """The number of time steps of the finest level, a multiple of four; fastest: the largest eta lambda.

    Raises `UnsupportedError` where they would be too many, or those that are asked for too few.
    """
    fewest = t_end * fastest / LONGEST_STEP
    steps = 4 * int(np.ceil((max(FEWEST_STEPS, fewest) if steps is None else steps) / 4))
    if not fewest <= steps <= MOST_STEPS:
        raise UnsupportedError(
            f'solve: method "dmft" takes from 8 t_end eta lambda_max = {fewest:.0f} to {MOST_STEPS} time steps here, '
            f"not {steps}; {remedy}."
        )
    return steps


def extrapolate(
    run: Callable[[int, int, np.random.Generator], Path],
    t_end: float,
    times: np.ndarray,
    steps: int,
    key: tuple[int, ...],
) -> Path:
    """V, overlap and what is measured at the times, each `Extrapolated`.

    `run` takes the level, its number of time steps and random numbers, and follows N/2^level samples.
    """
    means, errors = [], []
    for level, replicates in enumerate(REPLICATES):
        count = steps >> level
        paths = [run(level, count, np.random.default_rng([*key, level, number])) for number in range(replicates)]
        grid = np.linspace(0, t_end, count + 1)
        at_times = [
            scipy.interpolate.PchipInterpolator(grid, np.stack(values, axis=1))(times)
            for values in zip(*paths, strict=True)
        ]
        means.append([values.mean(axis=1) for values in at_times])
        errors.append([values.std(axis=1, ddof=1) / np.sqrt(replicates) for values in at_times])
    levels = zip(zip(*means, strict=True), zip(*errors, strict=True), (True, False, False), strict=True)
    return Path(*(_first_order(*parts) for parts in levels))


def _first_order(means: tuple, errors: tuple, positive: bool) -> Extrapolated:
    """Of three levels; the size of what is not positive is its largest over the times."""
    fine, coarse = 2 * means[0] - means[1], 2 * means[1] - means[2]
    size = means[0] if positive else np.maximum(np.abs(means[0]).max(axis=0, keepdims=True, initial=0), 1e-300)
    remainder = np.maximum(np.abs(fine - coarse) / 3, (means[0] - means[1]) ** 2 / size)
    return Extrapolated(fine, np.hypot(2 * errors[0], errors[1]), remainder)
