"""The dynamical mean-field theory of every row of a layer, with what its time step and its samples cost taken off.

A run of h time step and N samples is too high by c_1 h + c_2/N in first order. Levels k = 0, 1, 2 have 2^k h and N/2^k:
both biases double from one to the next, and 2 V_0 - V_1 has neither. What a next order leaves is estimated by its
distance from 2 V_1 - V_2, over 3, and by the square of the relative correction, (V_0 - V_1)^2/V_0: the larger counts,
for with too long steps the first may be small by chance. The spread over replicates is the statistical error.
"""

import numpy as np
import scipy.interpolate
import scipy.linalg

from steode.errors import UnsupportedError
from steode.systems.layer.dmft import Coordinates, follow, gauss_rule
from steode.systems.layer.spec import LayerModel
from steode.systems.layer.targets import Target, target

REPLICATES = (4, 8, 16)
"""Runs at each level."""
NODES = 16
"""Gauss nodes of the spectrum: 32 changes V by less than a thousandth where an eigenvalue is 8 times the mean."""
FEWEST_STEPS, MOST_STEPS = 200, 1000
LONGEST_STEP = 0.125
"""Longest time step in units of 1/(eta lambda_max): the coarsest level has four times as much, and V is doubled or more
by steps of 1/(eta lambda_max), where an extrapolation does not help."""
MOST_ROWS = 64


def extrapolated(
    model: LayerModel, t_end: float, times: np.ndarray, samples: int, steps: int | None, key: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V and its error at the times, (T, rows), and the error of the sum over rows, (T,).

    Raises `UnsupportedError` for more rows or time steps than can be done.
    """
    if model.rows > MOST_ROWS:
        raise UnsupportedError(
            f'solve: method "dmft" is one computation for each row, of about a minute, and for at most {MOST_ROWS}, '
            f"not {model.rows}; give the layer of some of its rows, or take the closure or simulate for all of them."
        )
    goal = target(model)
    eigenvalues = np.maximum(scipy.linalg.eigvalsh(goal.image, check_finite=False), 0.0)
    fewest = t_end * model.learning_rate * eigenvalues.max() / LONGEST_STEP
    steps = 4 * int(np.ceil((max(FEWEST_STEPS, fewest) if steps is None else steps) / 4))
    if not fewest <= steps <= MOST_STEPS:
        raise UnsupportedError(
            f'solve: method "dmft" takes from 8 t_end eta lambda_max = {fewest:.0f} to {MOST_STEPS} time steps here, '
            f"not {steps}; shorten t_end, or take the closure or simulate."
        )
    spectrum = gauss_rule(eigenvalues, NODES)
    parts = [_row(model, goal, row, spectrum, t_end, times, samples, steps, key) for row in range(model.rows)]
    V, statistical, remainder = (np.stack(values, axis=1) for values in zip(*parts, strict=True))
    total = np.hypot(np.sqrt(np.sum(statistical**2, axis=1)), remainder.sum(axis=1))
    return V, np.hypot(statistical, remainder), total


def _row(
    model: LayerModel,
    goal: Target,
    row: int,
    spectrum: tuple[np.ndarray, np.ndarray],
    t_end: float,
    times: np.ndarray,
    samples: int,
    steps: int,
    key: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one row V, its statistical error and what the next order leaves, each (T,)."""
    grid, dim = model.grid, model.dim
    step, origin = (np.broadcast_to(grid.wide(values)[row], (dim,)) for values in (grid.step, grid.origin))
    coordinates = Coordinates(goal.values[row], model.start[row], step, origin, grid.count)
    # far more samples than times at every level: every step is uncorrelated with those before it
    repeats = max(1, round(samples / (4 * dim)), -(-2 * steps // dim))
    means, errors = [], []
    for level, replicates in enumerate(REPLICATES):
        sample = coordinates.repeat(repeats * 4 >> level)
        count = steps >> level
        runs = [
            follow(
                spectrum,
                sample,
                learning_rate=model.learning_rate,
                floor=goal.floor[row],
                batch_size=model.batch_size,
                dt=t_end / count,
                steps=count,
                rng=np.random.default_rng([key, row, level, replicate]),
            )
            for replicate in range(replicates)
        ]
        path = np.linspace(0, t_end, count + 1)
        runs = scipy.interpolate.PchipInterpolator(path, np.stack(runs, axis=1))(times)
        means.append(runs.mean(axis=1))
        errors.append(runs.std(axis=1, ddof=1) / np.sqrt(replicates))
    fine, coarse = 2 * means[0] - means[1], 2 * means[1] - means[2]
    remainder = np.maximum(np.abs(fine - coarse) / 3, (means[0] - means[1]) ** 2 / means[0])
    return fine, np.hypot(2 * errors[0], errors[1]), remainder
