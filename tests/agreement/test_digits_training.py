"""The example with a quantized network: a tiny run of it, its parts, and the tables its page quotes."""

import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import Uniform, format_error

ROOT = pathlib.Path(__file__).parents[2]
DATA, PAGE = ROOT / "docs" / "images" / "digits_training.json", ROOT / "docs" / "carry_over.md"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("digits_training", ROOT / "examples" / "digits_training.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.representative
def test_levels_are_those_of_a_mid_rise_grid(example):
    grid, w = Uniform(bits=3, range=3.5 * 0.4), np.linspace(-3, 3, 201) + 1e-4
    assert np.asarray(example.cells(w, 0.4, 3.5)) * 0.4 == pytest.approx(grid(w), abs=1e-6)


def test_the_step_is_the_best_for_normal_weights(example):
    step = example.normal_step(2)
    steps = (0.98 * step, step, 1.02 * step)
    errors = [float(format_error(Uniform(bits=2, range=1.5 * value), 1.0).absolute) for value in steps]
    assert errors[1] < min(errors[0], errors[2])


def test_the_gradient_of_the_learned_step_is_that_of_lsq(example):
    """Q(w)/s - w/s inside, the last level outside, times the scale 1/sqrt(number of weights times the last level)."""
    w, step, top = jnp.asarray([-2.3, -0.31, 0.12, 0.55, 4.0]), 0.5, 1.5
    slope = jax.grad(lambda s: example.quantized(w, s, top, True).sum())(step)
    levels, ratio = np.clip(np.floor(w / step) + 0.5, -top, top), np.asarray(w) / step
    inside = np.abs(ratio) < top + 0.5
    wanted = np.where(inside, levels - ratio, np.sign(ratio) * top).sum() / np.sqrt(w.size * top)
    assert float(slope) == pytest.approx(wanted, rel=1e-6)
    passed = jax.grad(lambda at: example.quantized(at, step, top, True).sum())(w)
    assert np.array_equal(np.asarray(passed), inside)


def test_a_tiny_run(example):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(64, 6)).astype(np.float32)
    data = [(jnp.asarray(images), jnp.asarray(images.argmax(axis=1)))] * 2
    weights = example.pretrained(jax.random.key(0), data, 2)
    with jax.enable_x64(False):
        arguments = (data, 160, jax.random.key(1), weights, 0.02, example.normal_step(2), 1.5)
        found = jax.jit(lambda: example.train("momentum", "fixed", "freezing", *arguments))()
    assert found["losses"].shape == (example.RECORDS,)
    # all weights stand still in the last eighth, at levels
    assert float(found["flips"]) == float(found["near"]) == 0
    assert float(found["flipping"][0]) > 0
    assert float(found["loss"]) < float(found["start loss"])


@pytest.mark.representative
def test_the_page_quotes_what_was_measured(example):
    data, page = json.loads(DATA.read_text(encoding="utf-8")), PAGE.read_text(encoding="utf-8")
    bits = tuple(data["settings"]["bits"])
    assert data["settings"] == {
        "seeds": example.SEEDS,
        "epochs": example.EPOCHS,
        "first epochs": example.FIRST_EPOCHS,
        "bits": list(example.BITS),
    }
    assert example.table(example.HEAD, data["table"]) in page
    assert example.verdicts(data["statements"], bits) in page
    # the tables are those of the numbers beside them
    losses = np.asarray(data["numbers"]["Adam, fixed"]["loss"])[:, 0]
    rows = {(row[0], row[1]): row for row in data["table"]}
    for count, values in zip(bits, losses, strict=True):
        assert rows["Adam, fixed", str(count)][2] == example.summary(values)
