"""Flat stretches found by bisection, beside the definition read aloud: every band, sample by sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steode.solvers import flat_stretches
from steode.solvers.flat_stretches import ROUNDING


def plain(times, values, positions, width, contrast):
    """The definition: for each band, every run of samples inside it."""
    return [run for low in positions for run in runs_in_band(times, values, low, width, contrast)]


def runs_in_band(times, values, low, width, contrast):
    inside = (values >= low - ROUNDING) & (values <= low + width + ROUNDING)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    for first, after in edges.reshape(-1, 2):
        if after == len(values) or values[after] > low:
            continue
        below = np.flatnonzero(values[after:] <= low - width + ROUNDING)
        if below.size == 0:
            continue
        end = passage(times, values, after - 1, low)
        exit_time = passage(times, values, after + below[0] - 1, low - width) - end
        start, entry_time, from_below = entry(times, values, first, low, width)
        if end - start >= contrast * (2 if from_below else 1) * max(entry_time, exit_time):
            yield start, end


def entry(times, values, first, low, width):
    if first == 0:
        return times[0], 0.0, False
    from_below = values[first - 1] < low
    start = passage(times, values, first - 1, low if from_below else low + width)
    outside = np.flatnonzero(np.abs(values[:first] - (low + width / 2)) >= 1.5 * width - ROUNDING)
    if outside.size == 0:
        return start, start - times[0], from_below
    last = outside[-1]
    edge = low - width if values[last] < low else low + 2 * width
    return start, start - passage(times, values, last, edge), from_below


def passage(times, values, index, level):
    share = (level - values[index]) / (values[index + 1] - values[index])
    return times[index] + min(max(share, 0.0), 1.0) * (times[index + 1] - times[index])


@st.composite
def curves(draw):
    """Walks, stairs with equal values, and flat stretches under noise, at even or random times."""
    generator, samples = np.random.default_rng(draw(st.integers(0, 2**32))), draw(st.integers(2, 120))
    times = np.linspace(0, 10, samples)
    if draw(st.booleans()):
        times = np.cumsum(generator.uniform(0.01, 1, samples))
    kind = draw(st.sampled_from(["walk", "stairs", "noise", "waves"]))
    if kind == "walk":
        values = np.cumsum(generator.normal(size=samples))
    elif kind == "stairs":
        values = np.round(np.repeat(generator.uniform(0, 1, samples // 5 + 1), 5)[:samples], 1)
    elif kind == "noise":
        values = np.interp(times, times[-1] * np.array([0.3, 0.4, 0.8, 0.9]), [1, 0.5, 0.5, 0])
        values = values + 0.01 * generator.normal(size=samples)
    else:
        values = np.cos(times) + np.exp(-times)
    extent = np.ptp(values)
    return times, (values - values.min()) / (extent if extent else 1.0)


@pytest.mark.parametrize("most_pairs", [2**20, 30], ids=["at once", "in blocks"])
@given(curve=curves(), width=st.sampled_from([0.02, 0.1, 0.3]), contrast=st.sampled_from([1.2, 3.0]))
def test_every_stretch_is_that_of_the_definition_bit_by_bit(most_pairs, curve, width, contrast):
    times, values = curve
    positions = np.unique(np.concatenate([values, values - width]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_stretches, "MOST_PAIRS", most_pairs)
        found = flat_stretches.flat_stretches(times, values, positions, width, contrast)
    expected = plain(times, values, positions, width, contrast)
    np.testing.assert_array_equal(found, np.reshape(expected, (-1, 2)))
