"""Momentum: the algorithm as written, the limit of the straight-through gradient at eta/(1 - beta), and runs of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    STE,
    ClippedSurrogate,
    LinearModel,
    Momentum,
    Normal,
    Schedule,
    Uniform,
    deployments,
    fixed_points,
    fluctuations,
    plateau_estimate,
    simulate,
    solve,
    stability,
)
from steode.bridge import entrywise_function
from steode.systems.linear.literal.system import linear_system
from tests.composition import BASE, MODELS

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(
    teacher=Normal(std=1.0),
    weight_quantizer=GRID,
    input_quantizer=GRID,
    init=Normal(std=0.5),
    learning_rate=0.1,
    noise=0.3,
    update_rule=Momentum(0.8),
)
TIMES = np.array([0.5, 1.0, 2.0, 4.0])
STEPS, DIM, BATCH = 6, 40, 2


@pytest.mark.representative
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("changes", [{"weight_decay": 0.7}, {"surrogate": ClippedSurrogate(0.9)}], ids=str)
def test_the_steps_are_the_algorithm_as_written(nesterov, changes):
    schedule = Schedule("0.4/(1 + tau)")
    rule = Momentum(0.7, nesterov=nesterov)
    model = MODEL.replace(batch_size=BATCH, learning_rate=schedule, update_rule=rule, **changes)
    generator = np.random.default_rng(0)
    teacher, weights = generator.standard_normal((2, DIM))
    with jax.enable_x64(True):
        system = linear_system(model, DIM, "float64", entrywise_function)
        numbers = generator.standard_normal((STEPS, system.normals))
        samples = system.sample(jnp.asarray(teacher), jnp.asarray(numbers))
        state = system.begin(jnp.asarray(weights))
        for k in range(STEPS):
            state, _ = system.step(jnp.asarray(teacher), state, jax.tree.map(lambda array, k=k: array[k], samples), k)
        found = np.asarray(system.weights(state))
    buffer = np.zeros(DIM)
    for k, own in enumerate(numbers.reshape(STEPS, BATCH, DIM + 1)):
        inputs = GRID(own[:, :DIM])
        labels = own[:, :DIM] @ teacher / np.sqrt(DIM) + 0.3 * own[:, DIM]
        gradient = np.mean((inputs @ GRID(weights) / np.sqrt(DIM) - labels)[:, None] * inputs, axis=0)
        if model.weight_decay:
            gradient += 0.7 * weights / np.sqrt(DIM)
        else:
            gradient *= np.abs(weights) < 0.9
        buffer = 0.7 * buffer + gradient
        move = gradient + 0.7 * buffer if nesterov else buffer
        weights = weights - 0.4 / (1 + k / DIM) / np.sqrt(DIM) * move
    assert found == pytest.approx(weights, abs=1e-12)


OPTIONS = [name for name, model in MODELS.items() if isinstance(model.update_rule, STE) and name != "schedule"]


@pytest.mark.parametrize("name", OPTIONS)
def test_the_limit_is_the_one_of_the_ste_at_the_effective_rate(name):
    model = MODELS[name]
    slow = model.replace(learning_rate=model.learning_rate / 4, update_rule=Momentum(0.75))
    ours, theirs = (solve(each, 1.0, times=[0.5, 1.0], tolerance=1e-2) for each in (slow, model))
    for observable in theirs.observables:
        assert ours[observable] == pytest.approx(theirs[observable], rel=1e-9, abs=1e-12)


@pytest.mark.representative
def test_stationary_verbs_are_those_of_the_ste():
    slow = BASE.replace(learning_rate=BASE.learning_rate / 4, update_rule=Momentum(0.75))
    (ours,), (theirs,) = (fixed_points(each) for each in (slow, BASE))
    assert pytest.approx(theirs.V, rel=1e-12) == ours.V
    gains = [stability(point).largest_learning_rate for point in (ours, theirs)]
    assert gains[0] == pytest.approx(gains[1] / 4, rel=1e-9, nan_ok=True)
    assert plateau_estimate(slow).length == pytest.approx(plateau_estimate(BASE).length, rel=1e-12)
    assert deployments(slow).rounded_average == pytest.approx(deployments(BASE).rounded_average, rel=1e-9)


@pytest.mark.parametrize("rule", [Momentum(0.8), Momentum(0.8, nesterov=True)], ids=str)
def test_runs_follow_the_limit_and_scatter_as_predicted(rule):
    model, seeds, dim = MODEL.replace(update_rule=rule, batch_size=2, weight_decay=0.1), 100, 1000
    limit = solve(model, 4.0, times=TIMES)
    spread = fluctuations(model, 4.0, times=TIMES, observable=("eps_g", "q"))
    runs = simulate(model, dim=dim, t_end=4.0, times=TIMES, seeds=seeds, key=3)
    for name in ("eps_g", "q"):
        error = runs[name].std(axis=0, ddof=1) / np.sqrt(seeds)
        assert np.all(np.abs(runs[name].mean(axis=0) - limit[name]) < 4 * error), name
        ratio = runs[name].var(axis=0, ddof=1) * dim / spread.variance(name)
        assert np.all(np.abs(ratio - 1) < 4 * np.sqrt(2 / (seeds - 1))), name
