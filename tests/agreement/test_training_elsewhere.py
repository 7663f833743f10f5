"""Runs of the same model in PyTorch and with optax meet the limit; each is skipped where its library is absent."""

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

from steode import plateau, solve
from steode.systems.linear.compare import normal_score

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "train_elsewhere.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_elsewhere", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_elsewhere"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def theory(example):
    return solve(example.MODEL, float(example.TIMES[-1]), times=example.TIMES, tolerance=1e-4)


@pytest.mark.representative
@pytest.mark.parametrize("library", ["torch", "optax"])
def test_training_in_another_library_follows_the_limit(library, example, theory):
    pytest.importorskip(library)
    errors = getattr(example, f"train_in_{library}")(key=1)
    assert errors.shape == (example.SEEDS, example.TIMES.size)
    gap = errors.mean(axis=0) - theory["eps_g"]
    spread = errors.std(axis=0, ddof=1) / np.sqrt(example.SEEDS)
    # of 1/(seeds d) weights on their way and of single precision, as in steode.compare
    one_weight = theory["eps_g"].max() / (example.SEEDS * example.DIM)
    resolution = np.sqrt(one_weight**2 + one_weight * np.abs(gap))
    z = normal_score(gap / np.hypot(spread, resolution), example.SEEDS - 1)
    assert np.abs(z).max() < 4
    # the runs have the plateau that the limit has
    (found,) = plateau(theory)[:1]
    flat = (found.start <= example.TIMES) & (found.flat_until >= example.TIMES)
    assert flat.sum() >= 4
    assert np.abs(gap[flat]).max() < 0.05 * theory["eps_g"].max()
