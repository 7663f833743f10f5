"""Fixed points of a model with a spectrum, stochastic maps, or maps of labels, output and residual.

For a linear response the averages of the output reduce to c_2, one scalar equation as in `steode.fixed_points`. For any
other output c_h, c_* and c_2 solve three equations, by Newton's method from several starts.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from steode.errors import ConvergenceError
from steode.fixed_point import FixedPoint, FixedPoints
from steode.problem import make_problem, nominal_start
from steode.quantizers import Identity
from steode.solvers import self_consistency, stationary
from steode.solvers.entrywise import IdentityMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.fixed_point import kinks_by_eigenvalue
from steode.solvers.random_maps import NoisyMap, RoundingMap
from steode.solvers.root_search import isolate_roots
from steode.systems.linear.spec import LinearModel

TEACHER_NODES = 32
BLOCK = 8
"""Values of c_2 at which the equation is evaluated in one call."""
RESIDUAL = 1e-11
NEWTON_RESIDUAL = 1e-8
"""Largest relative residual of a root of three equations."""
SMALLEST = 1e-9
"""Values of c_2 below this fraction of the largest possible one count as exact recovery."""
STARTS = (1.0, 0.3, 3.0, 0.1)
"""Factors of c_2 at the start of Newton's method."""
NOTHING = {
    True: "no fixed point: the error grows without bound",
    False: "no fixed point found: the latent weights may grow without bound",
}
SETTLING = 30
"""Replacements of the force by the one it implies, before Newton's method."""


def general_fixed_points(model: LinearModel, *, throw: bool) -> FixedPoints:
    """All fixed points found of a model with any of the options; see `steode.fixed_points`."""
    with jax.enable_x64(True):
        start = nominal_start(model)
        edges = kinks_by_eigenvalue(make_problem(model, start.rows(np.zeros(0), 2)))
        problem = make_problem(model, start.rows(edges, TEACHER_NODES))
        unquantized = _unquantized(model)
        if not problem.linear_response:
            forces, complete = _newton_roots(problem), False
            proof = f"found by Newton's method from {len(STARTS)} starts; it is not proved that there are no others"
        elif isinstance(problem.weight_map, IdentityMap | NoisyMap):
            forces, complete, proof = _affine_root(problem), True, "the equation is linear: there is no other"
        else:
            forces, complete, proof = _scalar_roots(problem)
        points = [_point(problem, model, force, unquantized) for force in forces]
        notes = [] if points else [NOTHING[problem.linear_response]]
        if problem.linear_response and _recovers(problem):
            notes.append("V = 0 recovers the teacher exactly; its stability is not decided here")
    for point in points:
        if throw and not point.converged:
            raise ConvergenceError(f"fixed_points: V = {point.V:.6g} leaves a residual of {point.residual:.1e}")
    return FixedPoints(tuple(points), unquantized, complete, proof, "; ".join(notes))


def _unquantized(model: LinearModel) -> float:
    """Error of the same model without its quantizers; NaN unless its output is linear then."""
    plain = model.replace(
        weight_quantizer=Identity(),
        input_quantizer=Identity(),
        label_quantizer=Identity(),
        residual_quantizer=Identity(),
        activation=Identity(),
    )
    if not plain.has_linear_output:
        return np.nan
    problem = make_problem(plain, nominal_start(plain).rows(np.zeros(0), TEACHER_NODES))
    if plain.is_basic:
        slope = float(stationary.implied_variance(problem, 1.0) - stationary.implied_variance(problem, 0.0))
        strength = float(stationary.implied_variance(problem, 0.0)) / (1 - slope) if slope < 1 else np.inf
        return (strength - model.noise**2) / 2
    roots = _affine_root(problem)
    return float(roots[0] - model.noise**2) / 2 if roots else np.inf


def _affine_root(problem: Problem) -> list[float]:
    zero, one = _evaluate(problem, np.array([0.0, 1.0]))
    return [zero / (1 - (one - zero))] if one - zero < 1 else []


@eqx.filter_jit
def _implied(problem: Problem, forces):
    return jax.lax.map(lambda force: self_consistency.implied_force(problem, force), forces)


@eqx.filter_jit
def _implied_with_slope(problem: Problem, force):
    def implied(force):
        return self_consistency.implied_force(problem, force)

    return implied(force), jax.jacfwd(implied)(force)


@eqx.filter_jit
def _state(problem: Problem, force):
    state = self_consistency.state(problem, force)
    m, q = state.teacher_overlap, state.self_overlap
    return state, problem.observables(m, q, problem.loss(m, q))


def _evaluate(problem: Problem, strengths: np.ndarray) -> np.ndarray:
    # blocks of one size, so that one program serves every number of values
    padded = np.concatenate([strengths, np.full(-strengths.size % BLOCK, strengths[-1])]).reshape(-1, BLOCK)
    values = [np.asarray(_implied(problem, jnp.asarray(block))) for block in padded]
    return np.concatenate(values)[: strengths.size]


