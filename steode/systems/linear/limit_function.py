"""The verb `limit_function`: the solution of the limit as a pure JAX function of its continuous parameters."""

import dataclasses
from collections.abc import Sequence

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode import bridge
from steode.errors import SpecificationError, check_integer, check_positive
from steode.parts.schedule import Schedule
from steode.solvers.adaptive import MAX_STEPS, TIME_FRACTION
from steode.solvers.controlled_steps import adaptive_controller, evolve
from steode.solvers.density import DensityOperator
from steode.solvers.domain import breakpoints_of, reach, resolution
from steode.solvers.mesh import Mesh, make_mesh
from steode.solvers.start import Rows, Start
from steode.systems.linear.closure import closure_equations, closure_rows, discretized, limit_parameters
from steode.systems.linear.problem import make_problem, nominal_start
from steode.systems.linear.properties import require
from steode.systems.linear.solve import check_model, checked_times
from steode.systems.linear.spec import LinearModel

MOST_AT_THE_EDGE = 1e-6
"""Mass in the outermost control volumes beyond which the mesh, whose ends are fixed, is too short."""
ACCURACY = 1e-3
"""Error of a time step of the closure, in units of the tolerance."""


@dataclasses.dataclass(frozen=True, eq=False)
class LimitFunction:
    """Observables of the limit at fixed times, as a function of parameters; works under jit, vmap, jvp and grad.

    Attributes
    ----------
    parameters : the model's own values, name -> float: noise and, where the model has them, learning_rate and dampening
        (the array of values of a `LogLinear`; absent with another schedule), weight_range, input_range, weight_decay,
        bound and lower (of a band with two bounds).
    times : shape (T,).
    model, method, tolerance : as given to `limit_function`.
    rows, mesh : the discretization of the laws and of the weight axis (no mesh for the closure).
    """

    model: LinearModel
    method: str
    parameters: dict[str, float | np.ndarray]
    times: np.ndarray
    tolerance: float
    rows: Rows
    mesh: Mesh | None

    def __call__(self, parameters: dict[str, Float[Array, ""]]) -> dict[str, Float[Array, "T ..."]]:
        """Observables by name, each with a leading axis of times.

        Parameters left out keep the model's values. NaN where the integration fails or mass reaches an end of the
        mesh. Raises `SpecificationError` for an unknown name, or if 64-bit floats are off.
        """
        unknown = sorted(set(parameters) - set(self.parameters))
        if unknown:
            remedy = ""
            if isinstance(getattr(self.model, unknown[0], None), Schedule):
                remedy = f"{unknown[0]} is a schedule, which is fixed; it may be Schedule(LogLinear(times, values))."
            raise SpecificationError("parameters", "names among " + ", ".join(self.parameters), unknown[0], remedy)
        if not jax.config.read("jax_enable_x64"):
            remedy = 'Call jax.config.update("jax_enable_x64", True) first.'
            raise SpecificationError("jax_enable_x64", "64-bit floats", "32-bit floats", remedy)
        given, times = self.parameters | parameters, jnp.asarray(self.times)
        if self.method == "gaussian":
            solution = self._closure(given, times)
            return _unless(solution.result != diffrax.RESULTS.successful, solution.ys)
        solution = self._density(jax.device_put(make_problem(self.model, self.rows, given)), times)
        observables, (masses,) = solution.ys
        too_short = jnp.max(masses[:, :2] + masses[:, -2:]) > MOST_AT_THE_EDGE
        return _unless((solution.result != diffrax.RESULTS.successful) | too_short, observables)

    def _closure(self, given, times):
        equations = closure_equations(self.model, closure_rows(self.rows), given)
        rtol = ACCURACY * self.tolerance
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, state, args: equations.rates(t, state)),
            diffrax.Tsit5(),
            t0=0.0,
            t1=times[-1],
            dt0=None,
            y0=equations.start,
            saveat=diffrax.SaveAt(ts=times, fn=lambda t, state, args: equations.observables(state)),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol * equations.size),
            max_steps=MAX_STEPS,
            throw=False,
        )

    def _density(self, problem, times):
        nodes = self.mesh.nodes(problem.weight_map.breaks, problem.band)
        controller = adaptive_controller(TIME_FRACTION * self.tolerance, times)
        operator = DensityOperator(problem, nodes)
        return evolve(
            operator, self.rows.masses(nodes, problem.band), times, times[-1:], controller, 1e-3 * times[-1], MAX_STEPS
        )


def _unless(failed, observables: dict) -> dict:
    return {name: jnp.where(failed, jnp.nan, value) for name, value in observables.items()}


def fixed_mesh(model: LinearModel, start: Start, rows: Rows, t_end: float, intervals: int) -> Mesh:
    """The mesh that the model's own values and a start ask for, with a quarter of its length added at either end."""
    problem = make_problem(model, rows)
    low, high = reach(problem, start.extent, t_end)
    margin = (high - low) / 4
    ends = (low - margin, high + margin)
    fineness = resolution(problem, start.extent, t_end)
    return make_mesh(breakpoints_of(problem), problem.band, *ends, fineness, intervals)


def limit_function(
    model: LinearModel,
    times: Sequence[float],
    *,
    method: str = "density",
    tolerance: float = 1e-4,
    intervals: int = 2048,
    teacher_values: int = 48,
) -> LimitFunction:
    """The limit's observables at `times` as a differentiable JAX function of learning rate, noise, ranges and bounds.

    A learning rate or dampening that is a `Schedule` is followed in time, but is no parameter, except for one that goes
    through given values: of `Schedule(LogLinear(times, values))` the parameter is the array of values.

    Parameters
    ----------
    model : the specification; its laws and bit widths are fixed, its continuous parameters become arguments.
    times : increasing times > 0 (0 may be the first).
    method : "density" or "gaussian" (see `steode.solve`).
    tolerance : of the time integration, as in `steode.solve`.
    intervals, teacher_values : size of the mesh and of the teacher quadrature, fixed here: unlike `solve` this function
        does not estimate its error in space (compare two sizes). The mesh moves with the ranges; its ends and spacings
        are chosen at the model's own values, so keep parameters within about a factor of two of them.

    Examples
    --------
    >>> function = limit_function(model, [10.0])
    >>> gradient = jax.grad(lambda p: function(p)["eps_g"][-1])(function.parameters)

    Raises
    ------
    SpecificationError, UnsupportedError
        As `steode.solve`.
    """
    check_model(model)
    if method not in ("density", "gaussian"):
        remedy = "Use solve for the other methods."
        raise SpecificationError("method", '"density" or "gaussian"', method, remedy)
    require(model, "limit_function, gaussian" if method == "gaussian" else "limit_function")
    check_positive("tolerance", tolerance)
    check_integer("intervals", intervals, 16)
    check_integer("teacher_values", teacher_values, 2)
    times = checked_times("times", times, np.inf)
    bridge.check_schedules(model, float(times[-1]))
    start = nominal_start(model)
    with jax.enable_x64(True):
        rows = discretized(model, start, teacher_values)
        mesh = fixed_mesh(model, start, rows, float(times[-1]), intervals) if method == "density" else None
    parameters = limit_parameters(model)
    return LimitFunction(model, method, parameters, times, tolerance, rows, mesh)
