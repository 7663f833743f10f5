"""Rows that mirror each other: where w -> -w turns one teacher value's equation into another's, one of both is solved.

An odd map of the weights, an initial law and a mesh that are symmetric, and a drift that is odd in w*, Q and w at once
make the law at -w* the mirror image of that at w*. All of this is looked at in numbers, so that no list of symmetric
laws and maps has to be kept.
"""

import dataclasses

import numpy as np

from steode.solvers.density import DensityOperator

CLOSE = 1e-9
"""Relative difference up to which numbers count as equal."""


@dataclasses.dataclass(frozen=True)
class Mirror:
    """Rows that are solved, (R,), with the weights that they then have, and the mirror image of each."""

    rows: np.ndarray
    weights: np.ndarray
    partners: np.ndarray

    def unfold(self, masses: np.ndarray, count: int) -> np.ndarray:
        """Masses (U, R, N) of the solved rows as those of all `count` rows, (U, K, N)."""
        whole = np.empty((masses.shape[0], count, masses.shape[2]))
        whole[:, self.partners] = masses[:, :, ::-1]
        whole[:, self.rows] = masses
        return whole


def find_mirror(operator: DensityOperator, masses: np.ndarray) -> Mirror | None:
    """The rows to solve, of an operator in NumPy's arrays and initial masses (K, N); None where nothing mirrors."""
    problem = operator.problem
    teacher, weights = np.asarray(problem.teacher), np.asarray(problem.teacher_weights)
    eigenvalues = np.zeros(teacher.size) if problem.eigenvalues is None else np.asarray(problem.eigenvalues)
    partners = np.empty(teacher.size, int)
    partners[np.lexsort((-teacher, eigenvalues))] = np.lexsort((teacher, eigenvalues))
    odd = (operator.nodes, operator.node_image, operator.image)
    even = (operator.volumes, operator.node_square, operator.mobile)
    mirrored = (
        teacher.size > 1
        and _equal(teacher, -teacher[partners])
        and _equal(weights, weights[partners])
        and _equal(eigenvalues, eigenvalues[partners])
        and all(_equal(values, -values[::-1]) for values in odd)
        and all(_equal(values, values[::-1]) for values in even)
        and _equal(masses, masses[partners, ::-1])
        and _equal(operator.speed, -operator.speed[partners, ::-1])
    )
    if not mirrored:
        return None
    rows = np.flatnonzero(partners >= np.arange(teacher.size))
    alone = partners[rows] == rows
    return Mirror(rows, np.where(alone, 1.0, 2.0) * weights[rows], partners[rows])


def _equal(values, others) -> bool:
    return bool(np.all(np.abs(values - others) <= CLOSE * np.max(np.abs(values))))
