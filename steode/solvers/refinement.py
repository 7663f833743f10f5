"""Successive solutions of the density equation, and the error that their differences tell.

Every halving of the mesh comes with twice the teacher values and time steps about half as long, so that the differences
between successive solutions hold every part of the error. The scheme is of second order where the layers at the
thresholds are resolved, and a third of the last difference is the error of the finest solution. Where V becomes so
small that they are not, the scheme turns into first-order upwind: then three solutions tell the order. The observables
returned are the finest ones, not extrapolated.
"""

import dataclasses

import numpy as np

from steode.solvers.start import Rows

RESOLVED, FALLING = 2.0, 0.6
"""Cell Peclet number |f| h/D at the thresholds, and its ratio between two meshes, up to which the scheme is taken to be
of second order. Where V is nothing but numerical diffusion, it is proportional to h, and |f| h/D stays where it is.
"""

LEAST_RATIO = 1.5
"""Ratio of successive differences, 4 at second and 2 at first order, below which no order is believed."""

HOPE = 1.2
"""Factor by which the ratio may grow before the layers are resolved; what even this does not save is given up early."""


@dataclasses.dataclass(frozen=True)
class DensitySolution:
    """Observables (T, ...) with error estimates, and the law of each kind of coordinates on its finest mesh."""

    observables: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    laws: tuple["Law", ...]
    steps: int
    largest_eps_g: float  # over the initial state and all times
    peclet: float  # largest cell Peclet number at a threshold


@dataclasses.dataclass(frozen=True)
class Law:
    """Masses (U, K, N) in the control volumes of the nodes, for each row."""

    masses: np.ndarray
    nodes: np.ndarray
    volumes: np.ndarray
    rows: Rows


def within_reach(estimate: float, solutions: list[DensitySolution], unknowns: int, most: int) -> float:
    """The error that the finest mesh would have, if differences fall as they do, and by 4 where layers are resolved."""
    if len(solutions) < 3:
        return 0.0
    coarse, middle, fine = (solution.observables["eps_g"] for solution in solutions[-3:])
    ratio = HOPE * _ratio(np.abs(middle - coarse).max(), np.abs(fine - middle).max())
    peclet = solutions[-1].peclet
    while 4 * unknowns <= most:
        unknowns, peclet = 4 * unknowns, peclet / 2
        estimate /= 4.0 if peclet <= RESOLVED else min(ratio, 4.0)
    return estimate


def error_of(solutions: list[DensitySolution]) -> dict[str, np.ndarray] | None:
    """Estimated errors of the last of successive solutions; None where there are too few to tell."""
    if len(solutions) < 2:
        return None
    coarse, fine = solutions[-2:]
    resolved = fine.peclet <= min(RESOLVED, FALLING * coarse.peclet)
    if len(solutions) < 3 and not resolved:
        return None
    values = [solution.observables for solution in solutions[-3:]]
    error = {name: np.abs(value - values[-2][name]) for name, value in fine.observables.items()}
    if resolved:
        return {name: value / 3 for name, value in error.items()}
    before = {name: np.abs(value - values[-3][name]) for name, value in values[-2].items()}
    return {name: value / (_ratio(before[name], value) - 1) for name, value in error.items()}


def _ratio(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """By which the difference fell, at every time for itself, between no order at all and second order."""
    return np.clip(before / np.maximum(after, 1e-300), LEAST_RATIO, 4.0)
