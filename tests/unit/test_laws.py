"""Moments, samples and quadrature of every law, each checked against an independent route."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steode.errors import SpecificationError
from steode.parts.laws import Constant, Discrete, Empirical, Laplace, Law, Normal, TwoPoint, UniformLaw
from steode.parts.spectrum import Eigenvalues

CONTINUOUS = {
    "standard normal": Normal(),
    "narrow shifted normal": Normal(mean=1.5, std=0.1),
    "Laplace": Laplace(scale=0.7),
    "shifted Laplace": Laplace(mean=-1.0, scale=2.0),
    "uniform": UniformLaw(-1.0, 3.0),
}
HEAVY = np.random.default_rng(3).standard_t(5, size=4001)
EMPIRICAL = {"few numbers": Empirical([0.5, -1.0, 0.5, 2.0]), "many numbers": Empirical(HEAVY)}
ATOMIC = {
    "constant": Constant(-0.8),
    "two points": TwoPoint(1.3, 0.25),
    "discrete": Discrete((-1.0, 0.5, 4.0), (0.2, 0.7, 0.1)),
    "equal weights": Discrete((3.0, 1.0)),
}
LAWS = CONTINUOUS | EMPIRICAL | ATOMIC
KINKS = {
    "no kink": [],
    "one kink": [0.0],
    "two-bit levels": [-2.0, -2 / 3, 2 / 3, 2.0],
    "some far outside": [-40.0, 0.1, 1.5, 40.0],
    "four-bit levels": list(np.linspace(-2.5, 2.5, 16)),
}


def cells(kinks) -> np.ndarray:
    """Coefficients of a cubic on every cell between the kinks, discontinuous at each of them; shape (cells, 4)."""
    return np.random.default_rng(len(kinks)).normal(size=(len(kinks) + 1, 4))


def piecewise(kinks, coefficients):
    def function(w):
        powers = np.asarray(w)[..., None] ** np.arange(4)
        return np.sum(coefficients[np.searchsorted(kinks, w, side="right")] * powers, axis=-1)

    return function


def expectation(law: Law, kinks, function) -> float:
    """E[function(w)], smooth between kinks: the plain average, or 20 Gauss-Legendre nodes on each of many panels."""
    if isinstance(law, Empirical):
        return float(np.mean(function(law.values)))
    low, high = law.support(1e-15)
    inner = [kink for kink in (*kinks, *law.kinks) if low < kink < high]
    cuts = np.unique([*np.linspace(low, high, 201), *inner])
    centers, halves = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts) / 2
    nodes, weights = np.polynomial.legendre.leggauss(20)
    points = centers[:, None] + halves[:, None] * nodes
    return float(np.sum(halves[:, None] * weights * law.distribution.pdf(points) * function(points)))


@pytest.fixture(params=LAWS.values(), ids=LAWS.keys())
def law(request):
    return request.param


@pytest.fixture(params=KINKS.values(), ids=KINKS.keys())
def kinks(request):
    return np.array(request.param)


@pytest.mark.parametrize("nodes", [2, 33, 64, 200])
def test_quadrature_weights_are_probabilities(law, kinks, nodes):
    points, weights = law.quadrature(kinks, nodes)
    assert points.shape == weights.shape
    assert points.ndim == 1
    assert np.all(weights > 0)
    assert abs(weights.sum() - 1) < 1e-12


@pytest.mark.parametrize("nodes", [2, 33, 64, 200])
def test_quadrature_has_the_first_two_moments(law, kinks, nodes):
    points, weights = law.quadrature(kinks, nodes)
    assert abs(weights @ points - law.mean) < 1e-9 * (1 + abs(law.mean))
    assert abs(weights @ points**2 - law.second_moment) < 1e-9 * law.second_moment


@pytest.mark.parametrize("law", (CONTINUOUS | EMPIRICAL).values(), ids=CONTINUOUS | EMPIRICAL)
@pytest.mark.parametrize("nodes", [64, 200])
def test_quadrature_is_exact_for_cubics_between_kinks(law, kinks, nodes):
    assert abs(expectation(law, kinks, np.square) - law.second_moment) < 1e-11 * law.second_moment  # the reference
    function = piecewise(kinks, cells(kinks))
    points, weights = law.quadrature(kinks, nodes)
    scale = expectation(law, kinks, lambda w: np.abs(function(w)))
    assert abs(weights @ function(points) - expectation(law, kinks, function)) < 1e-8 * scale


def test_quadrature_nodes_stay_inside_the_support(law, kinks):
    points, _ = law.quadrature(kinks, 64)
    if isinstance(law, UniformLaw):
        assert law.low < points.min() < points.max() < law.high
    if isinstance(law, Empirical):
        assert law.values.min() <= points.min() <= points.max() <= law.values.max()


@pytest.mark.parametrize(("law", "order"), [(UniformLaw(-1.0, 3.0), 4), (Normal(), 1)], ids=["uniform", "normal"])
def test_quadrature_converges_on_other_functions(law, order):
    """Fourth order where every panel shrinks; the two outer panels of an unbounded law leave first order."""

    def function(w):
        return np.cos(w + 0.7)

    kinks, nodes = np.array([0.3]), np.array([16, 32, 64, 128, 256])
    exact = expectation(law, kinks, function)
    rules = [law.quadrature(kinks, count) for count in nodes]
    errors = [abs(weights @ function(points) - exact) for points, weights in rules]
    # an error may be exactly zero
    slope = -np.polyfit(np.log(nodes), np.log(np.maximum(errors, np.finfo(float).eps)), 1)[0]
    assert slope > order
    assert errors[2] < 1e-4


@pytest.mark.parametrize("law", [Normal(), Laplace()], ids=["normal", "laplace"])
def test_error_falls_exponentially_between_kinks(law):
    """An integrand that is analytic between kinks, as the weights' averages are: far beyond any fixed order."""
    kinks = np.array([-2.0, -0.7, 0.7, 2.0])

    def function(w):
        return np.abs(w - 0.7) * np.cos(w / 2) + np.abs(w + 2.0)

    exact = expectation(law, kinks, function)
    rules = [law.quadrature(kinks, count) for count in (28, 56)]
    errors = [abs(weights @ function(points) - exact) for points, weights in rules]
    assert max(points.size for points, _ in rules) <= 64
    assert errors[0] < 3e-4
    assert errors[1] < 1e-6


