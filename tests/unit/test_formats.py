"""Number formats: their exact numbers, rounding as in ml_dtypes, both roundings of the theory, and what is refused."""

import itertools
import re
from fractions import Fraction

import jax
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steode import Constant, LinearModel, derive, fixed_points
from steode.errors import SpecificationError, UnsupportedError
from steode.parts import formats
from steode.parts.formats import FloatFormat, IntegerFormat, bfloat16, float4_e2m1fn, float8_e4m3fn, float8_e5m2, int4
from steode.parts.quantizers import SignedInteger, Uniform
from steode.parts.stochastic import StochasticRounding

FLOATS = {
    "float8_e4m3fn": float8_e4m3fn(),
    "float8_e5m2": float8_e5m2(),
    "float4_e2m1fn": float4_e2m1fn(),
    "bfloat16": bfloat16(),
    "float8_e4m3": FloatFormat(4, 3),
    "float8_e3m4": FloatFormat(3, 4),
    "float6_e2m3fn": FloatFormat(2, 3, special="none"),
    "float6_e3m2fn": FloatFormat(3, 2, special="none"),
    "float16": FloatFormat(5, 10),
}
"""Formats by the name of their type in ml_dtypes (float16: in NumPy)."""

float_formats = st.builds(
    FloatFormat,
    st.integers(2, 5),
    st.integers(1, 4),
    st.floats(0.01, 100) | st.none(),
    st.sampled_from(["ieee", "nan", "none"]),
)
integer_formats = st.builds(
    IntegerFormat,
    st.integers(2, 8),
    st.floats(0.01, 100) | st.none(),
    st.booleans(),
    st.sampled_from(["largest", "middle", "positive"]),
)
any_format = float_formats | integer_formats


def type_of(name):
    return np.float16 if name == "float16" else getattr(ml_dtypes, name)


def converted(points: np.ndarray, name: str) -> np.ndarray:
    """Rounded by the library, as float64."""
    with np.errstate(all="ignore"):
        return points.astype(type_of(name)).astype(np.float64)


def finite_numbers(name: str) -> np.ndarray:
    """Every finite number of a type, from its codes; zero once."""
    bits = 16 if name in ("bfloat16", "float16") else int(name[5])
    codes = np.arange(2**bits).astype(np.uint16 if bits == 16 else np.uint8)
    with np.errstate(all="ignore"):
        values = codes.view(type_of(name)).astype(np.float64)
    return np.unique(values[np.isfinite(values)] + 0.0)


@pytest.mark.parametrize("name", FLOATS)
def test_levels_are_the_finite_numbers_of_the_type(name):
    np.testing.assert_array_equal(FLOATS[name].levels, finite_numbers(name))
    assert FLOATS[name].range == FLOATS[name].levels[-1]


@pytest.mark.parametrize("name", FLOATS)
def test_rounding_is_that_of_the_type_bit_for_bit(name):
    """Every number, every midpoint and its two neighbors, subnormals and both zeros, in the precision of the library.

    ml_dtypes rounds float64 by way of float32, twice: the neighbors of a midpoint are those in float32.
    """
    fmt = FLOATS[name]
    midpoints = fmt.thresholds.astype(np.float32)
    np.testing.assert_array_equal(midpoints, fmt.thresholds)
    above, below = (np.nextafter(midpoints, np.float32(side)) for side in (np.inf, -np.inf))
    points = np.concatenate([fmt.levels.astype(np.float32), midpoints, above, below, np.float32([0.0, -0.0])])
    mine, theirs = fmt(points), converted(points, name)
    np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(np.signbit(mine), np.signbit(theirs))


@pytest.mark.parametrize("name", FLOATS)
def test_random_numbers_of_every_size_round_as_in_the_type(name):
    fmt, generator = FLOATS[name], np.random.default_rng(0)
    lowest = np.log2(fmt.levels[fmt.levels > 0][0]) - 3
    sizes = 2 ** generator.uniform(lowest, np.log2(fmt.range), 20_000)
    points = (np.clip(sizes, 0, fmt.range) * generator.choice([-1, 1], sizes.size)).astype(np.float32)
    np.testing.assert_array_equal(fmt(points), converted(points, name))


def test_overflow_saturates_where_conversions_differ():
    for name, fmt in FLOATS.items():
        beyond = np.array([1.5 * fmt.range, np.inf, -np.inf])
        np.testing.assert_array_equal(fmt(beyond), fmt.range * np.array([1, 1, -1]))
        theirs = converted(beyond[:1].astype(np.float64), name)[0]
        if name == "float8_e4m3fn":
            assert np.isnan(theirs)
        elif name in ("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"):
            assert theirs == fmt.range
        else:
            assert np.isinf(theirs)


