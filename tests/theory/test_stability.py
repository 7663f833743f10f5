"""Stability: the rank-one spectrum against the solver's own Jacobian, closed forms, density solves and theorems."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from steode import (
    Constant,
    Discrete,
    Levels,
    LinearModel,
    SpecificationError,
    TwoPoint,
    Uniform,
    fixed_points,
)
from steode.solvers import linearized, self_consistency, stationary_mesh
from steode.solvers.density import DensityOperator
from steode.solvers.start import NominalStart
from steode.systems.linear.problem import make_problem
from steode.systems.linear.stability import stability
from tests.models import REFERENCE

BISTABLE = LinearModel(
    teacher=Constant(0.0), weight_quantizer=Levels((-6.0, -0.2, 0.2, 6.0)), learning_rate=2.0, noise=0.1
)
"""A close pair of levels, which keeps weights in, and far outer ones, which keep them flying."""

THREE_ATOMS = LinearModel(
    teacher=Discrete((-1.1, 0.2, 0.7)), weight_quantizer=Uniform(2, 2.0), learning_rate=0.8, noise=0.3
)


def problem_of(model):
    return make_problem(model, NominalStart(model.teacher, model.init).rows(np.zeros(0), 32))


def meshes_of(model, variance, intervals=512):
    """Linearizations on a mesh with `intervals` and on one with half as many."""
    problem = problem_of(model)
    nodes = stationary_mesh.stationary_nodes(problem, variance, intervals)
    return [linearized.linearize(problem, variance, nodes[:, ::step]) for step in (1, 2)]


@eqx.filter_jit
def implied_variance(problem, variance):
    return self_consistency.implied_force(problem, variance)


@eqx.filter_jit
def residual_variance(operator, masses):
    return operator.residual_variance(masses)


def variance_on_mesh(operator, masses_at, low, high):
    """V of the stationary state of a mesh, which differs from the exact one by its error."""
    return scipy.optimize.brentq(
        lambda v: float(residual_variance(operator, jnp.asarray(masses_at(v)))) - v, low, high, xtol=1e-14
    )


@functools.cache
def analysis(model, index=0):
    return stability(fixed_points(model)[index])


@jax.enable_x64(True)
def test_rank_one_spectrum_is_that_of_the_density_operators_own_jacobian():
    problem = problem_of(THREE_ATOMS)
    nodes = np.linspace(-4, 4, 25)
    operator = DensityOperator(problem, jnp.asarray(nodes))

    def at(variance):
        return linearized.linearize(problem, variance, np.tile(nodes, (3, 1)))

    variance = variance_on_mesh(operator, lambda v: at(v).masses, 0.1, 3.0)
    state = at(variance)
    masses = jnp.asarray(state.masses)

    @eqx.filter_jit
    def rate_and_jacobians(p):
        def rate(p):
            return operator.apply(operator.rates(operator.residual_variance(p)), p)

        def at_constant_variance(q):
            return operator.apply(operator.rates(variance), q)

        return rate(p), jax.jacfwd(rate)(p), jax.jacfwd(at_constant_variance)(p)

    rate, *jacobians = rate_and_jacobians(masses)
    full, alone = (np.asarray(jacobian).reshape(75, 75) for jacobian in jacobians)
    assert np.abs(rate).max() < 1e-13
    expected = np.sort_complex(np.linalg.eigvals(full))[::-1]
    # the total of every row is conserved
    assert np.abs(expected[:3]).max() < 1e-10
    found = linearized.nearest_eigenvalues(state, 20)
    assert np.abs(found - expected[3:23]).max() < 1e-8
    point = 0.3 + 0.7j
    determinants = [np.linalg.det(point * np.eye(75) - matrix) for matrix in (full, alone)]
    assert abs(linearized.secular(state, point) / (determinants[0] / determinants[1]) - 1) < 1e-8


def test_unquantized_weights_in_closed_form():
    model = LinearModel(teacher=Constant(0.8), learning_rate=1.3, noise=0.4)
    result = analysis(model)
    assert np.abs(result.eigenvalues - [-2 * 1.3 + 1.3**2, -1.3]).max() < 1e-12
    assert abs(result.settling_time - 1 / (2 * 1.3 - 1.3**2)) < 1e-12
    assert abs(result.largest_learning_rate - 2) < 1e-12


def test_middle_root_is_unstable_by_nyquist_and_by_eigenvalues():
    points = fixed_points(BISTABLE)
    assert len(points) == 3
    low, middle, high = (analysis(BISTABLE, index) for index in range(3))
    assert [result.unstable for result in (low, middle, high)] == [0, 1, 0]
    assert middle.eigenvalues[0].real > 0
    assert np.isinf(middle.relaxation_time)
    assert [result.stable for result in (low, middle, high)] == [True, False, True]
    # isolated eigenvalues lie to the right of the outermost cells' continuum
    assert np.all(high.eigenvalues.real > high.continuum_edge)
    assert abs(high.continuum_edge + (2.0 * 6.0) ** 2 / (2 * 2.0**2 * points[2].V)) < 1e-9


@jax.enable_x64(True)
def test_winding_count_needs_no_shortcut():
    """Where the small-gain bound decides, the winding number says the same; shifted, it counts isolated eigenvalues."""
    for index, unstable in enumerate((0, 1, 0)):
        state = meshes_of(BISTABLE, fixed_points(BISTABLE)[index].V, 1024)[0]
        assert linearized.count_right_of(state) == unstable
    assert linearized.count_right_of(state, 1e-12) == 0
    leading = analysis(BISTABLE, 2).eigenvalues[0].real
    assert leading > -state.gaps[0]
    assert linearized.count_right_of(state, leading - 0.01) == 1
    assert linearized.count_right_of(state, leading + 0.01) == 0


@jax.enable_x64(True)
def test_the_box_does_not_show_in_isolated_eigenvalues(monkeypatch):
    variance = fixed_points(REFERENCE)[0].V
    values = []
    for drop in (60.0, 110.0):
        monkeypatch.setattr(stationary_mesh, "DROP", drop)
        values.append(linearized.nearest_eigenvalues(meshes_of(REFERENCE, variance, 2048)[0], 4))
    assert np.abs(values[1] / values[0] - 1).max() < 1e-3


@pytest.mark.parametrize(("eta", "stable"), [(0.8, True), (1.2, False)])
def test_exact_recovery(eta, stable):
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0), learning_rate=eta)
    result = analysis(model)
    assert result.stable == stable
    assert result.eigenvalues.size == 0
    assert abs(result.largest_learning_rate - 1) < 1e-6
    assert abs(analysis(model.replace(batch_size=3)).largest_learning_rate - 3) < 1e-6


def test_escaping_weights_alone():
    """Nothing reacts to V; the weights are last seen inside at the rate f^2/(4 D) of their drift outwards."""
    point = fixed_points(LinearModel(weight_quantizer=Uniform(2, 0.5), teacher=TwoPoint(1.0), learning_rate=0.2))[0]
    result = stability(point)
    assert result.stable
    assert abs(result.continuum_edge + (0.2 * 0.5) ** 2 / (2 * 0.2**2 * point.V)) < 1e-12
    assert np.isnan(result.settling_time)


def test_arguments_and_printing():
    with pytest.raises(SpecificationError, match="FixedPoint"):
        stability(REFERENCE)
    text = repr(analysis(REFERENCE))
    assert "relaxation time        12.66" in text
    assert "True (0 unstable eigenvalues)" in text
