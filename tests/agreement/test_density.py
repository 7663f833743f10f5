"""The density solver: reference values, orders of convergence, conservation, and independent routes to the same
numbers.
"""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    ClippedSurrogate,
    Constant,
    ConvergenceError,
    Elementwise,
    LinearModel,
    Normal,
    SpecificationError,
    Uniform,
    UnsupportedError,
    fixed_points,
    solve,
)
from steode.solvers import adaptive
from steode.solvers.controlled_steps import evolve
from steode.solvers.density import DensityOperator, positive_part
from steode.solvers.domain import reach, resolution, thresholds_of
from steode.solvers.exponential_fit import fitted_rates
from steode.solvers.mesh import Resolution, make_mesh
from steode.solvers.start import NominalStart
from steode.systems.linear.problem import make_problem
from tests.models import REFERENCE, REFERENCE_EPS_G, REFERENCE_TIMES

pytestmark = pytest.mark.representative


@pytest.fixture(scope="module")
def reference():
    return solve(REFERENCE, 100, times=REFERENCE_TIMES, snapshot_times=(0.0, 10.0, 100.0))


def test_reference_case_at_default_tolerance(reference):
    assert np.abs(reference["eps_g"] - REFERENCE_EPS_G).max() < 1e-4
    # where the estimate is not buried under the time integration it must cover the true error
    assert reference.error["eps_g"].max() < 1e-4


def test_mass_is_kept_and_nothing_is_negative(reference):
    density = reference.density
    assert np.abs(density.masses.sum(axis=-1) - 1).max() < 1e-10
    assert density.masses.min() >= 0
    assert np.abs(reference["level_fraction"].sum(axis=-1) - 1).max() < 1e-10


def test_density_agrees_with_its_own_observables(reference):
    density = reference.density
    mean = density.masses[-1, 0] @ density.nodes
    assert abs(mean - reference["mean_w"][-1]) < 1e-12


def test_late_density_is_the_closed_form_stationary_one(reference):
    point = fixed_points(REFERENCE)[0]
    # as many times as in the other tests, so that the same compiled program serves
    late = solve(REFERENCE, 600, times=6 * REFERENCE_TIMES, snapshot_times=(0.0, 300.0, 600.0))
    closed = point.density(late.density.nodes, 1.0)
    assert abs(late["eps_g"][-1] - point.eps_g) < 1e-4
    assert np.abs(late.density.values[-1, 0] - closed).max() < 2e-3 * closed.max()


def _run(model, t_end, intervals, controller, first_step):
    """Final eps_g on a mesh of `intervals` intervals."""
    start = NominalStart(model.teacher, model.init)
    rows = start.rows(np.zeros(0), 2)
    problem = make_problem(model, rows)
    ends = reach(problem, start.extent, t_end)
    mesh = make_mesh(thresholds_of(problem), None, *ends, resolution(problem, start.extent), intervals)
    nodes = mesh.nodes(jnp.asarray(thresholds_of(problem)), problem.band)
    times = jnp.array([t_end])
    solution = _evolve(problem, nodes, rows.masses(nodes), times, controller, jnp.asarray(first_step))
    return float(solution.ys[0]["eps_g"][0])


@eqx.filter_jit
def _evolve(problem, nodes, masses, times, controller, first_step):
    return evolve(DensityOperator(problem, nodes), masses, times, times, controller, first_step, 20_000)


def _orders(values):
    """Observed orders from a sequence computed with halved parameters."""
    gaps = np.abs(np.diff(values))
    return np.log2(gaps[:-1] / gaps[1:])


def test_second_order_in_space():
    with jax.enable_x64(True):
        controller = diffrax.PIDController(rtol=0.0, atol=1e-8, norm=lambda error: jnp.max(jnp.sum(error, axis=-1)))
        values = [_run(REFERENCE, 5.0, intervals, controller, 1e-3) for intervals in (250, 500, 1000, 2000)]
    orders = _orders(values)
    # layers are not yet resolved on the coarsest mesh: the order rises to two as they are
    assert orders[0] < orders[1]
    assert abs(orders[1] - 2) < 0.1


def test_second_order_in_time():
    with jax.enable_x64(True):
        steps = [0.1, 0.05, 0.025, 0.0125]
        values = [_run(REFERENCE, 5.0, 500, diffrax.ConstantStepSize(), step) for step in steps]
    assert np.all(np.abs(_orders(values) - 2) < 0.15)


def test_second_order_in_space_at_an_absorbing_bound():
    """Weights that start next to the bound inside it are not frozen at once, which would be of first order."""
    model = REFERENCE.replace(surrogate=ClippedSurrogate(1.7), learning_rate=0.5)
    values = []
    with jax.enable_x64(True):
        for halvings in range(3):
            operator, masses = _discretized(model, 64, halvings)
            values.append(float(operator.residual_variance(_steps(operator, masses, 0.1, 20)[0])))
    assert np.all(np.abs(_orders(values) - 2) < 0.2)


def test_local_error_estimate_is_the_local_error():
    """The estimate that controls the steps, against the same time in many small steps."""
    with jax.enable_x64(True):
        operator, masses = _discretized(REFERENCE, 200)
        smooth, _ = _steps(operator, masses, 0.02, 100)
        for dt in (0.2, 0.1):
            end, estimate = _steps(operator, smooth, dt, 1)
            true = jnp.sum(jnp.abs(end - _steps(operator, smooth, dt / 50, 50)[0]))
            assert abs(float(jnp.sum(estimate) / true) - 1) < 0.1


