r"""Dithering of weights in the stationary product law on an equidistant grid, and the roots of each row's equation.

In units of the step, with the target at u and levels j = 0, ..., n - 1, the law of one weight is exp(-2 U/t) with
U' = j - u in cell j. Thresholds lie midway, so U(threshold) = (threshold - u)^2/2 + const, and cell j has the mass

    exp(-(delta^2 - |delta|)/t) (1 - exp(-2|delta|/t))/(2|delta|/t),   delta = j - u,

without the second factor's exponential for the two outermost cells, which are half-lines. Derived here.

The mean square s(u, t) = E delta^2 is nondecreasing in t (proof in `steode.solvers.root_search`). It is bounded by

    sqrt(s) <= 1/4 + sqrt(1/16 + t/2):

integrating by parts, E[(Q - u)(w - u)] = t/2, and (Q - u)(Q - w) <= |Q - u|/2 in every cell. Derived here.
"""

import concurrent.futures
import functools
import itertools
import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax import lax
from jaxtyping import Array, Float

from steode.solvers.root_search import RESOLUTION, isolate_roots

NEGLIGIBLE = 40.0
"""Exponent beyond which a cell's mass is below double precision."""
UNROLLED = 16
"""Shells that are written out; beyond them is a loop."""
BLOCK = 2**20
"""Weights in one call of the compiled sum."""
CONVERGED = 1e-10
"""Relative change at which an iteration has arrived; a secant through its last two values follows."""
MOST_ITERATIONS = 100
HOTTEST = 100.0
"""Temperature, in squared steps, up to which a learning rate is looked for."""
SERIES = tuple((-1) ** k / math.factorial(k + 1) for k in range(8))
"""Coefficients of (1 - e^-x)/x."""
FEW_STEPS = 64
"""Iterations that tell an upper bound of the roots."""


def shells(largest: float, count: int) -> int:
    """Levels to each side of the target, beyond the nearest, with a mass that counts at temperatures up to this."""
    # the first that does not count has k (k - 1) > NEGLIGIBLE t; rounded up, so that few programs are compiled
    needed = max(1, np.ceil(0.5 + np.sqrt(0.25 + NEGLIGIBLE * largest)) - 1)
    return int(min(2 ** np.ceil(np.log2(needed)), count - 1))


def mean_square(position: Array, temperature: Array, count: int, reach: int, sharp: bool = False) -> Array:
    """s(u, t) in units of the squared step, for 0 < u < count - 1 and t > 0.

    `reach` as `shells` says; `sharp` where exp(-2/t) is below double precision.
    """
    below = jnp.floor(position)
    part = position - below
    # divisions take most of the time there is: one for each cell is left
    inverse = 1 / temperature

    def shell(k, sums):
        total, square = sums
        for distance, rise, level, last in (
            (part + k, k * (2 * part + k - 1), below - k, 0),
            (1 - part + k, k * (k + 1 - 2 * part), below + 1 + k, count - 1),
        ):
            x = 2 * distance * inverse
            fall = 1 / x if sharp and not nearest(k) else _falling(x, level == last)
            height = fall if nearest(k) else fall * jnp.exp(-rise * inverse)
            mass = jnp.where((level >= 0) & (level < count), height, 0.0)
            total, square = total + mass, square + distance**2 * mass
        return total, square

    def nearest(k):
        return isinstance(k, int) and k == 0

    sums = shell(0, (jnp.zeros_like(part + temperature), jnp.zeros_like(part + temperature)))
    if reach <= UNROLLED:
        for k in range(1, reach + 1):
            sums = shell(k, sums)
    else:
        sums = lax.fori_loop(1, reach + 1, lambda k, sums: shell(k * 1.0, sums), sums)
    return sums[1] / sums[0]


