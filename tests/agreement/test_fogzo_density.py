"""The density scheme with the mean slope, a functional of the density at the thresholds: its orders."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode import FOGZO, Constant, LinearModel, Normal, Uniform
from steode.solvers.controlled_steps import evolve
from steode.solvers.density import DensityOperator
from steode.solvers.domain import reach, resolution, thresholds_of
from steode.solvers.mesh import make_mesh
from steode.solvers.start import NominalStart
from steode.systems.linear.problem import make_problem

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(
    teacher=Constant(1.0),
    weight_quantizer=GRID,
    input_quantizer=GRID,
    init=Normal(std=1.0),
    learning_rate=0.3,
    noise=0.3,
    update_rule=FOGZO(c=2.0, eps=0.3),
)
T_END = 3.0


@eqx.filter_jit
def _evolve(problem, nodes, masses, controller, first_step):
    times = jnp.array([T_END])
    return evolve(DensityOperator(problem, nodes), masses, times, times, controller, first_step, 20_000)


def final_values(intervals, controller, first_step):
    start = NominalStart(MODEL.teacher, MODEL.init)
    rows = start.rows(np.zeros(0), 2)
    problem = make_problem(MODEL, rows)
    ends = reach(problem, start.extent, T_END)
    mesh = make_mesh(thresholds_of(problem), None, *ends, resolution(problem, start.extent), intervals)
    nodes = mesh.nodes(jnp.asarray(thresholds_of(problem)), problem.band)
    found = _evolve(problem, nodes, rows.masses(nodes), controller, jnp.asarray(first_step)).ys[0]
    return [float(found[name][0]) for name in ("eps_g", "mean_slope")]


def orders(values):
    gaps = np.abs(np.diff(values, axis=0))
    return np.log2(gaps[:-1] / gaps[1:])


def test_the_mean_slope_is_of_second_order_in_space():
    controller = diffrax.PIDController(rtol=0.0, atol=1e-8, norm=lambda error: jnp.max(jnp.sum(error, axis=-1)))
    with jax.enable_x64(True):
        values = [final_values(intervals, controller, 1e-3) for intervals in (250, 500, 1000, 2000)]
    assert np.all(np.abs(orders(values) - 2) < 0.1)


def test_the_error_is_of_second_order_in_time_or_better():
    with jax.enable_x64(True):
        steps = (0.1, 0.05, 0.025, 0.0125, 0.00625)
        values = [final_values(500, diffrax.ConstantStepSize(), step) for step in steps]
    # the leading error of the mean slope changes its sign on the way: only eps_g has an order at these steps
    assert np.all(orders(values)[:, 0] > 1.9)
    slopes = np.array(values)[:, 1]
    assert np.abs(slopes[1:] - slopes[-1]).max() < 1e-5 * slopes[-1]
