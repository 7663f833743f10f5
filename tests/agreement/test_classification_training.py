"""The simulation of the classification system against a plain NumPy loop on the same samples, and its files."""

import jax
import numpy as np
import pytest

from steode import SpecificationError, classification
from steode.engine.noise import normals
from steode.engine.request import key_words, seed_sequence
from steode.systems.classification import ClassificationModel, ClassificationRuns
from steode.systems.classification.simulate import TRAINING, compiled_derivative
from steode.systems.classification.simulation import classification_system
from steode.systems.classification.surrogates import SURROGATES

pytestmark = pytest.mark.representative

PLAIN = {
    "identity": lambda h, top: np.ones_like(h),
    "relu": lambda h, top: (h > 0).astype(h.dtype),
    "clipped relu": lambda h, top: ((h > 0) & (h < top)).astype(h.dtype),
    "exponential tail": lambda h, top: np.where(h > 0, np.exp(-np.maximum(h, 0) / top), 0),
    "logarithmic tail": lambda h, top: np.where(h > 0, 1 / (1 + np.maximum(h, 0) / top), 0),
}
STEPS = 150


def samples(model, steps, dtype, seed=0):
    """The batches that `simulate` draws with key 0."""
    words = key_words(0)
    key = seed_sequence(words, model.input_dimension, seed, TRAINING).generate_state(2)
    with jax.enable_x64(dtype == "float64"):
        system = classification_system(model, compiled_derivative(model.slope), dtype)
        x, labels = system.draw(None, normals(key.astype(np.uint32), 0, steps, system.normals, dtype))
        return np.asarray(x), np.asarray(labels)


def plain_loop(model, weights, batches, labels):
    """The update as docs/classification.md has it: outputs, hinge loss, chain rule, one sample after the other."""
    weights, top, last = weights.copy(), 2**model.bits - 1, 0
    votes = np.where(model.votes[None, :] == np.arange(model.classes)[:, None], 0.5, -0.5) * model.vote
    slope = PLAIN[model.surrogate.name]
    for number, (batch, truth) in enumerate(zip(batches, labels, strict=True), start=1):
        step = np.zeros_like(weights)
        for x, y in zip(batch, truth, strict=True):
            hidden = weights @ x
            outputs = votes @ np.clip(np.ceil(hidden), 0, top)
            others = np.delete(np.arange(model.classes), y)
            best = outputs[others].max()
            if 1 - outputs[y] + best <= 0:
                continue
            tied = others[np.isclose(outputs[others], best)]
            back = votes[tied].mean(axis=0) - votes[y]
            step += np.outer(back * slope(hidden, top), x)
            last = number
        weights = weights - (model.step / len(batch) * step).astype(weights.dtype)
    return weights, last


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_simulation_is_the_plain_loop(surrogate):
    model = ClassificationModel(
        classes=3, dimensions=(2, 3, 1), neurons_per_class=(5, 4, 3), bits=2, surrogate=surrogate, batch=8, vote=0.7
    )
    weights = np.random.default_rng(3).normal(0, 0.5, (12, 6))
    runs = classification.simulate(model, STEPS, record=[STEPS], init=weights, test_samples=1, dtype="float64")
    expected, last = plain_loop(model, weights, *samples(model, STEPS, "float64"))
    np.testing.assert_allclose(runs.weights[0, 0], expected, rtol=0, atol=1e-12)
    assert runs.last_loss[0] == last
    assert np.abs(expected - weights).max() > 0.1


def test_single_precision_is_the_plain_loop_too():
    model = ClassificationModel(batch=8, surrogate="logarithmic tail")
    weights = np.random.default_rng(3).normal(0, 0.5, (18, 6)).astype(np.float32)
    runs = classification.simulate(model, STEPS, record=[STEPS], init=weights, test_samples=1)
    expected, _ = plain_loop(model, weights, *samples(model, STEPS, "float32"))
    np.testing.assert_allclose(runs.weights[0, 0], expected, rtol=0, atol=2e-5)


