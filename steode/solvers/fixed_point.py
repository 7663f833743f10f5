"""The smallest stable root of an equation x = F(x) for stationary states, as a differentiable function of a problem.

The sign of log F(x) - log x is taken on a coarse grid of log x between the bounds of every root. From the lower end of
the first interval where it changes from positive to negative, x is replaced by F(x) until the root is near, and the
secant method refines it. Derivatives follow from the implicit function theorem.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steode.solvers import self_consistency
from steode.solvers.grouped import has_linear_output
from steode.solvers.libraries import numeric
from steode.solvers.newton_roots import ForceEquation
from steode.solvers.scalar_equations import ZERO, Equation, GroupedEquation, StrengthEquation, search_interval

SCAN_POINTS = 9
NEAR = 0.02
"""Relative difference of x and F(x) from which the secant method takes over."""
MOST = 250
"""Values of F."""
TOLERANCE, LAST = 1e-13, 1e-12
"""In log x: a step that short, or one from a gap below the other, is the last."""
RESIDUAL = 1e-10
"""Largest |F(x) - x| of a root that counts as found, relative to x."""


def find_root(equation: Equation) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """x of the smallest stable fixed point, and whether it was found; infinity where there is none, 0 for recovery."""
    if equation.is_affine:
        return affine_root(equation)
    grid = jnp.linspace(*(jnp.log(end) for end in search_interval(equation)), SCAN_POINTS)
    logarithm, gap, gaps = _search(jax.lax.stop_gradient(equation), jax.lax.stop_gradient(grid))
    falls = _falls(gaps).any()
    logarithm = jax.lax.custom_root(
        lambda x: jnp.where(falls, _gap(equation, jnp.where(falls, x, grid[0])), grid[0] - x),
        logarithm,
        lambda function, found: found,
        lambda slope, change: change / slope(jnp.ones(())),
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


def _falls(gaps) -> Bool[Array, " n"]:
    """Where the gap changes from positive to negative on the grid."""
    return (gaps[:-1] > 0) & (gaps[1:] <= 0)


def _search(equation: Equation, grid):
    """log x of the first root where F is nondecreasing, the gap next to it, and those on the grid.

    x < F(x) then means that there is no root in [x, F(x)]: x is replaced by F(x) until it hardly moves. One loop serves
    grid, climb and secant method, so that F is compiled once.
    """

    def goes_on(state):
        following, x, gap, gaps, count = state
        settled = (jnp.abs(following - x) <= TOLERANCE) | (jnp.abs(gap) <= LAST)
        return (count < SCAN_POINTS) | (_falls(gaps).any() & ~settled & (count < MOST))

    def step(state):
        x, before, gap_before, gaps, count = state
        gap = _gap(equation, x)
        gaps = jnp.where(jnp.arange(SCAN_POINTS) == count, gap, gaps)
        index = jnp.argmax(_falls(gaps))
        # the climb begins at the lower end, before which nothing is known
        begins = count == SCAN_POINTS - 1
        x, gap = jnp.where(begins, grid[index], x), jnp.where(begins, gaps[index], gap)
        slope = jnp.where(begins, jnp.nan, (gap - gap_before) / (x - before))
        climbs = (gap > NEAR) | ~(slope < 0)
        new = x + gap / jnp.where(climbs, 1.0, -slope)
        new = jnp.clip(new, grid[index], grid[index + 1])
        following = jnp.where(count < SCAN_POINTS - 1, grid[jnp.minimum(count + 1, SCAN_POINTS - 1)], new)
        return following, x, gap, gaps, count + 1

    state = (grid[0], grid[0] - 1, jnp.inf, jnp.zeros(SCAN_POINTS), 0)
    x, _, gap, gaps, _ = jax.lax.while_loop(goes_on, step, state)
    return x, gap, gaps


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
    """V, the error and its terms (NaN for an output that does not answer linearly) at a root x > 0.

    With FOGZO also p, with groups and a linear output the part of the error from each.
    """
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
    by_group = {}
    if isinstance(equation, GroupedEquation) and has_linear_output(problem):
        gaps = [share * found.gap for share, found in zip(equation.shares, equation.states(x), strict=True)]
        by_group = {"eps_g_by_group": numeric.stack(gaps) / 2}
    return {"V": variance, "eps_g": sum(terms.values())} | terms | slope | by_group
