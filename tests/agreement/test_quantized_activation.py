"""The example with quantized activations: its staircase, its step, and the numbers its page quotes."""

import functools
import importlib.util
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import SpecificationError

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "docs" / "images" / "quantized_activation.json"
PAGE = ROOT / "docs" / "quantized_activation.md"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("quantized_activation", ROOT / "examples" / "quantized_activation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data():
    return json.loads(DATA.read_text(encoding="utf-8"))


def test_staircase_and_its_derivatives(example):
    alpha, top = 0.5, 3.0
    h = jnp.array([-1.0, -0.1, 0.1, 0.5, 0.6, 1.2, 1.4, 1.6, 5.0])
    expected = {
        "identity": np.ones(9),
        "ReLU": [0, 0, 1, 1, 1, 1, 1, 1, 1],
        "clipped ReLU": [0, 0, 1, 1, 1, 1, 1, 0, 0],
        "exponential tail": np.where(h > 0, np.exp(-h / 1.5), 0),
        "logarithmic tail": np.where(h > 0, 1 / (1 + h / 1.5), 0),
    }
    assert set(expected) == set(example.SURROGATES)
    for name, derivative in example.SURROGATES.items():
        act = functools.partial(example.activation, derivative=derivative, alpha=alpha, top=top)
        values, slopes = jax.vmap(jax.value_and_grad(act))(h)
        np.testing.assert_allclose(values, [0, 0, 0.5, 0.5, 1, 1.5, 1.5, 1.5, 1.5])
        np.testing.assert_allclose(slopes, expected[name], rtol=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_step_is_the_best_for_gaussian_numbers(example, bits):
    numbers = np.random.default_rng(0).standard_normal(1_000_000)
    top = 2**bits - 1
    best = example.best_step(top)

    def error(alpha):
        levels = alpha * np.clip(np.ceil(numbers / alpha), 0, top)
        return np.mean((np.maximum(numbers, 0) - levels) ** 2)

    assert error(best) < min(error(0.95 * best), error(1.05 * best))
    if bits == 1:
        # the mean of the positive half
        assert best == pytest.approx(np.sqrt(2 / np.pi), rel=1e-5)


def test_network_trains_on_files_in_the_format_of_mnist(example, tmp_path, capsys, monkeypatch):
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 10, 400).astype(np.uint8)
    images = generator.integers(0, 60, (400, 4, 4)).astype(np.uint8)
    images.reshape(400, 16)[np.arange(400), labels] += 180
    arrays = {"x_train": images[:300], "y_train": labels[:300], "x_test": images[300:], "y_test": labels[300:]}
    np.savez(tmp_path / "mnist.npz", **arrays)
    # fewer cases than the example's
    monkeypatch.setattr(example, "RATES", {False: (0.5, 1.0)})
    monkeypatch.setattr(example, "NETWORKS", {False: "plain"})
    monkeypatch.setattr(example, "SURROGATES", {"clipped ReLU": example.SURROGATES["clipped ReLU"]})
    settings = ["--epochs", "60", "--seeds", "2", "--bits", "2", "--out", str(tmp_path / "out")]
    example.main(["--mnist", str(tmp_path / "mnist.npz"), *settings])
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["samples"], found["held_out"], found["pixels"]) == (300, 100, 16)
    assert [row["surrogate"] for row in found["rows"]] == ["not quantized", "clipped ReLU"]
    assert min(np.mean(row["held_out"]) for row in found["rows"]) > 0.9
    assert (tmp_path / "out.png").exists()
    assert example.table(found, False) in capsys.readouterr().out
    with pytest.raises(SpecificationError, match="npz"):
        example.main(["--mnist", str(tmp_path / "none.npz")])
    with pytest.raises(SystemExit):
        example.main(["--seeds", "1"])


def test_tables_of_the_page_are_those_of_the_run(example, data):
    page = PAGE.read_text(encoding="utf-8")
    for normalized in (False, True):
        assert example.table(data, normalized) in page
    steps = ", ".join(f"{data['steps'][bits]:.3f}" for bits in ("1", "2", "4"))
    assert steps in page
    for number in (data["samples"], data["held_out"], data["hidden"], data["updates"], data["seeds"]):
        assert re.search(rf"\b{number:,}\b", page)


def test_findings_of_the_page_hold_in_the_numbers_of_the_run(data):
    rows = {(row["normalized"], row["surrogate"], row["bits"]): row for row in data["rows"]}
    others = ("exponential tail", "logarithmic tail", "clipped ReLU")
    for row in data["rows"]:
        assert min(row["rates"]) < row["rate"] < max(row["rates"])
        assert len(row["held_out"]) == data["seeds"] >= 5

    def mean(key, normalized, name, bits) -> float:
        return float(np.mean(rows[normalized, name, bits][key]))

    for bits in (1, 2, 4):
        plain = {name: mean("final_loss", False, name, bits) for name in ("ReLU", "identity", *others)}
        assert plain["ReLU"] > 1.5 * plain["identity"] > 2 * max(plain[name] for name in others)
        assert 0.42 <= round(mean("above", False, "ReLU", bits), 2) <= 0.49
        assert all(0.16 <= round(mean("above", False, name, bits), 2) <= 0.25 for name in others)
    for bits in (2, 4):
        behind = [mean("held_out", True, name, bits) - mean("held_out", True, "identity", bits) for name in others]
        assert min(behind) > 0.01
        assert max(behind) < 0.025
        assert mean("held_out", True, "ReLU", bits) > min(mean("held_out", True, name, bits) for name in others) - 0.005
    losses = {name: mean("final_loss", True, name, 1) for name in ("ReLU", "identity", *others)}
    assert max(losses, key=losses.get) == "ReLU"
