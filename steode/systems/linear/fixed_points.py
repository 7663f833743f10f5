"""The verb `fixed_points`: where the limit ends up, and what the error there is made of."""

import logging

import equinox as eqx
import jax
import numpy as np

from steode.errors import ConvergenceError
from steode.parts.update_rules import FOGZO
from steode.solvers import all_roots, newton_roots, stationary
from steode.solvers.equations import Problem
from steode.solvers.fixed_point import fixed_point_terms, terms_at
from steode.solvers.newton_roots import ForceEquation
from steode.solvers.recovery import Recovery, scalar_recovery, share_on_last_level, vector_recovery
from steode.solvers.scalar_equations import Equation, TemperatureEquation
from steode.systems.dispatch import for_every_system
from steode.systems.linear.fixed_point import EXACT, REGULAR, FixedPoint, FixedPoints
from steode.systems.linear.fixed_point_function import without_quantizers
from steode.systems.linear.problem import stationary_equation, stationary_problem, stationary_problems
from steode.systems.linear.properties import require
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import LinearModel

LOG = logging.getLogger(__name__)


@for_every_system
def fixed_points(model: LinearModel, *, throw: bool = True) -> FixedPoints:
    """All fixed points of the limit: roots of V = rho (1 - alpha_1^2/alpha_2) + sigma^2 + alpha_2 E (Q - a)^2.

    The average is over the stationary law given w*: exponential cells under a step function, truncated Gaussian cells
    with weight decay, quadrature for smooth maps, closed form for weights that are not quantized. Continuous teacher
    laws are integrated piecewise between the kinks. Intervals of V are excluded until only the roots are left, by the
    monotonicity of the right-hand side or, with weight decay, by a bound of its slope (proofs in
    `steode.solvers.root_search`); where neither holds the search is for changes of sign, and the result says so.

    V = 0, where it is stationary, is found separately and in the same way for every model, and its `gain` says whether
    it is stable; see `steode.solvers.recovery`.

    With a spectrum, stochastic maps, or maps of labels, output and residual the same law is closed through the averages
    of the output: one equation for c_2 while the residual answers linearly, else three for c_h, c_* and c_2, solved by
    Newton's method from several starts.

    With FOGZO the stationary laws are those of the STE at the learning rate eta p (1 + c/n), and the mean slope p
    follows from the law: `mean_slope` and `ste_model` of each point. V = 0 is stationary at every p (`mean_slope` is
    NaN); other laws with p = 0 are frozen and not listed.

    Parameters
    ----------
    model : the specification.
    throw : if False, a root that does not satisfy the equation to 1e-11 is returned with `converged` false.

    Raises
    ------
    SpecificationError
        If `model` is not a LinearModel.
    UnsupportedError
        For the clipped surrogate, whose stationary state depends on the initial law, for maps of the weights that
        decrease somewhere, for FOGZO with weight decay, and for SPSA.
    ConvergenceError
        If a root does not satisfy the equation to 1e-11 and `throw` is true.
    """
    check_model(model)
    require(model, "fixed_points")
    LOG.info("searching for every fixed point")
    with jax.enable_x64(True):
        found = _found(model)
    for point in found:
        if throw and not point.converged:
            raise ConvergenceError(f"fixed_points: V = {point.V:.6g} leaves a residual of {point.residual:.1e}")
    return found


def _found(model: LinearModel) -> FixedPoints:
    problems = stationary_problems(model)
    problem, equation = problems[0], stationary_equation(model, problems)
    if equation is None:
        states, recovery = _newton_states(model, problem), vector_recovery(problem)
        roots = all_roots.Roots([], False, newton_roots.PROOF)
    else:
        coarse = stationary_equation(model, stationary_problems(model, 0.5))
        roots, recovery = all_roots.find_roots(equation), scalar_recovery(equation)
        states = [(equation, coarse, np.asarray(root)) for root in roots.values]
    unquantized = unquantized_error(model)
    kinds = ((1.0, problem),) if equation is None else equation.kinds
    points = [_recovered(model, kinds, recovery, unquantized)] if recovery else []
    points += [_point(model, *state, unquantized) for state in states]
    on_last_level = sum(share * share_on_last_level(own) for share, own in kinds)
    findings = _findings(equation, points)
    return FixedPoints(tuple(points), unquantized, roots.complete, roots.proof, findings, on_last_level)


