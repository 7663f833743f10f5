"""The Gaussian closure as a function of a model's continuous parameters, and what it takes of initial data."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.parts.schedule import Schedule
from steode.solvers.adaptive import MAX_STEPS
from steode.solvers.kinks import kinks_by_eigenvalue
from steode.solvers.log_linear import LogLinear
from steode.solvers.moments import MomentEquations, gaussian_closure
from steode.solvers.start import Rows, Start
from steode.symbolic import symbols as sym
from steode.systems.linear.derive import derive
from steode.systems.linear.problem import make_problem
from steode.systems.linear.spec import LinearModel

TEACHER_VALUES = 48
"""Of a continuous teacher law, unless another number is asked for."""


class ClosureRows(NamedTuple):
    """Teacher values and the mean and variance of w_0 given each, arrays of shape (K,), and rho; see `Rows`."""

    teacher: Float[Array, " K"]
    weights: Float[Array, " K"]
    rho: float
    mean: Float[Array, " K"]
    variance: Float[Array, " K"]
    eigenvalues: Float[Array, " K"] | None


def closure_rows(rows: Rows) -> ClosureRows:
    """What the Gaussian closure takes of initial data: arrays alone."""
    return ClosureRows(rows.teacher, rows.weights, rows.rho, rows.mean, rows.variance, rows.eigenvalues)


def closure_equations(model: LinearModel, rows: ClosureRows, parameters: dict) -> MomentEquations:
    """The closure with these numbers in it; all but the model may be traced."""
    problem = jax.device_put(make_problem(model, rows, parameters))
    return gaussian_closure(problem, jnp.asarray(rows.mean), jnp.asarray(rows.variance))


def closure(model: LinearModel, rows: ClosureRows, parameters: dict, times: Float[Array, " T"], tolerance) -> dict:
    """Observables by the closure, (T,) each; NaN at times that are not reached. It cannot be differentiated."""
    return closure_equations(model, rows, parameters).solved(times, tolerance, MAX_STEPS)[0]


def discretized(model: LinearModel, start: Start, teacher_values: int = TEACHER_VALUES) -> Rows:
    """Teacher values of a start with the weights given each, cut at the model's kinks."""
    return start.rows(kinks_by_eigenvalue(make_problem(model, start.rows(np.zeros(0), 2))), teacher_values)


def limit_parameters(model: LinearModel) -> dict[str, float | np.ndarray]:
    """The model's own values of what may change in its limit; see `LimitFunction.parameters`."""
    values = derive(model).parameters
    parameters = {name: values[symbol] for name, symbol in sym.PARAMETERS.items() if symbol in values}
    for name in ("learning_rate", "dampening"):
        given = getattr(model, name)
        if isinstance(given, Schedule):
            parameters.pop(name, None)
            if isinstance(given.expression, LogLinear):
                parameters[name] = np.asarray(given.expression.values)
    return parameters
