"""Ranges that follow a percentile of the weights: definition, conservation, the exact rate of a Gaussian law."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from steode import (
    Constant,
    Eigenvalues,
    FollowingRange,
    LinearModel,
    Normal,
    SpecificationError,
    TwoPoint,
    Uniform,
    derive,
    simulate,
)
from steode.solvers import time_step
from steode.solvers.density import DensityOperator
from steode.solvers.domain import reach, resolution, thresholds_of
from steode.solvers.mesh import make_mesh
from steode.solvers.moving_range import MovingRangeOperator, moved, relative_rate
from steode.solvers.start import NominalStart
from steode.systems.linear.problem import make_problem
from tests.agreement.limit_of_ranges import assert_particles_agree, assert_runs_follow

MODEL = LinearModel(
    teacher=Constant(1.0), weight_quantizer=Uniform(bits=2, range=2.0), init=Normal(std=1.0), learning_rate=0.1
)


@eqx.filter_jit
def _two_hundred_steps(operator, state):
    return jax.lax.fori_loop(0, 200, lambda _, state: time_step.step(operator, state, 0.005)[0], state)


@pytest.mark.representative
def test_the_percentile_of_a_run_is_that_of_numpy():
    rule = FollowingRange("percentile", 1.3, percentile=87.3)
    run = simulate(MODEL.replace(range_rule=rule), 30, 2.0, seeds=2, times=[0.0, 1.0, 2.0], snapshot_times=[1.0, 2.0])
    expected = 1.3 * np.percentile(np.abs(run.snapshots.weights), 87.3, axis=-1)
    np.testing.assert_allclose(run["range"], expected, rtol=1e-5)


@pytest.mark.representative
def test_the_share_within_a_percentile_stays_to_second_order():
    """The law of w over its percentile q is followed with q: P(|w| <= q) has to stay what it is."""
    model = MODEL.replace(noise=0.3, range_rule=FollowingRange("percentile", 1.25, percentile=80.0))
    start, gaps = NominalStart(model.teacher, model.init), []
    with jax.enable_x64(True):
        problem = make_problem(model, start.rows(np.zeros(0), 2))
        unit = 1 / problem.moving_range.start
        layers, ends = resolution(problem, start.extent, 1.0), reach(problem, start.extent, 1.0)
        for halvings in (0, 1, 2):
            mesh = make_mesh(thresholds_of(problem), None, *ends, layers, 128, halvings)
            nodes = mesh.nodes(thresholds_of(problem), None)
            masses = start.rows(np.zeros(0), 2).masses(nodes)
            own = dataclasses.replace(problem, weight_map=moved(problem.weight_map, unit))
            operator = MovingRangeOperator(DensityOperator(own, jnp.asarray(nodes * unit)))
            state = operator.begin(masses)
            state = _two_hundred_steps(operator, state)
            # the distribution function at the faces between the control volumes
            places = operator.density.nodes
            faces = np.concatenate([places[:1], (places[1:] + places[:-1]) / 2, places[-1:]])
            below = np.append(0.0, np.cumsum(problem.teacher_weights @ state.masses))
            gaps.append(float(np.diff(np.interp([-0.8, 0.8], faces, below))[0]) - 0.8)
    assert abs(float(state.companion) / float(problem.moving_range.start) - 1) > 0.1
    assert abs(gaps[2]) < 2e-5
    assert abs(gaps[2]) < 0.4 * abs(gaps[1]) < 0.16 * abs(gaps[0])


RUNS = {
    "90 percent": {"range_rule": FollowingRange("percentile", percentile=90.0), "init": Normal(std=0.8)},
    "median, spectrum": {
        "range_rule": FollowingRange("percentile", 2.5, percentile=50.0),
        "spectrum": Eigenvalues([0.5, 1.5]),
        "weight_decay": 0.2,
    },
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_follow_the_limit(name):
    assert_runs_follow(MODEL.replace(noise=0.3, **RUNS[name]))


def test_particles_agree_with_the_density():
    assert_particles_agree(MODEL.replace(noise=0.3, **RUNS["90 percent"]))


@pytest.mark.representative
def test_bad_percentiles_are_refused():
    for make in (
        lambda: FollowingRange("percentile"),
        lambda: FollowingRange("percentile", percentile=100.0),
        lambda: FollowingRange(percentile=99.0),
    ):
        with pytest.raises(SpecificationError, match=r"FollowingRange\.percentile"):
            make()
    with pytest.raises(SpecificationError, match="a law with a density, beside a percentile"):
        MODEL.replace(range_rule=FollowingRange("percentile", percentile=99.0), init=TwoPoint(1.0))


@pytest.mark.representative
def test_the_rate_is_that_of_the_quantile_of_a_gaussian_law():
    """Of w ~ N(m, s) with dm/dtau = a and ds/dtau = b, against differences of the quantile itself, to second order."""
    mean, std, a, b, share = 0.3, 0.9, 0.4, -0.2, 0.85

    def quantile(time):
        law = scipy.stats.norm(mean + a * time, std + b * time)
        return scipy.optimize.brentq(lambda q: law.cdf(q) - law.cdf(-q) - share, 0.1, 5.0, xtol=1e-14)

    step, place = 1e-4, quantile(0.0)
    exact = (quantile(step) - quantile(-step)) / (2 * step) / place
    errors = []
    with jax.enable_x64(True):
        problem = make_problem(MODEL, NominalStart(MODEL.teacher, MODEL.init).rows(np.zeros(0), 2))
        for count in (201, 401, 801):
            density = DensityOperator(problem, jnp.linspace(-6.0, 6.0, count))
            faces = np.concatenate([[-np.inf], (density.nodes[1:] + density.nodes[:-1]) / 2, [np.inf]])
            masses = [np.diff(scipy.stats.norm(mean + a * t, std + b * t).cdf(faces)) for t in (-step, 0.0, step)]
            change = (masses[2] - masses[0]) / (2 * step)
            errors.append(abs(float(relative_rate(density, masses[1], change, place)) / exact - 1))
    assert errors[2] < 1e-3
    assert errors[2] < 0.35 * errors[0]


@pytest.mark.representative
def test_the_derivation_says_what_the_percentile_is():
    step = derive(MODEL.replace(range_rule=FollowingRange("percentile", percentile=99.0))).step("range")
    assert len(step.equation) == 4
    assert r"\mathrm{P}\left(\lvert w \rvert \le q_{p}\right) = p" in step.lines[1]
