"""Second moments of the quantized inputs, integrated numerically from the data quantizer itself.

They serve to measure the risk of simulated weights; nothing here comes from the derivation.
"""

import numpy as np
import scipy.special

from steode.parts.quantizers import EntrywiseMap, StepFunction
from steode.parts.stochastic import StochasticRounding

CELLS_AT_ONCE = 2**22
"""Cells times coordinates held in memory."""


def input_moments(quantizer: EntrywiseMap, eigenvalues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E[z^2] and E[x z] for x ~ N(0, lambda), z = Q_d(x), in each coordinate.

    Cell by cell for step functions and stochastic rounding on them; by a Gauss-Hermite rule, exact for the noise
    models, otherwise.
    """
    deviations = np.sqrt(eigenvalues)
    if isinstance(quantizer, StepFunction | StochasticRounding):
        grid = quantizer if isinstance(quantizer, StepFunction) else quantizer.grid
        count = max(1, CELLS_AT_ONCE // grid.levels.size)
        parts = [
            _cells(quantizer, grid, deviations[start : start + count]) for start in range(0, deviations.size, count)
        ]
        square, overlap = (np.concatenate(part) for part in zip(*parts, strict=True))
        return square, overlap
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    x = deviations[:, None] * nodes[None, :]
    weights = weights / weights.sum()
    spread = quantizer.variance(x) if hasattr(quantizer, "variance") else np.zeros_like(x)
    image = quantizer(x)
    return (image**2 + spread) @ weights, (x * image) @ weights


def _cells(quantizer: EntrywiseMap, grid: StepFunction, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """On every cell E[z^2 | x] is linear in x, and E[z | x] constant or x: both need P, E[x] and E[x^2] of cells."""
    levels = grid.levels
    rounded = isinstance(quantizer, StepFunction)
    edges = grid.thresholds if rounded else levels
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])[None, :] / deviations[:, None]
    tail = np.exp(-(bounds**2) / 2) / np.sqrt(2 * np.pi)
    # differences of the smaller tail probabilities: nothing cancels far from zero
    below, above = scipy.special.ndtr(bounds), scipy.special.ndtr(-bounds)
    probability = np.where(bounds[:, :-1] > 0, above[:, :-1] - above[:, 1:], below[:, 1:] - below[:, :-1])
    first = (tail[:, :-1] - tail[:, 1:]) * deviations[:, None]
    if rounded:
        return probability @ levels**2, first @ levels
    moment = np.where(np.isfinite(bounds), bounds, 0) * tail
    second = (probability + moment[:, :-1] - moment[:, 1:]) * deviations[:, None] ** 2
    # beyond the outermost levels z is the level; between two, E[z^2 | x] = (low + high) x - low high
    low, high = levels[:-1], levels[1:]
    square = first[:, 1:-1] @ (low + high) - probability[:, 1:-1] @ (low * high)
    square += probability[:, 0] * levels[0] ** 2 + probability[:, -1] * levels[-1] ** 2
    overlap = second[:, 1:-1].sum(axis=1) + first[:, 0] * levels[0] + first[:, -1] * levels[-1]
    return square, overlap
