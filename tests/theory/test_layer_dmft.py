"""Dynamical mean-field theory of a layer: kernels against two other forms of them, exact cases, what is refused."""

import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from steode import SpecificationError, UnsupportedError, compare, layer, simulate, solve
from steode.solvers.mean_field import Memory, gauss_rule

RNG = np.random.default_rng(4)
TIMES = 7


@pytest.fixture(autouse=True)
def _small_layers_are_noisy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", layer.LayerWarning)
        yield


def kernels(nodes, weights, floor, inverse):
    """G, C, drawn; R, Cov zeta, V and Cov n that follow."""
    response = np.tril(RNG.normal(size=(TIMES, TIMES)) / 4, -1)
    root = RNG.normal(size=(TIMES, TIMES))
    correlation = root @ root.T / TIMES
    memory = Memory(np.asarray(nodes, float), np.asarray(weights, float), TIMES)
    R, covariance, V = np.zeros((TIMES, TIMES)), np.zeros((TIMES, TIMES)), np.zeros(TIMES)
    for t in range(TIMES):
        V[t], R[t, : t + 1], row = memory.advance(response[t, :t], correlation[t, : t + 1], floor, inverse)
        covariance[t, : t + 1] = covariance[: t + 1, t] = row
    return response, correlation, R, covariance, V


def free_cumulants(moments):
    """kappa_1, ..., kappa_n of m_0 = 1, m_1, ..., m_n: m_n = sum_s kappa_s [z^(n-s)] (sum_i m_i z^i)^s."""
    kappa = [0.0]
    for n in range(1, len(moments)):
        power, rest = np.array([1.0]), moments[n]
        for s in range(1, n):
            power = np.convolve(power, moments)[: len(moments)]
            rest -= kappa[s] * power[n - s]
        kappa.append(rest)
    return kappa


def test_without_noise_they_are_the_series_in_free_cumulants():
    nodes, weights = np.array([0.3, 1.1, 2.5]), np.array([0.5, 0.3, 0.2])
    G, C, R, covariance, _ = kernels(nodes, weights, 0.0, 0.0)
    kappa = free_cumulants([weights @ nodes**n for n in range(2 * TIMES + 2)])
    powers = [np.linalg.matrix_power(G, n) for n in range(2 * TIMES + 1)]
    np.testing.assert_allclose(R, sum(kappa[n + 1] * powers[n] for n in range(TIMES)), atol=1e-10)
    series = sum(
        kappa[n] * sum(powers[k] @ C @ powers[n - 2 - k].T for k in range(n - 1)) for n in range(2, 2 * TIMES + 1)
    )
    np.testing.assert_allclose(covariance, series, atol=1e-10)


def rows_of_independent_entries(population, G, C, V, floor, inverse):
    """THEORY of K = A^T Lambda A, p = d: each row of A feels M = (1 - lambda G)^-1."""
    N, one = np.diag(V * inverse), np.eye(TIMES)
    R, covariance, own = 0.0, 0.0, 0.0
    for lam in population:
        M = np.linalg.inv(one - lam * G)
        R = R + lam * M / len(population)
        covariance = covariance + (lam**2 * M @ C @ M.T + lam * M @ N @ M.T) / len(population)
        own = own + lam * np.diag(M @ C @ M.T + lam * G @ M @ N @ (G @ M).T) / len(population)
    return R, covariance, floor + own


def test_with_noise_and_independent_entries_they_are_those_of_the_rows():
    """A^T A with p = d: eigenvalues are squares of the semicircle's, whose Gauss rule is known."""
    angle = np.arange(1, 31) * np.pi / 31
    G, C, R, covariance, V = kernels(4 * np.cos(angle) ** 2, 2 / 31 * np.sin(angle) ** 2, 0.2, 3.0)
    expected = rows_of_independent_entries([1.0], G, C, V, 0.2, 3.0)
    for mine, other in zip((R, covariance, V), expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-8 * np.abs(other).max())


def test_with_a_population_spectrum_too():
    """Eigenvalues of one large A^T Lambda A: equal but for what is left of order 1/d."""
    dim = 1500
    population = np.where(np.arange(dim) < 0.8 * dim, 0.3, 3.8)
    A = RNG.normal(size=(dim, dim)) / np.sqrt(dim)
    rule = gauss_rule(np.maximum(np.linalg.eigvalsh((A.T * population) @ A), 0), 16)
    G, C, R, covariance, V = kernels(*rule, 0.2, 3.0)
    expected = rows_of_independent_entries([0.3] * 4 + [3.8], G, C, V, 0.2, 3.0)
    for mine, other in zip((R, covariance, V), expected, strict=True):
        np.testing.assert_allclose(mine, other, atol=0.02 * np.abs(other).max())


