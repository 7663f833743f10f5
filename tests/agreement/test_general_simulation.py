"""The simulation with everything around the core: the algorithm as it is written, on the engine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from steode import Elementwise, LinearModel, Normal, SpecificationError, Uniform, simulate, simulate_paired
from steode.bridge import entrywise_function
from steode.engine import engine, placement
from steode.engine.noise import normals
from steode.engine.request import key_words, seed_sequence
from steode.parts.schedule import Schedule
from steode.parts.spectrum import Eigenvalues, PowerLaw
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticMap, StochasticRounding
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate
from steode.systems.linear import job
from steode.systems.linear.literal.system import linear_system

pytestmark = pytest.mark.representative

GRID = Uniform(bits=2, range=2.0)
FINE = Uniform(bits=4, range=3.0, kind="mid-tread")
TANH = Elementwise("tanh(x)")
CORE = LinearModel(  # inputs off the grid: no two numbers are equal by chance
    teacher=Normal(),
    weight_quantizer=GRID,
    input_quantizer=Elementwise("x - sin(x)/2"),
    learning_rate=0.4,
    noise=0.3,
    batch_size=3,
)
NOISES = [AdditiveNoise(0.2), MultiplicativeNoise(0.3), CommonFactor(0.25), StochasticRounding(FINE)]
MAPS = ("weight_quantizer", "input_quantizer", "label_quantizer", "activation", "residual_quantizer")
OPTIONS = (
    [{name: noise} for name in MAPS for noise in NOISES]
    + [{name: quantizer} for name in MAPS for quantizer in (FINE, Elementwise("x + x**3/9"))]
    + [
        {"spectrum": PowerLaw(exponent=1.0, count=3)},
        {"teacher_activation": TANH},
        {"teacher_activation": GRID},
        {"activation": GRID, "activation_surrogate": ClippedSurrogate(0.8)},
        {"activation": TANH, "activation_surrogate": DerivativeOf(TANH)},
        {"activation": Elementwise("Max(x, 0)"), "activation_surrogate": DerivativeOf("Max(x, 0)")},
        {"activation_surrogate": DerivativeOf("x**2/4 + Abs(x)")},
    ]
)
EVERYTHING = CORE.replace(
    spectrum=Eigenvalues(np.array([2.0, 0.5, 1.0])),
    weight_quantizer=StochasticRounding(FINE),
    input_quantizer=MultiplicativeNoise(0.05),
    label_quantizer=CommonFactor(0.05),
    activation=StochasticRounding(Uniform(3, 2.0)),
    activation_surrogate=DerivativeOf(TANH),
    teacher_activation=TANH,
    residual_quantizer=AdditiveNoise(0.05),
    surrogate=ClippedSurrogate(1.7),
    learning_rate=Schedule("0.5/(1 + tau)"),
)
DIM = 6


def build(model, edges=None):
    return linear_system(model, DIM, "float64", entrywise_function, edges)


def drawn(quantizer, u, numbers):
    """Q(u) with the given normal numbers."""
    if isinstance(quantizer, StochasticRounding):
        levels = quantizer.grid.levels
        inside = np.clip(u, levels[0], levels[-1])
        upper = np.clip(np.searchsorted(levels, inside, side="right"), 1, levels.size - 1)
        low, high = levels[upper - 1], levels[upper]
        return np.where(scipy.special.ndtr(numbers) <= (inside - low) / (high - low), high, low)
    if isinstance(quantizer, AdditiveNoise):
        return u + np.sqrt(quantizer.noise_variance) * numbers
    if isinstance(quantizer, StochasticMap):
        return (1 + np.sqrt(quantizer.noise_variance) * numbers) * u
    return quantizer(u)


def slope(surrogate, h):
    if isinstance(surrogate, ClippedSurrogate):
        return np.abs(h) < surrogate.bound
    if isinstance(surrogate, IdentitySurrogate):
        return np.ones_like(h)
    proxy = surrogate.proxy
    return (proxy(h + 1e-6) - proxy(h - 1e-6)) / 2e-6


def plain_step(model, teacher, weights, numbers, k, rotation=None):
    """One step in NumPy, sample by sample, from the numbers of that step."""
    dim, batch, numbers = weights.size, model.batch_size, list(numbers)
    rotation = np.eye(dim) if rotation is None else rotation

    def take(count):
        return np.array([numbers.pop(0) for _ in range(count)])

    def share(quantizer, size):
        if isinstance(quantizer, CommonFactor):
            return take(1)
        return take(size) if isinstance(quantizer, StochasticMap) else np.empty(0)

    samples = [take(dim + 1) for _ in range(batch)]
    of_inputs = [share(model.input_quantizer, dim) for _ in range(batch)]
    of_labels, of_output, of_residual = (
        share(entry, batch) for entry in (model.label_quantizer, model.activation, model.residual_quantizer)
    )
    image = drawn(model.weight_quantizer, weights, share(model.weight_quantizer, dim))
    assert numbers == []
    root = np.sqrt(dim)
    inputs = [rotation @ (np.sqrt(model.spectrum.coordinates(dim)) * sample[:-1]) for sample in samples]
    z = [drawn(model.input_quantizer, x, own) for x, own in zip(inputs, of_inputs, strict=True)]
    labels = np.array([model.teacher_activation(teacher @ x / root) for x in inputs])
    labels = drawn(model.label_quantizer, labels + model.noise * np.array([s[-1] for s in samples]), of_labels)
    h = np.array([image @ own / root for own in z])
    error = drawn(model.residual_quantizer, drawn(model.activation, h, of_output) - labels, of_residual)
    error = error * slope(model.activation_surrogate, h)
    rate = model.learning_rate
    rate = 0.5 / (1 + k / dim) if isinstance(rate, Schedule) else rate
    gate = np.abs(weights) < model.surrogate.bound if isinstance(model.surrogate, ClippedSurrogate) else 1.0
    gradient = sum(e * own for e, own in zip(error, z, strict=True)) / batch
    return (1 - rate * model.weight_decay / dim) * weights - rate / root * gradient * gate


# the algorithm


@pytest.mark.parametrize("changes", OPTIONS, ids=str)
def test_a_step_is_the_algorithm_as_it_is_written(changes):
    model = CORE.replace(**changes)
    generator = np.random.default_rng(1)
    teacher, weights = generator.normal(size=DIM), generator.normal(size=DIM)
    with jax.enable_x64(True):
        system = build(model)
        numbers = generator.normal(size=(2, system.normals))
        samples = system.sample(jnp.asarray(teacher), jnp.asarray(numbers))
        state = jnp.asarray(weights)
        for k in range(2):
            state, health = system.step(jnp.asarray(teacher), state, jax.tree.map(lambda a, k=k: a[k], samples), k)
            weights = plain_step(model, teacher, weights, numbers[k], k)
            np.testing.assert_allclose(state, weights, rtol=1e-8, atol=1e-10)
            assert np.isfinite(health)


def test_whole_runs_are_those_of_a_plain_loop():
    """Everything at once and rotated, through the engine, with the numbers addressed by (key, seed, step)."""
    steps, seed, words = 5, 1, key_words(5)
    times = np.arange(steps + 1) / DIM
    options = {"snapshot_times": times, "dtype": "float64", "basis": "rotated", "test_samples": 5}
    run = simulate(EVERYTHING, DIM, times[-1], seeds=2, key=5, **options)
    rotation = job.rotation("rotated", DIM, seed_sequence(words, DIM, 0, job.ROTATION))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(DIM), atol=1e-14)
    teacher, weights = run.snapshots.teacher[seed], run.snapshots.weights[seed, 0]
    for law, purpose, found in ((EVERYTHING.teacher, job.TEACHER, teacher), (EVERYTHING.init, job.INIT, weights)):
        generator = np.random.default_rng(seed_sequence(words, DIM, seed, purpose))
        np.testing.assert_allclose(found, rotation @ law.sample(generator, DIM), atol=1e-14)
    key = seed_sequence(words, DIM, seed, job.TRAINING).generate_state(2)
    with jax.enable_x64(True):
        numbers = np.asarray(normals(jnp.asarray(key, jnp.uint32), 0, steps, build(EVERYTHING).normals, "float64"))
    for k in range(steps):
        weights = plain_step(EVERYTHING, teacher, weights, numbers[k], k, rotation)
        np.testing.assert_allclose(run.snapshots.weights[seed, k + 1], weights, rtol=1e-8, atol=1e-10)


# the engine


@pytest.fixture(scope="module")
def runs():
    return simulate(EVERYTHING, 30, 2.0, seeds=2, key=7, test_samples=5, histogram_edges=[-1, 0, 1])


def test_a_general_run_does_not_depend_on_what_is_recorded(runs, monkeypatch):
    options = {"seeds": 2, "key": 7, "test_samples": 5, "histogram_edges": [-1, 0, 1]}
    few = simulate(EVERYTHING, 30, 2.0, times=[1.0, 1.9], snapshot_times=[0.5], **options)
    at = np.searchsorted(runs.times, few.times)
    assert runs.observables.keys() == few.observables.keys()
    assert all(np.array_equal(runs[name][:, at], few[name]) for name in few.observables)
    monkeypatch.setattr(engine, "SEGMENTS_PER_CHUNK", 20)
    chunks = simulate(EVERYTHING, 30, 2.0, **options)
    assert all(np.array_equal(runs[name], chunks[name]) for name in runs.observables)


def test_general_seeds_advanced_together_are_the_same_runs(monkeypatch):
    changes = {"activation": TANH, "input_quantizer": NOISES[1], "weight_quantizer": NOISES[0]}
    model = CORE.replace(spectrum=PowerLaw(exponent=1.0, count=3), **changes)
    options = {"seeds": 3, "key": 7, "times": [0.0, 0.3, 1.0], "test_samples": 5}
    one_by_one = simulate(model, 30, 1.0, **options, basis="rotated")

    def vectorized(system, fixed, keys, rows, test_samples):
        sizes = {"rows": rows, "test_samples": test_samples}
        return placement.Shards(system, fixed, keys, sizes, jax.local_devices(), vectorized=True)

    monkeypatch.setattr(engine, "place", vectorized)
    together = simulate(model, 30, 1.0, **options, basis="rotated")
    for name in one_by_one.observables:
        np.testing.assert_allclose(one_by_one[name], together[name], rtol=1e-5, atol=1e-6)


class Interrupting:
    """Stands for the progress bar; the user interrupts at step 30."""

    def __init__(self, **_):
        self.steps = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, steps):
        self.steps += steps
        if self.steps >= 30:
            raise KeyboardInterrupt


def test_an_interrupted_general_run_resumes_with_the_same_bits(runs, tmp_path, monkeypatch):
    options = {"seeds": 2, "key": 7, "test_samples": 5, "histogram_edges": [-1, 0, 1], "checkpoint_seconds": 0}
    path = tmp_path / "run.npz"
    monkeypatch.setattr(engine, "SEGMENTS_PER_CHUNK", 20)
    with monkeypatch.context() as patch:
        patch.setattr(job, "tqdm", Interrupting)
        part = simulate(EVERYTHING, 30, 2.0, checkpoint=path, **options)
    assert part.provenance.settings["interrupted"]
    assert 0 < part.times.size < runs.times.size
    with pytest.raises(SpecificationError, match=r"settings\.basis"):
        simulate(EVERYTHING, 30, 2.0, checkpoint=path, basis="rotated", **options)
    resumed = simulate(EVERYTHING, 30, 2.0, checkpoint=path, **options)
    assert all(np.array_equal(runs[name], resumed[name]) for name in runs.observables)


def test_what_cannot_run_is_refused():
    with pytest.raises(SpecificationError, match="multiple of the 3 eigenvalues"):
        simulate(EVERYTHING, 31, 1.0)
    with pytest.raises(SpecificationError, match='"eigenbasis" or "rotated"'):
        simulate(CORE, 30, 1.0, basis="random")
    with pytest.raises(SpecificationError, match="at most 4096"):
        simulate(CORE, 5000, 1.0, basis="rotated")
    with pytest.raises(SpecificationError, match="one structure"):
        simulate_paired([CORE, CORE.replace(label_quantizer=GRID)], 30, 1.0)
