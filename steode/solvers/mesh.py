"""Meshes for the density equation: nodes on every threshold, refined there.

The density has layers of width eta V/(2 jump) at a threshold, so node spacing grows linearly with the distance to the
nearest threshold, from a fraction of the layer to a largest spacing. Meshes are stored as fractions of segments between
breakpoints, so that nodes move with the quantization range when that is traced or differentiated.
"""

import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from steode.solvers.libraries import library

GROWTH = 0.05
"""Increase of the node spacing per unit distance from a threshold."""

LAYER_FRACTION = 0.15
"""Spacing at a threshold before scaling to the wanted number of nodes, in layer widths."""

POSITIONS = 2000
"""Equal steps of a segment at which the wanted spacing is looked at."""

VERY_THIN = 0.01
"""Spacing, as a fraction of such a step, below which a layer gets steps of its own; small learning rates need it."""

LEAST_INTERVALS = 1
"""Fewest intervals between two breakpoints: on a grid of many levels its cells are themselves a fine mesh."""


class Mesh(eqx.Module):
    """Nodes as fractions of the segments between breakpoints.

    Attributes
    ----------
    segment, fraction : the node lies at breakpoint[segment] + fraction * length of that segment.
    order : position of each breakpoint in the concatenation (low, high, thresholds, ends of the band).
    low, high : ends of the domain.
    """

    segment: Int[Array, " N"]
    fraction: Float[Array, " N"]
    order: Int[Array, " P"]
    low: float
    high: float

    def nodes(self, thresholds: Float[Array, " n"], band: Float[Array, " 2"] | None) -> Float[Array, " N"]:
        """Node positions for these thresholds and clipping bounds."""
        np_or_jnp = library(thresholds, band)
        bounds = np.zeros(0) if band is None else band
        breakpoints = np_or_jnp.concatenate([np.array([self.low, self.high]), thresholds, bounds])[self.order]
        return breakpoints[self.segment] + self.fraction * np_or_jnp.diff(breakpoints)[self.segment]


@dataclasses.dataclass(frozen=True)
class Resolution:
    """How fine a mesh must be where: spacing at each threshold and at the bounds, and the largest spacing anywhere."""

    at_threshold: np.ndarray  # (n,), one for each threshold
    largest: float  # between thresholds; beyond the last one spacing keeps growing
    at_bound: float = np.inf  # inside the bounds, where mass is absorbed


def make_mesh(
    thresholds: np.ndarray,
    band: np.ndarray | None,
    low: float,
    high: float,
    resolution: Resolution,
    intervals: int,
    halvings: int = 0,
) -> Mesh:
    """A mesh of about `intervals` intervals, more where breakpoints need them, with every one of them cut in two
    `halvings` times.

    Each halving doubles the number of intervals between any two breakpoints, however many there are, which is what
    error estimates by two meshes rely on.
    """
    bounds = np.array([]) if band is None else np.asarray(band)
    points = np.concatenate([[low, high], thresholds, bounds])
    # a bound on a threshold is that threshold's node
    repeated = np.isin(np.arange(points.size), 2 + thresholds.size + np.flatnonzero(_close(bounds, thresholds)))
    inside = np.flatnonzero((points >= low) & (points <= high) & ~repeated)
    _, first = np.unique(points[inside], return_index=True)
    order = inside[first]
    breakpoints = points[order]
    fine, counts = _refined_segments(breakpoints, thresholds, bounds, resolution)
    shares = _integer_shares(counts, intervals) << halvings
    segments, fractions = [], []
    for index, (share, (position, coordinate)) in enumerate(zip(shares, fine, strict=True)):
        uniform = np.arange(share) / share
        segments.append(np.full(share, index))
        fractions.append(np.interp(uniform * coordinate[-1], coordinate, position))
    last = len(breakpoints) - 2
    return Mesh(
        segment=np.concatenate([*segments, [last]]),
        fraction=np.concatenate([*fractions, [1.0]]),
        order=order,
        low=float(low),
        high=float(high),
    )


def _close(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.isclose(values[:, None], others[None, :], rtol=1e-9, atol=0).any(axis=1)


def _refined_segments(breakpoints, thresholds, bounds, resolution):
    """For each segment, positions in [0, 1] with the mesh coordinate there, and the number of intervals wanted."""
    fine, counts = [], []
    for left, right in zip(breakpoints[:-1], breakpoints[1:], strict=True):
        position = _positions(left, right, thresholds, resolution)
        middle = left + (right - left) * (position[1:] + position[:-1]) / 2
        outermost = thresholds.size and (right <= thresholds[0] or left >= thresholds[-1])
        # beyond the last threshold Q is constant and nothing depends on where the weight is
        spacing = np.full(middle.shape, np.inf if outermost else resolution.largest)
        for index in _nearest_thresholds(thresholds, left, right):
            graded = resolution.at_threshold[index] + GROWTH * np.abs(middle - thresholds[index])
            spacing = np.minimum(spacing, graded)
        if bounds.size and bounds[0] <= left and right <= bounds[1]:
            distance = np.minimum(middle - bounds[0], bounds[1] - middle)
            spacing = np.minimum(spacing, resolution.at_bound + GROWTH * distance)
        # equal steps have exactly this width
        equal = position.size == POSITIONS + 1
        widths = (right - left) / POSITIONS if equal else (right - left) * np.diff(position)
        coordinate = np.concatenate([[0.0], np.cumsum(widths / spacing)])
        fine.append((position, coordinate))
        counts.append(coordinate[-1])
    return fine, np.array(counts)


def _positions(left, right, thresholds, resolution) -> np.ndarray:
    """Positions in [0, 1] at which the spacing is looked at: equal steps, and geometric ones into very thin layers."""
    position = np.linspace(0, 1, POSITIONS + 1)
    for index in _nearest_thresholds(thresholds, left, right):
        thinnest = resolution.at_threshold[index] / (right - left)
        if thinnest < VERY_THIN / POSITIONS:
            steps = np.geomspace(thinnest / 4, 1 / POSITIONS, 100)[:-1]
            position = np.union1d(position, steps if thresholds[index] <= left else 1 - steps)
    return position


def _nearest_thresholds(thresholds, left, right) -> np.ndarray:
    """Indices of the thresholds next to a segment on either side (the segment may end at a clipping bound instead)."""
    below, above = np.flatnonzero(thresholds <= left), np.flatnonzero(thresholds >= right)
    return np.concatenate([below[-1:], above[:1]])


def _integer_shares(counts: np.ndarray, intervals: int) -> np.ndarray:
    """Whole numbers proportional to `counts`, at least LEAST_INTERVALS each; their sum is at least `intervals`.

    Where many segments need the least share, the others keep theirs: they are not thinned to make up for it.
    """
    raw = np.maximum(counts / counts.sum() * intervals, LEAST_INTERVALS)
    shares = np.floor(raw).astype(int)
    missing = intervals - shares.sum()
    if missing > 0:
        shares[np.argsort(shares - raw)[:missing]] += 1
    return shares
