"""Fixed points of models that are updated by the straight-through gradient, whatever options they have.

For a linear response the averages of the output reduce to c_2 (V itself where the output is linear and deterministic),
one scalar equation. For any other output c_h, c_* and c_2 solve three equations.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from steode.fixed_point import REGULAR, TERM_NAMES, FixedPoint, FixedPoints, recovered, unquantized_error
from steode.problem import stationary_problem
from steode.solvers import newton_roots, scalar_equations, self_consistency, stationary
from steode.solvers.equations import Problem
from steode.solvers.recovery import scalar_recovery, share_on_last_level, vector_recovery
from steode.solvers.scalar_equations import Roots, StrengthEquation
from steode.systems.linear.spec import LinearModel

RESIDUAL = 1e-11
"""Largest |F(x) - x| of a root of one equation, relative to x."""


def ste_fixed_points(model: LinearModel) -> FixedPoints:
    """All fixed points found of a model with any of the options; see `steode.fixed_points`."""
    problem, coarse = stationary_problem(model), stationary_problem(model, part=0.5)
    if problem.linear_response:
        equation = StrengthEquation(problem)
        roots, recovery = scalar_equations.find_roots(equation), scalar_recovery(equation)
        states = [(problem, coarse, np.asarray(root)) for root in roots.values]
    else:
        states, recovery = _newton_states(model, problem), vector_recovery(problem)
        roots = Roots([], False, newton_roots.PROOF)
    unquantized = unquantized_error(model)
    points = [recovered(model, recovery, unquantized)] if recovery else []
    points += [_point(model, *state, unquantized) for state in states]
    grows = "diverges" if problem.linear_response else "none found"
    unstable = not points or (len(points) == 1 and points[0].stable is False)
    findings = (grows,) if unstable and not states else ()
    return FixedPoints(tuple(points), unquantized, roots.complete, roots.proof, findings, share_on_last_level(problem))


def _newton_states(model: LinearModel, problem: Problem) -> list[tuple]:
    """Roots with the teacher law cut at the kinks each of them has, and the same with half of the points."""
    # what is left of c_2 where the output is recovered is rounding
    least = newton_roots.RESIDUAL * float(problem.force(jnp.zeros(()), problem.rho)[2])
    states = []
    for root in newton_roots.newton_roots(problem):
        own, coarse = (stationary_problem(model, (root[0], root[1]), part) for part in (1.0, 0.5))
        force = newton_roots.refined(own, root)
        if force is not None and force[2] > least:
            states.append((own, coarse, force))
    return states


@eqx.filter_jit
def _state(problem: Problem, force):
    state = self_consistency.state(problem, force)
    m, q = state.teacher_overlap, state.self_overlap
    return state, problem.observables(m, q, problem.loss(m, q))


def _point(model: LinearModel, problem: Problem, coarse: Problem, force, unquantized: float) -> FixedPoint:
    """The fixed point of a force; `coarse` is the problem with half the teacher values."""
    state, observables = _state(problem, jnp.asarray(force))
    loss, eps_g = float(observables["V"]), float(observables["eps_g"])
    halves = {name: float(getattr(state, part)) / 2 for part, name in TERM_NAMES.items()}
    if problem.linear_response:
        # summed from its parts, a small error is not a difference of large overlaps
        noise = float(state.noise) / 2
        if problem.output is not None:
            noise += float(problem.output.gaussian_square(jnp.zeros(()), state.self_overlap) - state.self_overlap) / 2
        eps_g = sum(halves.values()) + noise
        if problem.equations.strength_of_gap is None:
            loss = float(force)
        equation, tolerance = StrengthEquation(problem), RESIDUAL
        residual = abs(scalar_equations.at(equation, float(force)) / float(force) - 1)
    else:
        halves, noise, tolerance = dict.fromkeys(halves, np.nan), np.nan, newton_roots.RESIDUAL
        residual = newton_roots.residual(problem, force)
    return FixedPoint(
        model=model,
        V=loss,
        eps_g=eps_g,
        **halves,
        residual=residual * loss,
        converged=residual <= tolerance,
        quadrature_error=_quadrature_error(problem, coarse, force),
        kind=REGULAR,
        escaping=stationary.escaping(problem.under(jnp.asarray(force))[0]),
        deviation=eps_g - unquantized,
        noise_term=noise,
    )


def _quadrature_error(problem: Problem, coarse: Problem, force) -> float:
    """The relative change of what the force implies when the teacher law is integrated with half of the points."""
    if coarse.teacher.size == problem.teacher.size:
        return 0.0
    if problem.linear_response:
        values = (scalar_equations.at(StrengthEquation(each), float(force)) for each in (problem, coarse))
    else:
        values = (np.asarray(newton_roots.implied_by(each, jnp.asarray(force))) for each in (problem, coarse))
    fine, half = values
    return float(np.max(np.abs(half / fine - 1)))
