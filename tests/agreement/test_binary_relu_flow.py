"""Coarse-gradient descent against its flow: rates in the step and in the samples, and what each surrogate does."""

import numpy as np
import pytest

from steode import binary_relu
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


def distance(runs, flow) -> float:
    """Root mean square distance of the final angles, over runs."""
    return float(np.sqrt(np.mean((runs.theta[..., -1] - flow.end_theta) ** 2)))


def rate(sizes, gaps) -> float:
    return float(np.polyfit(np.log(sizes), np.log(gaps), 1)[0])


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_descent_on_the_population_approaches_the_flow_with_the_step(surrogate):
    steps = (0.1, 0.05, 0.025, 0.0125)
    flow = binary_relu.solve(model_of(surrogate), starts_of(model_of(surrogate)), TIME, points=2)
    gaps = []
    for step in steps:
        model = model_of(surrogate, step)
        count = round(TIME / step)
        gaps.append(distance(binary_relu.descend(model, starts_of(model), count, every=count), flow))
    assert abs(rate(steps, gaps) - 1) < 0.1
    assert gaps[-1] < 0.02


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_online_training_approaches_the_descent_as_the_batch_grows(surrogate):
    model, count, batches = model_of(surrogate), 80, (64, 256, 1024)
    starts = starts_of(model)
    exact = binary_relu.descend(model, starts, count, every=count)
    gaps = []
    for batch in batches:
        runs = binary_relu.simulate(model, starts, count, batch=batch, seeds=16, every=count, key=batch)
        gaps.append(float(np.sqrt(np.mean((runs.theta[..., -1] - exact.theta[:, -1]) ** 2))))
    assert abs(rate(batches, gaps) + 0.5) < SLACK * 0.5


def test_training_on_one_data_set_approaches_the_descent_as_it_grows():
    model, count, sizes = model_of("relu"), 80, (100, 400, 1600)
    starts = starts_of(model)
    exact = binary_relu.descend(model, starts, count, every=count)
    gaps = []
    for samples in sizes:
        runs = binary_relu.simulate(model, starts, count, samples=samples, seeds=16, every=count, key=samples)
        gaps.append(float(np.sqrt(np.mean((runs.theta[..., -1] - exact.theta[:, -1]) ** 2))))
        assert runs.method == "batch"
    assert abs(rate(sizes, gaps) + 0.5) < SLACK * 0.5


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
