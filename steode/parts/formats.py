"""Number formats as step functions: integers of b bits and floating point of few bits.

A format is a finite set of numbers. Its own values are exact (integers, or integers times powers of two); `range` says
which magnitude the format's own range is moved to, as the scale of a tensor does. A format serves

- by nearest rounding, as any step function: weights and inputs of a model, `fixed_points`, figures;
- by stochastic rounding, `StochasticRounding(format)`;
- entrywise, `format(x)`: nearest, ties to the even code, saturating. It agrees bit for bit with the conversion of
  `ml_dtypes` to the type of the same name for every value that does not overflow. Beyond the largest value conversions
  differ (`float8_e4m3fn` gives nan, `float8_e5m2` and `bfloat16` infinity, `float4_e2m1fn` its maximum); quantized
  training saturates, and so does this.

Ties are single points and do not matter to the limit, where a value on a threshold takes the upper level.
"""

import abc
import dataclasses
import functools
import itertools
from fractions import Fraction

import numpy as np

from steode.errors import SpecificationError, UnsupportedError, check_integer, check_positive
from steode.parts.quantizers import MAX_BITS, StepFunction

LARGEST_BITS = 16
"""Largest width of a format, sign included: its levels are listed."""
SPECIAL = ("ieee", "nan", "none")
RANGE_AT = ("largest", "middle", "positive")


@dataclasses.dataclass(frozen=True)
class _Numbers:
    """What formats that differ in `range` alone share: made once for each, and exact."""

    values: tuple[Fraction, ...]
    own_range: float

    @functools.cached_property
    def unit_levels(self) -> tuple[Fraction, ...]:
        own_range = Fraction(self.own_range)
        return tuple(value / own_range for value in self.values)

    @functools.cached_property
    def unit_thresholds(self) -> tuple[Fraction, ...]:
        return tuple((low + high) / 2 for low, high in itertools.pairwise(self.unit_levels))

    @functools.cached_property
    def floats(self) -> np.ndarray:
        return np.array([float(value) for value in self.values])


class Format(StepFunction):
    """A set of numbers and its scale; use `IntegerFormat` or `FloatFormat`."""

    @property
    @abc.abstractmethod
    def _numbers(self) -> _Numbers:
        """The numbers at the format's own scale."""

    @abc.abstractmethod
    def _round(self, values: np.ndarray) -> np.ndarray:
        """The nearest number at the format's own scale, ties to the even code; saturating; nan stays nan."""

    @property
    def own_values(self) -> np.ndarray:
        """The format's numbers at its own scale, increasing, shape (n,): exact as floats."""
        return self._numbers.floats.copy()

    @property
    @abc.abstractmethod
    def own_range(self) -> float:
        """The magnitude at the format's own scale that `range` stands for."""

    @property
    def unit_levels(self):
        return self._numbers.unit_levels

    @property
    def unit_thresholds(self):
        """Exact thresholds at scale 1, shape (n - 1,). Raises `UnsupportedError` for more than 4096 levels."""
        if len(self._numbers.values) > 2**MAX_BITS:
            raise UnsupportedError(
                f"{self}: the theory resolves up to {2**MAX_BITS} levels, this one has {len(self._numbers.values)}. "
                "Use Identity() for so fine a grid, or noise with the variance from format_error: MultiplicativeNoise "
                "for floats, AdditiveNoise for integers. Simulations, StochasticRounding and format(x) work."
            )
        return self._numbers.unit_thresholds

    @property
    def levels(self):
        return self._scaled(self._numbers.floats)

    @property
    def thresholds(self):
        values = self._numbers.floats
        return self._scaled((values[1:] + values[:-1]) / 2)

    def __call__(self, x):
        return self._scaled(self._round(np.asarray(x, dtype=float) * (self.own_range / self.range)))

    def __repr__(self):
        # what the constructor needs: defaults, and the range of the format itself, are left out
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        defaults = {field.name: field.default for field in dataclasses.fields(self)} | {"range": self.own_range}
        given = [f"{name}={value!r}" for name, value in fields.items() if value != defaults[name]]
        return f"{type(self).__name__}({', '.join(given)})"

    def _scaled(self, values):
        # the level at the range is the range itself, not one rounding error beside it
        scaled = values * self.range / self.own_range
        return np.where(np.abs(values) == self.own_range, np.copysign(self.range, values), scaled)

    def _set_range(self):
        name, given = type(self).__name__, self.range
        given = self.own_range if given is None else check_positive(f"{name}.range", given)
        object.__setattr__(self, "range", given)


