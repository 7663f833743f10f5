"""Runs scatter as predicted: sample variances and the coverage of bands, at several dimensions; and convergence.

Sample variances at dimension d have corrections of order 1/d beside the predicted leading order: at the smallest
dimension here they are below the statistical error of the runs, 1/sqrt(S/2) relative for S seeds.
"""

import jax
import numpy as np
import pytest
import scipy.stats

from steode.parts.laws import Constant, Normal, TwoPoint, UniformLaw
from steode.parts.quantizers import Levels, SignedInteger, Uniform
from steode.parts.spectrum import Eigenvalues
from steode.parts.stochastic import AdditiveNoise, MultiplicativeNoise, StochasticRounding
from steode.solvers.domain import reach, resolution, thresholds_of
from steode.solvers.linear_noise import linear_noise
from steode.solvers.mesh import make_mesh
from steode.solvers.noise_refinement import time_steps
from steode.solvers.start import NominalStart
from steode.systems.linear.fluctuations import fluctuations
from steode.systems.linear.problem import make_problem
from steode.systems.linear.simulate import simulate
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import ClippedSurrogate, LinearModel
from tests.agreement.test_fluctuations import CHECK, EVERYTHING

GRID = Uniform(2, 2.0)
TWO_BITS = LinearModel(
    teacher=Normal(mean=0.0, std=1.0),
    weight_quantizer=GRID,
    input_quantizer=GRID,
    init=Normal(std=0.5),
    learning_rate=0.5,
    noise=0.3,
)
POINT_START = TWO_BITS.replace(teacher=Constant(1.0), init=Constant(0.0))
TIMES = np.array([0.5, 1.0, 2.0, 4.0])
OBSERVABLES = ("eps_g", "m", "q", "mean_w")
SEEDS = 300
LARGEST_Z = 4.0

OTHERS = {
    "point start on a threshold, two bits": POINT_START,
    "batch and decay": TWO_BITS.replace(batch_size=2, weight_decay=0.1, teacher=TwoPoint(0.8)),
    "clipped surrogate": LinearModel(
        teacher=UniformLaw(-1.0, 1.0),
        weight_quantizer=SignedInteger(2, 1.0),
        surrogate=ClippedSurrogate(1.0),
        init=Normal(mean=0.0, std=0.5),
        learning_rate=0.3,
        noise=0.2,
    ),
    "spectrum": TWO_BITS.replace(
        teacher=TwoPoint(0.8), spectrum=Eigenvalues([0.3, 0.8, 1.2, 1.7]), batch_size=2, weight_decay=0.2
    ),
    "rounded weights": TWO_BITS.replace(weight_quantizer=StochasticRounding(Uniform(2, 2.5))),
    "noise on everything": TWO_BITS.replace(
        weight_quantizer=MultiplicativeNoise(0.2),
        input_quantizer=StochasticRounding(GRID),
        activation=AdditiveNoise(0.2),
        residual_quantizer=AdditiveNoise(0.3),
        label_quantizer=AdditiveNoise(0.1),
    ),
    "user levels": LinearModel(
        teacher=TwoPoint(0.8, 0.3), weight_quantizer=Levels((-1.5, 0.0, 0.5, 2.0)), learning_rate=0.5, noise=0.2
    ),
}


def variance_score(values, predicted):
    """Normal score of a sample variance over runs, whose law is chi-square if the observable is Gaussian."""
    seeds = values.shape[0]
    ratio = (seeds - 1) * values.var(axis=0, ddof=1) / predicted
    # from the nearer tail, so that neither underflows to 0 or 1
    lower, upper = scipy.stats.chi2.cdf(ratio, seeds - 1), scipy.stats.chi2.sf(ratio, seeds - 1)
    return np.where(lower < upper, scipy.stats.norm.ppf(lower), scipy.stats.norm.isf(upper))


@pytest.fixture(scope="module")
def predicted():
    return fluctuations(TWO_BITS, TIMES[-1], times=TIMES, observable=OBSERVABLES)


@pytest.mark.parametrize("dim", [pytest.param(250, marks=pytest.mark.representative), 500, 1000])
def test_runs_of_two_bits_scatter_as_predicted(predicted, dim):
    runs = simulate(TWO_BITS, dim, TIMES[-1], seeds=SEEDS, key=17, times=TIMES)
    for name in OBSERVABLES:
        scores = variance_score(runs[name], predicted.variance(name) / dim)
        assert np.abs(scores).max() < LARGEST_Z, f"{name}: {scores}"