def _discretized(model, intervals, halvings=0):
    """The operator on a mesh, and the initial masses."""
    start = NominalStart(model.teacher, model.init)
    rows = start.rows(np.zeros(0), 2)
    problem = make_problem(model, rows)
    layers = resolution(problem, start.extent)
    mesh = make_mesh(
        thresholds_of(problem), problem.band, *reach(problem, start.extent, 5.0), layers, intervals, halvings
    )
    nodes = mesh.nodes(jnp.asarray(thresholds_of(problem)), problem.band)
    return DensityOperator(problem, nodes), rows.masses(nodes, problem.band)


def _steps(operator, masses, dt, count):
    """Masses after `count` equal steps, and the error estimate of the last."""
    return _compiled_steps(operator, masses, jnp.asarray(dt), jnp.asarray(count))


@eqx.filter_jit
def _compiled_steps(operator, masses, dt, count):
    return jax.lax.fori_loop(0, count, lambda _, state: operator.step(state[0], dt), (masses, jnp.zeros(masses.shape)))


def test_halving_a_mesh_halves_it_between_any_two_of_many_thresholds():
    quantizer = Uniform(10, 4.0)
    layers = Resolution(np.full(quantizer.thresholds.size, 0.1), 0.1)
    coarse, fine = (make_mesh(quantizer.thresholds, None, -9.0, 9.0, layers, 512, halvings) for halvings in (0, 1))
    assert np.array_equal(np.bincount(coarse.segment)[:-1] * 2, np.bincount(fine.segment)[:-1])
    # the many least segments inside do not thin out the two outside
    assert np.all(np.bincount(coarse.segment)[[0, -1]] > 20)


@pytest.mark.parametrize("x", [0.0, 1e-5, -1e-5, 0.3, -0.3, 40.0, -40.0])
def test_fitted_rates_and_their_slopes(x):
    """B(-x) - B(x) = x and B(-x)/B(x) = e^x, with the slopes of both at 0 too."""
    with jax.enable_x64(True):
        rates, slopes = jax.jvp(fitted_rates, (jnp.asarray(x),), (jnp.asarray(1.0),))
    along, against, *slopes = (float(value) for value in (*rates, *slopes))
    assert abs(along - against - x) < 1e-14 * max(1, abs(x))
    assert abs(np.log(along / against) - x) < 1e-12
    assert abs(slopes[0] - slopes[1] - 1) < 1e-12
    assert abs(slopes[0] / along - slopes[1] / against - 1) < 1e-7


def test_positive_part_keeps_the_total_of_every_row():
    masses = jnp.array([[0.5, -1e-3, 0.501], [0.2, 0.3, 0.5]])
    fixed = positive_part(masses, masses.sum(axis=1, keepdims=True))
    assert np.all(np.asarray(fixed) >= 0)
    assert np.abs(np.asarray(fixed.sum(1) - masses.sum(1))).max() < 1e-6
    assert np.array_equal(fixed[1], masses[1])


def test_closure_gap_is_what_the_documentation_says():
    """The Gaussian closure is good at first and off by more than 10 percent once weights pile up at thresholds."""
    closure = solve(REFERENCE, 100, times=REFERENCE_TIMES, method="gaussian")
    gap = np.abs(closure["eps_g"] / REFERENCE_EPS_G - 1)
    assert gap[0] < 0.03
    assert 0.1 < gap.max() < 0.4


def test_methods_refuse_what_they_cannot_do():
    with pytest.raises(UnsupportedError, match="no finite set of moments closes"):
        solve(REFERENCE, 1, method="moments")
    with pytest.raises(UnsupportedError, match="absorbing atoms"):
        solve(REFERENCE.replace(surrogate=ClippedSurrogate(1.0)), 1, method="gaussian")
    with pytest.raises(ConvergenceError, match="may grow"):
        solve(LinearModel(teacher=Constant(1.0), noise=0.1, learning_rate=2.5), 2000, method="moments")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"t_end": 0}, "t_end: expected a number > 0"),
        ({"t_end": np.inf}, "t_end: expected a finite real number"),
        ({"tolerance": -1.0}, "tolerance: expected a number > 0"),
        ({"times": [1.0, 0.5]}, "times: expected a sequence of increasing"),
        ({"times": [np.nan]}, "times: expected a sequence of increasing"),
        ({"times": []}, "at least one time > 0"),
        ({"times": [11.0]}, "between 0 and t_end"),
        ({"method": "magic"}, "method: expected one of density"),
        ({"method": "gaussian", "snapshot_times": [1.0]}, "snapshot_times: expected method 'density'"),
        ({"start": (np.ones(3), np.ones(4))}, "start: expected two arrays of the same shape"),
        ({"start": (np.ones(3), np.array([1.0, np.nan, 0]))}, "start: expected finite weights"),
        ({"start": 3}, "start: expected a pair"),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    with pytest.raises(SpecificationError, match=message):
        solve(REFERENCE, **({"t_end": 10.0} | arguments))


def test_a_tolerance_out_of_reach_is_given_up_as_soon_as_that_is_clear(monkeypatch):
    # each further mesh takes eight times as long: without this the largest one allowed would be tried in vain
    monkeypatch.setattr(adaptive, "MOST_UNKNOWNS", 20_000)
    tried, solve_once = [], adaptive._solve_once

    def counted(parts, *others):
        tried.append(sum(part.rows.teacher.size * part.operator.nodes.size for part in parts))
        return solve_once(parts, *others)

    monkeypatch.setattr(adaptive, "_solve_once", counted)
    model = LinearModel(
        teacher=Constant(0.7),
        weight_quantizer=Elementwise("erf(x)"),
        init=Normal(std=0.5),
        learning_rate=0.02,
        noise=0.02,
    )
    with pytest.raises(ConvergenceError, match="at most 20000 unknowns would lead to about"):
        solve(model, 10.0, times=[1.0, 10.0], tolerance=1e-6, method="density")
    assert len(tried) == 3
    assert 4 * tried[-1] < 20_000
