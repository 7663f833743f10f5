"""Claims about every quantizer, checked on every quantizer, and the exact grids of the named ones."""

import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from steode import Constant, LinearModel, StochasticRounding, bridge, int4
from steode.errors import SpecificationError
from steode.parts.elementwise import Elementwise
from steode.parts.quantizers import EntrywiseMap, Identity, Levels, Sign, SignedInteger, StepFunction, Ternary, Uniform
from steode.systems.linear.literal.maps import device_map, random_map
from steode.systems.regression.simulation import _quantizer

x = sympy.Symbol("x", real=True)

ranges = st.floats(0.01, 100)
numbers = st.floats(-1000, 1000)
samples = st.lists(numbers, min_size=1, max_size=30)
sorted_numbers = st.lists(
    st.floats(-50, 50).map(lambda value: round(value, 3)), min_size=2, max_size=9, unique=True
).map(sorted)

nearest = st.one_of(
    st.builds(Uniform, st.integers(1, 8), ranges),
    st.builds(Uniform, st.integers(2, 8), ranges, st.just("mid-tread")),
    st.builds(SignedInteger, st.integers(1, 8), ranges),
    st.builds(Sign, ranges),
    st.builds(Ternary, ranges),
    st.builds(Levels, sorted_numbers),
)
with_thresholds = sorted_numbers.flatmap(
    lambda levels: st.builds(
        Levels,
        st.just(levels),
        st.lists(numbers, min_size=len(levels) - 1, max_size=len(levels) - 1, unique=True).map(sorted),
    )
)
step_functions = nearest | with_thresholds
odd_grids = st.one_of(
    st.builds(Uniform, st.integers(1, 8), ranges, st.just("mid-rise")),
    st.builds(Uniform, st.integers(2, 8), ranges, st.just("mid-tread")),
    st.builds(Sign, ranges),
    st.builds(Ternary, ranges),
)


def away_from_thresholds(quantizer: StepFunction, points: np.ndarray) -> np.ndarray:
    distance = np.abs(points[:, None] - quantizer.thresholds[None, :]).min(axis=1)
    return points[distance > 1e-9 * (1 + np.abs(points))]


@given(step_functions, samples)
def test_step_function_is_monotone(quantizer, points):
    values = quantizer(np.sort(points))
    assert np.all(np.diff(values) >= 0)


@given(step_functions, samples)
def test_every_value_is_a_level(quantizer, points):
    values = quantizer(np.array(points))
    assert values.shape == (len(points),)
    assert np.all(np.isin(values, quantizer.levels))


@given(step_functions)
def test_levels_and_thresholds_increase_and_fit(quantizer):
    assert np.all(np.diff(quantizer.levels) > 0)
    assert np.all(np.diff(quantizer.thresholds) > 0)
    assert quantizer.thresholds.size == quantizer.levels.size - 1


@given(step_functions)
def test_every_level_is_reached_and_a_tie_takes_the_upper_one(quantizer):
    thresholds, levels = quantizer.thresholds, quantizer.levels
    np.testing.assert_array_equal(quantizer(thresholds), levels[1:])
    np.testing.assert_array_equal(quantizer(np.nextafter(thresholds, -np.inf)), levels[:-1])
    assert quantizer(np.array(-np.inf)) == levels[0]
    assert quantizer(np.array(np.inf)) == levels[-1]


@given(nearest)
def test_nearest_rounding_has_exact_midpoint_thresholds(quantizer):
    levels = quantizer.unit_levels
    assert quantizer.unit_thresholds == tuple((low + high) / 2 for low, high in itertools.pairwise(levels))


@given(nearest, samples)
def test_nearest_rounding_picks_the_closest_level(quantizer, points):
    points = np.array(points)
    distances = np.abs(points[:, None] - quantizer.levels[None, :])
    chosen = np.abs(points - quantizer(points))
    assert np.all(chosen <= distances.min(axis=1) * (1 + 1e-12) + 1e-12)


@given(nearest, samples)
def test_nearest_rounding_is_idempotent(quantizer, points):
    once = quantizer(np.array(points))
    np.testing.assert_array_equal(quantizer(once), once)


@given(odd_grids, samples)
def test_odd_grids_are_odd_up_to_ties(quantizer, points):
    assert quantizer.is_odd
    points = away_from_thresholds(quantizer, np.array(points))
    np.testing.assert_array_equal(quantizer(-points), -quantizer(points))


