"""The smallest stable root of an equation x = F(x) for stationary states, as a differentiable function of a problem.

The sign of log F(x) - log x is taken on a coarse grid of log x between the bounds of every root. From the lower end of
the first interval where it changes from positive to negative, x is replaced by F(x) until the root is near, and the
secant method refines it. Derivatives follow from the implicit function theorem.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steode.solvers import self_consistency
from steode.solvers.newton_roots import ForceEquation
from steode.solvers.scalar_equations import ZERO, Equation, StrengthEquation, search_interval

SCAN_POINTS = 9
NEAR = 0.02
"""Relative difference of x and F(x) from which the secant method takes over."""
MOST = 240
"""Values of F after the grid."""
TOLERANCE, LAST = 1e-13, 1e-12
"""In log x: a step that short, or one from a gap below the other, is the last."""
RESIDUAL = 1e-10
"""Largest |F(x) - x| of a root that counts as found, relative to x."""


def find_root(equation: Equation) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """x of the smallest stable fixed point, and whether it was found; infinity where there is none, 0 for recovery."""
    if equation.is_affine:
        return affine_root(equation)
    grid = jnp.linspace(*(jnp.log(end) for end in search_interval(equation)), SCAN_POINTS)
    frozen = jax.lax.stop_gradient(equation)
    gaps = jax.lax.map(lambda x: _gap(frozen, x), grid)
    falls = (gaps[:-1] > 0) & (gaps[1:] <= 0)
    index = jnp.argmax(falls)
    low, high, falls = grid[index], grid[index + 1], falls[index]
    logarithm, gap = jax.lax.custom_root(
        lambda x: jnp.where(falls, _gap(equation, jnp.where(falls, x, low)), low - x),
        low,
        lambda function, start: _climb(function, start, high, jnp.where(falls, gaps[index], 0.0)),
        lambda slope, change: change / slope(jnp.ones(())),
        has_aux=True,
    )
    root = jnp.exp(logarithm)
    found = falls & (jnp.abs(gap) <= RESIDUAL)
    # without dithering x is its lower bound; where that is zero, a negative gap at the start is stable recovery
    least, most = equation.bounds()
    zero = ZERO * (equation.problem.rho + equation.problem.sigma**2)
    still = jnp.isfinite(most) & (most - least <= 1e-13 * most)
    at_zero = (least <= zero) & (still | (gaps[0] <= 0))
    # FOGZO stands still at x = 0 also where V does not vanish
    recovered = at_zero & (self_consistency.strength_bounds(equation.problem)[0] <= zero)
    rigid = still & ~at_zero
    root = jnp.where(rigid, least, jnp.where(recovered, 0.0, jnp.where(falls & ~at_zero, root, jnp.inf)))
    return root, jnp.where(at_zero, recovered, found | rigid)


def _gap(equation: Equation, x):
    """log F(x) - log x, as a function of log x."""
    return jnp.log(equation.implied(jnp.exp(x))) - x


def _climb(gap: Callable, low, high, gap_at_low):
    """The first root above `low` and the gap there, where F is nondecreasing.

    x < F(x) then means that there is no root in [x, F(x)]: x is replaced by F(x) until it hardly moves.
    """

    def moves(state):
        x, _, before, gap_before, count = state
        return (jnp.abs(x - before) > TOLERANCE) & (jnp.abs(gap_before) > LAST) & (count < MOST)

    def move(state):
        x, value, before, gap_before, count = state
        slope = (value - gap_before) / (x - before)
        climbs = (value > NEAR) | ~(slope < 0) | ~jnp.isfinite(slope)
        new = jnp.clip(jnp.where(climbs, x + value, x - value / jnp.where(climbs, 1.0, slope)), low, high)
        return new, gap(new), x, value, count + 1

    # nothing is known before the first point
    x, value, *_ = jax.lax.while_loop(moves, move, (low, gap_at_low, low - 1, jnp.inf, 0))
    return x, value


def affine_root(equation: StrengthEquation) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The root of an affine F, which exists while its slope is below 1."""
    start, slope = jax.jvp(equation.implied, (jnp.zeros(()),), (jnp.ones(()),))
    return jnp.where(slope < 1, start / jnp.where(slope < 1, 1 - slope, 1.0), jnp.inf), slope < 1


def fixed_point_terms(equation: Equation) -> dict[str, Array]:
    """V, the error and its terms at the smallest stable fixed point, and whether it was found (NaN otherwise).

    With FOGZO also the mean slope p, NaN at V = 0.
    """
    return terms_of(equation, *find_root(equation))


def terms_of(equation: Equation, root, found) -> dict[str, Array]:
    """`fixed_point_terms` of what `find_root` gives."""
    positive = found & (root > 0)
    terms = terms_at(equation, jnp.where(positive, root, 1.0))
    at_zero = {name: jnp.where(found, 0.0, jnp.nan) for name in terms}
    if "mean_slope" in terms:
        at_zero["mean_slope"] = jnp.nan
    return {name: jnp.where(positive, value, at_zero[name]) for name, value in terms.items()} | {"converged": found}


def terms_at(equation: Equation | ForceEquation, x) -> dict[str, Array]:
    """V, the error, its terms (NaN for an output that does not answer linearly) and, with FOGZO, p at a root x > 0."""
    problem, force = equation.problem, equation.force(x)
    found = equation.state(x)
    terms = self_consistency.error_terms(problem, found)
    overlaps = found.teacher_overlap, found.self_overlap
    if isinstance(equation, ForceEquation):
        values = problem.observables(*overlaps, problem.loss(*overlaps))
        return {"V": values["V"], "eps_g": values["eps_g"]} | dict.fromkeys(terms, jnp.nan)
    # where c_2 is V times a number, it is known from a sum of squares
    if problem.equations.force_of_loss is not None:
        variance = x
    elif problem.equations.strength_of_gap is None:
        variance = found.gap + problem.sigma**2
    else:
        variance = problem.loss(*overlaps)
    slope = {"mean_slope": force[0]} if problem.needs_slope else {}
    return {"V": variance, "eps_g": sum(terms.values())} | terms | slope
