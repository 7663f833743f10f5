"""Dampening, Adam, and ranges that move: check values, stationary states, options together, and runs."""

import dataclasses
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    Adam,
    AdditiveNoise,
    Constant,
    DerivativeOf,
    Eigenvalues,
    Elementwise,
    FixedRange,
    FollowingRange,
    Identity,
    LearnedRange,
    LinearModel,
    Momentum,
    Normal,
    Schedule,
    SpecificationError,
    StochasticRounding,
    Ternary,
    TwoPoint,
    Uniform,
    UnsupportedError,
    compare,
    derive,
    fixed_points,
    optimal_range,
    resting_ranges,
    simulate,
    solve,
    stability,
)
from steode.bridge import entrywise_function
from steode.symbolic import symbols as sym
from steode.systems.linear.literal.system import linear_system
from tests.agreement.limit_of_ranges import assert_particles_agree, assert_runs_follow

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, init=Normal(std=1.0), learning_rate=0.1, noise=0.1)
QUANTIZED = MODEL.replace(input_quantizer=GRID)
TIMES = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0]
FOUR_BITS = Uniform(bits=3, range=3.5)


@pytest.mark.representative
def test_check_values_of_dampening():
    found = solve(MODEL.replace(dampening=2.0), 40.0, times=TIMES)["eps_g"]
    np.testing.assert_allclose(found, [1.0465, 0.9142, 0.8025, 0.5472, 0.2771, 0.0847, 0.0797], atol=2e-4)


@pytest.mark.representative
def test_check_values_of_learned_ranges():
    # learned with LSQ's gradient; the errors and the step between the levels
    model = QUANTIZED.replace(range_rule=LearnedRange.of_step(0.1, GRID))
    found = solve(model, 40.0, times=TIMES)
    np.testing.assert_allclose(found["eps_g"], [1.0974, 0.9099, 0.7535, 0.4533, 0.2041, 0.1594, 0.1502], atol=2e-4)
    steps = [1.3333, 1.3091, 1.2910, 1.2538, 1.2157, 1.1634, 0.8156]
    np.testing.assert_allclose(found["range"] * 2 / 3, steps, atol=3e-4)
    other = MODEL.replace(weight_quantizer=FOUR_BITS, learning_rate=0.2)
    found = solve(other.replace(range_rule=LearnedRange.of_step(0.3, FOUR_BITS)), 40.0, times=TIMES)
    np.testing.assert_allclose(found["eps_g"], [1.0414, 0.7249, 0.5130, 0.1948, 0.0676, 0.0034, 0.0014], atol=2e-4)
    np.testing.assert_allclose(found["range"] / 3.5, [1, 0.9762, 0.9558, 0.8976, 0.7692, 0.6734, 0.6609], atol=2e-4)


@pytest.mark.representative
@pytest.mark.parametrize(("bits", "step"), [(2, 0.8973), (3, 0.5342)])
def test_the_step_that_lsq_reaches_at_small_learning_rates(bits, step):
    model = LinearModel(teacher=Normal(std=1.0), weight_quantizer=Uniform(bits, 2.0), learning_rate=1e-3)
    (rest,) = resting_ranges(model.replace(range_rule=LearnedRange(rate=0.1)), points=5)
    assert rest.range * 2 / (2**bits - 1) == pytest.approx(step, abs=3e-4)
    assert rest.attracts
    # nearly the best range there is
    assert rest.eps_g < 1.03 * optimal_range(model).eps_g


def test_a_learned_range_comes_to_rest_where_its_fixed_point_is():
    # where a target sits on the last level the range nears it as a power of tau: here almost none does
    model = MODEL.replace(teacher=Normal(std=1.0), noise=0.3, range_rule=LearnedRange(rate=0.3))
    (rest,) = [rest for rest in resting_ranges(model, points=9) if rest.attracts]
    late = solve(model, 150.0, times=[150.0], tolerance=1e-3)
    assert late["range"][-1] == pytest.approx(rest.range, rel=2e-3)
    assert late["eps_g"][-1] == pytest.approx(rest.eps_g, rel=5e-3)


@pytest.mark.representative
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_dampened_weights_come_to_rest_at_the_fixed_point(decay):
    grid = Uniform(3, 2.0)
    model = MODEL.replace(teacher=TwoPoint(0.7), weight_quantizer=grid, dampening=0.5, weight_decay=decay)
    (point,) = fixed_points(model)
    late = solve(model, 200.0, times=[200.0], tolerance=1e-5)
    assert late["eps_g"][-1] == pytest.approx(point.eps_g, rel=1e-3)
    assert stability(point).stable


