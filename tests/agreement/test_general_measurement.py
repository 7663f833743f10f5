"""What general simulations draw and measure: random maps, exact and sampled errors, input moments, an exact risk."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import Elementwise, Identity, LinearModel, Normal, Uniform, simulate
from steode.bridge import entrywise_function
from steode.parts.formats import FloatFormat, float8_e4m3fn
from steode.parts.laws import Constant
from steode.parts.spectrum import Eigenvalues, PowerLaw
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticMap, StochasticRounding
from steode.systems.linear import job
from steode.systems.linear.literal.input_moments import coordinate_moments
from steode.systems.linear.literal.maps import random_map
from steode.systems.linear.literal.measurement import HELD_OUT_BATCHES, HELD_OUT_SAMPLES
from steode.systems.linear.literal.system import linear_system

pytestmark = pytest.mark.representative

GRID = Uniform(bits=2, range=2.0)
FINE = Uniform(bits=4, range=3.0, kind="mid-tread")
TANH = Elementwise("tanh(x)")
CORE = LinearModel(
    teacher=Normal(), weight_quantizer=GRID, input_quantizer=GRID, learning_rate=0.4, noise=0.3, batch_size=3
)
NOISES = [AdditiveNoise(0.2), MultiplicativeNoise(0.3), CommonFactor(0.25), StochasticRounding(FINE)]
MAPS = ("weight_quantizer", "input_quantizer", "label_quantizer", "activation", "residual_quantizer")


# random maps


@pytest.mark.parametrize("quantizer", [*NOISES, StochasticRounding(float8_e4m3fn(3.0))], ids=str)
def test_draws_have_the_mean_and_variance_of_their_map(quantizer):
    generator = np.random.default_rng(3)
    u, draws = np.array([-4.0, -2.9, -0.7, 0.0, 0.01, 0.5, 2.2, 3.0]), 40_000
    with jax.enable_x64(True):
        drawer = random_map(quantizer, "float64", entrywise_function)
        numbers = generator.normal(size=(draws, drawer.count(u.size)))
        values = np.asarray(drawer(jnp.broadcast_to(u, (draws, u.size)), jnp.asarray(numbers)))
        np.testing.assert_allclose(drawer.mean(jnp.asarray(u)), quantizer.mean(u), atol=1e-15)
        np.testing.assert_allclose(drawer.variance(jnp.asarray(u)), quantizer.variance(u), atol=1e-15)
    gaps, variance = values - quantizer.mean(u), quantizer.variance(u)
    certain = variance < 1e-15
    assert np.all(np.abs(gaps[:, certain]) < 1e-12)
    gaps, variance = gaps[:, ~certain], variance[~certain]
    for sample, expected in ((gaps, 0), (gaps**2, variance)):
        z = (sample.mean(axis=0) - expected) / (sample.std(axis=0, ddof=1) / np.sqrt(draws))
        assert np.abs(z).max() < 4
    correlation = np.abs(np.corrcoef(gaps.T)) - np.eye(gaps.shape[1])
    if isinstance(quantizer, CommonFactor):
        assert np.all(correlation + np.eye(gaps.shape[1]) > 1 - 1e-12)
    else:
        assert correlation.max() < 5 / np.sqrt(draws)


@pytest.mark.parametrize("grid", [FINE, float8_e4m3fn(), FloatFormat(8, 1, 10.0)], ids=str)
def test_levels_round_to_themselves_whatever_is_drawn(grid):
    levels = grid.levels[np.abs(grid.levels) > 1e-30].astype(np.float32)
    beyond = np.append(levels, 2 * levels[-1])
    extremes = np.repeat(np.array([[-5.42], [0.0], [5.42]], np.float32), beyond.size, axis=1)
    drawer = random_map(StochasticRounding(grid), "float32", entrywise_function)
    images = jax.jit(lambda *both: drawer(*both))(jnp.asarray(np.tile(beyond, (3, 1))), jnp.asarray(extremes))
    assert np.array_equal(images, np.tile(np.append(levels, levels[-1]), (3, 1)))


# what is measured


@pytest.mark.parametrize(
    ("changes", "rotated"),
    [
        *[({name: noise for name in MAPS}, False) for noise in NOISES[:3]],
        ({"weight_quantizer": NOISES[3], "input_quantizer": NOISES[3], "residual_quantizer": GRID}, False),
        ({"input_quantizer": Identity()}, True),
        *[({"input_quantizer": Identity(), "weight_quantizer": noise}, True) for noise in NOISES[1:]],
    ],
    ids=str,
)
def test_errors_measured_from_the_weights_agree_with_held_out_samples(changes, rotated):
    """Errors are measured exactly wherever the output is linear up to noise: same means, by fresh samples."""
    model, dim, count = CORE.replace(spectrum=PowerLaw(exponent=1.0, count=3), **changes), 12, 10_000
    generator = np.random.default_rng(5)
    rotation = job.rotation("rotated" if rotated else "eigenbasis", dim, np.random.SeedSequence(1))
    with jax.enable_x64(True):
        system = linear_system(model, dim, "float64", entrywise_function, rotation=rotation)
        sampled = dataclasses.replace(system, sampled=("eps_g", "V", "m", "q"))
        teacher, weights = jnp.asarray(generator.normal(size=(2, dim)))
        numbers = jnp.asarray(generator.normal(size=(count, system.normals)))
        assert jax.eval_shape(system.held_out, teacher, weights, numbers).keys() == {"eps_g_test"}
        both = jax.jit(lambda *args: (system.observe(*args[:2]), sampled.held_out(*args)))
        observed, values = jax.tree.map(np.asarray, both(teacher, weights, numbers))
    for name, value in values.items():
        z = (np.mean(value) - observed[name]) / (np.std(value) / np.sqrt(count))
        assert abs(z) < 4, name


def test_sampled_errors_of_nonlinear_outputs():
    """With unquantized inputs the two fields are Gaussian given the weights: a two-dimensional integral."""
    model = CORE.replace(activation=TANH, teacher_activation=FINE, input_quantizer=Identity())
    run = simulate(model, 50, 1.0, seeds=3, times=[1.0], snapshot_times=[1.0], dtype="float64")
    assert run.provenance.settings["test_samples"] == -(-HELD_OUT_SAMPLES // 3) >= HELD_OUT_BATCHES
    assert "eps_g_test" not in run.observables
    g = np.linspace(-9, 9, 1201)
    density = np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi) * (g[1] - g[0])
    for seed in range(3):
        image, teacher = GRID(run.snapshots.weights[seed, 1]), run.snapshots.teacher[seed]
        q, m, rho = image @ image / 50, image @ teacher / 50, teacher @ teacher / 50
        assert (run["q"][seed, 0], run["m"][seed, 0]) == pytest.approx((q, m), rel=1e-10)
        h = np.sqrt(q) * g[:, None]
        h_star = m / q * h + np.sqrt(rho - m**2 / q) * g[None, :]
        square = (np.tanh(h) - FINE(h_star)) ** 2
        mean, fourth = density @ square @ density, density @ square**2 @ density
        error = np.sqrt((fourth - mean**2) / HELD_OUT_SAMPLES)
        assert abs(2 * run["eps_g"][seed, 0] - mean) < 4 * error
        assert abs(run["V"][seed, 0] - mean - model.noise**2) < 5 * error


@pytest.mark.parametrize("quantizer", [FINE, StochasticRounding(FINE), Elementwise("x + x**3/9"), AdditiveNoise(0.3)])
def test_input_moments_of_every_eigenvalue(quantizer):
    spectrum = Eigenvalues(np.array([2.0, 1e-6, 0.3, 2.0]))
    moments = coordinate_moments(quantizer, spectrum.coordinates(8))
    x = np.linspace(-9, 9, 400_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])
    for index, eigenvalue in enumerate(spectrum.coordinates(8)):
        points = np.sqrt(eigenvalue) * x
        image = quantizer(points)
        variance = quantizer.variance(points) if isinstance(quantizer, StochasticMap) else 0
        overlap, power = density @ (points * image), density @ (image**2 + variance)
        assert moments.overlap[index] == pytest.approx(overlap, rel=1e-4, abs=1e-15)
        assert moments.power[index] == pytest.approx(power, rel=1e-4, abs=1e-15)
        explained = overlap**2 / power if power > 0 else 0
        assert moments.residual[index] == pytest.approx(eigenvalue - explained, rel=1e-4, abs=1e-15)
    if quantizer is FINE:  # all such inputs round to zero: nothing is learned from them, and nothing breaks
        assert moments.power[2] == moments.shrinkage[2] == 0


def test_rotating_the_data_of_an_unquantized_student_changes_nothing():
    model = CORE.replace(
        weight_quantizer=Identity(), input_quantizer=Identity(), spectrum=PowerLaw(exponent=1.0, count=5)
    )
    options = {"seeds": 2, "key": 1, "dtype": "float64"}
    straight, rotated = (simulate(model, 30, 2.0, basis=basis, **options) for basis in ("eigenbasis", "rotated"))
    for name in ("eps_g", "V", "m", "q"):
        np.testing.assert_allclose(straight[name], rotated[name], rtol=1e-10, atol=1e-13)
    assert rotated.provenance.settings["basis"] == "rotated"


def test_five_additive_quantizers_reach_the_risk_of_their_exact_recursion():
    """Quantized linear regression at d = 40: the second moments of the weights obey a closed recursion at every d.

    With weights w sqrt(d) and learning rate gamma d this is w <- w - (gamma/B) Q_d(X)^T Q_o(...). Derived for additive
    Gaussian noise from Gaussian fourth moments.
    """
    dim, batch, gamma, steps, seeds = 40, 4, 0.15, 600, 1500
    of_data, of_weights, of_output, of_residual, of_labels = 0.01, 0.02, 0.2, 0.1, 0.05
    spectrum = PowerLaw(exponent=2.0, count=dim)
    eigenvalues = spectrum.values + of_data
    target = spectrum.values / eigenvalues
    noise = 1 + of_labels + spectrum.values.sum() - eigenvalues @ target**2
    moments = target**2
    for _ in range(steps):
        own = eigenvalues * (noise + of_output + of_residual) / batch
        own += of_weights * ((1 + 1 / batch) * eigenvalues**2 + eigenvalues * eigenvalues.sum() / batch)
        keep = 1 - 2 * gamma * eigenvalues + gamma**2 * (1 + 1 / batch) * eigenvalues**2
        moments = moments * keep + gamma**2 * (eigenvalues * (eigenvalues @ moments) / batch + own)
    expected = eigenvalues @ moments
    assert expected == pytest.approx(0.06635, abs=5e-6)
    model = LinearModel(
        teacher=Constant(np.sqrt(dim)),
        init=Constant(0.0),
        spectrum=spectrum,
        learning_rate=gamma * dim,
        batch_size=batch,
        noise=1.0,
        weight_quantizer=AdditiveNoise(of_weights * dim),
        input_quantizer=AdditiveNoise(of_data),
        activation=AdditiveNoise(of_output),
        label_quantizer=AdditiveNoise(of_labels),
        residual_quantizer=AdditiveNoise(of_residual),
    )
    t_end = steps / dim
    run = simulate(model, dim, t_end, seeds=seeds, times=[t_end], snapshot_times=[t_end])
    measured = (run.snapshots.weights[:, 1] / np.sqrt(dim) - target) ** 2 @ eigenvalues
    z = (measured.mean() - expected) / (measured.std(ddof=1) / np.sqrt(seeds))
    assert abs(z) < 4
    assert measured.std(ddof=1) / np.sqrt(seeds) < 0.025 * expected
