"""The verb `fixed_points` of a layer: where training with the straight-through estimator ends, row by row."""

import warnings

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from steode.systems.layer.clipping import box_least_squares
from steode.systems.layer.fixed_point import LayerFixedPoints, LayerWarning
from steode.systems.layer.grids import Grid
from steode.systems.layer.product_law import RowEquations, same
from steode.systems.layer.spec import LayerModel, check_model
from steode.systems.layer.targets import target

EDGE = 1e-9
"""Distance from the outermost level, in steps, within which a weight stays there."""
DENSE = 600
"""Inputs up to which all eigenvalues are computed; beyond them only the two outermost."""


def fixed_points(model: LayerModel) -> LayerFixedPoints:
    """Where the last iterate of training ends, for every row: the root of

        V = sigma^2 + input term + (q - a)^T K_q (q - a)/d + (1/d) sum_free (K_q)_ii E[(Q_i - q_i)^2; theta = eta V/B].

    q is the target a where that fits into the range, else the best weights inside it (`clipping`); the average is over
    the law exp(-2 U/theta), U' = Q - q, of each weight by itself. It holds for every K_q: correlations change how fast
    it is reached, not what it is. Weights at the outermost levels stay there. Derived here; see `derive`.

    The roots of a row are found from both sides of a nondecreasing function, so that nothing else is missed:
    `unique` says where smallest and largest are one, `complete` where that is proved.

    What it leaves out, it says: `notes`, which are also issued as `LayerWarning`.

    Raises
    ------
    SpecificationError
        If `model` is not a LayerModel.
    ConvergenceError
        If the clipped weights of a row cannot be found, because K is singular up to rounding.
    """
    check_model(model)
    state = stationary_state(model, model.grid)
    found = LayerFixedPoints(
        model=model,
        **{name: state[name] for name in ("V", "smallest", "complete", "dithering", "clipping", "best", "resting")},
        unique=state["complete"] & same(state["smallest"], state["V"]),
        input_term=target(model).input_term,
        clipped=outside(target(model).values, model.grid).mean(axis=1),
        effective_dimension=np.trace(model.inputs.image) ** 2 / np.sum(model.inputs.image**2),
        eigenvalues=eigenvalue_ends(model.inputs.image),
    )
    for note in found.notes:
        warnings.warn(note, LayerWarning, stacklevel=2)
    return found


def stationary_state(model: LayerModel, grid: Grid) -> dict[str, np.ndarray]:
    """Arrays of `LayerFixedPoints` by name, for the model on any grid."""
    goal = target(model)
    low, high = (np.broadcast_to(grid.wide(end), model.weights.shape) for end in (grid.low, grid.high))
    best = box_least_squares(goal.values, goal.image, low, high)
    free = inside(best, grid)
    clipping = goal.gap(best)
    equations = row_equations(model, grid, best, goal.floor + clipping)
    smallest, largest, complete = equations.roots()
    return {
        "V": largest,
        "smallest": smallest,
        "complete": complete,
        "dithering": np.maximum(largest - equations.base, 0.0),
        "clipping": clipping,
        "best": best,
        "resting": 1 - free.mean(axis=1),
    }


def row_equations(model: LayerModel, grid: Grid, best: np.ndarray, base: np.ndarray) -> RowEquations:
    """The equations of all rows around the mean quantized weights `best`; `base` is V without dithering."""
    square = grid.wide(grid.step) ** 2
    weight = np.where(inside(best, grid), np.diag(model.inputs.image) * square / model.dim, 0.0)
    heat = model.learning_rate / model.batch_size
    return RowEquations(base, grid.position(best), square, weight, heat, grid.count)


def inside(best: np.ndarray, grid: Grid) -> np.ndarray:
    """Which mean quantized weights lie between the outermost levels, (rows, d)."""
    position = grid.position(best)
    return (position > EDGE) & (position < grid.count - 1 - EDGE)


def outside(values: np.ndarray, grid: Grid) -> np.ndarray:
    """Which targets lie beyond the outermost levels, (rows, d)."""
    position = grid.position(values)
    return (position < -EDGE) | (position > grid.count - 1 + EDGE)


def eigenvalue_ends(matrix: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of a positive matrix; of a large one to one part in a hundred."""
    if matrix.shape[0] <= DENSE:
        values = scipy.linalg.eigvalsh(matrix)
        return float(values[0]), float(values[-1])
    options = {"k": 1, "return_eigenvectors": False, "tol": 1e-2, "v0": np.ones(matrix.shape[0])}
    largest = scipy.sparse.linalg.eigsh(matrix, which="LA", **options)[0]
    factor = scipy.linalg.cho_factor(matrix, check_finite=False)
    inverse = scipy.sparse.linalg.LinearOperator(
        matrix.shape, lambda x: scipy.linalg.cho_solve(factor, x, check_finite=False)
    )
    smallest = 1 / scipy.sparse.linalg.eigsh(inverse, which="LA", **options)[0]
    return float(smallest), float(largest)
