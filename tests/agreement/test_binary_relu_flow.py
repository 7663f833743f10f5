"""Coarse-gradient descent against its flow: rates in the step and in the samples, and what each surrogate does."""

import dataclasses

import numpy as np
import pytest

from steode import SpecificationError, binary_relu
from steode.systems.binary_relu.surrogates import SURROGATES

TEACHER = (1.0, -0.5, 2.0)
TIME = 4.0
SLACK = 0.35
"""Largest deviation of an observed rate from the predicted one."""


def model_of(surrogate, step=0.05) -> binary_relu.BinaryReLUModel:
    return binary_relu.BinaryReLUModel(
        rows=3, filter_size=4, output_teacher=TEACHER, filter_teacher=(1, 2, -1, 0.5), surrogate=surrogate, step=step
    )


def starts_of(model) -> binary_relu.Starts:
    # far from w = 0, where the least noise decides to which side w falls
    return binary_relu.starts(model, [[1, 0.5, 1], [0.8, -0.2, 0.9]], [1.2, 2.2], 3.0)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_descent_approaches_the_flow_with_the_step_and_the_population_with_the_batch(surrogate):
    model = model_of(surrogate)
    found = binary_relu.convergence(model, starts_of(model), TIME, key=7)
    assert abs(found.step_power - 1) < 0.1
    assert found.step_distance[-1] < 0.02
    assert abs(found.batch_power + 0.5) < SLACK * 0.5
    assert "expected -1/2" in repr(found)


def test_training_on_one_data_set_approaches_the_descent_as_it_grows():
    model = model_of("relu")
    found = binary_relu.convergence(model, starts_of(model), TIME, steps=(), batches=(), samples=(100, 400, 1600))
    assert abs(found.sample_power + 0.5) < SLACK * 0.5
    assert found.steps.size == 0
    assert np.isnan(found.batch_power)


@pytest.mark.parametrize("quantity", ["theta", "length", "loss"])
def test_runs_are_compared_at_common_times(quantity):
    model = model_of("relu")
    starts = starts_of(model)
    exact, flow = binary_relu.descend(model, starts, 40, every=5), binary_relu.solve(model, starts, 2.0, points=5)
    runs = binary_relu.simulate(model, starts, 40, batch=1024, seeds=8, every=5)
    assert runs.method == "online"
    found = binary_relu.compare(exact, runs, quantity)
    # a large batch: the mean is off by far less than its standard error
    assert found.largest_z < 4.5
    np.testing.assert_allclose(found.times, exact.times)
    assert np.all(np.isnan(found.z[:, 0]))
    stepped = binary_relu.compare(flow, exact, quantity)
    np.testing.assert_allclose(stepped.times, flow.times)
    assert 0 < stepped.largest_deviation < 0.1
    assert stepped.z is None
    with pytest.raises(SpecificationError, match="times"):
        binary_relu.compare(
            binary_relu.solve(model, starts, 1.99, points=2), dataclasses.replace(exact, steps=exact.steps + 1)
        )


def test_flow_is_saved_and_its_endings_are_named(tmp_path):
    model = model_of("identity")
    starts = binary_relu.starts(model, [[1, 0.5, 1], [1, 0.5, 1], [-1, 0, -1]], [0.3, 1.5, 2.8], [2, 0.02, 1.0])
    flow = binary_relu.solve(model, starts, 60.0, points=4, smallest=1e-2)
    ends = binary_relu.endings(flow)
    assert ends[0] == "global minimum"
    assert "vanished" in ends[1:]
    found = binary_relu.load(flow.save(tmp_path / "flow.nc"))
    assert repr(found) == repr(flow)
    for field in dataclasses.fields(flow)[1:]:
        np.testing.assert_array_equal(getattr(found, field.name), getattr(flow, field.name))
    np.testing.assert_array_equal(binary_relu.endings(found), ends)
    short = binary_relu.solve(model, starts, 0.1, points=2, smallest=1e-3)
    assert binary_relu.endings(short)[0] == "elsewhere"
    for wrong in ({"flow": None}, {"flow": flow, "tolerance": 0}):
        with pytest.raises(SpecificationError):
            binary_relu.endings(**wrong)


def test_test_loss_of_a_run_is_the_population_loss_of_its_weights():
    model = model_of("clipped relu")
    runs = binary_relu.simulate(model, starts_of(model), 40, batch=32, seeds=4, every=40)
    for seed in range(4):
        last = binary_relu.starts(model, runs.v[seed, :, -1], runs.theta[seed, :, -1], runs.length[seed, :, -1])
        z = (runs.loss[seed] - binary_relu.gradients(model, last).loss) / runs.loss_error[seed]
        assert np.abs(z).max() < 4.5


@pytest.mark.parametrize("surrogate", ["relu", "clipped relu"])
def test_flow_ends_at_minima(surrogate):
    """Every start ends at a minimum, or where w vanished: the theorem needs |w| bounded from below."""
    model = model_of(surrogate)
    starts = binary_relu.random_starts(model, 40, key=3)
    flow = binary_relu.solve(model, starts, 2000.0)
    assert np.nanmax(np.diff(flow.loss, axis=1)) < 1e-9
    minima = {point.kind: point for point in binary_relu.fixed_points(model) if point.stable}
    assert set(minima) == {"global minimum", "spurious minimum"}
    reached = np.array([np.abs(flow.end_loss - point.loss) < 1e-6 for point in minima.values()])
    assert np.all(reached.any(axis=0) | (flow.outcome != "converged"))
    assert (flow.outcome == "converged").sum() > 20
    assert reached.sum(axis=1).min() > 0


def test_the_identity_shortens_w_at_the_spurious_minimum():
    """From theta = pi the length falls at the predicted rate until w vanishes."""
    model = model_of("identity")
    point = next(point for point in binary_relu.fixed_points(model) if point.kind == "spurious minimum")
    starts = binary_relu.starts(model, point.v, np.pi)
    flow = binary_relu.solve(model, starts, 10.0, smallest=1e-2)
    assert flow.outcome[0] == "vanished"
    assert flow.end_time[0] == pytest.approx((1 - 1e-2) / point.coarse_gradient, rel=1e-6)
    # the others stay there
    for surrogate in ("relu", "clipped relu"):
        resting = binary_relu.descend(model_of(surrogate), starts, 400)
        assert np.abs(resting.loss - point.loss).max() < 1e-12
    # in discrete steps w jumps over 0 and turns: the loss leaves the spurious minimum
    leaving = binary_relu.descend(model, starts, 2000)
    assert leaving.loss[0, -1] < point.loss - 0.1