@pytest.mark.parametrize("dim", [250, 500, 1000])
def test_the_95_percent_band_covers_95_percent_of_fresh_runs(predicted, dim):
    theory = solve(TWO_BITS, TIMES[-1], times=TIMES)
    runs = simulate(TWO_BITS, dim, TIMES[-1], seeds=SEEDS, key=18, times=TIMES)
    band = scipy.stats.norm.isf(0.025) * predicted.std(dim)
    inside = np.abs(runs["eps_g"] - theory["eps_g"][None, :]) < band[None, :]
    for count in inside.sum(axis=0):
        assert scipy.stats.binomtest(int(count), SEEDS, 0.95).pvalue > 1e-3, inside.mean(axis=0)


@pytest.mark.parametrize("name", OTHERS)
def test_runs_of_other_models_scatter_as_predicted(name):
    model, dim = OTHERS[name], 500
    times = np.array([0.5, 1.5, 4.0])
    found = fluctuations(model, 4.0, times=times, observable=("eps_g", "mean_w"))
    runs = simulate(model, dim, 4.0, seeds=SEEDS, key=19, times=times)
    for observable in found.value:
        scores = variance_score(runs[observable], found.variance(observable) / dim)
        assert np.abs(scores).max() < LARGEST_Z, f"{observable}: {scores}"


SPREAD_START = TWO_BITS.replace(teacher=TwoPoint(1.0))


def variances(model, cases):
    """d Var(eps_g) at two times on meshes of some sizes, with steps made on a mesh of 256 at some tolerances."""
    start, times = NominalStart(model.teacher, model.init), np.array([0.5, 2.0])
    totals = []
    with jax.enable_x64(True):
        rows = start.rows(np.zeros(0), 2)
        problem = make_problem(model, rows)
        ends, fineness = reach(problem, start.extent, 2.0), resolution(problem, start.extent)

        def nodes(intervals):
            mesh = make_mesh(thresholds_of(problem), None, *ends, fineness, intervals)
            return mesh.nodes(thresholds_of(problem), None)

        for intervals, tolerance in cases:
            steps = time_steps(problem, nodes(256), rows.masses(nodes(256)), times, tolerance)
            noise = linear_noise(problem, nodes(intervals), rows.masses(nodes(intervals)), *steps, ("eps_g",))
            totals.append(np.asarray(noise.teacher + noise.initial + noise.samples)[:, 0])
    return np.array(totals)


@pytest.mark.parametrize("model", [SPREAD_START, POINT_START], ids=["spread", "point"])
def test_second_order_in_mesh(model):
    gaps = np.diff(variances(model, [(128 * 2**level, 1e-5) for level in range(4)]), axis=0)
    ratios = gaps[1:] / gaps[:-1]
    assert np.all((ratios[-1] > 0.2) & (ratios[-1] < 0.32)), gaps


def test_second_order_in_steps():
    gaps = np.diff(variances(SPREAD_START, [(256, 3e-5 / 8**level) for level in range(4)]), axis=0)
    assert np.all(gaps[-1] / gaps[-2] < 0.32), gaps


def test_steps_converge_from_a_point():
    # V leaves a start on a threshold like a square root of time: at least first order, and the error is small
    totals = variances(POINT_START, [(256, 3e-5 / 8**level) for level in range(4)])
    gaps = np.abs(np.diff(totals, axis=0))
    assert np.all(gaps[-1] < gaps[0] / 4), gaps
    assert np.all(gaps < 5e-4 * totals[-1]), gaps


def test_published_check_by_the_density():
    exact, found = (
        fluctuations(CHECK, 3.0, times=np.arange(1, 7) / 2, method=method, tolerance=1e-3)
        for method in ("moments", "density")
    )
    np.testing.assert_allclose(found.variance(), exact.variance(), atol=1e-3 * exact.variance().max())


def test_density_and_moments_agree_within_the_estimated_error():
    names, times = ("eps_g", "m", "q", "mean_w"), [0.0, 0.5, 2.0]
    exact, found = (
        fluctuations(EVERYTHING, 2.0, times=times, observable=names, method=method, tolerance=0.02)
        for method in ("moments", "density")
    )
    for name in names:
        scale = exact.variance(name).max()
        for part in ("teacher", "initial", "samples"):
            np.testing.assert_allclose(getattr(found, part)[name], getattr(exact, part)[name], atol=0.01 * scale)
        # at time 0 by a quadrature of the laws, without a mesh
        assert found.variance(name)[0] == pytest.approx(exact.variance(name)[0], rel=1e-5)
        assert np.all(np.abs(found.variance(name) - exact.variance(name)) <= 3 * found.error[name] + 1e-5 * scale)