def test_nothing_overflows_below_the_next_midpoint():
    # 464 is midway between 448 and 480, whose code is nan: a tie to the even code 448 in both
    assert float8_e4m3fn()(464.0) == converted(np.float32([464.0]), "float8_e4m3fn")[0] == 448


def test_nan_stays_nan():
    assert np.isnan(float8_e4m3fn()(np.nan))
    assert np.isnan(int4()(np.nan))


def test_integers_of_four_bits():
    """ml_dtypes truncates when it converts to int4: toolkits round first, ties to even, and clip."""
    points = np.arange(-80, 75) / 10
    rounded = np.rint(points).astype(ml_dtypes.int4).astype(float)
    np.testing.assert_array_equal(int4()(points), rounded)
    np.testing.assert_array_equal(int4().levels, np.arange(-8, 8))
    np.testing.assert_array_equal(int4()([-99.0, 99.0]), [-8, 7])
    np.testing.assert_array_equal(int4()([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]), [-2, -2, 0, 0, 2, 2])


def test_numbers_of_small_formats():
    third = [Fraction(value) for value in ("0", "1/2", "1", "3/2", "2", "3", "4", "6")]
    assert float4_e2m1fn().unit_levels[7:] == tuple(value / 6 for value in third)
    # exponent codes 0 and 1 have the same step: a uniform grid
    np.testing.assert_array_equal(FloatFormat(1, 2, special="none").levels, np.arange(-7, 8) / 2)
    # powers of two
    np.testing.assert_array_equal(FloatFormat(2, 0, special="none").levels, [-4, -2, -1, 0, 1, 2, 4])
    np.testing.assert_array_equal(FloatFormat(2, 0, special="none")([1.5, 3.0, 0.5]), [2, 4, 0])


@pytest.mark.parametrize("bits", range(2, 13))
def test_integer_grids_that_exist_under_other_names(bits):
    for fmt, other in [
        (IntegerFormat(bits, 3.0), SignedInteger(bits, 3.0)),
        (IntegerFormat(bits, 3.0, narrow=True), Uniform(bits, 3.0, "mid-tread")),
    ]:
        assert fmt.unit_levels == other.unit_levels
        assert fmt.unit_thresholds == other.unit_thresholds
        assert fmt.is_odd == other.is_odd


@given(st.integers(2, 12), st.booleans())
def test_what_the_range_of_an_integer_format_stands_for(bits, narrow):
    half = Fraction(2 ** (bits - 1))
    grids = {at: IntegerFormat(bits, 1.0, narrow, at).unit_levels for at in ("largest", "middle", "positive")}
    assert max(abs(level) for level in grids["largest"]) == 1
    assert grids["positive"][-1] == 1
    step = {at: levels[1] - levels[0] for at, levels in grids.items()}
    assert step["middle"] == 2 / (2 * half - 1)
    assert step["positive"] == 1 / (half - 1)
    assert step["largest"] == 1 / (half - narrow)
    assert {-levels[0] / step[at] for at, levels in grids.items()} == {half - narrow}


@given(any_format)
def test_thresholds_are_exact_midpoints(fmt):
    levels = fmt.unit_levels
    assert fmt.unit_thresholds == tuple((low + high) / 2 for low, high in itertools.pairwise(levels))
    np.testing.assert_allclose(fmt.levels, [fmt.scale * float(level) for level in levels], rtol=1e-14)
    assert fmt.is_odd == all(a == -b for a, b in zip(levels, reversed(levels), strict=True))


@given(any_format, st.lists(st.floats(-200, 200), min_size=1, max_size=30))
def test_entrywise_rounding_takes_the_nearest_level(fmt, points):
    points = np.array(points)
    rounded = fmt(points)
    assert np.all(np.isin(rounded, fmt.levels))
    nearest = np.abs(points[:, None] - fmt.levels[None, :]).min(axis=1)
    np.testing.assert_allclose(np.abs(points - rounded), nearest, rtol=1e-12, atol=1e-12 * fmt.range)
    np.testing.assert_array_equal(fmt(rounded), rounded)


@given(any_format)
def test_entrywise_rounding_is_the_step_function_away_from_ties(fmt):
    edges = np.concatenate([[2 * fmt.levels[0] - 1], fmt.thresholds, [2 * fmt.levels[-1] + 1]])
    inside = np.concatenate([(edges[1:] + edges[:-1]) / 2, fmt.levels])
    np.testing.assert_array_equal(fmt(inside), fmt.levels[np.searchsorted(fmt.thresholds, inside, side="right")])


