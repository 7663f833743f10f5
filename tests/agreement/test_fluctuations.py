"""Predicted scatter of runs: two routes and an exact recursion agree, parts are what they are called, bands are drawn.

Against simulated runs of quantized models: tests/agreement/test_fluctuations_against_simulation.py.
"""

import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import pytest
import scipy.stats
import sympy

from steode import plot
from steode.errors import SpecificationError, UnsupportedError
from steode.parts.laws import Constant, Discrete, Empirical, Normal, TwoPoint
from steode.parts.quantizers import Uniform
from steode.solvers.adjoint import linearize
from steode.solvers.density import DensityOperator
from steode.solvers.functionals import functionals, start_noise
from steode.solvers.start import NominalStart
from steode.systems.linear.compare import compare
from steode.systems.linear.fluctuations import fluctuations
from steode.systems.linear.problem import make_problem
from steode.systems.linear.simulate import simulate
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

pytestmark = pytest.mark.representative

CHECK = LinearModel(teacher=Constant(1.0), init=Constant(0.0), learning_rate=0.8, noise=0.3)
CHECK_TIMES = np.arange(1, 7) / 2
CHECK_VARIANCE = np.array([0.0924, 0.0746, 0.0462, 0.0263, 0.0148, 0.0086])
"""d Var(eps_g) derived by hand and checked with 1,500 runs at d = 200, to the digits given."""

EVERYTHING = LinearModel(
    teacher=Discrete((-0.5, 1.0), (0.3, 0.7)),
    init=Normal(mean=0.2, std=0.5),
    input_quantizer=Uniform(2, 1.5),
    learning_rate=0.8,
    noise=0.3,
    batch_size=2,
    weight_decay=0.4,
)
QUANTIZED = LinearModel(
    teacher=Normal(mean=0.3, std=1.0),
    weight_quantizer=Uniform(2, 2.0),
    input_quantizer=Uniform(2, 2.0),
    init=Normal(mean=0.1, std=0.8),
)


def test_published_check_by_moments():
    found = fluctuations(CHECK, 3.0, times=CHECK_TIMES)
    assert found.method == "moments"
    assert np.array_equal(np.round(found.variance(), 4), CHECK_VARIANCE)
    # nothing of the instance is drawn
    assert np.all(found.instance() == 0)


def recursion():
    """E[R'|R] and E[R'^2|R] of one step as functions of (E R, E R^2), for R = |w - w*|^2/d: exact at every d.

    By rotation invariance R is a Markov chain: with g the input along w - w*, c the square of the rest, xi the noise,
    R' = R - 2 eta/d e sqrt(R) g + (eta/d)^2 e^2 (g^2 + c), e = sqrt(R) g - sigma xi.
    """
    g, xi, c, root, eta, sigma, d = sympy.symbols("g xi c r eta sigma d")
    e = root * g - sigma * xi
    after = root**2 - 2 * eta / d * e * root * g + (eta / d) ** 2 * e**2 * (g**2 + c)

    def averaged(expression):
        total = 0
        for (i, j, k), coefficient in sympy.Poly(sympy.expand(expression), g, xi, c).terms():
            if i % 2 == 0 and j % 2 == 0:
                normal = sympy.factorial2(i - 1) * sympy.factorial2(j - 1)
                total += coefficient * normal * (1, d - 1, (d - 1) * (d + 1))[k]
        return sympy.Poly(sympy.expand(total), root)

    polynomials = [averaged(after), averaged(sympy.expand(after**2))]
    coefficients = [[poly.coeff_monomial(root**power) for power in (0, 2, 4)] for poly in polynomials]
    return sympy.lambdify((eta, sigma, d), sympy.Matrix([[1, 0, 0], *coefficients]))


def exact_variance(step, dim, first, second):
    """d Var(eps_g) at CHECK_TIMES, from E R and E R^2 at time 0."""
    matrix = np.array(step(CHECK.learning_rate, CHECK.noise, dim), dtype=float)
    state, values = np.array([1.0, first, second]), []
    for spans in np.diff((CHECK_TIMES * dim).astype(int), prepend=0):
        state = np.linalg.matrix_power(matrix, spans) @ state
        values.append(dim * (state[2] - state[1] ** 2) / 4)
    return np.array(values)


