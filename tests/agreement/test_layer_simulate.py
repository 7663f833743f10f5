"""Training of a layer: the literal step, the data it sees, remedies, checkpoints."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from steode import Elementwise, Schedule, SpecificationError, Uniform, layer, simulate
from steode.engine.noise import normals
from steode.systems.layer.simulation import layer_system

pytestmark = pytest.mark.representative

RNG = np.random.default_rng(7)
DIM, ROWS = 16, 3
WEIGHTS = RNG.normal(size=(ROWS, DIM))
INPUTS = RNG.normal(size=(40, DIM)) @ scipy.linalg.toeplitz(0.5 ** np.arange(DIM))
MOMENT = scipy.linalg.toeplitz(0.6 ** np.arange(DIM))


def model(**changes):
    given = {"second_moment": MOMENT, "bits": 3, "learning_rate": 0.2, "range": "mean square"} | changes
    if "activations" in given:
        del given["second_moment"]
    return layer.LayerModel(WEIGHTS, **given)


def stepped(own, data, steps=60, **options):
    """States of a system in float64, run by hand on a stream of its own, and the samples it was given."""
    with jax.enable_x64(True):
        system = layer_system(own, data, "float64", **options)
        state = jax.tree.map(jnp.asarray, system.begin(np.array(own.start)))
        key = jnp.array([1, 2], jnp.uint32)
        samples = system.sample(key, normals(key, 0, steps, system.normals, "float64"))
        seen, states = [], [state]
        batch, step = (eqx.filter_jit(part) for part in (system._batch, system.step))
        for k in range(steps):
            sample = jax.tree.map(lambda part, k=k: part[k], samples)
            images, labels = batch(key, dict(states[-1]), sample, jnp.int32(k))
            seen.append((np.asarray(images), np.asarray(labels)))
            states.append(step(key, states[-1], sample, jnp.int32(k))[0])
    return [jax.tree.map(np.asarray, state) for state in states], seen


CASES = {
    "gaussian": ({}, "gaussian", {}),
    "noisy batches": ({"noise": 0.3, "batch_size": 4}, "gaussian", {}),
    "groups": ({"granularity": 4, "kind": "asymmetric"}, "gaussian", {}),
    "quantized inputs": ({"input_quantizer": Uniform(2, 1.5)}, "gaussian", {}),
    "epochs": ({"activations": INPUTS, "batch_size": 6}, "epochs", {}),
    "online": ({"activations": INPUTS, "input_quantizer": Elementwise("tanh(x)")}, "online", {}),
    "dampening": ({}, "gaussian", {"remedy": layer.Dampening(0.7), "strength": lambda time: 0.7}),
    "decay": ({}, "gaussian", {"schedule": lambda time: 0.2 / (1 + time)}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_the_update_of_the_specification(name):
    changes, data, options = CASES[name]
    own = model(**changes)
    states, seen = stepped(own, data, **options)
    w = np.array(own.start)
    for k, (z, y) in enumerate(seen):
        rate = 0.2 / (1 + k / DIM) if name == "decay" else 0.2
        q = own.grid(w)
        residual = q @ z.T / np.sqrt(DIM) - y.T
        pull = 0.7 * rate / DIM * (w - q) if name == "dampening" else 0
        w = w - rate / np.sqrt(DIM) * residual @ z / own.batch_size - pull
        np.testing.assert_allclose(states[k + 1]["w"], w, atol=1e-10)
    np.testing.assert_allclose(states[-1]["q"], own.grid(w), atol=1e-10)
    changed = [
        np.mean(own.grid(a["w"]) != own.grid(b["w"]), axis=1) for a, b in zip(states[:-1], states[1:], strict=True)
    ]
    np.testing.assert_allclose(states[-1]["flips"], np.sum(changed, axis=0), atol=1e-10)


def test_labels_are_the_weights_on_the_inputs():
    _, seen = stepped(model(), "gaussian")
    for z, y in seen:
        np.testing.assert_allclose(y, z @ WEIGHTS.T / np.sqrt(DIM), atol=1e-12)


def test_gaussian_inputs_have_the_second_moment():
    _, seen = stepped(model(batch_size=200), "gaussian", steps=20)
    inputs = np.concatenate([z for z, _ in seen])
    found = inputs.T @ inputs / len(inputs)
    error = np.sqrt((MOMENT**2 + np.outer(np.diag(MOMENT), np.diag(MOMENT))) / len(inputs))
    assert np.abs((found - MOMENT) / error).max() < 4.5


def test_an_epoch_shows_every_sample_once_in_a_new_order():
    own = model(activations=INPUTS, batch_size=6)
    _, seen = stepped(own, "epochs", steps=18)
    orders = []
    for epoch in range(3):
        shown = np.concatenate([z for z, _ in seen[6 * epoch : 6 * epoch + 6]])
        numbers = [int(np.flatnonzero(np.all(np.isclose(INPUTS, z), axis=1))[0]) for z in shown]
        assert len(set(numbers)) == 36
        orders.append(numbers)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("quantizer", [None, Uniform(2, 1.5)])
def test_recorded_variance_is_the_mean_over_fresh_batches(quantizer):
    own = model(noise=0.2, **({} if quantizer is None else {"input_quantizer": quantizer}))
    runs = simulate(own, 20, times=(0, 20), test_samples=40_000, seeds=2, dtype="float64")
    # a Gaussian residual's square has the relative deviation sqrt(2); quantized inputs are not far from it
    z = (runs["V_test"] / runs["V"] - 1) / np.sqrt(2 / 40_000)
    assert np.abs(z).max() < 4.5


def test_variance_on_activations_is_their_mean():
    own = model(activations=INPUTS[:10], noise=0.1)
    runs = simulate(own, 5, times=(0, 5), dtype="float64")
    residual = (own.grid(runs.weights[0]) - WEIGHTS) @ INPUTS[:10].T / np.sqrt(DIM)
    np.testing.assert_allclose(runs["V"][0, -1], 0.01 + np.mean(residual**2, axis=1), rtol=1e-9)


def test_runs_are_a_function_of_the_key():
    first, again, other = (simulate(model(), 4, seeds=2, key=key, times=(4,)) for key in (3, 3, 4))
    np.testing.assert_array_equal(first.weights, again.weights)
    assert np.all(first.weights != other.weights)
    assert np.any(first.weights[0] != first.weights[1])


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    own, path = model(activations=INPUTS, noise=0.1), tmp_path / "run.npz"
    options = {"remedy": layer.Freezing(1, 8), "average_from": 2, "checkpoint": path, "checkpoint_seconds": 0}
    first = simulate(own, 10, **options)
    again = simulate(own, 10, **options)
    np.testing.assert_array_equal(first.weights, again.weights)
    with pytest.raises(SpecificationError, match="checkpoint of this run"):
        simulate(own.replace(learning_rate=0.3), 10, **options)


def test_frozen_weights_end_on_levels_and_stay():
    own = model()
    runs = simulate(own, 30, times=(0, 10, 20, 25, 30), remedy=layer.Freezing(5, 20))
    np.testing.assert_allclose(runs.weights, own.grid(runs.weights[0])[None], atol=1e-6)
    assert np.all(runs["flips"][:, 2] == runs["flips"][:, -1])
    assert np.all(runs["flips"][:, 1] < runs["flips"][:, 2])
    np.testing.assert_allclose(runs["level_fraction"].sum(axis=-1), 1, atol=1e-6)


def test_dampening_by_a_schedule_holds_the_weights():
    runs = [
        simulate(model(), 40, times=(0, 35, 40), remedy=kind) for kind in (None, layer.Dampening(Schedule("tau/4")))
    ]
    late = [float((run["flips"][:, 2] - run["flips"][:, 1]).mean()) for run in runs]
    assert late[1] < 0.2 * late[0]


def test_average_is_that_of_the_latent_weights():
    own = model()
    states, _ = stepped(own, "gaussian", average_from=20)
    np.testing.assert_allclose(states[-1]["average"], np.mean([s["w"] for s in states[21:]], axis=0), atol=1e-10)


REFUSED = {
    "data": {"data": "epochs"},
    "t_end": {"t_end": -1},
    "seeds": {"seeds": 0},
    "dtype": {"dtype": "int8"},
    "remedy": {"remedy": "freeze"},
    "learning_rate": {"learning_rate": 0.1},
    "average_from": {"average_from": 9.0},
    "times": {"times": (3, 1)},
    "key": {"key": -1},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name):
    with pytest.raises(SpecificationError) as caught:
        simulate(model(), **({"t_end": 5} | REFUSED[name]))
    assert caught.value.argument == name


def test_remedies_are_checked():
    for make in (lambda: layer.Freezing(3, 2), lambda: layer.Freezing(0, 1, every=0), lambda: layer.Dampening(-1)):
        with pytest.raises(SpecificationError):
            make()
