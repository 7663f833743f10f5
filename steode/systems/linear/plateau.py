"""Plateaus of a curve: where it stays flat for long and then drops.

One rule serves curves of the limit and of simulations. Let R be the curve's largest minus its smallest value and
W = 2 tolerance R the width of a band. A stretch of time is a plateau if

 1. the curve stays within some band [c, c + W] throughout it;
 2. it leaves the band downward and goes on to fall at least to c - W: a drop follows;
 3. on it the curve is at least `contrast` times slower than right before and right after: the stretch is `contrast`
    times longer than exit, the time from leaving the band to first reaching c - W, and than entry, the time since the
    curve was last a width W or more outside the band (or since the beginning). Where the curve came from below, it
    crosses the band up and down, and half the stretch has to be that long.

 4. W is at least four times the curve's roughness, the standard deviation of sample-to-sample noise, estimated by the
    median distance of a sample from the line between its neighbors: what noise does within a band is no plateau.

Among stretches that overlap the longest counts. A plateau's length runs from the beginning of its stretch to the middle
of the drop that ends it, which depends less on the tolerance than the moment the curve leaves the band does.

The rule has no unit: it is unchanged when values are mapped by a + b * value, b > 0, or when time is rescaled, and a
longer horizon changes it only through R. Condition 3 measures everything with the same W, so for shapes without a scale
of their own it does not depend on the tolerance: the ratio is 1 for a straight line, below 1 for a convex decay,
1 + sqrt(2) = 2.41 for a smooth maximum, at the start or as the crest of a wave. Hence the default contrast of 3.
"""

import collections.abc
import dataclasses

import numpy as np
import scipy

from steode.errors import SpecificationError, check_finite
from steode.solvers.flat_stretches import ROUNDING, crossing, flat_stretches
from steode.systems.linear.observables import COLUMNS, OBSERVABLES
from steode.systems.linear.plateau_reasons import why_none
from steode.systems.linear.trajectory import Trajectory

NOISE = 4.0
"""Width of the band, in units of the roughness, below which nothing is called a plateau."""


@dataclasses.dataclass(frozen=True)
class Plateau:
    """One flat stretch and the drop that ends it, all times in units of tau.

    start, flat_until : when the curve enters and leaves the band, interpolated linearly between samples.
    end : the middle of the drop, the first time the curve is halfway from height down to drop_to.
    height : median over time of the curve on the flat stretch.
    drop_to : smallest value before the next plateau, or that one's height if lower; smallest later value for the last.
    sensitivity : length of the same plateau at half and at twice the tolerance; nan where the rule finds none there.
    """

    start: float
    flat_until: float
    end: float
    height: float
    drop_to: float
    sensitivity: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def length(self) -> float:
        """end - start."""
        return self.end - self.start


@dataclasses.dataclass(frozen=True)
class Plateaus(collections.abc.Sequence):
    """The plateaus of a curve in order of time; of the mean over seeds for a simulation.

    items : tuple of `Plateau`.
    by_seed : for a simulation, one `Plateaus` for each seed's own curve; empty for a limit.
    observable, tolerance, contrast : what was asked.
    reason : why there is none, if there is none.
    """

    items: tuple[Plateau, ...]
    observable: str
    tolerance: float
    contrast: float
    by_seed: tuple["Plateaus", ...] = ()
    reason: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]

    @property
    def longest(self) -> Plateau | None:
        """The longest plateau (the first of them if equal), or None if there is none."""
        return max(self.items, key=lambda plateau: plateau.length, default=None)

    @property
    def length(self) -> float:
        """Length of the longest plateau; nan, which carries through a sweep or a plot, if there is none."""
        return self.longest.length if self.items else float("nan")

    @property
    def spread(self) -> float:
        """Standard deviation over seeds of the length of the longest plateau; nan without two seeds that have one."""
        lengths = [plateaus.length for plateaus in self.by_seed if len(plateaus)]
        return float(np.std(lengths, ddof=1)) if len(lengths) > 1 else float("nan")

    def __str__(self) -> str:
        head = f"Plateaus of {self.observable} (tolerance {self.tolerance:g}, contrast {self.contrast:g})"
        if not self.items:
            return head + ": none" + (f", for {self.reason}" if self.reason else "")
        columns = ("start", "flat until", "end", "length", "height", "drop to")
        lines = [head, " ".join(f"{column:>10}" for column in columns) + "   length at tolerance/2, *2"]
        for item in self.items:
            numbers = (item.start, item.flat_until, item.end, item.length, item.height, item.drop_to)
            half, double = item.sensitivity
            lines.append(" ".join(f"{number:10.4g}" for number in numbers) + f"   {half:.4g}, {double:.4g}")
        if self.by_seed:
            having = sum(len(plateaus) > 0 for plateaus in self.by_seed)
            lines.append(
                f"{having} of {len(self.by_seed)} seeds have one; its length varies by {self.spread:.3g} (std)"
            )
        return "\n".join(lines)

    __repr__ = __str__