def test_gauss_rule():
    values = RNG.gamma(2.0, size=500)
    nodes, weights = gauss_rule(values, 6)
    assert nodes.size == 6
    for n in range(12):
        assert weights @ nodes**n == pytest.approx(np.mean(values**n), rel=1e-9)
    nodes, weights = gauss_rule(np.repeat([1.0, 3.0], [30, 10]), 16)
    np.testing.assert_allclose([nodes, weights], [[1, 3], [0.75, 0.25]], atol=1e-12)


DIM = 200
VALUES = np.repeat([0.3, 2.4], [130, 70])
BASIS = scipy.stats.ortho_group.rvs(DIM, random_state=np.random.default_rng(5))
MOMENT = (BASIS * VALUES) @ BASIS.T
WEIGHTS, FAR = RNG.normal(size=(2, DIM)).clip(-1.8, 1.8), RNG.normal(size=(2, DIM))


def model(**changes):
    options = {"bits": 2, "kind": "mid-rise", "range": 2.0, "learning_rate": 0.1, "noise": 0.1} | changes
    return layer.LayerModel(WEIGHTS, second_moment=MOMENT, **options)


@pytest.mark.parametrize("batch", [1, 3])
def test_exact_where_the_grid_is_fine(batch):
    """V = sigma^2 + sum_l lambda_l delta_l^2/d, delta_l^2 by V' of its own: d + 1 equations without quantizers."""
    own = model(bits=11, range=12.0, learning_rate=0.3, initial=FAR, batch_size=batch)
    start = np.mean((FAR - WEIGHTS) ** 2, axis=1)
    share = np.array([0.65, 0.35])
    values = np.array([0.3, 2.4])
    times = np.array([0, 1, 2, 4.0])
    for row in range(2):

        def rates(t, square):
            V = 0.01 + share @ (values * square)
            return -0.6 * values * square + 0.09 * V / batch * values

        square = scipy.integrate.solve_ivp(rates, (0, 4), np.full(2, start[row]), t_eval=times, rtol=1e-9).y
        V = 0.01 + share @ (values[:, None] * square)
        if row == 0:
            found = solve(own, 4, method="dmft", times=times, samples=3000, steps=100)
        assert np.all(np.abs(found.V[:, row] - V) < 4 * found.error[:, row] + 1e-3 * V)
        assert np.all(found.error[:, row] < 0.03 * V)


def test_what_it_returns():
    own = model()
    options = {"method": "dmft", "samples": 1500, "steps": 40}
    found = solve(own, 3, **options)
    again = solve(own, 3, **options)
    np.testing.assert_array_equal(found.V, again.V)
    assert np.any(found.V != solve(own, 3, key=1, **options).V)
    assert found.V.shape == found.error.shape == (201, 2)
    assert found.total_error.shape == (201,)
    assert found.spread is None
    # at the start the mean of K_ii delta_i^2, without correlations that a finite layer has
    offset = own.grid(WEIGHTS) - WEIGHTS
    np.testing.assert_allclose(found.V[0], 0.01 + VALUES.mean() * np.mean(offset**2, axis=1), rtol=1e-9)
    assert "mean-field" in repr(found)
    seen = compare(found, simulate(own, 3, seeds=4))
    assert seen.what == "Dynamical mean-field theory"
    both = np.hypot(seen.standard_error, found.total_error / seen.theory)
    np.testing.assert_allclose(seen.z[1:], (seen.gap / both)[1:], rtol=1e-3)


def test_what_it_cannot_do_is_refused_before_work():
    with pytest.raises(UnsupportedError, match="rows"):
        solve(layer.LayerModel(np.ones((65, 4)), second_moment=np.eye(4), bits=2, learning_rate=0.1), 1, method="dmft")
    with pytest.raises(UnsupportedError, match="time steps"):
        solve(model(), 2000, method="dmft")
    with pytest.raises(UnsupportedError, match="time steps"):
        solve(model(), 100, method="dmft", steps=40)
    for wrong in ({"samples": 0}, {"steps": 3}, {"key": -1}):
        with pytest.raises(SpecificationError):
            solve(model(), 2, method="dmft", **wrong)