def _findings(equation: Equation | None, points: list[FixedPoint]) -> tuple[str, ...]:
    if isinstance(equation, TemperatureEquation):
        return ("frozen laws",) if points else ("none moving", "frozen laws")
    unstable = not points or (len(points) == 1 and points[0].stable is False)
    return ("none found" if equation is None else "diverges",) if unstable else ()


def _newton_states(model: LinearModel, problem: Problem) -> list[tuple]:
    """Roots with the teacher law cut at the kinks each of them has, and the same with half of the points."""
    # what is left of c_2 where the output is recovered is rounding
    least = newton_roots.RESIDUAL * float(problem.force(np.zeros(()), problem.rho)[2])
    states = []
    for root in newton_roots.newton_roots(problem):
        own, coarse = (stationary_problem(model, (root[0], root[1]), part) for part in (1.0, 0.5))
        force = newton_roots.refined(own, root)
        if force is not None and force[2] > least:
            states.append((ForceEquation(own), ForceEquation(coarse), force))
    return states


@eqx.filter_jit
def _all_of(equation: ForceEquation, force):
    return equation.implied(force), terms_at(equation, force), force


_smallest_stable = eqx.filter_jit(fixed_point_terms)


def _point(
    model: LinearModel, equation: Equation | ForceEquation, coarse: Equation | ForceEquation, root, unquantized: float
) -> FixedPoint:
    """The fixed point of a root; `coarse` is the equation with half the teacher values."""
    described = _all_of if isinstance(equation, ForceEquation) else all_roots.at
    fine, terms, force = jax.device_get(described(equation, root))
    by_group = terms.pop("eps_g_by_group", ())
    terms = {name: float(value) for name, value in terms.items()}
    residual = float(np.max(np.abs(fine / root - 1)))
    quadrature_error, pairs = 0.0, zip(coarse.kinds, equation.kinds, strict=True)
    if any(half.teacher.size != own.teacher.size for (_, half), (_, own) in pairs):
        quadrature_error = float(np.max(np.abs(np.asarray(described(coarse, root)[0]) / fine - 1)))
    kinds = jax.device_get(equation.kinds)
    return FixedPoint(
        model=model,
        **terms,
        residual=residual * terms["V"],
        converged=residual <= equation.tolerance,
        quadrature_error=quadrature_error,
        kind=REGULAR,
        escaping=float(sum(share * stationary.escaping(own.under(force)[0]) for share, own in kinds)),
        deviation=terms["eps_g"] - unquantized,
        eps_g_by_group=tuple(map(float, by_group)),
        problems=tuple(jax.device_put(own) for _, own in kinds),
        force=force,
    )


def _recovered(model: LinearModel, kinds: tuple, recovery: Recovery, unquantized: float) -> FixedPoint:
    """The point V = 0."""
    names = ("V", "eps_g", "input_term", "dithering_term", "clipping_term", "decay_term", "noise_term")
    return FixedPoint(
        model=model,
        **dict.fromkeys((*names, "residual", "quadrature_error", "escaping"), 0.0),
        converged=True,
        kind=EXACT,
        deviation=-unquantized,
        mean_slope=np.nan if isinstance(model.update_rule, FOGZO) else None,
        gain=recovery.gain,
        eps_g_by_group=(0.0,) * len(model.groups),
        problems=tuple(jax.device_put(own) for _, own in kinds),
    )


def unquantized_error(model: LinearModel) -> float:
    """Error of the same model without its quantizers, infinite where that diverges; NaN unless its output is linear."""
    plain = without_quantizers(model)
    if not plain.has_linear_output:
        return np.nan
    equation = stationary_equation(plain, stationary_problems(plain))
    if not equation.is_affine:
        terms = _smallest_stable(equation)
        return float(terms["eps_g"]) if terms["converged"] else np.inf
    root = all_roots.affine_root(equation)
    return float(all_roots.at(equation, root)[1]["eps_g"]) if 0 < root < np.inf else max(root, 0.0)
