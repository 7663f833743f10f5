"""The verb `fixed_points`: where the limit ends up, and what the error there is made of."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from steode.errors import ConvergenceError, UnsupportedError
from steode.fixed_point import FixedPoint, FixedPoints
from steode.fixed_point_function import FixedPointFunction, check_stationary, fixed_point_function
from steode.fogzo_fixed_points import fogzo_fixed_points
from steode.general_fixed_points import general_fixed_points
from steode.quantizers import Identity, StepFunction
from steode.solve import check_model
from steode.solvers import stationary
from steode.solvers.entrywise import IdentityMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.fixed_point import affine_root, recovers, scan_bounds
from steode.solvers.root_search import RESOLUTION, isolate_roots
from steode.solvers.teacher import AtomicTeacher
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.update_rules import FOGZO, SPSA

TEACHER_NODES = 48
TERMS = 500_000
"""Teacher values times levels; the quadrature of the teacher law is made coarser for very fine quantizers."""
BLOCK = 8
"""Values of V at which the equation is evaluated in one call."""
RESIDUAL = 1e-11
"""Largest |V - implied V| of a root, relative to V."""


def fixed_points(model: LinearModel, *, throw: bool = True) -> FixedPoints:
    """All fixed points of the limit: roots of V = rho (1 - alpha_1^2/alpha_2) + sigma^2 + alpha_2 E (Q - a)^2.

    The average is over the stationary law given w*: exponential cells under a step function, truncated Gaussian cells
    with weight decay, quadrature for smooth maps, closed form for weights that are not quantized. Continuous teacher
    laws are integrated piecewise between the kinks. Intervals of V are excluded until only the roots are left, by the
    monotonicity of the right-hand side or, with weight decay, by a bound of its slope (proofs in
    `steode.solvers.root_search`); where neither holds the search is for changes of sign, and the result says so. The
    root V = 0 of a representable teacher is found separately.

    With a spectrum, stochastic maps, or maps of labels, output and residual the same law is closed through the averages
    of the output: one equation for c_2 while the residual answers linearly, else three for c_h, c_* and c_2, solved by
    Newton's method from several starts.

    With FOGZO the stationary laws are those of the STE at the learning rate eta p (1 + c/n), and the mean slope p
    follows from the law: `mean_slope` and `ste_model` of each point. Laws with p = 0 are frozen and not listed.

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
    check_stationary(model)
    if isinstance(model.update_rule, SPSA):
        raise UnsupportedError("fixed points: not derived for SPSA; solve(model, t_end) to a long time instead.")
    if isinstance(model.update_rule, FOGZO):
        return fogzo_fixed_points(model, fixed_points, _teacher_nodes(model), throw=throw)
    if not model.is_basic:
        return general_fixed_points(model, throw=throw)
    with jax.enable_x64(True):
        plain = model.replace(weight_quantizer=Identity(), input_quantizer=Identity())
        unquantized = float((affine_root(fixed_point_function(plain).problem({}))[0] - model.noise**2) / 2)
        function = fixed_point_function(model, teacher_nodes=_teacher_nodes(model))
        problem = function.problem({})
        if isinstance(problem.weight_map, IdentityMap):
            return _affine(model, problem, unquantized)
        variances, complete, proof = _roots(problem)
        zero, notes = _recovery(problem)
        points = [
            _point(model, problem, variance, unquantized, zero) for variance in (*([0.0] * bool(zero)), *variances)
        ]
        points = [_with_quadrature_error(point, function) for point in points]
    for point in points:
        if throw and not point.converged:
            raise ConvergenceError(f"fixed_points: V = {point.V:.6g} leaves a residual of {point.residual:.1e}")
    if not points:
        notes.append("no fixed point: the error grows without bound")
    return FixedPoints(tuple(points), unquantized, complete, proof, "; ".join(notes))


