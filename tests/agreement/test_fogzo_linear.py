"""What FOGZO does on the linear system: the STE under its own learning rate, frozen starts, fixed points."""

import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    FOGZO,
    STE,
    Constant,
    LinearModel,
    Normal,
    Schedule,
    TwoPoint,
    Uniform,
    fixed_points,
    simulate,
    solve,
)

MODEL = LinearModel(
    weight_quantizer=Uniform(bits=2, range=2.0),
    teacher=TwoPoint(1.0),
    noise=0.2,
    learning_rate=0.3,
    update_rule=FOGZO(c=0.0, eps=0.3),
)
"""Targets between two levels, -2, -2/3, 2/3 and 2."""


def test_without_a_random_part_it_is_the_ste_under_the_schedule_eta_p():
    times = 2 * np.linspace(0, 1, 301) ** 2
    own = solve(MODEL, 2.0, times=times, tolerance=1e-3)
    slope = jnp.asarray(own["mean_slope"])
    rate = Schedule(lambda tau: 0.3 * jnp.interp(tau, jnp.asarray(times), slope))
    same = solve(MODEL.replace(update_rule=STE(), learning_rate=rate), 2.0, times=times, tolerance=1e-3)
    plain = solve(MODEL.replace(update_rule=STE()), 2.0, times=times, tolerance=1e-2)
    # both have the error their tolerance allows, of the largest eps_g
    for name in ("eps_g", "q", "m", "std_w"):
        assert np.abs(own[name] - same[name]).max() < 1e-3 * np.abs(own[name]).max(), name
    assert np.abs(own["eps_g"] - plain["eps_g"]).max() > 0.05 * own["eps_g"].max()


def test_a_point_inside_a_cell_never_moves():
    for start in (0.3, 1.0):
        model = MODEL.replace(init=Constant(start), update_rule=FOGZO(c=2.0, eps=0.3))
        limit = solve(model, 5.0, times=[0.0, 2.5, 5.0], tolerance=1e-3)
        np.testing.assert_array_equal(limit["mean_slope"], 0.0)
        np.testing.assert_allclose(limit["eps_g"], limit["eps_g"][0], rtol=1e-12)
        # the nearest threshold is 0.3 away, further than any perturbation of a run reaches: 8 sqrt(7) eps/sqrt(d)
        runs = simulate(model, 1600, 1.0, seeds=2, times=[0.0, 1.0], snapshot_times=[1.0])
        np.testing.assert_array_equal(runs.snapshots.weights[:, -1], np.float32(start))


def test_few_weights_near_thresholds_make_a_plateau_that_the_ste_does_not_have():
    """At the start the STE goes down at the rate eta, FOGZO at eta p."""
    thresholds, step = MODEL.weight_quantizer.thresholds, np.diff(MODEL.weight_quantizer.levels)
    rates = {}
    for std in (0.2, 0.3):
        # around the middle of the cell between 0 and 4/3
        start = MODEL.replace(init=Normal(mean=2 / 3, std=std))
        limit = solve(start, 0.02, times=[0.0, 0.02], tolerance=1e-3)
        expected = step @ np.exp(-(((thresholds - 2 / 3) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))
        assert limit["mean_slope"][0] == pytest.approx(expected, rel=0.02)
        rates[std] = limit["mean_slope"][0]
    assert rates[0.2] < 0.1 * rates[0.3]


@pytest.mark.representative
def test_the_learning_rate_at_the_fixed_point_is_the_square_root_of_eta():
    """theta^2 = 2 eta (1 + c/n) D V/B, and D and V have limits as eta vanishes."""
    rates = np.array([1e-5, 1e-4])
    rule = FOGZO(c=2.0, eps=0.3, n=2)
    points = [fixed_points(MODEL.replace(learning_rate=float(rate), update_rule=rule))[0] for rate in rates]
    effective = rates * [point.mean_slope for point in points]
    # the correction is of relative order theta/W, W = 4/3 the width of a cell; theta is 0.0066 at eta = 1e-4
    assert np.log(effective[1] / effective[0]) / np.log(10) == pytest.approx(0.5, abs=0.01)
    dithering = (1 - 2 / 3) * (2 - 1)  # the variance between the levels 2/3 and 2 with mean 1
    loss = dithering + MODEL.noise**2
    np.testing.assert_allclose(effective, np.sqrt(2 * rates * dithering / (2 * loss)), rtol=0.02)


def test_relaxation_at_a_small_learning_rate_ends_at_the_fixed_point():
    model = MODEL.replace(learning_rate=0.3, init=Normal(mean=0.0, std=0.8))
    point = fixed_points(model)[0]
    times = np.linspace(0, 30, 61)
    limit = solve(model, 30.0, times=times, tolerance=1e-3)
    assert limit["eps_g"][-1] == pytest.approx(point.eps_g, rel=0.01)
    assert limit["mean_slope"][-1] == pytest.approx(point.mean_slope, rel=0.01)
