"""Meshes that resolve the stationary law of a latent weight, one for each teacher value.

A stationary density falls by a factor e over the length D/|f|, which differs from cell to cell and from teacher value
to teacher value by orders of magnitude; rows that share nothing but V get meshes of their own. Every mesh reaches as
far as the density is above e^-60 of its maximum; eigenfunctions of the linearized equation fall at least about as fast
as its square root. Nodes lie on every threshold inside; every second node makes the same mesh with half the intervals.
"""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.domain import thresholds_of
from steode.solvers.equations import Problem
from steode.solvers.stationary import targets as targets_of

DROP = 60.0
"""Fall of the log-density from its maximum to the ends of a mesh."""

COARSENING = 16.0
"""Fall of the log-density over which the spacing, in decay lengths, doubles; where it doubles twice it is 0.2 or less,
so that the coarse part does not move the continuous spectrum by more than 0.1 percent.
"""

GROWTH = 0.2
"""Largest increase of the node spacing per unit distance."""

AT_THRESHOLD = 0.25
"""Spacing at a threshold relative to that inside the cells next to it."""

FAR = 1e9
"""Distance, in units of the targets and thresholds, that stands for infinity."""

SAMPLES = 600
"""Points on either side of the mode from which the extent of a density is found; the intervals grow by 4 %."""


@dataclasses.dataclass(frozen=True)
class Ends:
    """The drift towards both ends of the weight axis, for each teacher value.

    Attributes
    ----------
    confined : True where it points inwards at both ends, so that a stationary law exists, shape (K,).
    edge : upper edge of the continuous spectrum, shape (K,): -min f^2/(4 D) over the two ends, or at the end to which
        the weight escapes; minus infinity where the drift grows without bound (weight decay, unbounded maps).
    """

    confined: np.ndarray
    edge: np.ndarray


@eqx.filter_jit
def _drift(problem: Problem, w: Float[Array, "K N"]) -> Float[Array, "K N"]:
    return problem.drift(problem.teacher[:, None], problem.weight_map(w), w)


def _diffusion(problem: Problem, variance: float) -> np.ndarray:
    """Variance rate of the weights of each row, shape (K,)."""
    return np.broadcast_to(np.asarray(problem.diffusion(variance)), problem.teacher.shape)


def _scale(problem: Problem) -> float:
    """A length of the order of the targets and thresholds."""
    targets = np.asarray(targets_of(problem))
    return float(np.abs(np.concatenate([targets, thresholds_of(problem)])).max()) or 1.0


def ends(problem: Problem, variance: float) -> Ends:
    """Where weights are confined, and the continuous spectrum.

    In an outermost cell with constant drift f the linearized equation has solutions exp(-k w), D k^2 + f k = lambda.
    The two k lie on either side of -f/(2 D), the border of square integrability against the inverse stationary density,
    unless lambda is on (-oo, -f^2/(4 D)]. The probability to find a weight that escapes with drift f in any bounded
    interval falls at the same rate. Derived here.
    """
    far = FAR * _scale(problem) * np.array([-1.0, -0.1, 0.1, 1.0])
    drift = np.asarray(_drift(problem, jnp.asarray(np.tile(far, (problem.teacher.size, 1)))))
    outer = drift[:, [0, 3]]
    # a target that equals a level to rounding leaves no drift in its cell
    size = np.abs(outer).max(axis=1, keepdims=True)
    outer = np.where(np.abs(outer) > 1e-12 * size, outer, 0.0)
    confined = (outer[:, 0] > 0) & (outer[:, 1] < 0)
    constant = np.abs(outer - drift[:, [1, 2]]) <= 1e-6 * size
    rates = np.where(constant, outer**2 / (2 * _diffusion(problem, variance)[:, None]), np.inf)
    escape = np.where(outer.sum(axis=1) > 0, rates[:, 1], rates[:, 0])
    return Ends(confined, -np.where(confined, rates.min(axis=1), escape))