@pytest.mark.parametrize("std", [0.0, 0.6])
def test_moments_are_the_limit_of_the_exact_recursion(std):
    model = CHECK.replace(init=Normal(mean=0.5, std=std) if std else Constant(0.0))
    # R at time 0 is a mean of independent (w_0 - 1)^2
    mean = model.init.variance + (model.init.mean - 1) ** 2
    spread = 2 * std**4 + 4 * std**2 * (model.init.mean - 1) ** 2
    step = recursion()
    coarse, fine = (exact_variance(step, dim, mean, mean**2 + spread / dim) for dim in (10_000, 20_000))
    predicted = fluctuations(model, 3.0, times=CHECK_TIMES).variance()
    # corrections of order 1/d: halved by twice the dimension, and gone by extrapolation
    np.testing.assert_allclose((coarse - predicted) / (fine - predicted), 2, atol=0.01)
    np.testing.assert_allclose(2 * fine - coarse, predicted, rtol=1e-6)


# the quadrature of a law with a density is exact for its probabilities between thresholds, not for fourth moments
@pytest.mark.parametrize(("teacher", "rtol"), [(EVERYTHING.teacher, 1e-10), (Normal(mean=0.3, std=1.0), 1e-5)])
def test_variance_at_time_zero_is_that_of_independent_coordinates(teacher, rtol):
    names = ("eps_g", "m", "level_fraction")
    with jax.enable_x64(True):
        problem = make_problem(QUANTIZED, NominalStart(teacher, QUANTIZED.init).rows(np.zeros(0), 2))
        noise = start_noise(problem, teacher, QUANTIZED.init, names)
        alpha_1, alpha_2 = float(problem.alpha_1), float(problem.alpha_2)
    quantizer = QUANTIZED.weight_quantizer
    cells = np.diff([0, *scipy.stats.norm(0.1, 0.8).cdf(quantizer.thresholds), 1])
    q1, q2, q3, q4 = (cells @ quantizer.levels**power for power in range(1, 5))
    if isinstance(teacher, Normal):
        t1, t2, t3, t4 = (scipy.stats.norm(0.3, 1.0).moment(power) for power in range(1, 5))
    else:
        t1, t2, t3, t4 = (np.dot(teacher.probabilities, np.power(teacher.values, power)) for power in range(1, 5))
    # of (alpha_2 Q^2 - 2 alpha_1 w* Q + w*^2)/2
    mean = (alpha_2 * q2 - 2 * alpha_1 * t1 * q1 + t2) / 2
    square = alpha_2**2 * q4 + 4 * alpha_1**2 * t2 * q2 + t4
    square += -4 * alpha_1 * alpha_2 * t1 * q3 + 2 * alpha_2 * q2 * t2 - 4 * alpha_1 * t3 * q1
    np.testing.assert_allclose(noise.value, [mean, alpha_1 * t1 * q1, *cells], rtol=rtol)
    expected = [square / 4 - mean**2, alpha_1**2 * (t2 * q2 - (t1 * q1) ** 2), *(cells * (1 - cells))]
    np.testing.assert_allclose(noise.teacher + noise.initial, expected, rtol=rtol)
    # levels know nothing of the teacher
    np.testing.assert_allclose(noise.teacher[2:], 0, atol=1e-15)


def test_the_linearization_is_transposed_exactly():
    model = QUANTIZED.replace(teacher=TwoPoint(0.7, 0.4), weight_decay=0.2)
    with jax.enable_x64(True):
        rows = NominalStart(model.teacher, model.init).rows(np.zeros(0), 2)
        nodes = jnp.union1d(jnp.linspace(-4, 4, 38), jnp.asarray(model.weight_quantizer.thresholds))
        operator = DensityOperator(make_problem(model, rows), nodes)
        masses = rows.masses(nodes)
        generator = np.random.default_rng(0)
        values = jnp.asarray(generator.normal(size=(2, nodes.size, 3)))
        change = generator.normal(size=(2, nodes.size))
        change = jnp.asarray(change - change.mean(axis=1, keepdims=True))

        @jax.jit
        def both_ways():
            def rate(masses):
                return operator.apply(operator.rates(operator.residual_variance(masses)), masses)

            state = linearize(operator, functionals(operator, masses, ("V",)).average[..., 0], masses)
            forward = state.mean(jax.jvp(rate, (masses,), (change,))[1], values)
            solved = state.implicit(0.3, values)
            return forward, state.mean(change, state.transposed(values)), solved - 0.3 * state.transposed(solved)

        forward, backward, solved = both_ways()
        np.testing.assert_allclose(forward, backward, rtol=1e-9)
        np.testing.assert_allclose(solved, values, atol=1e-10)


@pytest.fixture(scope="module")
def predicted():
    return fluctuations(EVERYTHING, 3.0, times=np.linspace(0, 3, 13), observable=("eps_g", "mean_w"))


@pytest.fixture(scope="module")
def theory():
    return solve(EVERYTHING, 3.0, times=np.linspace(0, 3, 31), method="moments")


@pytest.fixture(scope="module")
def runs():
    return simulate(EVERYTHING, 100, 3.0, seeds=200, key=3, times=np.linspace(0, 3, 31))