def _scalar_roots(problem: Problem) -> tuple[list[float], bool, str]:
    low, high = (float(bound) for bound in self_consistency.strength_bounds(problem))
    bounded = np.isfinite(high)
    high = high * (1 + 1e-9) if bounded else 1e6 * float(problem.rho + problem.sigma**2)
    low = max(low * (1 - 1e-12), SMALLEST * high)
    # nondecreasing as for deterministic maps: every variance of labels, output and residual grows with q alone
    monotone = problem.decay is None and not isinstance(problem.weight_map, RoundingMap)
    search = isolate_roots(lambda values: _evaluate(problem, values), low, high, 0.0 if monotone else None)

    def gap(strength: float) -> float:
        return float(_evaluate(problem, np.array([strength]))[0]) - strength

    roots = [scipy.optimize.brentq(gap, *bracket, xtol=1e-15 * bracket[0], rtol=1e-14) for bracket in search.brackets]
    proof = "roots found by changes of sign; it is not proved that there are no others"
    if search.complete:
        proof = "the equation has no other root, by its monotonicity" + ("" if bounded else f", up to c_2 = {high:.3g}")
    return sorted(roots), search.complete and bounded, proof


def _newton_roots(problem: Problem) -> list[np.ndarray]:
    # a student that has learned half of the teacher
    first = np.asarray(problem.force(problem.rho / 2, problem.rho / 2))

    def gap(values):
        force = jnp.asarray([values[0], values[1], np.exp(values[2])])
        implied, slope = _implied_with_slope(problem, force)
        scale = np.array([1.0, 1.0, float(force[2])])
        difference = np.append(np.asarray(implied[:2]) - values[:2], np.log(float(implied[2])) - values[2])
        matrix = np.asarray(slope) * scale[None, :]
        matrix[2] /= float(implied[2])
        return difference, matrix - np.eye(3)

    roots = []
    for factor in STARTS:
        force = _settled(problem, first * np.array([1.0, 1.0, factor]))
        if force is None:
            continue
        solution = scipy.optimize.root(gap, np.append(force[:2], np.log(force[2])), jac=True, tol=1e-13)
        found = np.append(solution.x[:2], np.exp(solution.x[2]))
        small = np.abs(gap(solution.x)[0]).max() < NEWTON_RESIDUAL
        if small and found[0] > 0 and not any(np.allclose(found, root, rtol=1e-6) for root in roots):
            roots.append(found)
    return sorted(roots, key=lambda root: root[2])


def _settled(problem: Problem, force: np.ndarray) -> np.ndarray | None:
    """The force after some replacements by the one it implies; None where weights are not held at all (c_h <= 0)."""
    for _ in range(SETTLING):
        # halfway, so that a response that overshoots settles
        force = (force + np.asarray(_implied_with_slope(problem, jnp.asarray(force))[0])) / 2
        if not (np.isfinite(force).all() and force[2] > 0 and force[0] > 0):
            return None
    return force


def _point(problem: Problem, model: LinearModel, force, unquantized: float) -> FixedPoint:
    force = jnp.asarray(force)
    state, observables = _state(problem, force)
    loss, eps_g = float(observables["V"]), float(observables["eps_g"])
    implied = np.asarray(_implied_with_slope(problem, force)[0])
    residual = float(np.max(np.abs(implied - force) / np.abs(force)))
    halves = {name: float(getattr(state, name)) / 2 for name in ("unreachable", "dithering", "clipping", "pull")}
    if problem.linear_response:
        # summed from its parts, a small error is not a difference of large overlaps
        output = problem.output.gaussian_square(jnp.zeros(()), state.self_overlap) - state.self_overlap
        noise = float(state.noise + output) / 2
        eps_g = sum(halves.values()) + noise
    else:
        halves, noise = dict.fromkeys(halves, np.nan), np.nan
    under = problem.under(force)[0]
    escapes = ~np.asarray(stationary.is_confined(under)) & (np.asarray(stationary.excess(under)) != 0)
    return FixedPoint(
        model=model,
        V=loss,
        eps_g=eps_g,
        input_term=halves["unreachable"],
        dithering_term=halves["dithering"],
        clipping_term=halves["clipping"],
        decay_term=halves["pull"],
        residual=residual * loss,
        converged=residual <= (RESIDUAL if problem.linear_response else NEWTON_RESIDUAL),
        quadrature_error=0.0,
        kind="regular",
        escaping=float(np.asarray(problem.teacher_weights) @ escapes),
        deviation=eps_g - unquantized,
        noise_term=noise,
    )


def _recovers(problem: Problem) -> bool:
    """True if every target is a level and nothing else keeps c_2 from vanishing."""
    if not isinstance(problem.weight_map, StepMap) or problem.decay is not None:
        return False
    lowest, highest = (float(bound) for bound in self_consistency.strength_bounds(problem))
    distance = jnp.min(jnp.abs(stationary.targets(problem)[:, None] - problem.weight_map.levels[None, :]), axis=1)
    return abs(lowest) <= 1e-13 * highest and bool(jnp.max(distance) < 1e-12)