def test_the_floor_under_dampening_is_the_fixed_point_at_small_learning_rates():
    model = MODEL.replace(teacher=Constant(0.9), noise=0.3, dampening=0.6, learning_rate=1e-4)
    limit = derive(model)
    (floor,) = (equation.rhs for equation in limit.step("small-learning-rate floor").equation[-1:])
    # the one term whose condition holds, by hand: a between r L + k T on the two sides of a threshold
    r, k, a = 0.4, 0.6, 0.9
    levels, thresholds = np.asarray(GRID.levels), np.asarray(GRID.thresholds)
    values = []
    for j in range(3):
        low, high = a - k * thresholds[j] - r * levels[j], r * levels[j + 1] - a + k * thresholds[j]
        if low > 0 and high > 0:
            share = low / (low + high)
            values.append((1 - share) * (levels[j] - a) ** 2 + share * (levels[j + 1] - a) ** 2)
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
    for j in range(4):
        if edges[j] <= (a - r * levels[j]) / k <= edges[j + 1]:
            values.append((levels[j] - a) ** 2)
    (value,) = values
    assert floor.has(sym.alpha_2)
    (point,) = fixed_points(model)
    assert 2 * point.eps_g == pytest.approx(value, rel=1e-3)


@pytest.mark.representative
def test_the_memory_of_adam_vanishes_as_its_rate_grows():
    fast, short = (
        solve(QUANTIZED.replace(update_rule=rule), 10.0, times=[1.0, 3.0, 10.0], method="gaussian")["eps_g"]
        for rule in (Adam(second_moment_rate=300.0), Adam())
    )
    np.testing.assert_allclose(fast, short, rtol=5e-3)


@pytest.mark.representative
def test_adam_cannot_remove_the_dithering_floor():
    model = LinearModel(teacher=Normal(std=1.0), weight_quantizer=GRID, noise=0.1)
    floors = [
        fixed_points(model.replace(update_rule=Adam(), learning_rate=rate))[0].eps_g for rate in (1e-2, 1e-3, 1e-4)
    ]
    plain = fixed_points(model.replace(learning_rate=1e-4))[0].eps_g
    assert floors[-1] == pytest.approx(plain, rel=1e-3)
    assert floors[0] >= floors[1] >= floors[2]


@pytest.mark.representative
def test_a_step_of_adam_is_that_of_optax():
    optax = pytest.importorskip("optax")
    dim, steps = 20, 6
    rule = Adam(beta_1=0.8, second_moment_rate=3.0)
    model = MODEL.replace(batch_size=2, weight_decay=0.4, update_rule=rule)
    generator = np.random.default_rng(0)
    teacher, weights = generator.standard_normal((2, dim))
    with jax.enable_x64(True):
        system = linear_system(model, dim, "float64", entrywise_function)
        samples = system.sample(jnp.asarray(teacher), jnp.asarray(generator.standard_normal((steps, system.normals))))
        state = system.begin(jnp.asarray(weights))
        rate = 0.1 / np.sqrt(dim)
        reference = optax.adamw(rate, b1=0.8, b2=rule.beta_2(dim), eps=0.0, weight_decay=0.4 / np.sqrt(dim))
        w, memory = jnp.asarray(weights), reference.init(jnp.asarray(weights))
        for k in range(steps):
            sample = jax.tree.map(lambda values, k=k: values[k], samples)
            inputs, labels = sample[0], sample[1]
            errors = inputs @ jnp.asarray(GRID(np.asarray(w))) / np.sqrt(dim) - labels
            updates, memory = reference.update(errors @ inputs / 2, memory, w)
            w = optax.apply_updates(w, updates)
            state, _ = system.step(jnp.asarray(teacher), state, sample, k)
            np.testing.assert_allclose(system.weights(state), w, rtol=1e-12)


RUNS = {
    "dampening": {"dampening": 1.0},
    "scheduled dampening": {"dampening": Schedule("0.2 * tau"), "weight_quantizer": StochasticRounding(GRID)},
    "Adam": {"update_rule": Adam(second_moment_rate=1.0), "input_quantizer": GRID},
    "Adam, batch, dampening": {"update_rule": Adam(), "batch_size": 3, "dampening": 0.4, "weight_decay": 0.2},
    "Adam behind an output": {"update_rule": Adam(second_moment_rate=2.0), "activation": Uniform(3, 2.5)},
    "momentum and dampening": {"update_rule": Momentum(0.5), "dampening": 0.7, "learning_rate": 0.05},
    "learned": {"range_rule": LearnedRange(rate=0.3)},
    "learned, PACT, logarithm": {"range_rule": LearnedRange(rate=0.3, gradient="pact", logarithmic=True)},
    "learned after the weights": {"range_rule": LearnedRange(rate=0.2, sequential=True)},
    "learned beside momentum": {
        "range_rule": LearnedRange(rate=0.3),
        "update_rule": Momentum(0.7),
        "learning_rate": 0.03,
    },
    "learned after momentum": {
        "range_rule": LearnedRange(rate=0.2, sequential=True),
        "update_rule": Momentum(0.5, nesterov=True),
        "learning_rate": 0.05,
    },
    "learned, spectrum, output noise": {
        "range_rule": LearnedRange(rate=0.2),
        "spectrum": Eigenvalues([0.5, 1.5]),
        "activation": AdditiveNoise(0.1),
        "dampening": 0.3,
    },
    "smooth surrogate": {"surrogate": DerivativeOf(Elementwise("2*tanh(x/2)")), "learning_rate": 0.2},
    "following": {"weight_quantizer": Ternary(1.0), "range_rule": FollowingRange(), "teacher": TwoPoint(1.2)},
    "following, root mean square": {
        "range_rule": FollowingRange("root mean square", 1.5),
        "update_rule": Momentum(0.3),
    },
}
QUICK = {"scheduled dampening", "Adam", "learned, spectrum, output noise", "following"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.representative] * (name in QUICK)) for name in RUNS]
)
def test_runs_follow_the_limit(name):
    assert_runs_follow(MODEL.replace(noise=0.3, **RUNS[name]))


