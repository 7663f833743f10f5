"""Stretches of time on which a sampled curve stays within a band and then drops, for many positions of the band.

A curve of T samples has 2 T positions of interest. Instead of looking at every sample for each of them, the positions
at which two neighboring samples lie on different sides of an edge of the band are found by bisection: a smooth curve
has O(T) pairs of such a crossing and a position, and each pair costs O(log T).
"""

import numpy as np
from jaxtyping import Bool, Float, Int

ROUNDING = 1e-9
"""Distances on a curve of range 1 that are rounding."""
MOST_PAIRS = 2**20
"""Pairs of a position and a crossing in memory at a time; a noisy curve has up to T^2 of them."""


def flat_stretches(
    times: Float[np.ndarray, " T"],
    values: Float[np.ndarray, " T"],
    positions: Float[np.ndarray, " P"],
    width: float,
    contrast: float,
) -> Float[np.ndarray, "n 2"]:
    """Start and end of every stretch in a band [c, c + width], c one of the positions, that is left downward.

    Positions increase, and values are scaled to [0, 1]. Kept are those stretches after which the curve falls to
    c - width, and that are `contrast` times longer than the exit and the entry: conditions 2 and 3 in `steode.plateau`.
    In order of position and time.
    """
    # value i is inside at positions[k] for lowest[i] <= k < after_last[i]
    lowest = np.searchsorted(positions + width + ROUNDING, values, side="left")
    after_last = np.searchsorted(positions - ROUNDING, values, side="right")
    none = np.zeros(1, int)
    before = np.append(none, lowest[:-1]), np.append(none, after_last[:-1])
    entries = [(lowest, np.minimum(after_last, before[0])), (np.maximum(lowest, before[1]), after_last)]
    exits = [(np.maximum(before[0], after_last), before[1])]
    found = [np.zeros((0, 2))]
    for low, high in _blocks([*entries, *exits], positions.size):
        starts = np.sort(np.concatenate([_pairs(*ends, low, high, values.size) for ends in entries]))
        position, after = np.divmod(np.sort(_pairs(*exits[0], low, high, values.size)), values.size)
        # the entry before each exit in the same band
        first = starts[np.searchsorted(starts, position * values.size + after) - 1] % values.size
        found.append(_contrasting(times, values, positions[position], width, contrast, first, after))
    return np.concatenate(found)


def _blocks(ranges: list[tuple], count: int) -> list[tuple[int, int]]:
    """Consecutive ranges of positions with about MOST_PAIRS pairs each."""
    changes = np.zeros(count + 1)
    for start, end in ranges:
        start, end = start[start < end], end[start < end]
        changes += np.bincount(start, minlength=count + 1) - np.bincount(end, minlength=count + 1)
    pairs = np.cumsum(np.cumsum(changes[:-1]))
    cuts = np.unique(np.searchsorted(pairs, np.arange(MOST_PAIRS, pairs[-1], MOST_PAIRS)))
    edges = np.unique(np.concatenate([[0], cuts, [count]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _pairs(start, end, low: int, high: int, samples: int) -> Int[np.ndarray, " n"]:
    """Every position k in [low, high) with start[i] <= k < end[i], as k * samples + i."""
    start, end = np.maximum(start, low), np.minimum(end, high)
    counts = np.maximum(end - start, 0)
    sample = np.repeat(np.arange(start.size), counts)
    offset = np.arange(sample.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return (start[sample] + offset) * samples + sample


def _contrasting(times, values, low, width, contrast, first, after) -> Float[np.ndarray, "n 2"]:
    """Start and end of the runs of samples first, ..., after - 1 in [low, low + width] that the conditions keep."""
    below = _next(values, after, low - width + ROUNDING)
    falls = below < values.size
    low, first, after, below = low[falls], first[falls], after[falls], below[falls]
    end = crossing(times, values, after - 1, low)
    exit_time = crossing(times, values, below - 1, low - width) - end
    start, entry_time, from_below = _entry(times, values, first, low, width)
    crossings = np.where(from_below, 2, 1)
    kept = end - start >= contrast * crossings * np.maximum(entry_time, exit_time)
    return np.stack([start[kept], end[kept]], axis=1)


def _entry(times, values, first, low, width) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, " n"]]:
    """When the curve enters the band at sample `first`, how long before it was a width outside, and whether below."""
    start, entry_time = np.full(first.shape, times[0]), np.zeros(first.shape)
    from_below, later = np.zeros(first.shape, bool), first > 0
    low, first = low[later], first[later]
    below = values[first - 1] < low
    entered = crossing(times, values, first - 1, np.where(below, low, low + width))
    last = _last_outside(values, first, low + width / 2, 1.5 * width - ROUNDING)
    # without such a sample, since the beginning
    outside = np.full(last.shape, times[0])
    known = last >= 0
    edge = np.where(values[last] < low, low - width, low + 2 * width)
    outside[known] = crossing(times, values, last[known], edge[known])
    start[later], entry_time[later], from_below[later] = entered, entered - outside, below
    return start, entry_time, from_below


def crossing(times, values, index, level):
    """Time between samples index and index + 1 at which the curve, linear there, passes `level`."""
    fraction = (level - values[index]) / (values[index + 1] - values[index])
    return times[index] + np.clip(fraction, 0.0, 1.0) * (times[index + 1] - times[index])


def _extremes(values, choose) -> list[np.ndarray]:
    """Least or largest of 1, 2, 4, ... values from each sample on, as far as there are as many."""
    tables = [values]
    while tables[-1].size > (step := 1 << (len(tables) - 1)):
        tables.append(choose(tables[-1][:-step], tables[-1][step:]))
    return tables


def _next(values, index, level) -> Int[np.ndarray, " n"]:
    """First sample from `index` on that is at or below its level; T where there is none."""
    index = index.copy()
    for power, least in reversed(list(enumerate(_extremes(values, np.minimum)))):
        fits = index < least.size
        fits[fits] = least[index[fits]] > level[fits]
        index[fits] += 1 << power
    return index


def _last_outside(values, index, center, distance: float) -> Int[np.ndarray, " n"]:
    """Last sample before `index` that is at least `distance` away from its center; -1 where there is none."""
    index = index.copy()
    tables = zip(_extremes(values, np.minimum), _extremes(values, np.maximum), strict=True)
    for power, (least, largest) in reversed(list(enumerate(tables))):
        begin = index - (1 << power)
        fits = begin >= 0
        begin, middle = begin[fits], center[fits]
        fits[fits] = (middle - least[begin] < distance) & (largest[begin] - middle < distance)
        index[fits] -= 1 << power
    return index - 1
