"""Rounding a layer without training it: to nearest, at random, and one weight after the other with compensation."""

import dataclasses

import numpy as np
import scipy.linalg

from steode.errors import SpecificationError, check_nonnegative
from steode.systems.layer.grids import Grid
from steode.systems.layer.results import table
from steode.systems.layer.spec import LayerModel, check_model
from steode.systems.layer.targets import target

BLOCK = 128
"""Columns rounded between two updates of all later ones."""
METHODS = {
    "nearest": "every weight to its nearest level",
    "stochastic": "at random between the neighboring levels, without bias: the expected V",
    "gptq": "one after the other, later weights compensating, in the order of the columns",
    "gptq by diagonal": "the same, by decreasing K_ii",
}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerRounding:
    """Residual variance of a rounded layer.

    Attributes
    ----------
    model : the specification.
    V : method of METHODS -> V of each row, (rows,); noise and input term included.
    weights : method -> rounded weights, (rows, d); stochastic rounding has none.
    pivot_estimate : (1/d) sum_i D_i step_i^2/12 with D the pivots of the LDL factorization in the order of the columns,
        what "gptq" adds to V if rounding errors are uniform and nothing is clipped, (rows,).
    damping : added to K's diagonal for the compensation alone, in parts of its mean.
    """

    model: LayerModel
    V: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    pivot_estimate: np.ndarray
    damping: float

    @property
    def total(self) -> dict[str, float]:
        """Method -> V summed over rows."""
        return {name: float(values.sum()) for name, values in self.V.items()}

    def __repr__(self) -> str:
        rows = [[name, self.total[name], *np.quantile(self.V[name], (0, 0.5, 1)), METHODS[name]] for name in self.V]
        head = ["method", "sum of V", "least", "median", "largest", ""]
        return f"Rounding of {self.model}\n" + table(head, rows)


def rounding(model: LayerModel, *, damping: float = 0.0) -> LayerRounding:
    """V of the layer rounded once, in four ways, row by row.

    Nearest rounding costs delta^T K delta/d; stochastic rounding sum_i K_ii Var Q_i/d, which is also where training
    with the straight-through estimator ends. Sequential rounding with compensation (OBQ, GPTQ: Frantar et al. 2022,
    2023) rounds weights one after the other and moves the later ones to the optimum given the rounded ones.

    Parameters
    ----------
    model : the specification; rounded are its weights, with compensation the targets that quantized inputs leave.
    damping : >= 0, added to the diagonal for the compensation, in parts of its mean; toolkits take 0.01. It only blunts
        the compensation where K is known.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    """
    check_model(model)
    damping = check_nonnegative("damping", damping)
    goal, grid = target(model), model.grid
    natural = np.arange(model.dim)
    diagonal = np.diag(goal.image)
    matrix = goal.image + damping * diagonal.mean() * np.eye(model.dim)
    weights = {"nearest": grid(model.weights)}
    for name, order in (("gptq", natural), ("gptq by diagonal", np.argsort(-diagonal, kind="stable"))):
        weights[name] = compensated(goal.values, matrix, grid, order)
    V = {name: goal.variance(values) for name, values in weights.items()}
    V["stochastic"] = goal.variance(grid.clip(model.weights)) + dithering(grid, model.weights) @ diagonal / model.dim
    pivots = 1 / np.diag(compensation(matrix, natural)) ** 2
    estimate = grid.wide(grid.step**2 / 12) * np.ones(model.dim) @ pivots / model.dim
    return LayerRounding(model, {name: V[name] for name in METHODS}, weights, estimate, damping)


def dithering(grid: Grid, weights: np.ndarray) -> np.ndarray:
    """Variance (w - L)(L' - w) of unbiased rounding between the neighboring levels, (rows, d); 0 outside the range."""
    position = np.clip(grid.position(weights), 0, grid.count - 1)
    part = position - np.floor(position)
    return grid.wide(grid.step) ** 2 * part * (1 - part)


def compensation(matrix: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The upper triangular U with K^-1 = U^T U, for columns in this order, (d, d): 1/U_jj^2 are the pivots of K.

    A pivot is what K leaves of column j when all later columns adapt. Raises `SpecificationError` if K is singular.
    """
    # factorizing the reversed matrix gives the triangle of the inverse without inverting
    reverse = matrix[np.ix_(order[::-1], order[::-1])]
    try:
        factor = scipy.linalg.cholesky(reverse, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        remedy = "Give damping = 0.01, or fewer columns than samples."
        raise SpecificationError("damping", "a K that can be inverted", "a singular one", remedy) from None
    upper = factor[::-1, ::-1]
    return scipy.linalg.solve_triangular(upper, np.eye(order.size), check_finite=False)


def compensated(weights: np.ndarray, matrix: np.ndarray, grid: Grid, order: np.ndarray) -> np.ndarray:
    """Rounded weights (rows, d): in this order each to its nearest level, later ones moved to the optimum given it."""
    upper = compensation(matrix, order)
    left = weights[:, order].copy()
    origin, step = (np.broadcast_to(grid.wide(part), weights.shape)[:, order] for part in (grid.origin, grid.step))
    rounded = np.empty_like(left)
    for start in range(0, order.size, BLOCK):
        stop = min(start + BLOCK, order.size)
        errors = np.empty((weights.shape[0], stop - start))
        for j in range(start, stop):
            code = np.clip(np.floor(left[:, j] / step[:, j] + origin[:, j] + 0.5), 0, grid.count - 1)
            rounded[:, j] = step[:, j] * (code - origin[:, j])
            errors[:, j - start] = (left[:, j] - rounded[:, j]) / upper[j, j]
            left[:, j + 1 : stop] -= np.outer(errors[:, j - start], upper[j, j + 1 : stop])
        left[:, stop:] -= errors @ upper[start:stop, stop:]
    found = np.empty_like(rounded)
    found[:, order] = rounded
    return found