@pytest.mark.parametrize("name", ["Adam", "learned", "following", "Adam behind an output"])
def test_particles_agree_with_the_density(name):
    assert_particles_agree(MODEL.replace(noise=0.3, **RUNS[name]))


@pytest.mark.representative
def test_weights_stored_in_few_bits():
    # mean errors of runs by an independent program, 8 seeds
    model = LinearModel(teacher=Normal(std=1.0), weight_quantizer=Uniform(4, 2.0), learning_rate=0.02, noise=0.1)
    times = [5.0, 20.0]
    expected = {None: (0.819, 0.465), "nearest": (0.865, 0.608), "stochastic": (0.820, 0.466)}
    for rounding, values in expected.items():
        stored = {} if rounding is None else {"weight_format": "bfloat16", "weight_rounding": rounding}
        runs = simulate(model, 400, 20.0, seeds=12, times=times, **stored)["eps_g"]
        gap = (runs.mean(axis=0) - values) / (runs.std(axis=0, ddof=1) * np.sqrt(1 / 12 + 1 / 8))
        assert np.all(np.abs(gap) < 4), (rounding, gap)


@pytest.mark.representative
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dampening": -1.0}, "dampening"),
        ({"dampening": 1.0, "weight_quantizer": Identity()}, "nothing to dampen"),
        ({"range_rule": LearnedRange(rate=0.1), "weight_quantizer": Identity()}, "grid with a range"),
        ({"range_rule": LearnedRange(rate=0.1), "update_rule": Adam()}, "not derived"),
        ({"range_rule": "learned"}, "range rule"),
        ({"surrogate": DerivativeOf(Elementwise("x**3/3"))}, "derivative > 0"),
        ({"surrogate": DerivativeOf(Elementwise("2*tanh(x/2)")), "weight_decay": 0.1}, "not derived"),
    ],
    ids=str,
)
def test_bad_input_is_refused_with_a_remedy(changes, words):
    with pytest.raises(SpecificationError, match=words):
        MODEL.replace(**changes)


@pytest.mark.representative
def test_bad_numbers_of_rules_are_refused():
    for make in (
        lambda: Adam(beta_1=1.0),
        lambda: Adam(second_moment_rate=0.0),
        lambda: LearnedRange(rate=0.0),
        lambda: LearnedRange(rate=0.1, gradient="sgd"),
        lambda: FollowingRange("largest"),
        lambda: LearnedRange.of_step(0.1, Identity()),
        lambda: resting_ranges(MODEL),
        lambda: simulate(MODEL.replace(update_rule=Adam(second_moment_rate=50.0)), 20, 1.0),
        lambda: solve(MODEL.replace(dampening=Schedule("1 - tau")), 2.0),
        lambda: simulate(MODEL, 20, 1.0, weight_format="float7"),
        lambda: simulate(MODEL, 20, 1.0, weight_format="bfloat16", weight_rounding="up"),
        lambda: simulate(MODEL.replace(range_rule=LearnedRange(rate=0.1)), 20, 1.0, flips=True),
    ):
        with pytest.raises(SpecificationError):
            make()
    moving = MODEL.replace(range_rule=LearnedRange(rate=0.1))
    for ask in (lambda: solve(moving, 1.0, method="gaussian"), lambda: solve(moving, 1.0, snapshot_times=[1.0])):
        with pytest.raises(UnsupportedError, match="range that stands still"):
            ask()
    assert dataclasses.replace(moving, range_rule=FixedRange()) == MODEL


def test_comparisons_take_moving_ranges():
    model = MODEL.replace(noise=0.3, range_rule=LearnedRange(rate=0.3))
    times = [1.0, 4.0]
    limit, runs = solve(model, 4.0, times=times), simulate(model, 800, 4.0, seeds=8, times=times)
    assert np.all(np.abs(compare(limit, runs).z_score) < 4)


@pytest.mark.representative
def test_the_page_shows_the_tables_of_its_example():
    root = pathlib.Path(__file__).parents[2]
    path = root / "examples" / "training_rules.py"
    spec = importlib.util.spec_from_file_location("training_rules", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    data = json.loads((root / "docs" / "images" / "training_rules.json").read_text(encoding="utf-8"))
    page = (root / "docs" / "optimizers.md").read_text(encoding="utf-8")
    for text in example.tables(data).values():
        assert text in page
    # what the page says of them
    floors = {(row["rule"], row["learning_rate"]): row["eps_g"] for row in data["floors"]}
    assert np.ptp([floors[name, 0.001] for name in example.RULES]) < 0.01 * floors["gradient", 0.001]