def stationary_nodes(problem: Problem, variance: float, intervals: int) -> np.ndarray:
    """Nodes (K, 2 n + 1) that resolve the stationary law of every row, all of which have to be confined.

    2 n = intervals, or more if some row has so many thresholds inside.
    """
    thresholds, diffusivity = thresholds_of(problem), _diffusion(problem, variance) / 2
    low, high, center = _extent(problem, thresholds, diffusivity)
    rows = range(problem.teacher.size)
    fences = [
        np.concatenate([[low[k]], thresholds[(thresholds > low[k]) & (thresholds < high[k])], [high[k]]]) for k in rows
    ]
    intervals = 2 * max(intervals // 2, 2 * max(fence.size for fence in fences))
    nodes = _sample(low, high, center, thresholds)
    # each pass computes the wanted spacings on the nodes of the last one
    for _ in range(4):
        drift = np.asarray(_drift(problem, jnp.asarray((nodes[:, 1:] + nodes[:, :-1]) / 2)))
        nodes = np.stack([_equidistribute(nodes[k], drift[k], diffusivity[k], fences[k], intervals) for k in rows])
    return nodes


def _sample(low, high, center, thresholds) -> np.ndarray:
    """Points of [low, high] that are dense at the center, and the thresholds (clipped), for each row."""
    steps = np.geomspace(1e-9, 1.0, SAMPLES)
    left, right = (center - low)[:, None] * steps[None, :], (high - center)[:, None] * steps[None, :]
    inner = np.tile(thresholds, (low.size, 1))
    points = np.concatenate([center[:, None] - left, center[:, None], center[:, None] + right, inner], axis=1)
    return np.sort(np.clip(points, low[:, None], high[:, None]), axis=1)


def _log_density(drift, diffusivity, points) -> np.ndarray:
    """Log of the stationary density at the points, from the drift between them; its maximum is 0."""
    rises = np.cumsum(drift * np.diff(points) / diffusivity, axis=-1)
    logs = np.concatenate([np.zeros((*rises.shape[:-1], 1)), rises], axis=-1)
    return logs - logs.max(axis=-1, keepdims=True)


def _extent(problem: Problem, thresholds, diffusivity) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of the interval where the density is not negligible, and its mode; narrowed down from the whole axis."""
    center = np.zeros(problem.teacher.size)
    high = np.full(center.shape, FAR * _scale(problem))
    low, index = -high, np.arange(center.size)
    for _ in range(8):
        points = _sample(low, high, center, thresholds)
        drift = np.asarray(_drift(problem, jnp.asarray((points[:, 1:] + points[:, :-1]) / 2)))
        logs = _log_density(drift, diffusivity[:, None], points)
        inside = logs > -DROP
        first, last = inside.argmax(axis=1), points.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
        low = points[index, np.maximum(first - 1, 0)]
        high = points[index, np.minimum(last + 1, points.shape[1] - 1)]
        center = points[index, logs.argmax(axis=1)]
    return low, high, center


def _equidistribute(points, drift, diffusivity: float, fences, intervals: int) -> np.ndarray:
    """Nodes whose spacing is proportional to D/|f| (at most the width of the density), with bounded growth."""
    widths, middles = np.diff(points), (points[1:] + points[:-1]) / 2
    logs = _log_density(drift, diffusivity, points)
    masses = np.exp((logs[1:] + logs[:-1]) / 2) * widths
    mean = masses @ middles / masses.sum()
    width = np.sqrt(masses @ (middles - mean) ** 2 / masses.sum())
    wanted = diffusivity / np.maximum(np.abs(drift), diffusivity / width)
    wanted *= 1 - np.maximum(logs[1:], logs[:-1]) / COARSENING
    inner = fences[1:-1]
    right = np.clip(np.searchsorted(points, inner, side="right"), 1, wanted.size - 1)
    left = np.clip(np.searchsorted(points, inner, side="left") - 1, 0, wanted.size - 1)
    spacing = _bounded_growth(
        np.concatenate([middles, inner]) - mean,
        np.concatenate([wanted, AT_THRESHOLD * np.minimum(wanted[left], wanted[right])]),
    )[: middles.size]
    coordinate = np.concatenate([[0.0], np.cumsum(widths / spacing)])
    at_fences = np.interp(fences, points, coordinate)
    shares = _even_shares(np.diff(at_fences), intervals)
    parts = [
        np.interp(start + (end - start) * np.arange(share) / share, coordinate, points)
        for start, end, share in zip(at_fences[:-1], at_fences[1:], shares, strict=True)
    ]
    nodes = np.concatenate([*parts, fences[-1:]])
    nodes[np.concatenate([[0], np.cumsum(shares)])] = fences
    return nodes


def _bounded_growth(positions, values) -> np.ndarray:
    """The largest function below `values` that changes by at most GROWTH per unit distance."""
    order = np.argsort(positions, kind="stable")
    x, y = GROWTH * positions[order], values[order]
    from_left = np.minimum.accumulate(y - x) + x
    from_right = np.minimum.accumulate((y + x)[::-1])[::-1] - x
    result = np.empty(y.shape)
    result[order] = np.minimum(from_left, from_right)
    return result


def _even_shares(counts, intervals: int) -> np.ndarray:
    """Even numbers, at least 2 each, about proportional to `counts` and summing to `intervals`."""
    halves = np.maximum(np.floor(counts / counts.sum() * (intervals // 2)).astype(int), 1)
    while excess := halves.sum() - intervals // 2:
        largest = halves.argmax()
        halves[largest] -= min(excess, (halves[largest] + 1) // 2)
    return 2 * halves
