"""The smallest stable root of the fixed-point equation, as a differentiable function of a problem.

The sign of log F(V) - log V, F the implied variance, is taken on a coarse grid of log V between the bounds of every
root. From the lower end of the first interval where it changes from positive to negative, V is replaced by F(V) until
the root is near, and Newton's method refines it. Derivatives follow from the implicit function theorem.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from jaxtyping import Array, Bool, Float

from steode.solvers import stationary
from steode.solvers.entrywise import IdentityMap, SmoothMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.random_maps import RoundingMap
from steode.solvers.teacher import Teacher

SCAN_POINTS = 9
NEAR = 0.02
"""Relative difference of V and F(V) from which Newton's method takes over."""
CLIMBS = 200
STEPS = 40
TOLERANCE = 1e-13
"""Of Newton's method, in log V."""
RESIDUAL = 1e-10
"""Largest |F(V) - V| of a root that counts as found, relative to V."""
SMALLEST = 1e-9
"""Values of V below this fraction of the largest possible one count as exact recovery."""
LARGEST = 1e6
"""Where the map is unbounded: largest V looked at, in units of the variance of the labels."""


def place_teacher(problem: Problem, teacher: Teacher, second_moment, scale=1.0) -> Problem:
    """The problem with the teacher law's quadrature for its own kinks: targets at the ends of the range and on levels.

    `second_moment` is E[w*^2] of the law itself, before it is scaled.
    """
    nodes, weights = teacher.rows(kinks(problem), scale)
    rho = scale**2 * second_moment
    return eqx.tree_at(lambda p: (p.teacher, p.teacher_weights, p.rho), problem, (nodes, weights, jnp.asarray(rho)))


def kinks(problem: Problem) -> Float[Array, " n"]:
    """Teacher values at which the stationary error has kinks at small theta, increasing.

    There the potential's minimum leaves a threshold, or stochastic rounding has nothing to draw: the target is a level,
    shifted by weight decay.
    """
    values, (student, teacher) = jnp.zeros(0), problem.response
    if isinstance(problem.weight_map, StepMap):
        values = levels = problem.weight_map.levels
        if problem.decay is not None:
            pull = problem.decay / problem.alpha_2 * problem.weight_map.thresholds
            values = jnp.sort(jnp.concatenate([levels[:-1] + pull, levels[1:] + pull]))
    elif isinstance(problem.weight_map, RoundingMap):
        stiffness = 1.0 if problem.decay is None else 1 + problem.decay / problem.alpha_2
        values = problem.weight_map.levels * stiffness
    elif isinstance(problem.weight_map, SmoothMap):
        values = jnp.asarray([limit for limit in problem.weight_map.limits if abs(limit) < jnp.inf])
    return -student / teacher * values * problem.alpha_2 / problem.alpha_1


def kinks_by_eigenvalue(problem: Problem) -> np.ndarray | Callable[[float], np.ndarray]:
    """`kinks`, or a function of the eigenvalue that gives them where there is a spectrum."""
    if problem.eigenvalues is None:
        return np.asarray(kinks(problem))
    return lambda value: np.asarray(kinks(dataclasses.replace(problem, eigenvalues=jnp.asarray(value))))


def find_root(problem: Problem) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """V of the smallest stable fixed point, and whether it was found; infinity where there is none."""
    if isinstance(problem.weight_map, IdentityMap):
        return affine_root(problem)
    lowest, highest = scan_bounds(problem)
    grid = jnp.linspace(jnp.log(lowest), jnp.log(highest), SCAN_POINTS)
    frozen = jax.lax.stop_gradient(problem)
    gaps = jax.lax.map(lambda x: _gap(frozen, x), grid)
    falls = (gaps[:-1] > 0) & (gaps[1:] <= 0)
    index = jnp.argmax(falls)
    low, high = grid[index], grid[index + 1]
    start = _climb(frozen, low, high, gaps[index])
    solution = optimistix.root_find(
        lambda x, _: jnp.where(falls[index], _gap(problem, jnp.where(falls[index], x, low)), x - low),
        optimistix.Newton(rtol=TOLERANCE, atol=TOLERANCE),
        jnp.where(falls[index], start, low),
        options={"lower": low, "upper": high},
        max_steps=STEPS,
        throw=False,
    )
    variance = jnp.exp(solution.value)
    residual = jnp.abs(stationary.implied_variance(problem, variance) - variance)
    found = falls[index] & (residual <= RESIDUAL * variance)
    # without dithering V is its lower bound; with a lower bound of zero, a negative gap at the start is stable recovery
    rigid = stationary.bounds(problem)
    still = jnp.isfinite(rigid[1]) & (rigid[1] - rigid[0] <= 1e-13 * rigid[1])
    recovered = recovers(problem) & (gaps[0] <= 0)
    variance = jnp.where(still, rigid[0], jnp.where(recovered, 0.0, jnp.where(falls[index], variance, jnp.inf)))
    return variance, found | still | recovered


def _gap(problem: Problem, x):
    """log F(V) - log V at x = log V."""
    return jnp.log(stationary.implied_variance(problem, jnp.exp(x))) - x


def _climb(problem: Problem, low, high, gap_at_low):
    """A point near the first root above `low`: V is replaced by F(V), which no root lies below, until it hardly moves.

    Where F is nondecreasing, V < F(V) means that there is no root in [V, F(V)].
    """

    def moves(state):
        x, gap, count = state
        return (gap > NEAR) & (x < high) & (count < CLIMBS)

    def replace(state):
        x, gap, count = state
        return x + gap, _gap(problem, x + gap), count + 1

    x, gap, _ = jax.lax.while_loop(moves, replace, (low, gap_at_low, 0))
    return jnp.clip(x + gap, low, high)


def scan_bounds(problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Positive, finite values of V below and above every root that is not exact recovery, with room for rounding."""
    lowest, highest = stationary.bounds(problem)
    label = problem.rho + problem.sigma**2
    bounded = jnp.isfinite(highest)
    smallest = SMALLEST * jnp.where(bounded, highest, label)
    low = jnp.where(recovers(problem), smallest, lowest * (1 - 1e-12))
    return low, jnp.where(bounded, highest * (1 + 1e-9), LARGEST * label)


def recovers(problem: Problem) -> Bool[Array, ""]:
    """True if nothing keeps V from vanishing but the dithering of the weights."""
    return stationary.bounds(problem)[0] <= 1e-13 * problem.rho


def affine_root(problem: Problem) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The fixed point of unquantized weights: F is affine, and there is one while its slope is below 1."""
    start = stationary.implied_variance(problem, 0.0)
    slope = stationary.implied_variance(problem, 1.0) - start
    variance = jnp.where(slope < 1, start / jnp.where(slope < 1, 1 - slope, 1.0), jnp.inf)
    return variance, slope < 1


def fixed_point_terms(problem: Problem) -> dict[str, Array]:
    """V, the error and its terms at the smallest stable fixed point, and whether it was found (NaN otherwise)."""
    variance, found = find_root(problem)
    positive = found & (variance > 0)
    terms = stationary.error_terms(problem, jnp.where(positive, variance, 1.0))
    at_zero = {name: jnp.where(found, 0.0, jnp.nan) for name in terms}
    return {name: jnp.where(positive, value, at_zero[name]) for name, value in terms.items()} | {"converged": found}
