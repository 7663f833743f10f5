"""The plateau rule on curves whose plateaus are known."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steode import Constant, LinearModel, Normal, Uniform
from steode.errors import SpecificationError
from steode.systems.linear.plateau import plateau
from steode.systems.linear.trajectory import Provenance, Trajectory


def trajectory(times, values):
    """A trajectory of eps_g alone; values of shape (T,) are a limit, (S, T) a simulation."""
    kind = "limit" if np.ndim(values) == 1 else "simulation"
    provenance = Provenance(kind, "synthetic", {}, {}, "0", "cpu")
    return Trajectory(np.asarray(times, float), {"eps_g": np.asarray(values, float)}, {}, None, None, provenance)


def polygon(*corners, samples=401):
    """The piecewise linear curve through (time, value) corners, sampled evenly."""
    corner_times, corner_values = zip(*corners, strict=True)
    times = np.linspace(corner_times[0], corner_times[-1], samples)
    return trajectory(times, np.interp(times, corner_times, corner_values))


STAIRS = polygon((0, 1.0), (20, 1.0), (22, 0.5), (50, 0.5), (52, 0.0), (100, 0.0), samples=1001)


def test_two_plateaus_of_a_staircase():
    first, second = plateau(STAIRS)
    # R = 1, W = 0.1; the drops have slope -1/4, so a band at [0.9, 1] is left 0.4 after the corner
    assert first.start == 0
    assert first.flat_until == pytest.approx(20.4)
    assert first.end == pytest.approx(21)
    assert (first.height, first.drop_to) == pytest.approx((1.0, 0.5))
    # any band of width 0.1 around 0.5 gives the same length, 28.4
    assert second.flat_until - second.start == pytest.approx(28.4)
    assert second.end == pytest.approx(51)
    assert (second.height, second.drop_to) == pytest.approx((0.5, 0.0))
    assert plateau(STAIRS).length == second.length == pytest.approx(51 - 21.8, abs=0.21)


def test_the_final_floor_is_no_plateau_however_long():
    long = polygon((0, 1.0), (20, 1.0), (22, 0.0), (1000, 0.0), samples=10001)
    (only,) = plateau(long)
    assert (only.start, only.end) == pytest.approx((0, 21))


def test_sensitivity_reports_the_length_at_half_and_twice_the_tolerance():
    (only,) = plateau(polygon((0, 1.0), (20, 0.9), (21, 0.0), (40, 0.0)), tolerance=0.1)
    half, double = plateau(polygon((0, 1.0), (20, 0.9), (21, 0.0), (40, 0.0)), tolerance=0.05), only.sensitivity[1]
    assert only.sensitivity[0] == half.length
    assert double == pytest.approx(only.length, rel=0.01)


def test_a_plateau_too_tilted_for_half_the_tolerance_has_no_length_there():
    (only,) = plateau(polygon((0, 1.0), (20, 0.85), (21, 0.0), (40, 0.0)), tolerance=0.08)
    assert np.isnan(only.sensitivity[0])


times = np.linspace(0, 10, 401)
NO_PLATEAU = {
    "straight line": 1 - times / 10,
    "exponential": np.exp(-times),
    "two exponentials": np.exp(-5 * times) + 0.3 * np.exp(-0.2 * times),
    "power law": 1 / (1 + times),
    "smooth maximum at the start": np.maximum(1 - (times / 8) ** 2, 0),
    "wave": np.cos(times),
    "crest after a rise": 1 - (times - 5) ** 2 / 25,
    "rise": times**2,
    "rise after a fall": np.exp(-times) + 0.05 * times,
    "constant": np.full(401, 0.7),
    "constant up to rounding": 0.7 + 1e-16 * np.arange(401),
    "flat, then a rise": np.maximum(times - 5, 0),
    "fall to a floor": np.maximum(1 - times, 0),
    "white noise": np.random.default_rng(0).normal(size=401),
}


@pytest.mark.parametrize("values", NO_PLATEAU.values(), ids=NO_PLATEAU)
@pytest.mark.parametrize("tolerance", [0.0125, 0.025, 0.05, 0.1])
def test_curves_without_a_plateau(values, tolerance):
    found = plateau(trajectory(times, values), tolerance=tolerance)
    assert list(found) == []
    assert found.longest is None
    assert np.isnan(found.length)
    assert "none" in str(found)


def test_the_smooth_maximum_has_the_contrast_the_rule_states():
    parabola = trajectory(times, np.maximum(1 - (times / 8) ** 2, 0))
    assert len(plateau(parabola, contrast=2.35)) == 1
    assert len(plateau(parabola, contrast=2.45)) == 0


def test_a_mesa_between_a_rise_and_a_fall_is_a_plateau():
    (only,) = plateau(polygon((0, 0.0), (1, 1.0), (9, 1.0), (10, 0.0)))
    assert only.height == pytest.approx(1)
    assert only.end == pytest.approx(9.5)


def test_a_rise_after_the_drop_does_not_hide_the_plateau():
    (only,) = plateau(polygon((0, 1.0), (20, 1.0), (22, 0.2), (60, 0.6), (80, 0.6)))
    assert only.end == pytest.approx(21, abs=0.01)
    assert only.drop_to == pytest.approx(0.2, abs=0.01)


def test_noise_below_the_band_moves_the_length_little():
    generator = np.random.default_rng(1)
    clean = polygon((0, 1.0), (40, 1.0), (45, 0.1), (100, 0.1))
    seeds = clean["eps_g"] + 0.01 * generator.normal(size=(8, 401))
    noisy = plateau(trajectory(clean.times, seeds))
    assert noisy.length == pytest.approx(42.5, abs=0.1)
    assert len(noisy.by_seed) == 8
    assert 0 < noisy.spread < 0.3
    assert "8 of 8 seeds" in str(noisy)


def test_noise_of_the_size_of_the_band_gives_no_plateau():
    clean = polygon((0, 1.0), (40, 1.0), (45, 0.1), (100, 0.1))
    noise = 0.05 * np.random.default_rng(2).normal(size=401)
    assert len(plateau(trajectory(clean.times, clean["eps_g"] + noise))) == 0


@pytest.mark.parametrize("horizon", [60, 100, 400])
def test_a_longer_horizon_changes_nothing_once_the_curve_has_settled(horizon):
    curve = trajectory(np.arange(0, horizon, 0.25), np.interp(np.arange(0, horizon, 0.25), [20, 22], [1.0, 0.0]))
    assert plateau(curve).length == pytest.approx(21)


def test_coarse_sampling_is_interpolated():
    coarse = polygon((0, 1.0), (20, 1.0), (24, 0.0), (40, 0.0), samples=21)
    assert plateau(coarse).length == pytest.approx(22)


def test_prints_as_a_table():
    lines = str(plateau(STAIRS)).splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:6] == ["start", "flat", "until", "end", "length", "height"]
    assert lines[2].split()[:4] == ["0", "20.4", "21", "21"]


@st.composite
def staircases(draw):
    steps = draw(st.integers(1, 3))
    corners, time, value = [], 0.0, 4.0
    for _ in range(steps):
        corners.append((time, value))
        time += draw(st.floats(5, 30))
        corners.append((time, value))
        time += draw(st.floats(0.2, 6))
        value -= draw(st.floats(0.3, 1.3))
    return polygon(*corners, (time, value), (time + 20, value), samples=301)


@given(curve=staircases(), shift=st.floats(-3, 3), log_scale=st.floats(-6, 6), log_time=st.floats(-6, 6))
def test_unchanged_by_units_of_value_and_time(curve, shift, log_scale, log_time):
    scale, unit = 10**log_scale, 10**log_time
    found = plateau(curve)
    mapped = plateau(trajectory(unit * curve.times, scale * (curve["eps_g"] + shift)))
    assert len(mapped) == len(found)
    for one, other in zip(found, mapped, strict=True):
        assert other.length == pytest.approx(unit * one.length, rel=1e-6)
        assert other.flat_until == pytest.approx(unit * one.flat_until, rel=1e-6)
        assert other.height == pytest.approx(scale * (one.height + shift), rel=1e-6, abs=1e-6 * scale)
        assert other.drop_to == pytest.approx(scale * (one.drop_to + shift), rel=1e-6, abs=1e-6 * scale)


@given(curve=staircases())
def test_plateaus_are_ordered_disjoint_and_above_their_drop(curve):
    found = plateau(curve)
    for item in found:
        assert item.start < item.flat_until <= item.end
        assert item.drop_to < item.height
    for one, other in itertools.pairwise(found):
        assert one.flat_until <= other.start


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": 0.25}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"contrast": 1.0}, "contrast"),
        ({"observable": "loss"}, "observable"),
    ],
)
def test_refusals_name_the_argument(arguments, named):
    with pytest.raises(SpecificationError, match=f"^{named}: expected"):
        plateau(STAIRS, **arguments)


def test_refuses_an_observable_that_is_not_scalar_or_not_finite():
    levels = Trajectory(
        STAIRS.times,
        {"eps_g": STAIRS["eps_g"], "level_fraction": np.ones((1001, 4))},
        {},
        None,
        None,
        STAIRS.provenance,
    )
    with pytest.raises(SpecificationError, match="expected one of eps_g, received 'level_fraction'"):
        plateau(levels, "level_fraction")
    with pytest.raises(SpecificationError, match="finite values of eps_g"):
        plateau(trajectory([0, 1, 2], [1, np.nan, 0]))


def test_the_drop_ends_at_the_dip_when_the_next_plateau_is_higher():
    first, second = plateau(polygon((0, 1.0), (20, 1.0), (22, 0.0), (24, 0.8), (44, 0.8), (46, 0.0), (60, 0.0)))
    assert first.drop_to == pytest.approx(0, abs=0.05)
    assert first.end == pytest.approx(21, abs=0.05)
    assert second.height == pytest.approx(0.8)


def of_a_model(times, values, error=None, **changes):
    """A curve with a model behind it, as of a limit with this error of its own."""
    grid = Uniform(bits=3, range=2.0, kind=changes.pop("kind", "mid-tread"))
    model = LinearModel(weight_quantizer=grid, **({"teacher": Constant(1.0), "init": Normal(std=0.1)} | changes))
    curve = trajectory(times, values)
    provenance = dataclasses.replace(curve.provenance, model=model)
    return dataclasses.replace(curve, error={} if error is None else {"eps_g": error}, provenance=provenance)


TIMES = np.linspace(0, 10, 201)
STEP = np.where(TIMES < 5, 1.0, np.where(TIMES > 5.5, 0.0, 11 - 2 * TIMES))


def test_what_a_curve_does_within_its_own_error_is_no_plateau():
    assert len(plateau(of_a_model(TIMES, 0.5 + 1e-9 * STEP, np.full(201, 1e-10)))) == 1
    found = plateau(of_a_model(TIMES, 0.5 + 1e-9 * STEP, np.full(201, 2e-9)))
    assert not len(found)
    assert "less than the solver's own error of 2e-09" in str(found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "mid-rise"}, "lie on the threshold 0 on average"),
        ({"init": Normal(std=1.0)}, "spread over cells of width 0.667"),
        ({"teacher": Normal(std=1.0)}, "targets are spread"),
        ({}, "plateau_estimate"),
    ],
)
def test_none_says_why(changes, words):
    found = plateau(of_a_model(TIMES, np.exp(-TIMES), **changes))
    assert str(found).startswith("Plateaus of eps_g (tolerance 0.05, contrast 3): none, for ")
    assert words in found.reason


def test_a_flat_end_without_a_drop_asks_for_more_time():
    assert "make t_end larger" in plateau(of_a_model(TIMES, 1 + np.tanh(TIMES))).reason
    assert plateau(of_a_model(TIMES, STEP)).reason == ""
