"""Fixed points of the FOGZO limit: the stationary laws of the STE at the learning rate that the mean slope sets.

The equation is `steode.solvers.scalar_equations.TemperatureEquation`.
"""

import dataclasses
import math

import jax.numpy as jnp

from steode.errors import UnsupportedError
from steode.fixed_point import REGULAR, TERM_NAMES, FixedPoint, FixedPoints, recovered, unquantized_error
from steode.problem import stationary_problem
from steode.solvers import scalar_equations, self_consistency, stationary
from steode.solvers.recovery import scalar_recovery, share_on_last_level
from steode.solvers.scalar_equations import TemperatureEquation
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.update_rules import STE

RESIDUAL = 1e-11
"""Largest relative difference of the two sides at a root."""


def ste_twin(model: LinearModel, mean_slope: float) -> LinearModel:
    """The STE model with the same stationary law: its learning rate is eta p (1 + c/n)."""
    rate = model.learning_rate * mean_slope * model.update_rule.noise_factor
    return model.replace(update_rule=STE(), learning_rate=rate)


def of_unquantized(found: FixedPoints, model: LinearModel) -> FixedPoints:
    """The fixed points of a FOGZO model with unquantized weights, p = 1, from those of its STE model."""
    points = tuple(dataclasses.replace(point, model=model, mean_slope=1.0, ste_model=point.model) for point in found)
    return dataclasses.replace(found, points=points)


def fogzo_fixed_points(model: LinearModel) -> FixedPoints:
    """V = 0 and all fixed points with V > 0 and p > 0 of a model updated by FOGZO; see `steode.fixed_points`."""
    unit = ste_twin(model, 1.0)
    if model.weight_decay:
        raise UnsupportedError(
            "fixed points: with weight decay the mean slope of FOGZO is not the dithering, and the equation is not "
            "derived; solve(model, t_end) to a long time instead."
        )
    unquantized = unquantized_error(unit)
    equation, coarse = (TemperatureEquation(stationary_problem(unit, part=part)) for part in (1.0, 0.5))
    roots, recovery = scalar_equations.find_roots(equation), scalar_recovery(equation)
    points = [recovered(model, recovery, unquantized, mean_slope=math.nan)] if recovery else []
    points += [_point(model, equation, coarse, square, unquantized) for square in roots.values]
    findings = ("frozen laws",) if points else ("none moving", "frozen laws")
    last = share_on_last_level(equation.problem)
    return FixedPoints(tuple(points), unquantized, roots.complete, roots.proof, findings, last)


def _point(
    model: LinearModel, equation: TemperatureEquation, coarse: TemperatureEquation, square: float, unquantized: float
) -> FixedPoint:
    dithering, variance = (float(value) for value in equation.averages(jnp.asarray(square)))
    slope = 2 * dithering / math.sqrt(square)
    twin = ste_twin(model, slope)
    own = dataclasses.replace(equation.problem, eta=jnp.asarray(twin.learning_rate))
    state = self_consistency.state(own, jnp.asarray(variance))
    terms = {name: float(getattr(state, part)) / 2 for part, name in TERM_NAMES.items()}
    implied, half = (scalar_equations.at(each, square) for each in (equation, coarse))
    same = coarse.problem.teacher.size == equation.problem.teacher.size
    residual, eps_g = abs(implied / square - 1), sum(terms.values())
    return FixedPoint(
        model=model,
        V=variance,
        eps_g=eps_g,
        **terms,
        residual=residual * variance,
        converged=residual <= RESIDUAL,
        quadrature_error=0.0 if same else abs(half / implied - 1),
        kind=REGULAR,
        escaping=stationary.escaping(equation.problem),
        deviation=eps_g - unquantized,
        mean_slope=slope,
        ste_model=twin,
    )