def plateau(
    trajectory: Trajectory, observable: str = "eps_g", *, tolerance: float = 0.05, contrast: float = 3.0
) -> Plateaus:
    """Find every plateau of an observable by the rule at the top of this module.

    For a simulation the rule is applied to the mean over seeds and, for the spread, to each seed's own curve. Where
    noise hides a plateau, average more seeds, raise dim, or raise the tolerance.

    Parameters
    ----------
    trajectory : from `solve` or `simulate`; its times should resolve the drop.
    observable : name of a scalar observable.
    tolerance : half the width of the band as a fraction of the curve's range, 0 < tolerance < 1/4 (a band and the drop
        below it must fit in the range).
    contrast : how many times longer a plateau must be than its two shoulders together, > 1.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, the observable is not in the trajectory, not scalar, or not finite.
    """
    if not 0 < check_finite("tolerance", tolerance) < 0.25:
        raise SpecificationError("tolerance", "a number between 0 and 1/4", tolerance, "0.05 is a good choice.")
    if check_finite("contrast", contrast) <= 1:
        raise SpecificationError("contrast", "a number > 1", contrast, "A straight line has contrast 1; use 3.")
    curves = np.asarray(trajectory[observable], dtype=float)
    if curves.ndim != (2 if trajectory.has_seeds else 1):
        scalar = [name for name in OBSERVABLES if name in trajectory.observables and name not in COLUMNS]
        raise SpecificationError("observable", "one of " + ", ".join(scalar), observable, "It must be scalar.")
    if not np.all(np.isfinite(curves)):
        raise SpecificationError("trajectory", f"finite values of {observable}", "nan or inf", "It diverges.")
    times = np.asarray(trajectory.times, dtype=float)

    own_error = trajectory.error.get(observable) if trajectory.error else None
    resolution = 0.0 if own_error is None else float(np.max(own_error))

    def found(curve, by_seed=(), reason=True):
        items, why = _plateaus(times, curve, tolerance, contrast, resolution), ""
        if not items and reason:
            why = _reason(trajectory, times, curve, tolerance, resolution)
        return Plateaus(items, observable, tolerance, contrast, by_seed, why)

    if trajectory.has_seeds:
        return found(curves.mean(axis=0), tuple(found(curve, reason=False) for curve in curves))
    return found(curves)


def _reason(trajectory: Trajectory, times: np.ndarray, values: np.ndarray, tolerance: float, resolution: float) -> str:
    extent = float(np.ptp(values))
    if extent <= resolution:
        return f"it varies by {extent:.2g} in all, less than the solver's own error of {resolution:.2g}"
    if _is_constant(values):
        return "it is constant"
    unit_values = (values - values.min()) / extent
    if 2 * tolerance < NOISE * _roughness(times, unit_values):
        return "noise from sample to sample is wider than the band; average more seeds or raise dim or the tolerance"
    return why_none(trajectory, times, unit_values, tolerance)


