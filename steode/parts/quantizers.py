"""Entrywise maps of weights and inputs, as exact data.

A step function is a scale (the quantization range) times exact unit levels and thresholds:

    Q(x) = range * unit_levels[j]   for   range * unit_thresholds[j-1] <= x < range * unit_thresholds[j].

There is one meaning of rounding: a value exactly on a threshold takes the upper level. NaN stays NaN.
Levels are equidistant, and thresholds lie midway between them, unless the user gives their own.

Two grids that toolkits both call "b bits, range omega" differ from `Uniform`; see `SignedInteger`.
"""

import abc
import dataclasses
import itertools
from fractions import Fraction

import numpy as np

from steode.errors import SpecificationError, check_increasing, check_integer, check_positive

MAX_BITS = 12
"""Largest bit width of the built-in grids (4096 levels): beyond it the identity is the better model."""

ROUNDING = 8 * np.finfo(float).eps
"""Relative size of differences between opposite levels that are rounding."""


class EntrywiseMap(abc.ABC):
    """A function applied to every entry of a weight or input vector; use a concrete subclass."""

    @property
    @abc.abstractmethod
    def is_odd(self) -> bool:
        """True if Q(-x) = -Q(x) for almost every x (single points do not matter)."""

    @abc.abstractmethod
    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Apply the map entrywise to an array of any shape."""


@dataclasses.dataclass(frozen=True)
class Identity(EntrywiseMap):
    """No quantization: Q(x) = x."""

    @property
    def is_odd(self) -> bool:
        return True

    def __call__(self, x):
        return np.asarray(x)


class StepFunction(EntrywiseMap):
    """A piecewise constant map with increasing levels; use a concrete subclass."""

    @property
    @abc.abstractmethod
    def unit_levels(self) -> tuple[Fraction, ...]:
        """Exact levels at scale 1, increasing, length n >= 2."""

    @property
    @abc.abstractmethod
    def unit_thresholds(self) -> tuple[Fraction, ...]:
        """Exact thresholds at scale 1, strictly increasing, length n - 1."""

    @property
    def scale(self) -> float:
        """The number that multiplies unit levels and thresholds: the quantization range, or 1 where there is none."""
        return getattr(self, "range", 1.0)

    @property
    def has_range(self) -> bool:
        """True if the map has a `range` that may be varied or differentiated."""
        return hasattr(self, "range")

    @property
    def levels(self) -> np.ndarray:
        """Levels L_0 < ... < L_{n-1}, shape (n,)."""
        return self.scale * np.array([float(level) for level in self.unit_levels])

    @property
    def thresholds(self) -> np.ndarray:
        """Thresholds T_1 < ... < T_{n-1}, shape (n - 1,)."""
        return self.scale * np.array([float(threshold) for threshold in self.unit_thresholds])

    @property
    def is_odd(self) -> bool:
        def mirrored(values):
            return all(a == -b for a, b in zip(values, reversed(values), strict=True))

        return mirrored(self.unit_levels) and mirrored(self.unit_thresholds)

    def __call__(self, x):
        levels = self.levels[np.searchsorted(self.thresholds, x, side="right")]
        return np.where(np.isnan(x), np.nan, levels)


def _midpoints(levels: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return tuple((low + high) / 2 for low, high in itertools.pairwise(levels))


def _symmetrized(values: tuple[float, ...]) -> tuple[float, ...] | None:
    """The values with opposite ones exactly opposite, if they are to a few units of the last digit; else None."""
    mirrored = [-value for value in reversed(values)]
    within = ROUNDING * max(map(abs, values))
    if any(abs(a - b) > within for a, b in zip(values, mirrored, strict=True)):
        return None
    # adding zero makes -0.0 zero
    return tuple((a + b) / 2 + 0.0 for a, b in zip(values, mirrored, strict=True))


class _MidpointStep(StepFunction):
    """A step function that rounds to the nearest level."""

    @property
    def unit_thresholds(self):
        return _midpoints(self.unit_levels)


@dataclasses.dataclass(frozen=True)
class Uniform(_MidpointStep):
    """Symmetric uniform quantizer with outermost levels at -range and +range.

    kind="mid-rise": 2^bits levels, step 2 range/(2^bits - 1), no level at zero;
    kind="mid-tread": 2^bits - 1 levels, step range/(2^(bits-1) - 1), one level at zero (bits >= 2).

    Raises `SpecificationError` for bits < 1 (< 2 for mid-tread), bits > 12, or a range that is not positive and finite.
    """

    bits: int
    range: float
    kind: str = "mid-rise"

    def __post_init__(self):
        if self.kind not in ("mid-rise", "mid-tread"):
            remedy = "mid-rise has 2^bits levels and none at zero; mid-tread has 2^bits - 1 and one at zero."
            raise SpecificationError("Uniform.kind", '"mid-rise" or "mid-tread"', self.kind, remedy)
        least = 1 if self.kind == "mid-rise" else 2
        remedy = "One bit has no level at zero: use mid-rise or Sign. " if least == 2 else ""
        remedy += "Use Identity() for no quantization."
        object.__setattr__(self, "bits", check_integer("Uniform.bits", self.bits, least, MAX_BITS, remedy))
        object.__setattr__(self, "range", check_positive("Uniform.range", self.range))

    @property
    def unit_levels(self):
        if self.kind == "mid-rise":
            top = 2**self.bits - 1
            return tuple(Fraction(2 * j - top, top) for j in range(top + 1))
        half = 2 ** (self.bits - 1) - 1
        return tuple(Fraction(j - half, half) for j in range(2 * half + 1))


@dataclasses.dataclass(frozen=True)
class SignedInteger(_MidpointStep):
    """Two's-complement grid of the usual toolkits: step range/2^(bits-1), levels -range, ..., range - step.

    With bits=2, range=2 the levels are -2, -1, 0, 1. The grid is not odd, so it is accepted for weights only.

    Raises `SpecificationError` for bits < 1, bits > 12, or a range that is not positive and finite.
    """

    bits: int
    range: float

    def __post_init__(self):
        bits = check_integer("SignedInteger.bits", self.bits, 1, MAX_BITS, "Use Identity() for no quantization.")
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "range", check_positive("SignedInteger.range", self.range))

    @property
    def unit_levels(self):
        half = 2 ** (self.bits - 1)
        return tuple(Fraction(j - half, half) for j in range(2 * half))


@dataclasses.dataclass(frozen=True)
class Sign(_MidpointStep):
    """Q(x) = range * sign(x), one bit. Raises `SpecificationError` unless range is positive and finite."""

    range: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "range", check_positive("Sign.range", self.range))

    @property
    def unit_levels(self):
        return (Fraction(-1), Fraction(1))


@dataclasses.dataclass(frozen=True)
class Ternary(_MidpointStep):
    """Levels -range, 0, range with thresholds at -range/2, range/2: mid-tread with two bits.

    Raises `SpecificationError` unless range is positive and finite.
    """

    range: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "range", check_positive("Ternary.range", self.range))

    @property
    def unit_levels(self):
        return (Fraction(-1), Fraction(0), Fraction(1))


@dataclasses.dataclass(frozen=True)
class Levels(StepFunction):
    """A step function with the user's own levels and, optionally, thresholds (midpoints if not given).

    Parameters
    ----------
    levels_at : sequence of n >= 2 strictly increasing numbers.
    thresholds_at : sequence of n - 1 strictly increasing numbers, or None for nearest rounding.

    Raises `SpecificationError` if the numbers are not finite, not sorted, or do not fit each other.
    Decimal literals are kept exactly: 0.1 is one tenth in the derivation. Levels, and with them thresholds, that are
    symmetric around zero up to rounding, as computed numbers are, are made so exactly.
    """

    levels_at: tuple[float, ...]
    thresholds_at: tuple[float, ...] | None = None

    def __post_init__(self):
        levels = check_increasing("Levels.levels_at", self.levels_at, least=2)
        symmetric = _symmetrized(levels)
        object.__setattr__(self, "levels_at", symmetric or levels)
        if self.thresholds_at is not None:
            thresholds = check_increasing("Levels.thresholds_at", self.thresholds_at, least=1)
            # thresholds without a symmetry of the levels keep their last digit
            object.__setattr__(self, "thresholds_at", (symmetric and _symmetrized(thresholds)) or thresholds)
            if len(thresholds) != len(self.levels_at) - 1:
                raise SpecificationError(
                    "Levels.thresholds_at",
                    f"{len(self.levels_at) - 1} thresholds for {len(self.levels_at)} levels",
                    thresholds,
                    "n levels are separated by n - 1 thresholds.",
                )

    @property
    def unit_levels(self):
        return tuple(Fraction(repr(level)) for level in self.levels_at)

    @property
    def unit_thresholds(self):
        if self.thresholds_at is None:
            return _midpoints(self.unit_levels)
        return tuple(Fraction(repr(threshold)) for threshold in self.thresholds_at)