def _falling(x, half_line):
    """(1 - e^-x)/x, or 1/x on a half-line."""
    flat = x < 0.05
    series = jnp.full_like(x, SERIES[-1])
    for coefficient in SERIES[-2::-1]:
        series = coefficient + x * series
    height = 1 / jnp.where(x > 0, x, 1.0)
    return jnp.where(half_line, height, jnp.where(flat, series, (1 - jnp.exp(-x)) * height))


@functools.partial(jax.jit, static_argnames=("count", "reach", "sharp"))
def _terms(position, square, weight, heat, count, reach, sharp):
    # summed by NumPy: a sum in the same loop would keep the compiler from using vectors, at four times the time
    return weight * mean_square(position, heat[:, None] / square, count, reach, sharp)


class RowEquations:
    """The equations V = base + sum_i weight_i s(u_i, heat V/step_i^2) of all rows.

    Parameters
    ----------
    base : (rows,).
    position : u of the free weights, (rows, d); anything where the weight is 0.
    square : step^2, (rows, d) or (rows, 1).
    weight : K_ii step_i^2/d of free weights, 0 of others, (rows, d).
    heat : eta/B.
    count : number of levels n.
    """

    def __init__(self, base, position, square, weight, heat: float, count: int):
        self.base, self.heat, self.count = base, heat, count
        self.position = np.where(weight > 0, position, 0.5)
        self.square, self.weight = square, weight
        part = self.position - np.floor(self.position)
        self.lowest = base + np.sum(weight * part * (1 - part), axis=1)
        self.highest = self._highest()

    def _highest(self) -> np.ndarray:
        """Above every root: from the bound of s, and from what levels at the two ends would give."""
        ends = self.base + np.sum(self.weight * self.position * (self.count - 1 - self.position), axis=1)
        if self.square.shape[1] == 1:
            weight, square = self.weight.sum(axis=1, keepdims=True), self.square
        else:
            weight, square = self.weight, self.square
        bound = self.base
        for _ in range(FEW_STEPS if square.shape[1] == 1 else 12):
            bound = self._bound(bound, weight, square)
        # concave in V, so that one more step from a point above the crossing stays above it
        slope = self.heat / 2 * np.sum(self.weight / self.square, axis=1)
        gain = (
            self.heat * np.sum(weight / square / 4 / np.sqrt(1 / 16 + self.heat * bound[:, None] / square / 2), 1) / 2
        )
        above = bound + (self._bound(bound, weight, square) - bound) / np.maximum(1 - slope - gain, 1e-3)
        safe = (slope + gain < 0.9) & (self._bound(above, weight, square) <= above * (1 + 1e-9))
        return np.where(safe, np.minimum(above * (1 + 1e-9), ends), ends)

    def _bound(self, value, weight, square) -> np.ndarray:
        t = self.heat * value[:, None] / square
        return self.base + np.sum(weight * (0.25 + np.sqrt(1 / 16 + t / 2)) ** 2, axis=1)

    def reach(self, largest: float) -> tuple[int, bool]:
        """Shells needed up to this V, and whether cells beyond the nearest are sharp."""
        temperature = self.heat * largest / float(self.square.min())
        return shells(temperature, self.count), temperature * NEGLIGIBLE < 2

    def implied(self, rows: np.ndarray, values: np.ndarray, reach: tuple[int, bool]) -> np.ndarray:
        """The right-hand sides of some rows at V = values > 0, each (k,)."""
        # rows are padded to a few sizes, each of which is compiled once
        size = 4 ** int(np.ceil(np.log2(max(rows.size, 1)) / 2))
        chosen = np.concatenate([rows, np.repeat(rows[:1], size - rows.size)])
        heat = self.heat * np.concatenate([values, np.repeat(values[:1], size - rows.size)])
        arrays = (part[chosen] for part in (self.position, self.square, self.weight))
        return self.base[rows] + np.asarray(_terms(*arrays, heat, self.count, *reach)).sum(axis=1)[: rows.size]

    def roots(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The smallest and the largest root of every row, and whether every other value is excluded: (rows,) each.

        The right-hand side is nondecreasing: iterated from above all roots it falls to the largest, from below it rises
        to the smallest, and everything passed on the way is excluded. Where it takes too long, intervals are excluded
        as for the linear system.
        """
        rows = self.base.size
        size = max(1, min(rows, BLOCK // self.position.shape[1]))
        blocks = [np.arange(start, min(start + size, rows)) for start in range(0, rows, size)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            parts = list(pool.map(self._block, blocks))
        return tuple(np.concatenate(values) for values in zip(*parts, strict=True))

    def heat_for(self, values: np.ndarray) -> np.ndarray:
        """The eta/B at which V = values > 0 is a root of each row, (rows,); infinite where it would be too hot."""
        rows = np.arange(values.size)
        top = np.log(HOTTEST * self.square.min(axis=1) / values)
        low, high = top - 40, top
        with jax.enable_x64(True):
            for _ in range(40):
                middle = (low + high) / 2
                # the sum depends on the product of heat and V alone
                largest = np.exp(middle) * values / self.heat
                above = self.implied(rows, largest, self.reach(float(largest.max()))) > values
                low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.where(high >= top, np.inf, np.exp((low + high) / 2))

    def _block(self, rows: np.ndarray):
        with jax.enable_x64(True):  # the setting belongs to a thread
            reach = self.reach(float(self.highest[rows].max()))
            smallest = 1e-12 * self.highest[rows]
            high, arrived = self._approach(rows, self.highest[rows], reach)
            low, also = self._approach(rows, np.maximum(self.lowest[rows], smallest), reach)
            complete = arrived & also
            for k in np.flatnonzero(~complete):
                low[k], high[k], complete[k] = self._search(rows[k], smallest[k], reach)
        return low, high, complete

    def _approach(self, rows, start, reach):
        """Limits of V <- F(V), and where they were reached; a V that falls to nothing is 0."""
        value, before, left = start.copy(), np.zeros(rows.size), np.arange(rows.size)
        for _ in range(MOST_ITERATIONS):
            after = self.implied(rows[left], value[left], reach)
            change = after - value[left]
            still = np.abs(change) > CONVERGED * value[left]
            # the last change but one tells the slope, which is below 1 where an iteration arrives
            slope = np.clip(change / np.where(before[left] == 0, np.inf, before[left]), 0, 0.99)
            before[left] = change
            value[left] = np.where(still, after, after + slope / (1 - slope) * change)
            left = left[still & (after > 1e-12 * self.highest[rows[left]])]
            if not left.size:
                break
        arrived = np.ones(rows.size, bool)
        arrived[left] = False
        return np.where(value > 1e-12 * self.highest[rows], value, 0.0), arrived

    def _search(self, row: int, smallest: float, reach: tuple[int, bool]) -> tuple[float, float, bool]:
        """The smallest and the largest root of one row by exclusion of intervals."""

        def function(points):
            parts = [np.full(min(64, points.size - k), row) for k in range(0, points.size, 64)]
            starts = itertools.accumulate((part.size for part in parts), initial=0)
            pieces = [self.implied(part, points[s : s + part.size], reach) for part, s in zip(parts, starts)]  # noqa: B905
            return np.concatenate(pieces)

        found = isolate_roots(function, max(smallest, 0.999 * self.lowest[row]), 1.001 * self.highest[row], 0.0)
        roots = [
            scipy.optimize.brentq(lambda v: float(function(np.array([v]))[0]) - v, a, b, xtol=1e-300, rtol=1e-14)
            for a, b in found.brackets
        ]
        if not roots:
            return 0.0, 0.0, found.complete
        return roots[0], roots[-1], found.complete


def same(low: Float[np.ndarray, " rows"], high: Float[np.ndarray, " rows"]) -> np.ndarray:
    """Where two roots are one, to the resolution of the search."""
    return high - low <= RESOLUTION * high