@dataclasses.dataclass(frozen=True, repr=False)
class IntegerFormat(Format):
    """Signed integers of `bits` bits times a step: INT(b, range).

    Codes are -2^(bits-1), ..., 2^(bits-1) - 1, or with `narrow` -(2^(bits-1) - 1), ..., 2^(bits-1) - 1. The step
    follows from what `range` stands for, on which toolkits differ (`toolkit_grid` has them by name):

    - range_at="largest": the largest magnitude, step range/2^(bits-1), narrow range/(2^(bits-1) - 1);
    - range_at="middle": half the distance of the outermost two's-complement codes, step 2 range/(2^bits - 1);
    - range_at="positive": the largest positive level, step range/(2^(bits-1) - 1).

    Two others exist under older names: largest is `SignedInteger`, largest and narrow is `Uniform` with
    kind="mid-tread".

    Parameters
    ----------
    bits : width from 2 to 16; the theory of nearest rounding takes up to 12.
    range : positive number as above; None stands for step 1, the integers themselves.
    narrow : leave out the lowest code, so that the grid is odd.
    range_at : "largest", "middle" or "positive".

    Raises `SpecificationError` for other bits or range_at, or a range that is not positive and finite.
    """

    bits: int
    range: float | None = None
    narrow: bool = False
    range_at: str = "largest"

    def __post_init__(self):
        remedy = "One bit is SignedInteger or Sign; beyond 16 bits use Identity()."
        object.__setattr__(self, "bits", check_integer("IntegerFormat.bits", self.bits, 2, LARGEST_BITS, remedy))
        if self.range_at not in RANGE_AT:
            remedy = "It says which magnitude the range is; see the docstring."
            raise SpecificationError("IntegerFormat.range_at", "one of " + ", ".join(RANGE_AT), self.range_at, remedy)
        if not isinstance(self.narrow, bool):
            raise SpecificationError("IntegerFormat.narrow", "True or False", self.narrow, "True makes the grid odd.")
        self._set_range()

    @property
    def own_range(self):
        top = 2 ** (self.bits - 1) - 1
        if self.range_at == "middle":
            return top + 0.5
        return float(top if self.narrow or self.range_at == "positive" else top + 1)

    @property
    def _numbers(self):
        return _integers(self.bits, self.narrow, self.own_range)

    @property
    def step(self) -> float:
        """Distance of neighboring levels."""
        return self.range / self.own_range

    @property
    def is_odd(self) -> bool:
        return self.narrow

    def _round(self, values):
        half = 2 ** (self.bits - 1)
        return np.clip(np.rint(values), self.narrow - half, half - 1)


