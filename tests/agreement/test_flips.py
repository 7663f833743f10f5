"""Rates of flips: the step's length by Monte Carlo, the density's share by an identity, limits and refusals."""

import dataclasses

import numpy as np
import pytest
from scipy.special import ndtr

from steode import (
    ClippedSurrogate,
    Constant,
    Eigenvalues,
    LinearModel,
    Momentum,
    SignSGD,
    SpecificationError,
    StochasticRounding,
    TwoPoint,
    Uniform,
    UnsupportedError,
    fixed_points,
    flips,
    simulate,
    solve,
)
from steode.systems.linear.step_length import mean_steps

pytestmark = pytest.mark.representative

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, input_quantizer=GRID, noise=0.3, learning_rate=0.3)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("eigenvalue", [1.0, 2.5])
def test_the_length_of_a_step_is_that_of_sampled_ones(batch, eigenvalue):
    model, V = MODEL.replace(batch_size=batch), 0.7
    spectrum = Eigenvalues((eigenvalue,))
    model = model.replace(spectrum=spectrum)
    generator = np.random.default_rng(0)
    residuals = np.sqrt(V) * generator.normal(size=(400_000, batch))
    inputs = GRID(np.sqrt(eigenvalue) * generator.normal(size=(400_000, batch)))
    lengths = 0.3 * np.abs((residuals * inputs).mean(axis=1))
    error = lengths.std() / np.sqrt(lengths.size)
    assert abs(lengths.mean() - float(mean_steps(model, V, np.array([eigenvalue]))[0])) < 4 * error


def test_flips_times_jumps_are_the_dithering():
    """At stationarity d/dtau E (w - T)^2 = 0 ties the density at thresholds to the variance of Q."""
    model = MODEL.replace(teacher=TwoPoint(0.9))
    point = fixed_points(model)[0]
    found = flips(point)
    # alpha_2 E Var(Q | w*) = (eta alpha_2 V/2) sum of jumps times densities; all jumps are equal here
    alpha_2 = GRID.levels[0] ** 2 * 2 * ndtr(GRID.thresholds[0]) + GRID.levels[1] ** 2 * (
        1 - 2 * ndtr(GRID.thresholds[0])
    )
    density = found.total / float(mean_steps(model, point.V, None))
    jump = 4 / 3
    assert 2 * point.dithering_term == pytest.approx(0.3 * alpha_2 * point.V / 2 * jump * density, rel=1e-6)


def test_at_small_rates_the_rate_does_not_matter():
    model = MODEL.replace(input_quantizer=MODEL.input_quantizer, learning_rate=0.01)
    rates = [flips(fixed_points(model.replace(learning_rate=rate))[0]).total for rate in (0.005, 0.01)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-4)
    plain = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, learning_rate=0.01)
    point = fixed_points(plain)[0]
    target, low, high = 1.0, 2 / 3, 2.0
    wanted = 4 / np.pi * (target - low) * (high - target) / ((high - low) * np.sqrt(point.V))
    assert flips(point).total == pytest.approx(wanted, rel=1e-5)


def test_the_limit_tends_to_the_fixed_point():
    model = MODEL.replace(learning_rate=0.5)
    times = [1.0, 40.0]
    found = flips(solve(model, 40.0, times=times, snapshot_times=times, tolerance=1e-4))
    assert found.rate.shape == (2, 3)
    assert found.total[1] == pytest.approx(flips(fixed_points(model)[0]).total, rel=2e-3)
    assert "infinity" in repr(flips(fixed_points(model)[0]))


def test_thresholds_beyond_the_bound_are_not_passed():
    model = MODEL.replace(surrogate=ClippedSurrogate(1.0))
    found = flips(solve(model, 2.0, times=[2.0], snapshot_times=[2.0], tolerance=1e-3))
    assert np.array_equal(found.rate[0] > 0, [False, True, False])


def test_exact_recovery_has_no_flips():
    model = LinearModel(teacher=Constant(2 / 3), weight_quantizer=GRID, learning_rate=0.3)
    assert flips(fixed_points(model)[0]).total == 0


def test_counts_are_those_of_the_weights():
    options = {"dim": 30, "t_end": 2 / 30, "seeds": 2, "key": 3, "dtype": "float64"}
    every = simulate(MODEL, times=[0.0, 1 / 30, 2 / 30], snapshot_times=[1 / 30, 2 / 30], flips=True, **options)
    cells = np.searchsorted(GRID.thresholds, every.snapshots.weights, side="right")
    passed = [
        (np.minimum(a, b) <= j) & (j < np.maximum(a, b)) for a, b in [(cells[:, :-1], cells[:, 1:])] for j in range(3)
    ]
    wanted = np.cumsum(np.stack([entry.mean(axis=2) for entry in passed], axis=-1), axis=1)
    assert np.array_equal(every["crossings"][:, 1:], wanted)
    assert not every["crossings"][:, 0].any()
    plain = simulate(MODEL, times=[0.0, 1 / 30, 2 / 30], snapshot_times=[1 / 30, 2 / 30], **options)
    assert np.array_equal(plain.snapshots.weights, every.snapshots.weights)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"update_rule": Momentum(0.9)}, "sum over gradients"),
        ({"weight_quantizer": StochasticRounding(GRID)}, "no levels that stay"),
        ({"input_quantizer": StochasticRounding(GRID)}, "random given x"),
        ({"residual_quantizer": GRID}, "not normal"),
    ],
)
def test_steps_of_unknown_law_are_refused(changes, reason):
    point = dataclasses.replace(fixed_points(MODEL)[0], model=MODEL.replace(**changes))
    with pytest.raises(UnsupportedError, match=f"{reason}.*flips=True"):
        flips(point)


def test_bad_requests_are_refused():
    with pytest.raises(SpecificationError, match="snapshot_times"):
        flips(solve(MODEL, 1.0, times=[1.0], tolerance=1e-2))
    with pytest.raises(SpecificationError, match="FixedPoint"):
        flips(MODEL)
    with pytest.raises(SpecificationError, match="crossings"):
        flips(simulate(MODEL, 10, 1.0))
    with pytest.raises(SpecificationError, match="step function"):
        simulate(LinearModel(teacher=Constant(1.0)), 10, 1.0, flips=True)
    with pytest.raises(SpecificationError, match="window"):
        flips(simulate(MODEL, 10, 1.0, times=[1.0], flips=True))


def test_the_sign_of_a_gradient_moves_by_equal_steps():
    model = MODEL.replace(update_rule=SignSGD())
    assert float(mean_steps(model, 0.1, None)) == float(mean_steps(model, 5.0, None)) == pytest.approx(0.3)
