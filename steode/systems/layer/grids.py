"""Grids of a layer's weights: equidistant levels, the same number everywhere, placed for each row and group of columns.

A weight of row r and group c has the levels step[r, c] (j - origin[r, c]), j = 0, ..., count - 1, and is rounded to the
nearest; midway between two it takes the upper one.
"""

import dataclasses

import numpy as np

from steode.errors import SpecificationError, check_integer
from steode.parts.quantizers import SignedInteger, Uniform

KINDS = ("mid-rise", "mid-tread", "signed", "asymmetric")
"""Grids of `Uniform`, of `SignedInteger`, and 2^bits levels with zero among them anywhere (an integer zero point)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """Levels of a layer.

    Attributes
    ----------
    origin, step : the number of a level at zero, which need not be whole, and the distance of two levels, (rows,
        groups).
    count : number of levels.
    columns : number of columns d; groups are neighboring columns, d/groups of them.
    """

    origin: np.ndarray
    step: np.ndarray
    count: int
    columns: int

    @property
    def low(self) -> np.ndarray:
        """The lowest level, shape (rows, groups)."""
        return -self.origin * self.step

    @property
    def high(self) -> np.ndarray:
        """The highest level, shape (rows, groups)."""
        return (self.count - 1 - self.origin) * self.step

    def wide(self, values: np.ndarray) -> np.ndarray:
        """An array (rows, groups) as (rows, d), or (rows, 1) where a row has one group."""
        groups = values.shape[1]
        return values if groups == 1 else np.repeat(values, self.columns // groups, axis=1)

    def position(self, weights: np.ndarray) -> np.ndarray:
        """The number of a weight's level, not rounded, shape (rows, d)."""
        return weights / self.wide(self.step) + self.wide(self.origin)

    def codes(self, weights: np.ndarray) -> np.ndarray:
        """Numbers of the nearest levels, as floats, shape (rows, d)."""
        return np.clip(np.floor(self.position(weights) + 0.5), 0, self.count - 1)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """The weights rounded to the nearest levels, shape (rows, d)."""
        return self.wide(self.step) * (self.codes(weights) - self.wide(self.origin))

    def clip(self, weights: np.ndarray) -> np.ndarray:
        """The weights, where they are outside the range moved to its end, shape (rows, d)."""
        return np.clip(weights, self.wide(self.low), self.wide(self.high))


def check_bits(bits: object, kind: object) -> int:
    """The bit width of a kind of grid. Raises `SpecificationError` for a kind or a width there is not."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise SpecificationError("kind", "one of " + ", ".join(KINDS), kind, "signed is what toolkits call int.")
    least = 2 if kind == "mid-tread" else 1
    return check_integer("bits", bits, least, 12, f"A {kind} grid has from {least} to 12 bits.")


def ladder(bits: int, kind: str) -> tuple[float, float, int]:
    """Origin, step and number of levels at range 1 of a grid that scales with one range."""
    grid = SignedInteger(bits, 1.0) if kind == "signed" else Uniform(bits, 1.0, kind)
    levels = grid.levels
    # twice the origin is whole
    origin = (levels.size if kind == "signed" else levels.size - 1) / 2
    return origin, float(levels[-1] - levels[0]) / (levels.size - 1), levels.size


def symmetric_grid(ranges: np.ndarray, bits: int, kind: str, columns: int) -> Grid:
    """The grid of the ranges omega (rows, groups)."""
    origin, step, count = ladder(bits, kind)
    return Grid(np.full_like(ranges, origin), step * ranges, count, columns)


def asymmetric_grid(ends: np.ndarray, bits: int, columns: int) -> Grid:
    """2^bits levels over [low, high] given as (rows, groups, 2), moved so that zero is one of them."""
    low, high = np.minimum(ends[..., 0], 0.0), np.maximum(ends[..., 1], 0.0)
    step = (high - low) / (2**bits - 1)
    zero_point = np.floor(-low / step + 0.5)
    return Grid(zero_point, step, 2**bits, columns)
