"""Ranges of a layer's grids, by rule."""

import numpy as np

from steode.errors import SpecificationError, check_finite, check_integer
from steode.systems.layer.grids import Grid, asymmetric_grid, symmetric_grid

RULES = ("largest", "percentile", "mean square", "weighted mean square")
"""largest: of the magnitudes (or from the smallest to the largest weight); percentile: of them; mean square: smallest
sum of (Q(w) - w)^2; weighted mean square: of K_ii (Q(w) - w)^2."""
COARSE, FINE = np.linspace(0.08, 1.2, 57), 12
"""Ranges tried, as parts of the largest weight, and bisections of the search around the best of them."""


def make_grid(weights, importance, given, bits: int, kind: str, granularity, percentile: float) -> Grid:
    """The grid that a specification asks for.

    Parameters
    ----------
    weights : (rows, d).
    importance : K_ii, (d,).
    given : a number, an array (rows,) or (rows, groups), with one more axis of two ends for asymmetric grids, or one of
        RULES.
    granularity : "row", "layer", or the number of columns in a group.
    percentile : of the magnitudes, for the rule of this name.
    """
    (rows, columns), blocks = weights.shape, _blocks(weights, granularity)
    weighting = np.broadcast_to(importance, weights.shape).reshape(blocks.shape)
    if isinstance(given, str):
        if given not in RULES:
            raise SpecificationError("range", "a number, an array, or one of " + ", ".join(RULES), given, "")
        weighting = weighting if given == "weighted mean square" else np.ones(())
        ends = _by_rule(blocks, weighting, given, bits, kind, percentile)
    else:
        ends = _given(given, rows, _groups(granularity, columns), 2 if kind == "asymmetric" else None)
    return place(np.broadcast_to(ends, (rows, *ends.shape[1:])), bits, kind, columns)


def largest_ranges(weights, kind: str, granularity) -> np.ndarray:
    """The ranges of the rule "largest", (rows, groups), or the two ends (rows, groups, 2) of asymmetric grids."""
    rows, blocks = weights.shape[0], _blocks(weights, granularity)
    ends = _by_rule(blocks, np.ones(()), "largest", 2, kind, 100.0)
    return np.broadcast_to(ends, (rows, *ends.shape[1:]))


def place(ends: np.ndarray, bits: int, kind: str, columns: int) -> Grid:
    """The grid of ranges (rows, groups), or of two ends (rows, groups, 2)."""
    if kind == "asymmetric":
        return asymmetric_grid(ends, bits, columns)
    return symmetric_grid(ends, bits, kind, columns)


def _blocks(weights: np.ndarray, granularity) -> np.ndarray:
    """The weights by what shares a range: (rows, groups, columns of a group), or (1, 1, all) for a whole layer."""
    groups = _groups(granularity, weights.shape[1])
    return weights.reshape(1, 1, -1) if granularity == "layer" else weights.reshape(weights.shape[0], groups, -1)


def _groups(granularity, columns: int) -> int:
    if isinstance(granularity, str):
        if granularity not in ("row", "layer"):
            expected = '"row", "layer", or a number of columns'
            raise SpecificationError("granularity", expected, granularity, "For example 128.")
        return 1
    size = check_integer("granularity", granularity, 1, columns, f"A group has from 1 to {columns} columns.")
    if columns % size:
        divisors = [n for n in range(1, columns + 1) if columns % n == 0]
        near = min(divisors, key=lambda n: abs(n - size))
        raise SpecificationError("granularity", f"a divisor of {columns} columns", size, f"The nearest is {near}.")
    return columns // size


def _given(given, rows: int, groups: int, pair: int | None) -> np.ndarray:
    try:
        array = np.array(given, dtype=float)
    except (TypeError, ValueError):
        raise SpecificationError("range", "numbers, or a rule by its name", given, "For example 0.1.") from None
    tail = () if pair is None else (pair,)
    shapes = {tail: (1, 1), (rows, *tail): (rows, 1), (rows, groups, *tail): (rows, groups)}
    if array.shape not in shapes:
        expected = "shape " + " or ".join(map(str, shapes))
        raise SpecificationError("range", expected, f"shape {array.shape}", "One for all, each row, or each group.")
    if not np.all(np.isfinite(array)):
        raise SpecificationError("range", "finite numbers", array[~np.isfinite(array)][0], "Remove it.")
    wrong = array <= 0 if pair is None else np.diff(array, axis=-1) <= 0
    if np.any(wrong):
        expected = "positive ranges" if pair is None else "a lower end below the upper one"
        raise SpecificationError("range", expected, array.ravel()[np.argmax(wrong)], "It spans the levels.")
    return array.reshape(*shapes[array.shape], *tail) + np.zeros((1, groups, *(1,) * len(tail)))


def _by_rule(blocks, weighting, rule: str, bits: int, kind: str, percentile: float) -> np.ndarray:
    share = check_finite("percentile", percentile) if rule == "percentile" else 100.0
    if not 0 < share <= 100:
        raise SpecificationError("percentile", "a number in (0, 100]", percentile, "For example 99.9.")
    if kind == "asymmetric":
        ends = np.stack([np.percentile(blocks, q, axis=-1) for q in (100 - share, share)], axis=-1)
        ends[..., 0], ends[..., 1] = np.minimum(ends[..., 0], 0), np.maximum(ends[..., 1], 0)
        empty = np.ptp(ends, axis=-1) == 0
        ends[empty] = np.array([0.0, 1.0])
    else:
        size = np.abs(blocks)
        ends = size.max(axis=-1) if share == 100 else np.percentile(size, share, axis=-1)
        # a group of zeros is represented exactly at any range
        ends = np.where(ends > 0, ends, 1.0)
    return _least_square(blocks, weighting, ends, bits, kind) if "mean square" in rule else ends


def _least_square(blocks, weighting, largest, bits: int, kind: str) -> np.ndarray:
    """The ends, scaled by one factor for each group, of smallest weighted square error: a scan, then bisections."""
    rows, groups, size = blocks.shape

    def error(factor):
        ends = largest * (factor[..., None] if largest.ndim > 2 else factor)
        grid = place(ends, bits, kind, groups * size)
        origin, step = grid.origin[..., None], grid.step[..., None]
        codes = np.clip(np.floor(blocks / step + origin + 0.5), 0, grid.count - 1)
        return np.sum(weighting * (step * (codes - origin) - blocks) ** 2, axis=-1)

    factors = np.ones((rows, groups))
    best = np.full((rows, groups), np.inf)
    for part in COARSE:
        at = error(np.full((rows, groups), part))
        factors, best = np.where(at < best, part, factors), np.minimum(at, best)
    width = COARSE[1] - COARSE[0]
    for _ in range(FINE):
        width /= 2
        for sign in (-1, 1):
            tried = factors + sign * width
            at = error(tried)
            factors, best = np.where(at < best, tried, factors), np.minimum(at, best)
    return largest * (factors[..., None] if largest.ndim > 2 else factors)