def _teacher_nodes(model: LinearModel) -> int:
    if not isinstance(model.weight_quantizer, StepFunction):
        return 16
    levels = len(model.weight_quantizer.unit_levels)
    return int(np.clip(TERMS // (levels * (levels + 24)), 8, TEACHER_NODES))


def _affine(model: LinearModel, problem: Problem, unquantized: float) -> FixedPoints:
    variance, exists = affine_root(problem)
    proof = "the moment equations are linear: there is no other"
    if not exists:
        note = "no fixed point: the error grows without bound at this learning rate"
        return FixedPoints((), unquantized, True, proof, note)
    point = _point(model, problem, float(variance), unquantized, "")
    return FixedPoints((point,), unquantized, True, proof, "")


@eqx.filter_jit
def _implied(problem: Problem, variances):
    return jax.lax.map(lambda variance: stationary.implied_variance(problem, variance), variances)


@eqx.filter_jit
def _terms(problem: Problem, variance):
    return stationary.error_terms(problem, variance)


def _evaluate(problem: Problem, variances: np.ndarray) -> np.ndarray:
    # blocks of one size, so that one program serves every number of values
    padded = np.concatenate([variances, np.full(-variances.size % BLOCK, variances[-1])]).reshape(-1, BLOCK)
    return np.concatenate([np.asarray(_implied(problem, jnp.asarray(block))) for block in padded])[: variances.size]


def _roots(problem: Problem) -> tuple[list[float], bool, str]:
    lowest, highest = (float(bound) for bound in stationary.bounds(problem))
    if np.isfinite(highest) and highest - lowest <= 1e-13 * highest:
        # no target has two levels around it to flip between: V is what remains without dithering
        return [lowest] if lowest > 0 else [], True, "no weight can flip between levels: there is no other"
    low, high = (float(bound) for bound in scan_bounds(problem))
    search = isolate_roots(lambda values: _evaluate(problem, values), low, high, *_slope(problem))

    def gap(variance: float) -> float:
        return float(_implied(problem, jnp.full(BLOCK, variance))[0]) - variance

    roots = [scipy.optimize.brentq(gap, *bracket, xtol=1e-15 * bracket[0], rtol=1e-14) for bracket in search.brackets]
    why = "by a bound of its slope" if problem.decay is not None else "by its monotonicity"
    if search.complete and np.isfinite(highest):
        proof = f"the equation has no other root, {why}: all other V are excluded"
    elif search.complete:
        proof = f"the equation has no other root up to V = {high:.3g}, {why}"
    elif search.touching:
        proof = f"not decided whether there is a double root near V = {search.touching[0][0]:.9g} (to {RESOLUTION:g})"
    else:
        proof = "roots found by changes of sign; it is not proved that there are no others"
    return sorted(roots), search.complete and np.isfinite(highest), proof


def _slope(problem: Problem) -> tuple[float | None, float]:
    """What is known of the implied variance; see `steode.solvers.root_search.isolate_roots`."""
    if problem.decay is None:
        return 0.0, 0.0
    low, high = stationary.image_range(problem)
    a = stationary.targets(problem)
    largest = jnp.maximum((a - low) ** 2, (a - high) ** 2)
    if isinstance(problem.weight_map, StepMap):
        smallest = jnp.min((a[:, None] - problem.weight_map.levels[None, :]) ** 2, axis=1)
    else:
        smallest = stationary.excess(problem) ** 2
    slope = float(problem.alpha_2 * (problem.teacher_weights @ (largest - smallest)) / 2)
    floor = float(stationary.unreachable(problem) + problem.alpha_2 * (problem.teacher_weights @ smallest))
    return (slope, floor) if np.isfinite(slope) else (None, 0.0)


def _recovery(problem: Problem) -> tuple[str, list[str]]:
    """The kind of the fixed point V = 0 ("" if there is none), and notes."""
    if problem.decay is not None:
        # every weight decays to zero, where its image is the target
        at_zero = np.asarray(problem.weight_map(jnp.zeros(1)))
        rests = bool(recovers(problem)) and np.allclose(stationary.targets(problem), at_zero, rtol=0, atol=1e-14)
        return ("exact recovery", ["V = 0 recovers the teacher exactly"]) if rests else ("", [])
    if not isinstance(problem.weight_map, StepMap):
        smooth = bool(recovers(problem))
        return ("exact recovery", ["V = 0 recovers the teacher exactly"]) if smooth else ("", [])
    levels, thresholds = (np.asarray(values) for values in (problem.weight_map.levels, problem.weight_map.thresholds))
    a, weights = np.asarray(stationary.targets(problem)), np.asarray(problem.teacher_weights)
    nearest = np.abs(a[:, None] - levels[None, :]).argmin(axis=1)
    on_level = np.isclose(a, levels[nearest], rtol=1e-12, atol=1e-14)
    last = on_level & ((nearest == 0) | (nearest == levels.size - 1))
    zero, notes = "", []
    if bool(recovers(problem)) and on_level.all():
        zero = "algebraic recovery" if last.any() else "exact recovery"
        notes.append(_recovery_note(problem, levels, thresholds, nearest, last, weights))
    if last.any():
        notes.append(
            f"{float(weights @ last):.3g} of the targets sit on the last level: their weights have no stationary law, "
            "and V approaches its value as a power of tau"
        )
    return zero, notes


def _recovery_note(problem: Problem, levels, thresholds, nearest, last, weights) -> str:
    """Stability of V = 0, from the step "exact recovery": V is multiplied by eta alpha_2 E[(g_1 + g_2)/(2 W)]/B."""
    forever = "V = 0 recovers the teacher exactly; it is stable at every learning rate"
    if levels.size == 2:
        return forever
    inner = np.clip(nearest, 1, levels.size - 2)
    per_target = (levels[inner + 1] - levels[inner - 1]) / (2 * (thresholds[inner] - thresholds[inner - 1]))
    gain = float(problem.alpha_2 / problem.batch) * float(weights @ np.where(last, 0.0, per_target))
    if gain == 0:
        return forever
    stable = "stable" if float(problem.eta) * gain < 1 else "unstable"
    return f"V = 0 recovers the teacher exactly; it is {stable} (threshold learning rate {1 / gain:.6g})"


def _point(model: LinearModel, problem: Problem, variance: float, unquantized: float, zero: str) -> FixedPoint:
    terms = dict.fromkeys(("V", "eps_g", "input_term", "dithering_term", "clipping_term", "decay_term"), 0.0)
    residual = 0.0
    if variance > 0:
        terms = {name: float(value) for name, value in _terms(problem, jnp.asarray(variance)).items()}
        residual = float(_implied(problem, jnp.full(BLOCK, variance))[0]) - variance
    escapes = ~np.asarray(stationary.is_confined(problem)) & (np.asarray(stationary.excess(problem)) != 0)
    return FixedPoint(
        model=model,
        **terms,
        residual=residual,
        converged=abs(residual) <= RESIDUAL * variance,
        quadrature_error=0.0,
        kind="regular" if variance > 0 else zero,
        escaping=float(np.asarray(problem.teacher_weights) @ escapes),
        deviation=terms["eps_g"] - unquantized,
    )


def _with_quadrature_error(point: FixedPoint, function: FixedPointFunction) -> FixedPoint:
    """The change of the implied V when the teacher law is integrated with half as many nodes."""
    if isinstance(function.teacher, AtomicTeacher) or point.V == 0:
        return point
    coarse = fixed_point_function(point.model, teacher_nodes=function.teacher.nodes // 2).problem({})
    change = abs(float(_implied(coarse, jnp.full(BLOCK, point.V))[0]) - point.V)
    return dataclasses.replace(point, quadrature_error=change / point.V)
