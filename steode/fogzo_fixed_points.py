r"""Fixed points of the FOGZO limit: the stationary laws of the STE at the learning rate that the mean slope sets.

The stationary law depends on the temperature theta = eta p V (1 + c/n)/B alone, and by integration by parts its mean
slope is p = 2 D/theta, with D = E[Var(Q | w*)] the dithering of the weights whose target lies inside the range. So

    theta^2 = 2 eta (1 + c/n) D(theta) V(theta)/B.

D and V are nondecreasing in theta (see `steode.solvers.root_search`), hence so is the right-hand side, and every root
in theta^2 is found with the same proof that there are no others. Derived here.
"""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from steode.errors import ConvergenceError, UnsupportedError
from steode.fixed_point import FixedPoint, FixedPoints
from steode.fixed_point_function import FixedPointFunction, fixed_point_function
from steode.quantizers import Identity
from steode.solvers import stationary
from steode.solvers.equations import Problem
from steode.solvers.fixed_point import recovers
from steode.solvers.root_search import isolate_roots
from steode.solvers.teacher import AtomicTeacher
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.update_rules import STE

BLOCK = 8
RESIDUAL = 1e-11
"""Largest relative difference of the two sides at a root."""
SMALLEST = 1e-12
"""Values of theta^2 below this fraction of the largest possible one count as V = 0 or p = 0."""
RECOVERY = "V = 0 recovers the teacher exactly, and is stationary at every p; its stability is not derived here"
FROZEN = "laws without weights near a threshold (p = 0) are frozen, and stationary too"


def ste_twin(model: LinearModel, mean_slope: float) -> LinearModel:
    """The STE model with the same stationary law: its learning rate is eta p (1 + c/n)."""
    rate = model.learning_rate * mean_slope * model.update_rule.noise_factor
    return model.replace(update_rule=STE(), learning_rate=rate)


def fogzo_fixed_points(model: LinearModel, points_of_ste, teacher_nodes: int, *, throw: bool) -> FixedPoints:
    """All fixed points with V > 0 and p > 0 of a model updated by FOGZO; see `steode.fixed_points`.

    `points_of_ste` is that function itself, for models of the STE.
    """
    if isinstance(model.weight_quantizer, Identity):
        found = points_of_ste(ste_twin(model, 1.0), throw=throw)
        points = tuple(_of_fogzo(point, model, 1.0) for point in found)
        return dataclasses.replace(found, points=points)
    if model.weight_decay:
        raise UnsupportedError(
            "fixed points: with weight decay the mean slope of FOGZO is not the dithering, and the equation is not "
            "derived; solve(model, t_end) to a long time instead."
        )
    plain = model.replace(weight_quantizer=Identity(), input_quantizer=Identity())
    unquantized = points_of_ste(ste_twin(plain, 1.0)).unquantized_eps_g
    with jax.enable_x64(True):
        function = fixed_point_function(ste_twin(model, 1.0), teacher_nodes=teacher_nodes)
        problem = function.problem({})
        strength = 2 * float(problem.eta / problem.batch)  # of the STE's problem, whose rate is eta (1 + c/n)
        squares, complete, proof = _roots(problem, strength)
        notes = [FROZEN, *([RECOVERY] if bool(recovers(problem)) else [])]
        if not squares:
            notes.insert(0, "no fixed point with V > 0 and p > 0")
        points = []
        for square in squares:
            slope = 2 * float(_averages(problem, jnp.asarray(square))[0]) / math.sqrt(square)
            points.append(_point(model, slope, square, unquantized, problem, strength))
        points = [_with_quadrature_error(point, function, strength) for point in points]
    for point in points:
        if throw and not point.converged:
            raise ConvergenceError(f"fixed_points: V = {point.V:.6g} leaves a residual of {point.residual:.1e}")
    return FixedPoints(tuple(points), unquantized, complete, proof, "; ".join(notes))