@given(step_functions)
def test_is_odd_says_what_the_values_say(quantizer):
    # one point inside each cell and its mirror image decide for a step function
    edges = np.unique(np.concatenate([quantizer.thresholds, -quantizer.thresholds]))
    points = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    assert quantizer.is_odd == bool(np.array_equal(quantizer(-points), -quantizer(points)))


@given(odd_grids | st.builds(SignedInteger, st.integers(1, 8), ranges))
def test_levels_stay_in_the_range_and_reach_it(quantizer):
    assert np.abs(quantizer.levels).max() == quantizer.range == quantizer.scale
    assert quantizer.has_range


@given(st.integers(1, 8), ranges, st.floats(0.1, 10), samples)
def test_a_grid_scales_with_its_range(bits, omega, factor, points):
    points = np.array(points)
    small, large = Uniform(bits, omega), Uniform(bits, omega * factor)
    points = away_from_thresholds(small, points)
    np.testing.assert_allclose(large(points * factor), factor * small(points), rtol=1e-12)


def test_grids_of_two_bits_and_range_two():
    def floats(*fractions):
        return [float(Fraction(value)) for value in fractions]

    np.testing.assert_allclose(Uniform(2, 2.0).levels, floats("-2", "-2/3", "2/3", "2"), rtol=1e-15)
    np.testing.assert_allclose(Uniform(2, 2.0).thresholds, floats("-4/3", "0", "4/3"), rtol=1e-15)
    np.testing.assert_array_equal(Uniform(2, 2.0, kind="mid-tread").levels, [-2, 0, 2])
    np.testing.assert_array_equal(Uniform(2, 2.0, kind="mid-tread").thresholds, [-1, 1])
    np.testing.assert_array_equal(SignedInteger(2, 2.0).levels, [-2, -1, 0, 1])
    np.testing.assert_array_equal(SignedInteger(2, 2.0).thresholds, [-1.5, -0.5, 0.5])
    np.testing.assert_array_equal(SignedInteger(1, 2.0).levels, [-2, 0])


@pytest.mark.parametrize("bits", range(1, 13))
def test_number_and_spacing_of_levels(bits):
    for quantizer, count, step in [
        (Uniform(bits, 3.0), 2**bits, Fraction(2, 2**bits - 1)),
        (SignedInteger(bits, 3.0), 2**bits, Fraction(1, 2 ** (bits - 1))),
        *([(Uniform(bits, 3.0, "mid-tread"), 2**bits - 1, Fraction(1, 2 ** (bits - 1) - 1))] if bits > 1 else []),
    ]:
        levels = quantizer.unit_levels
        assert len(levels) == count
        assert {high - low for low, high in itertools.pairwise(levels)} == {step}
        assert (0 in levels) == (not isinstance(quantizer, Uniform) or quantizer.kind == "mid-tread")


def test_named_grids_are_special_cases():
    assert Sign(1.5).unit_levels == Uniform(1, 1.5).unit_levels
    assert Ternary(1.5).unit_levels == Uniform(2, 1.5, "mid-tread").unit_levels
    assert not SignedInteger(3, 1.0).is_odd


def test_levels_keep_decimal_numbers_exactly():
    quantizer = Levels((-0.1, 0.2), thresholds_at=(0.3,))
    assert quantizer.unit_levels == (Fraction(-1, 10), Fraction(1, 5))
    assert quantizer.unit_thresholds == (Fraction(3, 10),)
    assert not quantizer.has_range
    assert quantizer.scale == 1.0


def test_levels_take_any_sequence_of_numbers():
    expected = Levels((-1.0, 0.0, 2.0))
    assert Levels([-1, 0, 2]) == Levels(np.array([-1, 0, 2])) == Levels((Fraction(-1), 0, 2.0)) == expected


def test_arrays_of_any_shape():
    for quantizer in (Identity(), Uniform(2, 1.0), Elementwise(sympy.tanh(x))):
        for shape in ((), (0,), (3,), (2, 3, 4)):
            assert np.shape(quantizer(np.zeros(shape))) == shape


def test_identity_returns_its_argument():
    points = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(Identity()(points), points)
    assert Identity().is_odd


def test_quantizers_are_values():
    assert Uniform(2, 1) == Uniform(np.int64(2), 1.0)
    assert type(Uniform(np.int64(2), 1.0).bits) is int
    assert type(SignedInteger(np.int64(2), 1.0).bits) is int
    assert len({Uniform(2, 1.0), Uniform(2, 1), Uniform(3, 1.0), Sign(), Ternary(), Identity(), Elementwise(x**3)}) == 6
    with pytest.raises(AttributeError):
        Uniform(2, 1.0).range = 3.0