def test_many_numbers_are_condensed_without_a_trace():
    """The rule of a million numbers is that of their moments, from a few thousand that stand for them."""
    values = np.random.default_rng(1).normal(size=1_000_000) ** 3 / 8
    kinks = np.array([-0.5, 0.0, 0.5])

    def function(w):
        return np.cos(w) * np.abs(np.abs(w) - 0.5)

    points, weights = Empirical(values).quadrature(kinks, 56)
    assert points.size <= 80
    assert abs(weights @ function(points) - function(values).mean()) < 1e-6


def test_atomic_laws_return_their_atoms(kinks):
    for law in ATOMIC.values():
        points, weights = law.quadrature(kinks, 7)
        np.testing.assert_array_equal(points, law.atoms[0])
        np.testing.assert_array_equal(weights, law.atoms[1])


def test_few_empirical_numbers_are_kept_as_they_are():
    points, weights = EMPIRICAL["few numbers"].quadrature(np.array([0.0]), 4)
    np.testing.assert_array_equal(points, [-1.0, 0.5, 2.0])
    np.testing.assert_array_equal(weights, [0.25, 0.5, 0.25])


def test_named_moments():
    assert (Constant(2.0).mean, Constant(2.0).variance, Constant(2.0).second_moment) == (2.0, 0.0, 4.0)
    assert TwoPoint(3.0).mean == 0.0
    assert TwoPoint(3.0).second_moment == 9.0
    assert Discrete((0.0, 1.0), (0.75, 0.25)).mean == 0.25
    assert Normal(mean=1.0, std=2.0).second_moment == pytest.approx(5.0, rel=1e-14)
    assert Laplace(mean=1.0, scale=2.0).variance == pytest.approx(8.0, rel=1e-14)
    assert UniformLaw(-1.0, 1.0).variance == pytest.approx(1 / 3, rel=1e-14)