def test_compare_holds_the_predicted_scatter(predicted, theory, runs):
    seeds = runs["eps_g"].shape[0]
    comparison = compare(theory, runs, fluctuations=predicted)
    assert np.array_equal(comparison.predicted_error, comparison.predicted_std / np.sqrt(seeds))
    # standard deviations of 200 runs have a relative error of 1/sqrt(400); corrections of order 1/d are below it
    score = (comparison.standard_error / comparison.predicted_error - 1) * np.sqrt(2 * seeds)
    assert np.abs(score).max() < 4
    # what was there before is not touched
    plain = compare(theory, runs)
    assert np.array_equal(comparison.z, plain.z)
    assert np.all(np.isnan(plain.predicted_std))
    assert "predicted s.e." in repr(comparison)
    assert "predicted" not in repr(plain)


def test_runs_of_one_instance_scatter_less(predicted, theory, runs):
    drawn = compare(theory, runs, start="drawn", fluctuations=predicted)
    np.testing.assert_allclose(drawn.predicted_std, predicted.std(100, instance=False, times=runs.times))
    assert drawn.predicted_std[0] == 0
    late = drawn.times > 0.5
    score = (drawn.standard_error[late] / drawn.predicted_error[late] - 1) * np.sqrt(2 * drawn.seeds)
    assert np.abs(score).max() < 4


def test_interpolation_in_time_and_fixed_teachers(predicted):
    model = EVERYTHING.replace(teacher=Empirical(np.repeat([-0.5, 1.0], [30, 70])))
    found = fluctuations(model, 3.0, times=predicted.times)
    np.testing.assert_allclose(found.variance(), predicted.variance(), rtol=1e-9)
    # runs of 100 dimensions all have these 100 teacher weights
    np.testing.assert_allclose(found.std(100) ** 2 * 100, found.samples["eps_g"] + found.initial["eps_g"], rtol=1e-12)
    np.testing.assert_allclose(found.std(50) ** 2 * 50, found.variance(), rtol=1e-12)
    between = np.array([0.1, 0.6, 2.9])
    closer = fluctuations(EVERYTHING, 3.0, times=between)
    np.testing.assert_allclose(predicted.std(100, times=between), closer.std(100), rtol=0.01)


def test_the_predicted_band_is_drawn(predicted, theory, runs):
    ax = matplotlib.figure.Figure().subplots()
    plot.trajectory(theory, runs, fluctuations=predicted, ax=ax)
    (band,) = ax.collections
    std = predicted.std(100, times=theory.times)
    box = band.get_paths()[0].get_extents()
    assert box.ymax == pytest.approx((theory["eps_g"] + 2 * std).max())
    assert box.ymin == pytest.approx((theory["eps_g"] - 2 * std).min())
    assert len(ax.lines) == 2 + runs["eps_g"].shape[0]


def test_printing_and_conversion(predicted):
    lines = repr(predicted).splitlines()
    assert lines[1].split()[:2] == ["tau", "eps_g"]
    assert float(lines[-1].split()[5]) == pytest.approx(predicted.variance()[-1], rel=1e-3)
    assert predicted._repr_markdown_().count("\n| ") == 13
    dataset = predicted.to_xarray()
    assert np.array_equal(dataset["mean_w_samples"], predicted.samples["mean_w"])


def test_bad_requests_are_refused(predicted, theory, runs):
    with pytest.raises(SpecificationError, match="observable"):
        fluctuations(CHECK, 1.0, observable="std_w")
    with pytest.raises(SpecificationError, match="level_fraction"):
        fluctuations(CHECK, 1.0, observable="level_fraction")
    with pytest.raises(SpecificationError, match="times"):
        fluctuations(CHECK, 1.0, times=[2.0])
    with pytest.raises(SpecificationError, match="method"):
        fluctuations(CHECK, 1.0, method="gaussian")
    for model in (QUANTIZED, CHECK.replace(surrogate=ClippedSurrogate(1.0))):
        with pytest.raises(UnsupportedError, match="density"):
            fluctuations(model, 1.0, method="moments")
    with pytest.raises(SpecificationError, match="observable"):
        predicted.variance("m")
    with pytest.raises(SpecificationError, match="times"):
        predicted.std(100, times=np.array([4.0]))
    with pytest.raises(SpecificationError, match="model"):
        compare(theory, runs, fluctuations=fluctuations(CHECK, 3.0))
    with pytest.raises(SpecificationError, match="fluctuations"):
        compare(theory, runs, fluctuations=True)
    fixed = fluctuations(EVERYTHING.replace(init=Empirical(np.linspace(0, 1, 9))), 1.0)
    with pytest.raises(UnsupportedError, match="instance=False"):
        fixed.std(9)