@given(float_formats, st.integers(-20, 20))
def test_another_range_moves_every_number(fmt, power):
    own = FloatFormat(fmt.exponent_bits, fmt.mantissa_bits, special=fmt.special)
    moved = FloatFormat(fmt.exponent_bits, fmt.mantissa_bits, own.range * 2.0**power, fmt.special)
    np.testing.assert_array_equal(moved.levels, own.levels * 2.0**power)
    assert fmt.levels[-1] == fmt.range == fmt.scale
    assert fmt.has_range


@pytest.mark.parametrize("fmt", [float8_e4m3fn(2.0), float4_e2m1fn(1.5), IntegerFormat(5, 2.0), bfloat16()])
def test_stochastic_rounding_to_a_format_is_unbiased(fmt):
    rounding, generator = StochasticRounding(fmt), np.random.default_rng(1)
    points = generator.uniform(-1.4, 1.4, 50)
    draws = rounding.sample(np.broadcast_to(points, (4000, 50)), generator)
    assert np.all(np.isin(draws, fmt.levels))
    variance = rounding.variance(points)
    z = (draws.mean(axis=0) - points) / np.sqrt(variance / 4000)
    assert np.abs(z).max() < 4.5
    assert abs((z**2).sum() - 50) < 4 * np.sqrt(2 * 50)


def test_formats_that_differ_in_range_share_their_numbers():
    assert float8_e4m3fn(1.0).unit_levels is float8_e4m3fn(2.0).unit_levels
    assert float8_e4m3fn(1.0).unit_thresholds is float8_e4m3fn(2.0).unit_thresholds


def test_a_format_as_quantizer_of_weights():
    """The floor of a constant teacher: flips between its neighbors in float8_e4m3fn, 0.8125 and 0.875."""
    model = LinearModel(teacher=Constant(0.83), weight_quantizer=float8_e4m3fn(), learning_rate=1e-3)
    found = fixed_points(model)
    assert found[0].eps_g == pytest.approx((0.83 - 0.8125) * (0.875 - 0.83) / 2, rel=1e-3)


def test_a_format_too_fine_for_the_theory_says_what_to_use():
    model = LinearModel(teacher=Constant(1.0), weight_quantizer=bfloat16())
    with pytest.raises(UnsupportedError, match=r"up to 4096 levels.*65279.*Identity.*StochasticRounding"):
        fixed_points(model)
    assert bfloat16().levels.size == bfloat16().thresholds.size + 1 == 65279
    assert StochasticRounding(bfloat16()).is_odd


def test_entrywise_calls_list_no_levels():
    formats._floating.cache_clear()
    assert FloatFormat(8, 7, 3.0)(1.0) == pytest.approx(1.0, rel=2.0**-8)
    assert FloatFormat(8, 7).is_odd
    assert formats._floating.cache_info().currsize == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FloatFormat(9, 2), "exponent_bits.*between 1 and 8"),
        (lambda: FloatFormat(0, 2), "exponent_bits"),
        (lambda: FloatFormat(8, 8), "mantissa_bits.*between 0 and 7"),
        (lambda: FloatFormat(4, 3, special="fn"), "special.*ieee, nan, none"),
        (lambda: FloatFormat(1, 0), "a positive number among its codes"),
        (lambda: float8_e4m3fn(0.0), "FloatFormat.range.*> 0"),
        (lambda: IntegerFormat(1), "bits.*between 2 and 16"),
        (lambda: IntegerFormat(17), "bits.*between 2 and 16"),
        (lambda: IntegerFormat(4, -1.0), "IntegerFormat.range"),
        (lambda: IntegerFormat(4, narrow=1), "narrow.*True or False"),
        (lambda: IntegerFormat(4, range_at="top"), "range_at.*largest, middle, positive"),
    ],
)
def test_formats_that_do_not_exist_are_refused(make, message):
    with pytest.raises(SpecificationError, match=message):
        make()


def test_formats_are_values():
    assert float8_e4m3fn() == FloatFormat(4, 3, 448.0, "nan")
    assert len({float8_e4m3fn(), float8_e4m3fn(448), float8_e5m2(), int4(), int4(2.0)}) == 4
    assert np.shape(float8_e4m3fn()(np.zeros((2, 0, 3)))) == (2, 0, 3)
    assert jax.config.jax_enable_x64 is False


def test_formats_are_shown_as_they_were_written():
    assert repr(IntegerFormat(16, 2.0)) == "IntegerFormat(bits=16, range=2.0)"
    assert repr(int4()) == "IntegerFormat(bits=4)"
    assert repr(bfloat16()) == "FloatFormat(exponent_bits=8, mantissa_bits=7)"
    for grid in (IntegerFormat(16, 2.0), bfloat16(), bfloat16(range=3.0)):
        assert eval(repr(grid)) == grid
        with pytest.raises(UnsupportedError, match=re.escape(repr(grid))):
            derive(LinearModel(teacher=Constant(1.0), weight_quantizer=grid))
