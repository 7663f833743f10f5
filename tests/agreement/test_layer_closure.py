"""The Gaussian closure of a layer: exact on fine grids, near the runs where it should be; comparisons."""

import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats

from steode import SpecificationError, compare, fixed_points, layer, simulate, solve
from steode.systems.layer.solve import quantized_moments

pytestmark = pytest.mark.representative

RNG = np.random.default_rng(3)
DIM = 200
MOMENT = scipy.linalg.toeplitz(0.8 ** np.arange(DIM))
WEIGHTS, FAR = RNG.normal(size=(4, DIM)).clip(-1.8, 1.8), RNG.normal(size=(4, DIM))
TIMES = np.array([0, 0.5, 1, 2, 4, 8, 12, 20])


@pytest.fixture(autouse=True)
def _small_layers_are_noisy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", layer.LayerWarning)
        yield


def model(**changes):
    options = {"bits": 2, "kind": "mid-rise", "range": 2.0, "learning_rate": 0.1, "noise": 0.1} | changes
    return layer.LayerModel(WEIGHTS, second_moment=MOMENT, **options)


def test_moments_of_a_quantized_gaussian():
    nodes, weights = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000), 1 / 200_000
    for position, width in ((0.3, 0.2), (2.9, 1.1), (-0.5, 0.7)):
        codes = np.clip(np.floor(position + width * nodes + 0.5), 0, 3)
        first, square, slope = quantized_moments(np.array(position), np.array(width), 4)
        assert first == pytest.approx(np.sum(codes) * weights, abs=1e-4)
        assert square == pytest.approx(np.sum(codes**2) * weights, abs=1e-4)
        # Stein: the mean slope is the covariance with the noise over its width
        assert slope == pytest.approx(np.sum(codes * nodes) * weights / width, abs=1e-4)


def test_exact_where_the_grid_is_fine():
    """Nine bits: the moments of SGD without quantizers, from the matrix exponential and one integral equation."""
    own = model(bits=9, range=12.0, learning_rate=0.3, initial=FAR)
    values, basis = scipy.linalg.eigh(MOMENT)
    start = (FAR - WEIGHTS) @ basis
    grid = np.linspace(0, 4, 2001)
    bias = np.einsum("rl,tl->tr", start**2 * values, np.exp(-2 * 0.3 * np.outer(grid, values))) / DIM
    kernel = 0.3**2 * np.exp(-2 * 0.3 * np.outer(grid, values)) @ values**2 / DIM
    # V = sigma^2 + bias + kernel convolved with V, by the trapezoidal rule
    V = np.zeros((grid.size, 4))
    V[0] = 0.01 + bias[0]
    h = grid[1]
    for t in range(1, grid.size):
        past = h * (kernel[t:0:-1, None] * V[:t]).sum(axis=0) - h / 2 * kernel[t] * V[0]
        V[t] = (0.01 + bias[t] + past) / (1 - h / 2 * kernel[0])
    found = solve(own, 4, times=(0, 1, 2, 4), rtol=1e-6)
    # rounding adds at most step^2/6 of a mean diagonal of 1, at the start by its correlation with the offsets more
    np.testing.assert_allclose(found.V[1:], V[[500, 1000, 2000]], rtol=1e-4, atol=own.grid.step.max() ** 2 / 6)


def test_near_the_runs_from_far_away():
    for bits, rate, until, allowed in ((4, 0.2, 20, 0.03), (2, 0.1, 4, 0.05)):
        own = model(bits=bits, learning_rate=rate, initial=FAR)
        seen = compare(solve(own, 20), simulate(own, 20, seeds=8, times=TIMES))
        early = seen.times <= until
        assert np.all(np.abs(seen.gap[early]) < allowed + 4 * seen.standard_error[early])


def test_from_the_trained_weights_it_falls_then_rises_and_is_too_low():
    own = model(bits=3)
    path, runs = solve(own, 20), simulate(own, 20, seeds=8, times=TIMES)
    time, least = path.lowest
    total = runs["V"].mean(axis=0).sum(axis=1)
    assert 0 < time < 5
    assert least < 0.85 * total[0]
    assert total.min() < 0.9 * total[0]
    assert total[-1] > 1.2 * total.min()
    gap = compare(path, runs).gap
    assert np.all(gap[1:] > 0)
    assert np.all(gap < 0.6)


def test_starts_with_the_error_of_rounding():
    own = model()
    np.testing.assert_allclose(solve(own, 1).V[0], layer.rounding(own).V["nearest"], rtol=1e-6)


def test_fixed_points_beside_runs():
    own = model(learning_rate=0.4)
    runs = simulate(own, 100, seeds=4)
    found = compare(fixed_points(own), runs, since=40)
    assert found.what == "Fixed points"
    assert found.gap[0] == pytest.approx(runs["V"][:, runs.times >= 40].mean(axis=(0, 1)).sum() / found.theory[0] - 1)
    assert abs(found.gap[0]) < 0.1
    assert "standard error" in repr(found)
    assert np.all(np.isnan(compare(fixed_points(own), simulate(own, 2)).z))


def test_what_makes_no_sense_is_refused():
    own = model()
    path, runs = solve(own, 2), simulate(own, 3)
    for wrong in (
        lambda: solve(own, 2, method="density"),
        lambda: solve(own, -1),
        lambda: solve(own, 2, times=(1, 0)),
        lambda: compare(path, runs),
        lambda: compare(path, path),
        lambda: compare(fixed_points(own), runs, since=4),
        lambda: compare(
            path, simulate(layer.LayerModel(WEIGHTS[:1], second_moment=MOMENT, bits=2, learning_rate=0.1), 1)
        ),
    ):
        with pytest.raises(SpecificationError):
            wrong()
