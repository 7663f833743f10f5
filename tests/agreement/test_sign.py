"""The sign of the gradient: the step as written, check values of its limit, its stationary states, and runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from steode import (
    AdditiveNoise,
    ClippedSurrogate,
    Constant,
    Identity,
    Levels,
    LinearModel,
    Normal,
    SignSGD,
    StochasticRounding,
    TwoPoint,
    Uniform,
    compare,
    fixed_points,
    limit_function,
    optimal_range,
    simulate,
    solve,
)
from steode.bridge import entrywise_function
from steode.parts.stochastic import grid_of, with_grid
from steode.systems.linear.literal.system import linear_system

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(
    teacher=Constant(1.0),
    weight_quantizer=GRID,
    input_quantizer=GRID,
    init=Normal(std=1.0),
    learning_rate=0.1,
    noise=0.1,
    update_rule=SignSGD(),
)
WEIGHTS_ONLY = MODEL.replace(weight_quantizer=Uniform(bits=3, range=2.0), input_quantizer=Identity())
TIMES = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0]


@pytest.mark.representative
@pytest.mark.parametrize("changes", [{"weight_decay": 0.7}, {"surrogate": ClippedSurrogate(0.9)}], ids=str)
def test_a_step_is_the_algorithm_as_written(changes):
    dim, batch, steps = 30, 3, 5
    model = MODEL.replace(batch_size=batch, input_quantizer=Uniform(3, 2.0, kind="mid-tread"), **changes)
    generator = np.random.default_rng(0)
    teacher, weights = generator.standard_normal((2, dim))
    with jax.enable_x64(True):
        system = linear_system(model, dim, "float64", entrywise_function)
        numbers = generator.standard_normal((steps, system.normals))
        samples = system.sample(jnp.asarray(teacher), jnp.asarray(numbers))
        state = system.begin(jnp.asarray(weights))
        for k in range(steps):
            state, _ = system.step(jnp.asarray(teacher), state, jax.tree.map(lambda array, k=k: array[k], samples), k)
        found = np.asarray(system.weights(state))
    for own in numbers.reshape(steps, batch, dim + 1):
        inputs = model.input_quantizer(own[:, :dim])
        labels = own[:, :dim] @ teacher / np.sqrt(dim) + 0.1 * own[:, dim]
        gradient = np.mean((inputs @ GRID(weights) / np.sqrt(dim) - labels)[:, None] * inputs, axis=0)
        moved = 0.1 / np.sqrt(dim) * np.sign(gradient) * (np.abs(weights) < 0.9 if "surrogate" in changes else 1)
        weights = weights - moved - 0.1 * model.weight_decay / dim * weights
    assert found == pytest.approx(weights, abs=1e-12)


@pytest.mark.representative
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (MODEL, [1.0974, 1.0114, 0.9253, 0.6991, 0.4293, 0.1451, 0.1636]),
        (WEIGHTS_ONLY, [0.9762, 0.9004, 0.8265, 0.6251, 0.3530, 0.0657, 0.0311]),
    ],
    ids=["both quantized", "weights only"],
)
def test_the_density_has_the_values_of_another_solver(model, expected):
    assert solve(model, 40.0, times=TIMES)["eps_g"] == pytest.approx(expected, abs=1e-4)


STATIONARY = {
    "both quantized": MODEL,
    "batch": MODEL.replace(batch_size=4),
    "weight decay": WEIGHTS_ONLY.replace(weight_decay=0.1),
    "target beyond the range": MODEL.replace(teacher=TwoPoint(3.0, 0.8)),
    "rounded weights": WEIGHTS_ONLY.replace(weight_quantizer=StochasticRounding(Uniform(3, 2.0))),
    "noisy weights and output": WEIGHTS_ONLY.replace(
        weight_quantizer=AdditiveNoise(0.1), activation=AdditiveNoise(0.2), residual_quantizer=AdditiveNoise(0.3)
    ),
}


@pytest.mark.representative
@pytest.mark.parametrize("name", STATIONARY)
def test_the_fixed_point_is_where_the_density_ends(name):
    (point,) = fixed_points(STATIONARY[name])
    # the late rate of a target beyond the range is that of a threshold which is left for good
    end = 3000.0 if name == "target beyond the range" else 400.0
    limit = solve(STATIONARY[name], end, times=[end])
    assert limit["eps_g"][-1] == pytest.approx(point.eps_g, rel=2e-3 if end > 400 else 5e-4)
    parts = ("input", "dithering", "clipping", "decay", "noise")
    terms = [getattr(point, f"{part}_term") for part in parts]
    assert sum(terms) == pytest.approx(point.eps_g, rel=1e-9)
    assert min(terms) >= 0


@pytest.mark.representative
def test_the_target_is_not_that_of_the_gradient():
    entry = Levels([-2.0, -0.2, 0.2, 2.0])
    (point,) = fixed_points(MODEL.replace(input_quantizer=entry, learning_rate=1e-3))
    cuts = np.concatenate([[-np.inf], entry.thresholds, [np.inf]])
    shares, heights = np.diff(scipy.special.ndtr(cuts)), np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)
    sums = heights[:-1] - heights[1:]
    target = (np.sign(entry.levels) @ sums) / (np.abs(entry.levels) @ shares)
    correlation, square = entry.levels @ sums, entry.levels**2 @ shares
    best = 1 - correlation**2 / square
    assert point.input_term == pytest.approx((1 - 2 * correlation * target + square * target**2) / 2, rel=1e-9)
    assert point.input_term > 1.5 * best / 2


@pytest.mark.representative
def test_without_quantizers_the_floor_is_the_closed_form():
    # V = theta/2 with theta = eta pi sqrt(V)/2
    recovered, point = fixed_points(LinearModel(teacher=Constant(1.0), learning_rate=0.3, update_rule=SignSGD()))
    assert recovered.V == 0
    assert recovered.gain == np.inf
    assert pytest.approx((0.3 * np.pi / 4) ** 2, rel=1e-9) == point.V


@pytest.mark.representative
def test_the_traced_density_is_the_one_of_solve_and_knows_the_input_range():
    expected = solve(MODEL, 5.0, times=[1.0, 5.0])["eps_g"]
    function = limit_function(MODEL, [1.0, 5.0], intervals=1024, teacher_values=16)
    with jax.enable_x64(True):
        found = function(function.parameters)["eps_g"]
        wider = function({"input_range": 2.2})["eps_g"]
    assert found == pytest.approx(expected, rel=2e-3)
    again = solve(MODEL.replace(input_quantizer=Uniform(2, 2.2)), 5.0, times=[1.0, 5.0])["eps_g"]
    assert wider == pytest.approx(again, rel=2e-3)


RUNS = {
    "both quantized": MODEL.replace(learning_rate=0.3),
    "batch, zero level": MODEL.replace(
        learning_rate=0.3, batch_size=3, input_quantizer=Uniform(3, 2.0, kind="mid-tread")
    ),
    "normal teacher, decay": WEIGHTS_ONLY.replace(teacher=Normal(std=1.0), learning_rate=0.3, weight_decay=0.2),
    "random maps": MODEL.replace(
        weight_quantizer=StochasticRounding(Uniform(3, 3.0)),
        input_quantizer=StochasticRounding(GRID),
        label_quantizer=AdditiveNoise(0.3),
        learning_rate=0.3,
    ),
    "clipped": MODEL.replace(surrogate=ClippedSurrogate(1.6), learning_rate=0.3),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.representative] * (n == "batch, zero level")) for n in RUNS]
)
def test_runs_follow_the_limit(name):
    model, times = RUNS[name], [0.5, 1.0, 2.0, 4.0, 8.0]
    limit = solve(model, 8.0, times=times, tolerance=5e-4)
    runs = [simulate(model, dim, 8.0, times=times, seeds=16, key=dim) for dim in (1000, 4000)]
    first, second = (compare(limit, each) for each in runs)
    if np.abs(first.z).max() < 4:
        return
    # the gap of d = 1000 to the limit falls as d^-1/2 at most
    gap, error = 2 * second.gap - first.gap, np.hypot(2 * second.standard_error, first.standard_error)
    assert np.abs(gap / error).max() < 4


@pytest.mark.representative
@pytest.mark.parametrize("entry", [Uniform(bits=2, range=1.0), StochasticRounding(Uniform(bits=3, range=1.0))], ids=str)
def test_the_best_input_range_is_the_one_with_the_smallest_fixed_point(entry):
    # the averages of the inputs are no linear function of their range
    found = optimal_range(MODEL.replace(input_quantizer=entry, learning_rate=0.02), "input_range")
    assert found.eps_g == pytest.approx(fixed_points(found.model)[0].eps_g, rel=1e-6)
    for factor in (0.98, 1.02):
        grid = dataclasses.replace(grid_of(found.model.input_quantizer), range=factor * found.range)
        other = found.model.replace(input_quantizer=with_grid(entry, grid))
        assert fixed_points(other)[0].eps_g > found.eps_g