def test_samples_have_the_law_of_the_model():
    model = ClassificationModel(classes=3, dimensions=(1, 2, 4), batch=64, radii=(0.5, 2.0))
    x, labels = (value.reshape(-1, *value.shape[2:]) for value in samples(model, 400, "float32"))
    count = labels.size
    assert np.abs(np.bincount(labels) / count - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / count)
    for number, block in enumerate(model.blocks):
        own = x[labels == number]
        assert np.count_nonzero(np.delete(own, np.arange(7)[block], axis=1)) == 0
        length = np.linalg.norm(own, axis=1)
        assert (length.min(), length.max()) == (pytest.approx(0.5, abs=1e-3), pytest.approx(2.0, abs=1e-3))
        assert abs(length.mean() - 1.25) < 4.5 * length.std() / np.sqrt(length.size)
        directions = own[:, block] / length[:, None]
        size = directions.shape[1]
        assert np.abs(directions.mean(axis=0)).max() < 4.5 / np.sqrt(size * length.size)
        second = directions.T @ directions / length.size - np.eye(size) / size
        assert np.abs(second).max() < 4.5 / np.sqrt(length.size)


def test_rotated_subspaces_change_nothing():
    """W and samples turned together: the same run, up to rounding."""
    model = ClassificationModel(dimensions=(2, 1, 3), input_dimension=8, batch=16)
    start = np.random.default_rng(0).normal(0, 0.3, (18, 6))
    options = {"seeds": 2, "record": [0, 100], "init": start, "dtype": "float64", "test_samples": 64}
    plain = classification.simulate(model, 100, **options)
    turned = classification.simulate(model.replace(rotated=True), 100, **options)
    np.testing.assert_allclose(turned.weights, plain.weights, atol=1e-12)
    np.testing.assert_array_equal(turned.loss, plain.loss)


def test_runs_depend_on_key_and_seed_alone():
    model = ClassificationModel(batch=8)
    two, three = (classification.simulate(model, 60, seeds=seeds, key=5, record=[0, 60]) for seeds in (2, 3))
    np.testing.assert_array_equal(two.weights, three.weights[:2])
    other = classification.simulate(model, 60, key=6, record=[0, 60])
    assert np.abs(other.weights[0] - two.weights[0]).min() > 0


def test_without_loss_nothing_moves_any_more():
    model = ClassificationModel(classes=2, neurons_per_class=8, step=1.0)
    runs = classification.simulate(model, 6000, seeds=6, record=(0, 3000, 6000))
    settled = runs.last_loss <= 3000
    assert runs.perfect[settled].all()
    assert settled.sum() >= 2
    np.testing.assert_array_equal(runs.weights[settled, 1], runs.weights[settled, 2])
    assert (runs.clean_samples[settled] >= 3000 * 64).all()
    assert np.all(np.isnan(runs.steps_to_perfect) == ~runs.perfect)
    assert runs.covered()[settled].all()


def test_population_is_a_grid_of_samples():
    model = ClassificationModel(batch="population", surrogate="relu", step=0.3)
    start = np.random.default_rng(1).normal(0, 1.0, (18, 6))
    runs = classification.simulate(model, 1, record=[0, 1], init=start, test_samples=64, dtype="float64")
    step = (runs.weights[0, 0] - runs.weights[0, 1]) / model.step
    expected = classification.gradients(model, start).coarse
    # error sets end between the points of the grid: cells of 1.5 degrees and an eighth of the lengths
    assert np.linalg.norm(step - expected) < 0.02 * np.linalg.norm(expected)


def test_files_keep_the_runs(tmp_path):
    model = ClassificationModel(classes=2, surrogate="Heaviside(x)/(1 + x)", batch=8)
    runs = classification.simulate(model, 20, seeds=2, key=2**40 + 3)
    back = ClassificationRuns.load(runs.save(tmp_path / "runs.nc"))
    assert (back.model, back.key, back.test_samples) == (model, runs.key, runs.test_samples)
    for name in ("steps", "weights", "loss", "error", "class_loss", "last_loss"):
        np.testing.assert_array_equal(getattr(back, name), getattr(runs, name))
    assert "2 runs, surrogate own" in repr(back)
    (tmp_path / "other.nc").write_text("no data")
    for wrong in ("other.nc", "none.nc", "runs.txt"):
        with pytest.raises(SpecificationError, match="path"):
            ClassificationRuns.load(tmp_path / wrong)