@pytest.mark.parametrize(
    ("expression", "function", "odd"),
    [
        (sympy.tanh(x), np.tanh, True),
        (x**3 - x, lambda w: w**3 - w, True),
        (sympy.sin(2 * x) / 2, lambda w: np.sin(2 * w) / 2, True),
        (sympy.exp(x) - sympy.exp(-x), lambda w: 2 * np.sinh(w), True),
        (sympy.Piecewise((x, sympy.Abs(x) < 1), (sympy.sign(x), True)), lambda w: np.clip(w, -1, 1), True),
        (sympy.Max(x, 0), lambda w: np.maximum(w, 0), False),
        (sympy.cos(x), np.cos, False),
        ("tanh(y)", np.tanh, True),
    ],
    ids=["tanh", "cubic", "sine", "sinh", "clip", "relu", "cosine", "text"],
)
def test_elementwise_expressions(expression, function, odd):
    points = np.linspace(-4, 4, 101)
    mapped = Elementwise(expression)
    assert isinstance(mapped, EntrywiseMap)
    assert mapped.is_odd is odd
    assert mapped.variable == x
    np.testing.assert_allclose(mapped(points), function(points), rtol=1e-13, atol=1e-15)


def test_elementwise_forgets_the_name_of_the_variable():
    assert Elementwise(sympy.tanh(sympy.Symbol("weight"))) == Elementwise(sympy.tanh(x))


@pytest.mark.parametrize("expression", [sympy.sign(x), sympy.Piecewise((-1, x < 0), (1, True)), sympy.floor(x) + x])
def test_elementwise_maps_that_jump_are_refused(expression):
    with pytest.raises(SpecificationError, match=r"a continuous map.*Levels"):
        Elementwise(expression)


@pytest.mark.parametrize("expression", [2 * x, x + 1])
def test_affine_elementwise_maps_are_refused(expression):
    with pytest.raises(SpecificationError, match=r"not affine.*Identity"):
        Elementwise(expression)


GRIDS = [Uniform(2, 1.0), Sign(), SignedInteger(3, 2.0), Levels((-1, 0.5, 2)), Ternary(), Levels(range(200)), int4()]


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_nan_stays_nan_everywhere(grid):
    points = np.array([np.nan, 0.3])
    expected = np.array([np.nan, grid(np.array([0.3]))[0]])
    np.testing.assert_array_equal(grid(points), expected)
    with jax.enable_x64(True):
        for image in (
            bridge.numeric_map(grid),
            device_map(grid, np.float64, None),
            lambda u: _quantizer(grid, np.float64)(u, None),
        ):
            np.testing.assert_allclose(np.asarray(image(jnp.asarray(points))), expected)
        rounding, normals = StochasticRounding(grid), jnp.zeros(2)
        drawn = [rounding.sample(points, np.random.default_rng(0))]
        drawn.append(random_map(rounding, np.float64, None)(jnp.asarray(points), normals))
        drawn.append(_quantizer(rounding, np.float64)(jnp.asarray(points), normals))
    for values in drawn:
        assert np.isnan(np.asarray(values)).tolist() == [True, False]


@pytest.mark.parametrize("width", [0.1, 0.7, 1 / 3, 2.3])
@pytest.mark.parametrize("count", [2, 4, 5, 16])
def test_computed_grids_are_odd_up_to_rounding(width, count):
    for levels in (np.linspace(-width, width, count), (np.arange(count) - (count - 1) / 2) * width):
        computed = (levels[1:] + levels[:-1]) / 2
        for grid in (Levels(levels), Levels(levels, computed if count > 1 else None)):
            assert grid.is_odd
            assert LinearModel(teacher=Constant(1.0), input_quantizer=grid).input_quantizer == grid
            np.testing.assert_allclose(grid.levels, levels, rtol=0, atol=1e-15 * width * count)


def test_the_two_numbers_that_are_not_opposite_are_named():
    for grid, message in (
        (Levels((-1.0, 0.0, 1.001)), r"levels -1\.0 and 1\.001 are not opposite"),
        (Levels((-1.0, 0.1, 1.0)), r"middle one of the levels, 0\.1, is not 0"),
        (Levels((-1.0, 0.0, 1.0), (-0.5, 0.6)), r"thresholds -0\.5 and 0\.6 are not opposite"),
        (StochasticRounding(SignedInteger(2, 2.0)), r"levels -2\.0 and 1\.0 are not opposite"),
    ):
        with pytest.raises(SpecificationError, match=message):
            LinearModel(teacher=Constant(1.0), input_quantizer=grid)