def test_samples_have_the_moments(law):
    size = 40_000
    draws = law.sample(np.random.default_rng(11), size)
    assert draws.shape == (size,)
    assert draws.dtype == np.float64
    for power, exact in ((1, law.mean), (2, law.second_moment)):
        values = draws**power
        standard_error = values.std() / np.sqrt(size)
        assert abs(values.mean() - exact) <= 4 * standard_error + 1e-12


def test_samples_follow_the_generator_given(law):
    first, again, other = (law.sample(np.random.default_rng(seed), 50) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    if law.variance > 0:
        assert np.any(first != other)


def test_an_empirical_law_hands_out_its_own_numbers_when_all_are_asked_for():
    law = EMPIRICAL["many numbers"]
    draws = law.sample(np.random.default_rng(0), HEAVY.size)
    np.testing.assert_array_equal(draws, HEAVY)
    draws[:] = 0
    np.testing.assert_array_equal(law.values, HEAVY)
    assert np.all(np.isin(law.sample(np.random.default_rng(0), 100), HEAVY))


def test_empirical_laws_do_not_follow_later_changes_of_the_array():
    array = np.array([1.0, 2.0, 3.0, 4.0])
    law = Empirical(array)
    array[:] = 0
    np.testing.assert_array_equal(law.values, [1, 2, 3, 4])
    with pytest.raises(ValueError, match="read-only"):
        law.values[0] = 5


def test_empirical_laws_read_npy_files(tmp_path):
    np.save(tmp_path / "weights.npy", HEAVY.astype(np.float32))
    law = Empirical(tmp_path / "weights.npy")
    assert law == Empirical(str(tmp_path / "weights.npy"))
    np.testing.assert_array_equal(law.values, HEAVY.astype(np.float32))


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=300),
    st.integers(2, 40),
    st.lists(st.floats(-100, 100), max_size=9),
)
def test_empirical_quadrature_keeps_the_moments_of_any_numbers(numbers, nodes, kinks):
    law = Empirical(numbers)
    points, weights = law.quadrature(np.array(kinks), nodes)
    scale = np.abs(law.values).max() + 1e-6
    assert np.all(weights > 0)
    for power in range(4):
        moment = np.mean((law.values / scale) ** power)
        assert abs(weights @ (points / scale) ** power - moment) < 1e-9


def test_laws_are_values():
    assert Normal() == Normal(mean=0, std=1.0)
    assert Empirical([1, 2]) == Empirical(np.array([1.0, 2.0]))
    assert Empirical([1, 2]) != Empirical([2, 1])
    assert (
        len({Normal(), Normal(mean=0, std=1), Laplace(), Empirical([1, 2]), Empirical((1.0, 2.0)), Discrete((1, 2))})
        == 4
    )


@pytest.mark.parametrize("tail", [1e-3, 1e-9, 1e-15])
def test_support_leaves_out_no_more_than_the_tails(law, tail):
    low, high = law.support(tail)
    assert low < high or law.variance == 0
    if law in CONTINUOUS.values():
        assert law.distribution.cdf(low) <= tail * (1 + 1e-6)
        assert law.distribution.sf(high) <= tail * (1 + 1e-6)
        assert law.distribution.cdf(low + 0.1) > tail
    else:
        points, _ = law.quadrature(np.array([]), HEAVY.size)
        assert (low, high) == (points.min(), points.max())


@pytest.mark.parametrize("array", [np.ones((3, 3)), np.ones((4, 1)), [[1.0, 2.0]]])
def test_arrays_with_more_axes_are_refused_with_the_remedy(array, tmp_path):
    np.save(tmp_path / "layer.npy", np.asarray(array))
    for numbers in (array, tmp_path / "layer.npy"):
        with pytest.raises(SpecificationError, match=r"shape \(.*values.ravel\(\)"):
            Empirical(numbers)
        with pytest.raises(SpecificationError, match=r"Eigenvalues\.of_matrix\(matrix\)"):
            Eigenvalues(numbers)
    with pytest.raises(SpecificationError, match="one axis"):
        Discrete(array)


def test_mean_and_width_are_given_by_name():
    for law in (Normal, Laplace):
        with pytest.raises(TypeError, match="positional"):
            law(1.0)
