"""The dynamical mean-field theory of every row of a layer.

Where the K_ii differ, K = S^(1/2) K_0 S^(1/2) with S their diagonal matrix, and K_0, which has a constant diagonal, is
what is in general position: a weight feels sqrt(S_i) times the field of K_0 and counts sqrt(S_i) in it.
"""

import dataclasses

import numpy as np
import scipy.linalg

from steode.errors import UnsupportedError
from steode.solvers.mean_field import Coordinates, Path, follow, gauss_rule
from steode.solvers.mean_field_levels import NODES, extrapolate, time_steps
from steode.systems.layer.spec import LayerModel
from steode.systems.layer.targets import Target, target

MOST_ROWS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class RowCoordinates(Coordinates):
    """A row's coordinates, each (n,): targets, initial weights, step and origin of their levels, sqrt(S_i)."""

    target: np.ndarray
    start: np.ndarray
    step: np.ndarray
    origin: np.ndarray
    scale: np.ndarray
    count: int
    least: float

    def offset(self, weights: np.ndarray) -> np.ndarray:
        """sqrt(S_i) (a - Q(w)), (n,)."""
        code = np.clip(np.floor(weights / self.step + self.origin + 0.5), 0, self.count - 1)
        return self.scale * (self.target - self.step * (code - self.origin))

    def floor(self, weights: np.ndarray) -> float:
        """V at delta = 0."""
        return self.least

    def repeat(self, times: int) -> "RowCoordinates":
        """Every coordinate so many times."""
        arrays = {name: np.tile(getattr(self, name), times) for name in ("target", "start", "step", "origin", "scale")}
        return dataclasses.replace(self, **arrays)


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
    eigenvalues = scipy.linalg.eigvalsh(goal.image)
    remedy = "shorten t_end, or take the closure or simulate"
    steps = time_steps(t_end, model.learning_rate * eigenvalues[-1], steps, remedy)
    scale = np.sqrt(own_shares(np.diag(goal.image), eigenvalues))
    if np.ptp(scale):
        eigenvalues = scipy.linalg.eigvalsh(goal.image / np.outer(scale, scale))
    spectrum = gauss_rule(np.maximum(eigenvalues, 0.0), NODES)
    parts = [_row(model, goal, row, spectrum, scale, t_end, times, samples, steps, key).V for row in range(model.rows)]
    V, statistical, remainder = (np.stack(values, axis=1) for values in zip(*parts, strict=True))
    total = np.hypot(np.sqrt(np.sum(statistical**2, axis=1)), remainder.sum(axis=1))
    return V, np.hypot(statistical, remainder), total


def own_shares(diagonal: np.ndarray, eigenvalues: np.ndarray) -> np.ndarray:
    """S, of mean 1: the K_ii in units of their mean, drawn to it by what a basis in general position scatters itself.

    There the variance of K_ii is 2 Var(lambda)/(d + 2); none of the K_ii differ if theirs is no more.
    """
    usual, seen = 2 * np.var(eigenvalues) / (eigenvalues.size + 2), np.var(diagonal)
    if seen <= usual:
        return np.ones(diagonal.size)
    return 1 + (1 - usual / seen) * (diagonal / diagonal.mean() - 1)


def _row(
    model: LayerModel,
    goal: Target,
    row: int,
    spectrum: tuple[np.ndarray, np.ndarray],
    scale: np.ndarray,
    t_end: float,
    times: np.ndarray,
    samples: int,
    steps: int,
    key: int,
) -> Path:
    """One row, extrapolated."""
    grid, dim = model.grid, model.dim
    step, origin = (np.broadcast_to(grid.wide(values)[row], (dim,)) for values in (grid.step, grid.origin))
    own = RowCoordinates(goal.values[row], model.start[row], step, origin, scale, grid.count, goal.floor[row])
    # far more samples than times at every level: every step is uncorrelated with those before it
    repeats = max(1, round(samples / (4 * dim)), -(-2 * steps // dim))

    def run(level: int, count: int, rng: np.random.Generator) -> Path:
        return follow(
            spectrum,
            own.repeat(repeats * 4 >> level),
            rates=np.full(count, model.learning_rate),
            batch_size=model.batch_size,
            dt=t_end / count,
            rng=rng,
        )

    return extrapolate(run, t_end, times, steps, (key, row))
