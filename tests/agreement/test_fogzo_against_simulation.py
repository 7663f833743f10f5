"""FOGZO's limit against runs: flips at the thresholds, the algorithm as written, and the gap at two dimensions."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from steode import FOGZO, Constant, Identity, LinearModel, Normal, Uniform, compare, fixed_points, simulate, solve
from steode.bridge import entrywise_function
from steode.cli import app
from steode.systems.linear.literal.rules import LAWS
from steode.systems.linear.literal.system import linear_system

MODEL = LinearModel(
    teacher=Normal(std=1.0),
    weight_quantizer=Uniform(bits=2, range=1.5),
    input_quantizer=Uniform(bits=3, range=2.5),
    learning_rate=0.4,
    noise=0.3,
    batch_size=2,
    update_rule=FOGZO(c=2.0, eps=0.5, n=2, directions="triangular"),
)


@pytest.mark.representative
def test_the_step_is_the_algorithm_as_written():
    dim, generator = 50, np.random.default_rng(0)
    model = MODEL.replace(weight_decay=0.3)
    rule, quantizer = model.update_rule, model.weight_quantizer
    teacher, weights = generator.standard_normal((2, dim))
    with jax.enable_x64(True):
        system = linear_system(model, dim, "float64", entrywise_function)
        numbers = generator.standard_normal((1, system.normals))
        sample = jax.tree.map(lambda array: array[0], system.sample(jnp.asarray(teacher), jnp.asarray(numbers)))
        found = np.asarray(system.step(jnp.asarray(teacher), jnp.asarray(weights), sample, 0)[0])
    samples, others = numbers[0, : 2 * (dim + 1)].reshape(2, dim + 1), numbers[0, 2 * (dim + 1) :].reshape(2, dim + 1)
    inputs = model.input_quantizer(samples[:, :dim])
    labels = samples[:, :dim] @ teacher / np.sqrt(dim) + 0.3 * samples[:, dim]

    def loss(w):
        return np.mean((inputs @ quantizer(w) / np.sqrt(dim) - labels) ** 2) / 2

    residuals = inputs @ quantizer(weights) / np.sqrt(dim) - labels
    gradient = residuals @ inputs / (2 * np.sqrt(dim))
    gradient /= np.linalg.norm(gradient)
    beta, estimates = 1 - 2.0 / dim, []
    for sign, entries in zip(np.sign(others[:, 0]), others[:, 1:], strict=True):
        below = stats.norm.cdf(entries)
        u = np.sqrt(6) * np.where(below < 0.5, np.sqrt(2 * below) - 1, 1 - np.sqrt(2 - 2 * below))
        v = np.sqrt(beta) * sign * gradient + np.sqrt(1 - beta) * u
        estimates.append((loss(weights + rule.eps * v) - loss(weights - rule.eps * v)) / (2 * rule.eps) * v)
    expected = weights - 0.4 * np.mean(estimates, axis=0) - 0.4 * 0.3 / dim * weights
    assert np.abs(np.mean(estimates, axis=0)).max() > 1e-3  # something flipped
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.representative
@pytest.mark.parametrize("name", sorted(LAWS))
def test_directions_have_mean_zero_and_variance_one(name):
    # the law of a normal number's image, integrated over that number
    points = np.linspace(-9, 9, 20_001)
    with jax.enable_x64(True):
        images = np.asarray(LAWS[name](jnp.asarray(points)))
    weights = stats.norm.pdf(points) * (points[1] - points[0])
    assert np.abs(images + images[::-1]).max() < 1e-9  # odd
    assert np.all(np.diff(images) >= 0)
    assert weights @ images**2 == pytest.approx(1, abs=1e-6)


@pytest.mark.representative
@pytest.mark.parametrize("dim", [2_000, 20_000])
def test_the_output_changes_by_the_density_at_the_thresholds(dim):
    # Delta h = eps p sqrt(alpha_2) s sgn(e): flips counted in runs, and p from the law of the weights
    generator, draws, eps, c = np.random.default_rng(dim), 200, 0.3, 2.0
    quantizer, map_of_inputs = MODEL.weight_quantizer, MODEL.input_quantizer
    slope = np.diff(quantizer.levels) @ stats.norm.pdf(quantizer.thresholds, 0.1, 0.8)
    weights = generator.normal(0.1, 0.8, (draws, dim))
    inputs = map_of_inputs(generator.standard_normal((draws, dim)))
    u = generator.uniform(-np.sqrt(3), np.sqrt(3), (draws, dim))
    norms = np.linalg.norm(inputs, axis=1, keepdims=True)
    direction = np.sqrt(1 - c / dim) * inputs / norms + np.sqrt(c / dim) * u
    change = quantizer(weights + eps * direction) - quantizer(weights - eps * direction)
    slopes = np.sum(inputs * change, axis=1) / np.sqrt(dim) / (2 * eps)
    power = np.mean(map_of_inputs(np.linspace(-9, 9, 200_001)) ** 2 * stats.norm.pdf(np.linspace(-9, 9, 200_001))) * 18
    error = slopes.std(ddof=1) / np.sqrt(draws)
    assert abs(slopes.mean() - slope * np.sqrt(power)) < 4 * error
    # they fluctuate as the derivation says: Var = E[z^2 |zeta|] sum_j jump^2 density_j/(2 eps sqrt(d))
    zeta = inputs / np.sqrt(power) + np.sqrt(c) * u
    moment = np.mean(inputs**2 * np.abs(zeta))
    squares = np.diff(quantizer.levels) ** 2 @ stats.norm.pdf(quantizer.thresholds, 0.1, 0.8)
    predicted = moment * squares / (2 * eps * np.sqrt(dim))
    ratio = slopes.var(ddof=1) / predicted
    # sample variance of nearly Gaussian numbers; the curvature of the density adds a part of order 1/d
    assert abs(ratio - 1) < 4 * np.sqrt(2 / (draws - 1)) + 20 / dim


def test_runs_approach_the_limit_like_the_root_of_the_dimension():
    times = np.arange(4.0)
    limit = solve(MODEL, 3.0, times=times, tolerance=1e-3)
    small, large = (
        simulate(MODEL, dim=dim, t_end=3.0, times=times, seeds=seeds, key=1) for dim, seeds in ((400, 96), (1600, 48))
    )
    gaps = [compare(limit, runs).gap[1:] for runs in (small, large)]
    # the gap of flips is O(d^-1/2): it halves, and what extrapolation leaves is noise
    for name in ("eps_g", "m", "q", "std_w"):
        runs = [trajectory[name] for trajectory in (large, small)]
        extrapolated = 2 * runs[0].mean(axis=0) - runs[1].mean(axis=0)
        error = np.sqrt(4 * runs[0].var(axis=0, ddof=1) / 48 + runs[1].var(axis=0, ddof=1) / 96)
        z = (extrapolated - limit[name])[1:] / np.hypot(error, limit.error[name])[1:]
        assert np.abs(z).max() < 4, name
    errors = [compare(limit, runs).standard_error[1:] for runs in (small, large)]
    exponent = np.log(gaps[0] / gaps[1]) / np.log(4)
    spread = np.hypot(errors[0] / gaps[0], errors[1] / gaps[1]) / np.log(4)
    assert np.all(gaps[0] > 6 * errors[0])
    assert np.all(np.abs(exponent - 0.5) < 4 * spread)


def test_runs_with_weight_decay_approach_the_limit():
    times = np.array([0.0, 1.0, 2.0])
    model = MODEL.replace(weight_decay=0.5, init=Normal(mean=0.5, std=0.6))
    limit = solve(model, 2.0, times=times, tolerance=1e-3)
    small, large = (
        simulate(model, dim=dim, t_end=2.0, times=times, seeds=seeds, key=4)["eps_g"]
        for dim, seeds in ((800, 96), (3200, 32))
    )
    extrapolated = 2 * large.mean(axis=0) - small.mean(axis=0)
    error = np.sqrt(4 * large.var(axis=0, ddof=1) / 32 + small.var(axis=0, ddof=1) / 96)
    assert np.abs((extrapolated - limit["eps_g"]) / np.hypot(error, limit.error["eps_g"])).max() < 4


def test_unquantized_weights_have_no_gap_of_that_order():
    model = MODEL.replace(weight_quantizer=Identity())
    runs = simulate(model, dim=400, t_end=3.0, times=np.arange(4.0), seeds=96, key=2)
    comparison = compare(solve(model, 3.0, times=np.arange(4.0)), runs)
    assert np.abs(comparison.z).max() < 4


def test_long_times_reach_the_fixed_point():
    model = MODEL.replace(teacher=Constant(1.1), update_rule=FOGZO(c=3.0, eps=0.3, n=2))
    (point,) = fixed_points(model)
    late = solve(model, 60.0, times=[60.0], tolerance=1e-4)
    assert late["eps_g"][0] == pytest.approx(point.eps_g, rel=1e-5)
    assert late["mean_slope"][0] == pytest.approx(point.mean_slope, rel=3e-5)


def test_the_report_takes_the_rule(tmp_path):
    (tmp_path / "spec.toml").write_text(
        """
[model]
teacher = {type = "Constant", value = 1.1}
weight_quantizer = {type = "Uniform", bits = 2, range = 1.5}
learning_rate = 0.3
noise = 0.3
update_rule = {type = "FOGZO", c = 2.0, eps = 0.5}
[run]
t_end = 2.0
dim = 200
seeds = 4
tolerance = 1e-3
""",
        encoding="utf-8",
    )
    result = CliRunner().invoke(app, ["run", str(tmp_path / "spec.toml"), "--out", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))
    (point,) = summary["studies"][0]["cases"][0]["fixed_points"]
    # p^2 = 2 D/(eta V (1 + c)), and the dithering term is D/2
    assert point["mean_slope"] ** 2 == pytest.approx(4 * point["dithering_term"] / (0.3 * point["V"] * 3))
