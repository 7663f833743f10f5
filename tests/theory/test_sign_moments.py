"""What the sign of a gradient sees of a batch of inputs: closed forms, and samples from the definition."""

import jax
import numpy as np
import pytest
import scipy.special

from steode import (
    AdditiveNoise,
    Elementwise,
    Identity,
    Levels,
    MultiplicativeNoise,
    Sign,
    StochasticRounding,
    Ternary,
    Uniform,
)
from steode.bridge import numeric_map
from steode.solvers.sign_moments import sign_moments

MAPS = {
    "identity": Identity(),
    "steps": Uniform(2, 2.0),
    "steps with zero": Uniform(3, 2.0, kind="mid-tread"),
    "uneven": Levels([-2.0, -0.3, 0.3, 2.0]),
    "ternary": Ternary(0.6),
    "rounding": StochasticRounding(Uniform(2, 2.0)),
    "rounding with zero": StochasticRounding(Ternary(1.0)),
    "additive": AdditiveNoise(0.3),
    "multiplicative": MultiplicativeNoise(0.2),
    "hardly multiplicative": MultiplicativeNoise(1e-3),
    "tanh": Elementwise("tanh(x)"),
    "clipped": Elementwise("Min(Max(x, -1), 1)"),
}


def moments(entry, batch):
    with jax.enable_x64(True):
        return np.array([float(value) for value in sign_moments(numeric_map(entry), batch)])


@pytest.mark.parametrize("batch", [1, 2, 7, 100])
def test_of_normal_inputs_they_are_the_mean_of_chi(batch):
    chi = np.sqrt(2) * np.exp(scipy.special.gammaln((batch + 1) / 2) - scipy.special.gammaln(batch / 2))
    assert moments(Identity(), batch) == pytest.approx([chi, chi, 1.0], rel=1e-12)
    assert moments(AdditiveNoise(0.44), batch) == pytest.approx([chi / 1.2, 1.2 * chi, 1.0], rel=1e-12)


@pytest.mark.parametrize("batch", [1, 5])
def test_of_signs_they_are_roots_of_the_batch(batch):
    # |z| = sqrt(B), and x.z = sum |x|
    expected = [np.sqrt(2 / np.pi) * np.sqrt(batch), np.sqrt(batch), 1.0]
    assert moments(Sign(), batch) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["steps", "steps with zero", "uneven", "ternary"])
def test_of_one_sample_they_are_sums_over_levels(name):
    entry = MAPS[name]
    cuts = np.concatenate([[-np.inf], entry.thresholds, [np.inf]])
    shares, heights = np.diff(scipy.special.ndtr(cuts)), np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)
    sums = heights[:-1] - heights[1:]
    expected = [np.sign(entry.levels) @ sums, np.abs(entry.levels) @ shares, shares @ (entry.levels != 0)]
    assert moments(entry, 1) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", MAPS)
def test_they_are_averages_over_batches(name, batch):
    entry, generator, draws = MAPS[name], np.random.default_rng(batch), 400_000
    x = generator.standard_normal((draws, batch))
    z = entry.sample(x, generator) if hasattr(entry, "sample") else entry(x)
    norm = np.sqrt(np.sum(z**2, axis=1))
    along = np.divide(np.sum(x * z, axis=1), norm, out=np.zeros(draws), where=norm > 0)
    samples = np.stack([along, norm, (norm > 0) * 1.0])
    error = np.maximum(samples.std(axis=1) / np.sqrt(draws), 1e-9)
    assert np.abs((samples.mean(axis=1) - moments(entry, batch)) / error).max() < 4.5


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_uniform_grids_have_nearly_the_target_of_the_gradient(scale):
    entry = Uniform(2, scale)
    x = np.random.default_rng(0).standard_normal(1_000_000)
    z = entry(x)
    teacher, student, _ = moments(entry, 1)
    assert teacher / student == pytest.approx(np.mean(x * z) / np.mean(z**2), rel=0.05)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("average", [0, 1])
def test_they_can_be_differentiated(average, batch):
    unit = Uniform(3, 1.0)

    def value(scale):
        return sign_moments(numeric_map(unit, scale), batch)[average]

    with jax.enable_x64(True):
        slope = float(jax.grad(value)(2.0))
        difference = float(value(2.0 + 1e-5) - value(2.0 - 1e-5)) / 2e-5
    assert slope == pytest.approx(difference, rel=1e-7)