def _averages(problem: Problem, square) -> tuple:
    """D and V at a squared temperature."""
    variance = jnp.sqrt(square) * problem.batch / problem.eta
    moments = stationary.image_moments(problem, variance)
    confined = jnp.where(stationary.is_confined(problem), moments.variance, 0.0)
    spread = problem.teacher_weights @ moments.spread
    return problem.teacher_weights @ confined, stationary.unreachable(problem) + problem.alpha_2 * spread


@eqx.filter_jit
def _implied(problem: Problem, strength, squares):
    def one(square):
        dithering, variance = _averages(problem, square)
        return strength * dithering * variance

    return jax.lax.map(one, squares)


def _evaluate(problem: Problem, strength: float, squares: np.ndarray) -> np.ndarray:
    padded = np.concatenate([squares, np.full(-squares.size % BLOCK, squares[-1])]).reshape(-1, BLOCK)
    values = [np.asarray(_implied(problem, strength, jnp.asarray(block))) for block in padded]
    return np.concatenate(values)[: squares.size]


def _roots(problem: Problem, strength: float) -> tuple[list[float], bool, str]:
    highest = float(stationary.bounds(problem)[1])
    low, high = stationary.image_range(problem)
    inside = jnp.clip(stationary.targets(problem), low, high)
    widest = float(problem.teacher_weights @ ((inside - low) * (high - inside)))
    most = strength * widest * highest
    if not np.isfinite(most):
        raise UnsupportedError("fixed points: FOGZO with a map of unbounded range; solve(model, t_end) instead.")
    if most <= 0:
        return [], True, "no weight has two levels around its target to flip between"
    search = isolate_roots(
        lambda squares: _evaluate(problem, strength, squares), SMALLEST * most, most * (1 + 1e-9), 0.0, 0.0
    )

    def gap(square: float) -> float:
        return float(_evaluate(problem, strength, np.array([square]))[0]) - square

    roots = [scipy.optimize.brentq(gap, *bracket, xtol=1e-15 * bracket[0], rtol=1e-14) for bracket in search.brackets]
    if search.complete:
        floor = f"{SMALLEST:g} of its largest value"
        return sorted(roots), True, f"the equation for theta^2 has no other root above {floor}, by its monotonicity"
    return sorted(roots), False, "not decided whether there is another root"


def _point(model: LinearModel, slope: float, square: float, unquantized: float, problem: Problem, strength: float):
    twin = ste_twin(model, slope)
    variance = float(_averages(problem, jnp.asarray(square))[1])
    own = eqx.tree_at(lambda it: it.eta, problem, jnp.asarray(twin.learning_rate))
    terms = {name: float(value) for name, value in stationary.error_terms(own, jnp.asarray(variance)).items()}
    residual = abs(float(_evaluate(problem, strength, np.array([square]))[0]) / square - 1)
    escapes = ~np.asarray(stationary.is_confined(problem)) & (np.asarray(stationary.excess(problem)) != 0)
    return FixedPoint(
        model=model,
        **terms,
        residual=residual * variance,
        converged=residual <= RESIDUAL,
        quadrature_error=0.0,
        kind="regular",
        escaping=float(np.asarray(problem.teacher_weights) @ escapes),
        deviation=terms["eps_g"] - unquantized,
        mean_slope=slope,
        ste_model=twin,
    )


def _with_quadrature_error(point: FixedPoint, function: FixedPointFunction, strength: float) -> FixedPoint:
    """The change of the implied theta^2 when the teacher law is integrated with half as many nodes."""
    if isinstance(function.teacher, AtomicTeacher):
        return point
    coarse = fixed_point_function(point.ste_model, teacher_nodes=function.teacher.nodes // 2).problem({})
    coarse = eqx.tree_at(lambda it: it.eta, coarse, function.problem({}).eta)
    theta = point.ste_model.learning_rate * point.V / point.model.batch_size
    implied = float(_evaluate(coarse, strength, np.array([theta**2]))[0])
    return dataclasses.replace(point, quadrature_error=abs(implied / theta**2 - 1))


def _of_fogzo(point: FixedPoint, model: LinearModel, slope: float) -> FixedPoint:
    return dataclasses.replace(point, model=model, mean_slope=slope, ste_model=point.model)
