"""The SGD engine: its generator, its one step, and what it records."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import sympy

from steode.bridge import entrywise_function
from steode.engine.noise import _single, normals, threefry2x32
from steode.engine.request import key_words, seed_sequence
from steode.parts.elementwise import Elementwise
from steode.parts.laws import Constant
from steode.parts.quantizers import Identity, Levels, SignedInteger, Uniform
from steode.systems.linear.literal.input_moments import coordinate_moments
from steode.systems.linear.literal.system import linear_system
from steode.systems.linear.simulate import simulate
from steode.systems.linear.spec import ClippedSurrogate, LinearModel
from tests.models import SMALL as MODEL
from tests.models import SMALL_DIM as DIM

X = sympy.Symbol("x")
GRID = Uniform(bits=2, range=2.0)


# the generator


def test_threefry_gives_the_published_known_answers():
    # Random123, tests/kat_vectors, threefry2x32 with 20 rounds: counter, key, result
    for counter, key, result in (
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ):
        words = [jnp.asarray(value, jnp.uint32) for value in counter]
        assert tuple(int(word) for word in threefry2x32(jnp.asarray(key, jnp.uint32), *words)) == result


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals_are_addressed_by_row_and_standard_normal(dtype):
    with jax.enable_x64(dtype == "float64"):
        key = jnp.asarray([3, 4], jnp.uint32)
        draws = np.asarray(normals(key, 0, 400, 501, dtype))
        assert draws.dtype == dtype
        assert np.array_equal(draws[37:40], normals(key, 37, 3, 501, dtype))
        assert not np.any(np.isin(draws[:1], normals(key + 1, 0, 1, 501, dtype)))
    count = draws.size
    assert scipy.stats.kstest(draws.ravel().astype(float), "norm").pvalue > 1e-3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        z = (np.mean(draws.astype(float) ** power) - moment) / np.sqrt(variance / count)
        assert abs(z) < 4
    # both words of one hash, neighbors in a row and in a column are uncorrelated
    half = draws.shape[1] // 2
    for a, b in ((draws[:, :half], draws[:, -half:]), (draws[:, 1:], draws[:, :-1]), (draws[1:], draws[:-1])):
        assert abs(np.mean(a * b, dtype=float)) * np.sqrt(a.size) < 4


def test_extreme_hash_words_give_finite_symmetric_numbers(monkeypatch):
    module = importlib.import_module("steode.engine.noise")
    for dtype, largest in (("float32", 5.5), ("float64", 8.3)):
        with jax.enable_x64(dtype == "float64"):
            ends = []
            # as signed integers the words are the largest and the smallest there are
            for first, second in ((0x7FFFFFFF, 0xFFFFFFFF), (0x80000000, 0)):
                words = jnp.full((1, 1), first, jnp.uint32), jnp.full((1, 1), second, jnp.uint32)
                monkeypatch.setattr(module, "threefry2x32", lambda key, x0, x1, words=words: words)
                ends.append(float(normals(jnp.zeros(2, jnp.uint32), 0, 1, 1, dtype)[0, 0]))
        assert ends[0] == -ends[1]
        assert largest - 0.2 < ends[0] < largest


def test_every_float32_word_gives_its_quantile():
    """All 2^24 of them: in single precision to 5e-7 of themselves, odd, with second and fourth moments of 1 and 3."""
    words = np.arange(2**24, dtype=np.uint32) << np.uint32(8)
    numbers = np.asarray(jax.jit(_single)(jnp.asarray(words))).astype(float)
    u = ((words.view(np.int32) >> 8) + 0.5) * 2.0**-23
    half = u[: 2**23]  # 0 < u < 1
    quantiles = np.sqrt(2) * np.where(half < 0.5, scipy.special.erfinv(half), scipy.special.erfcinv(1 - half))
    assert np.abs(numbers[: 2**23] / quantiles - 1).max() < 5e-7
    assert np.array_equal(numbers[2**23 :], -numbers[: 2**23][::-1])
    assert abs(np.mean(numbers**2) - 1) < 2e-7
    assert abs(np.mean(numbers**4) - 3) < 6e-6  # what is beyond the outermost cells is missing


# the algorithm


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        MODEL.replace(weight_quantizer=Identity(), input_quantizer=Identity()),
        MODEL.replace(weight_quantizer=SignedInteger(2, 1.5), surrogate=ClippedSurrogate(0.7)),
        MODEL.replace(weight_quantizer=Elementwise(sympy.tanh(X)), input_quantizer=Elementwise(X - sympy.sin(X) / 2)),
    ],
    ids=["two bits", "unquantized", "clipped", "elementwise"],
)
def test_weights_are_those_of_a_plain_loop(model):
    """Six steps written out in NumPy from the update rule alone, with the samples the run used."""
    dim, steps, seed = 7, 6, 1
    times = np.arange(steps + 1) / dim
    run = simulate(model, dim, times[-1], seeds=2, key=5, times=times, snapshot_times=times, dtype="float64")
    training_key = seed_sequence(key_words(5), dim, seed, 2).generate_state(2)
    with jax.enable_x64(True):
        draws = np.asarray(normals(jnp.asarray(training_key, jnp.uint32), 0, steps, dim + 1, "float64"))
    teacher, weights = run.snapshots.teacher[seed], run.snapshots.weights[seed, 0]
    for k in range(steps):
        x, xi = draws[k, :dim], draws[k, dim]
        y = teacher @ x / np.sqrt(dim) + model.noise * xi
        z = model.input_quantizer(x)
        prediction = model.weight_quantizer(weights) @ z / np.sqrt(dim)
        open_gate = np.abs(weights) < model.surrogate.bound if isinstance(model.surrogate, ClippedSurrogate) else 1.0
        weights = weights - model.learning_rate / np.sqrt(dim) * (prediction - y) * z * open_gate
        np.testing.assert_allclose(run.snapshots.weights[seed, k + 1], weights, rtol=1e-12, atol=1e-14)


def test_unquantized_runs_follow_their_exact_finite_dimensional_mean():
    """E|w - w*|^2 of online least squares obeys a closed recursion at every d; nothing of the limit is in it."""
    dim, seeds, eta, sigma = 20, 2000, 0.5, 0.3
    model = LinearModel(teacher=Constant(1.0), init=Constant(0.0), learning_rate=eta, noise=sigma)
    run = simulate(model, dim, 4.0, seeds=seeds, times=[0.0, 1.0, 2.0, 4.0])
    expected, values = dim / (2 * dim), []
    for step in range(4 * dim + 1):
        if step / dim in run.times:
            values.append(expected)
        expected = expected * (1 - 2 * eta / dim + eta**2 * (dim + 2) / dim**2) + eta**2 * sigma**2 / (2 * dim)
    gaps = run["eps_g"] - np.array(values)
    assert np.abs(gaps[:, 0]).max() < 1e-6
    z = gaps[:, 1:].mean(axis=0) / (gaps[:, 1:].std(axis=0, ddof=1) / np.sqrt(seeds))
    assert np.abs(z).max() < 4


def test_frozen_weights_never_move():
    bound = 0.5
    run = simulate(MODEL.replace(surrogate=ClippedSurrogate(bound)), DIM, 4.0, snapshot_times=[4.0])
    first, last = run.snapshots.weights[0]
    frozen = np.abs(first) >= bound
    assert 0 < frozen.sum() < DIM
    assert np.array_equal(first[frozen], last[frozen])
    assert not np.any(first[~frozen] == last[~frozen])


# what is measured


@pytest.mark.parametrize(
    "model", [MODEL, MODEL.replace(weight_quantizer=Elementwise(sympy.tanh(X)))], ids=["step", "smooth"]
)
def test_error_measured_from_weights_agrees_with_held_out_inputs(model):
    run = simulate(model, DIM, 2.0, seeds=400, times=[0.0, 0.5, 2.0], test_samples=50)
    gaps = run["eps_g_test"] - run["eps_g"]
    z = gaps.mean(axis=0) / (gaps.std(axis=0, ddof=1) / np.sqrt(400))
    assert np.abs(z).max() < 4
    # the spread is that of a mean over 50 squares, not of one number computed twice
    assert np.all(gaps.std(axis=0) > 0.5 * run["eps_g"].mean(axis=0) * np.sqrt(2 / 50))


@pytest.mark.parametrize(
    "grid", [GRID, SignedInteger(3, 1.0), Levels((-1.0, 0.25, 0.5), (0.0, 0.375)), Uniform(8, 2.0)]
)
def test_observables_are_those_of_the_weights(grid):
    model = MODEL.replace(weight_quantizer=grid)
    run = simulate(model, DIM, 1.0, seeds=2, times=[1.0], snapshot_times=[1.0], dtype="float64")
    for seed in range(2):
        weights, teacher = run.snapshots.weights[seed, 1], run.snapshots.teacher[seed]
        image = grid(weights)
        inputs = np.linspace(-9, 9, 100_001)
        density = np.exp(-(inputs**2) / 2) / np.sqrt(2 * np.pi) * (inputs[1] - inputs[0])
        pairs, counts = np.unique(np.stack([image, teacher]), axis=1, return_counts=True)
        error = sum(
            n * (density @ (q * GRID(inputs) - w * inputs) ** 2) for n, q, w in zip(counts, *pairs, strict=True)
        )
        expected = {
            "eps_g": error / DIM / 2,
            "V": error / DIM + model.noise**2,
            "m": np.mean(teacher * image) * (density @ (inputs * GRID(inputs))),
            "q": np.mean(image**2) * (density @ GRID(inputs) ** 2),
            "mean_w": weights.mean(),
            "std_w": weights.std(),
        }
        for name, value in expected.items():
            assert run[name][seed, 0] == pytest.approx(value, rel=1e-4)
        fractions = [np.mean(image == level) for level in grid.levels]
        np.testing.assert_allclose(run["level_fraction"][seed, 0], fractions, atol=1e-15)


@pytest.mark.parametrize("grid", [GRID, Uniform(3, 1.0, kind="mid-tread"), SignedInteger(9, 1.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_device_quantizer_is_the_specified_one_ties_included(grid, dtype):
    with jax.enable_x64(dtype == "float64"):
        system = linear_system(MODEL.replace(weight_quantizer=grid), 1, dtype, entrywise_function)
        thresholds = grid.thresholds.astype(dtype)
        tiny = np.finfo(dtype).tiny  # XLA takes subnormal numbers for zero
        below = np.minimum(np.nextafter(thresholds, np.asarray(-np.inf, dtype)), thresholds - tiny)
        above = np.maximum(np.nextafter(thresholds, np.asarray(np.inf, dtype)), thresholds + tiny)
        points = np.concatenate([below, thresholds, above, grid.levels.astype(dtype)])
        cell = np.concatenate(
            [np.arange(thresholds.size) + shift for shift in (0, 1, 1)] + [np.arange(grid.levels.size)]
        )
        assert np.array_equal(system.weight_map.mean(jnp.asarray(points)), grid.levels.astype(dtype)[cell])


def input_moments(quantizer):
    """E[x Q]/E[Q^2], E[Q^2] and the remaining mean square, for standard normal inputs."""
    moments = coordinate_moments(quantizer, np.ones(1))
    return float(moments.shrinkage[0]), float(moments.power[0]), float(moments.residual[0])


def test_input_moments():
    assert input_moments(Identity()) == pytest.approx((1, 1, 0), abs=1e-12)
    shrinkage, power, _ = input_moments(GRID)
    assert (shrinkage * power, power) == pytest.approx((0.96928, 1.09306), abs=1e-5)
    density = scipy.stats.norm.pdf
    for quantizer in (Elementwise(sympy.tanh(X)), Elementwise(sympy.Max(-1, sympy.Min(1, X))), Uniform(12, 3.0)):
        shrinkage, power, residual = input_moments(quantizer)
        if isinstance(quantizer, Uniform):
            # integration by parts over the jumps; second route for the power: cell by cell
            overlap = np.diff(quantizer.levels) @ density(quantizer.thresholds)
            cells = np.diff(scipy.stats.norm.cdf(np.concatenate([[-np.inf], quantizer.thresholds, [np.inf]])))
            square = cells @ quantizer.levels**2
        else:
            options = {"points": [-1, 1], "epsabs": 1e-13, "limit": 200}
            overlap = scipy.integrate.quad(lambda x, q=quantizer: x * q(x) * density(x), -10, 10, **options)[0]
            square = scipy.integrate.quad(lambda x, q=quantizer: q(x) ** 2 * density(x), -10, 10, **options)[0]
        assert shrinkage * power == pytest.approx(overlap, abs=1e-11)
        assert power == pytest.approx(square, abs=1e-11)
        assert residual == pytest.approx(1 - overlap**2 / square, abs=1e-11)


def test_float32_means_hold_at_large_dimension():
    generator = np.random.default_rng(0)
    dim = 100_000
    teacher, weights = (generator.normal(size=dim).astype(np.float32) for _ in range(2))
    measured = {}
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            system = linear_system(MODEL, dim, dtype, entrywise_function)
            arrays = (jnp.asarray(values, dtype) for values in (teacher, weights))
            measured[dtype] = jax.device_get(jax.jit(lambda system, *values: system.observe(*values))(system, *arrays))
    for name in ("eps_g", "V", "q", "std_w", "level_fraction"):
        assert measured["float32"][name] == pytest.approx(measured["float64"][name], rel=1e-6)
    for name in ("m", "mean_w"):  # means of both signs: relative to the size of their terms, about 1
        assert measured["float32"][name] == pytest.approx(measured["float64"][name], abs=1e-6)


# randomness and reproducibility