@dataclasses.dataclass(frozen=True, repr=False)
class FloatFormat(Format):
    """Floating point with a sign, exponent and mantissa bits, subnormals, and saturation: FP(exponent, mantissa).

    With bias 2^(exponent_bits-1) - 1 and a mantissa f = 0, ..., 2^mantissa_bits - 1 the positive numbers are

        (1 + f 2^-mantissa_bits) 2^(e - bias)  for exponent codes e >= 1,    f 2^-mantissa_bits 2^(1 - bias)  for e = 0.

    Some codes are not numbers: special="ieee", the largest e stands for infinity and nan (IEEE 754, bfloat16,
    float8_e5m2); special="nan", the largest code alone is nan (float8_e4m3fn); special="none", all codes are numbers
    (float4_e2m1fn, float6). They only decide the largest number here.

    Parameters
    ----------
    exponent_bits : from 1 to 8.
    mantissa_bits : at least 0; with sign and exponent at most 16 bits; the theory of nearest rounding takes up to 12.
    range : the largest magnitude; None stands for the format's own (448 for float8_e4m3fn), which is then kept.
    special : "ieee", "nan" or "none".

    Without mantissa bits every number is even, and a tie between two powers of two takes the larger one. Raises
    `SpecificationError` for other widths or special, a format without a positive number, or a range that is not
    positive and finite.
    """

    exponent_bits: int
    mantissa_bits: int
    range: float | None = None
    special: str = "ieee"

    def __post_init__(self):
        remedy = "bfloat16 has 8 exponent bits."
        exponent = check_integer("FloatFormat.exponent_bits", self.exponent_bits, 1, 8, remedy)
        object.__setattr__(self, "exponent_bits", exponent)
        largest = LARGEST_BITS - 1 - exponent
        remedy = "Sign, exponent and mantissa have at most 16 bits together; use Identity() for more."
        mantissa = check_integer("FloatFormat.mantissa_bits", self.mantissa_bits, 0, largest, remedy)
        object.__setattr__(self, "mantissa_bits", mantissa)
        if self.special not in SPECIAL:
            remedy = 'bfloat16 is "ieee", float8_e4m3fn "nan", float4_e2m1fn "none".'
            raise SpecificationError("FloatFormat.special", "one of " + ", ".join(SPECIAL), self.special, remedy)
        if self._largest_code < 1:
            codes = f"{exponent} exponent bits, {mantissa} mantissa bits, special={self.special!r}"
            raise SpecificationError("FloatFormat", "a positive number among its codes", codes, 'Use special="none".')
        self._set_range()

    @property
    def own_range(self):
        return float(_number(self._largest_code, self.exponent_bits, self.mantissa_bits))

    @property
    def _numbers(self):
        return _floating(self.exponent_bits, self.mantissa_bits, self._largest_code)

    @property
    def is_odd(self) -> bool:
        return True

    @property
    def _largest_code(self) -> int:
        reserved = {"ieee": 2**self.mantissa_bits, "nan": 1, "none": 0}[self.special]
        return 2 ** (self.exponent_bits + self.mantissa_bits) - 1 - reserved

    def _round(self, values):
        # frexp: |values| in [2^(exponent - 1), 2^exponent); below the smallest normal number steps shrink no further
        exponent = np.maximum(np.frexp(values)[1] - 1, 2 - 2 ** (self.exponent_bits - 1))
        step = np.ldexp(1.0, exponent - self.mantissa_bits)
        return np.clip(np.rint(values / step) * step, -self.own_range, self.own_range)


def float8_e4m3fn(range: float | None = None) -> FloatFormat:
    """Eight bits, 4 of exponent and 3 of mantissa; `range` is the largest magnitude, by default 448."""
    return FloatFormat(4, 3, range, "nan")


def float8_e5m2(range: float | None = None) -> FloatFormat:
    """Eight bits, 5 of exponent and 2 of mantissa; `range` is the largest magnitude, by default 57344."""
    return FloatFormat(5, 2, range, "ieee")


def float4_e2m1fn(range: float | None = None) -> FloatFormat:
    """Four bits, 2 of exponent and 1 of mantissa; `range` is the largest magnitude, by default 6."""
    return FloatFormat(2, 1, range, "none")


def bfloat16(range: float | None = None) -> FloatFormat:
    """Sixteen bits, 8 of exponent and 7 of mantissa; `range` is the largest magnitude, by default 3.39e38."""
    return FloatFormat(8, 7, range, "ieee")


def int4(range: float | None = None) -> IntegerFormat:
    """The integers -8, ..., 7; `range` is the magnitude of the lowest, by default 8."""
    return IntegerFormat(4, range)


def _number(code: int, exponent_bits: int, mantissa_bits: int) -> Fraction:
    """The number of a positive code: exponent, then mantissa."""
    exponent, fraction = divmod(code, 2**mantissa_bits)
    smallest = Fraction(2) ** (2 - 2 ** (exponent_bits - 1) - mantissa_bits)  # subnormal
    return smallest * (fraction if exponent == 0 else (2**mantissa_bits + fraction) * 2 ** (exponent - 1))


@functools.cache
def _integers(bits: int, narrow: bool, own_range: float) -> _Numbers:
    half = 2 ** (bits - 1)
    return _Numbers(tuple(Fraction(code) for code in range(narrow - half, half)), own_range)


@functools.cache
def _floating(exponent_bits: int, mantissa_bits: int, largest_code: int) -> _Numbers:
    positive = [_number(code, exponent_bits, mantissa_bits) for code in range(1, largest_code + 1)]
    return _Numbers((*(-value for value in reversed(positive)), Fraction(0), *positive), float(positive[-1]))