def _is_constant(values: np.ndarray) -> bool:
    """True if the range is that of rounding: a small fraction of the size."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def _plateaus(
    times: np.ndarray, values: np.ndarray, tolerance: float, contrast: float, resolution: float
) -> tuple[Plateau, ...]:
    # what a curve does within its own error says nothing
    if np.ptp(values) <= resolution:
        return ()
    half, found, double = (_at_tolerance(times, values, factor * tolerance, contrast) for factor in (0.5, 1.0, 2.0))
    return tuple(
        dataclasses.replace(item, sensitivity=(_same_length(half, item), _same_length(double, item))) for item in found
    )


def _at_tolerance(times, values, tolerance, contrast) -> list[Plateau]:
    stretches = _stretches(times, values, tolerance, contrast)
    if not stretches:
        return []
    heights = [float(np.median(np.interp(np.linspace(*stretch, 513), times, values))) for stretch in stretches]
    floors = []
    for index, (_, stop) in enumerate(stretches):
        until, height = (
            (stretches[index + 1][0], heights[index + 1]) if index + 1 < len(stretches) else (times[-1], np.inf)
        )
        between = values[(times > stop) & (times < until)]
        floors.append(float(min(*between, np.interp(until, times, values), height)))
    return [
        Plateau(float(start), float(stop), _first_below(times, values, stop, (height + floor) / 2), height, floor)
        for (start, stop), height, floor in zip(stretches, heights, floors, strict=True)
    ]


def _stretches(times: np.ndarray, values: np.ndarray, tolerance: float, contrast: float) -> list[tuple[float, float]]:
    """Start and end of every plateau, in order of time."""
    low, extent = values.min(), values.max() - values.min()
    width = 2 * tolerance
    if _is_constant(values) or 2 * width > 1:
        return []
    unit_values = (values - low) / extent
    if width < NOISE * _roughness(times, unit_values):
        return []
    # the length of a stretch is linear in the band's position between positions where an edge meets a sample
    positions = np.unique(np.concatenate([unit_values, unit_values - width]))
    found = flat_stretches(times, unit_values, positions, width, contrast)
    # lengths that differ by rounding only are equal: the earliest counts
    lengths = np.round((found[:, 1] - found[:, 0]) / (times[-1] - times[0]), 9)
    left = found[np.lexsort((found[:, 0], -lengths))]
    chosen = []
    while left.size:
        start, end = left[0]
        chosen.append((start, end))
        left = left[(left[:, 1] <= start) | (left[:, 0] >= end)]
    return sorted(chosen)


def _roughness(times: np.ndarray, values: np.ndarray) -> float:
    """Standard deviation of independent Gaussian noise on top of a smooth curve, 0 for fewer than 3 samples."""
    if len(values) < 3:
        return 0.0
    share = (times[1:-1] - times[:-2]) / (times[2:] - times[:-2])
    distance = values[1:-1] - (1 - share) * values[:-2] - share * values[2:]
    variance_factor = 1 + share**2 + (1 - share) ** 2
    return float(np.median(np.abs(distance) / np.sqrt(variance_factor)) / scipy.special.ndtri(0.75))


def _first_below(times, values, after, level):
    reached = level + ROUNDING * np.ptp(values)
    index = np.flatnonzero((times > after) & (values <= reached))[0]
    return float(max(after, crossing(times, values, index - 1, level)))


def _same_length(others: list[Plateau], item: Plateau) -> float:
    """Length of that plateau of `others` whose flat stretch shares most time with that of `item`; nan if none does."""
    shared = [(min(item.flat_until, other.flat_until) - max(item.start, other.start), other.length) for other in others]
    overlap, length = max(shared, default=(0.0, float("nan")))
    return length if overlap > 0 else float("nan")
