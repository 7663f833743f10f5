"""The smallest stable root of an equation x = F(x) for stationary states, as a differentiable function of a problem.

The sign of log F(x) - log x is taken on a coarse grid of log x between the bounds of every root. From the lower end of
the first interval where it changes from positive to negative, x is replaced by F(x) until the root is near, and
Newton's method refines it. Derivatives follow from the implicit function theorem.
"""

import jax
import jax.numpy as jnp
import optimistix
from jaxtyping import Array, Bool, Float

from steode.solvers import self_consistency
from steode.solvers.newton_roots import ForceEquation
from steode.solvers.scalar_equations import ZERO, Equation, StrengthEquation, search_interval

SCAN_POINTS = 9
NEAR = 0.02
"""Relative difference of x and F(x) from which Newton's method takes over."""
CLIMBS = 200
STEPS = 40
TOLERANCE = 1e-13
"""Of Newton's method, in log x."""
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
    low, high = grid[index], grid[index + 1]
    start = _climb(frozen, low, high, gaps[index])
    solution = optimistix.root_find(
        lambda x, _: jnp.where(falls[index], _gap(equation, jnp.where(falls[index], x, low)), x - low),
        optimistix.Newton(rtol=TOLERANCE, atol=TOLERANCE),
        jnp.where(falls[index], start, low),
        options={"lower": low, "upper": high},
        max_steps=STEPS,
        throw=False,
    )
    root = jnp.exp(solution.value)
    residual = jnp.abs(equation.implied(root) - root)
    found = falls[index] & (residual <= RESIDUAL * root)
    # without dithering x is its lower bound; where that is zero, a negative gap at the start is stable recovery
    least, most = equation.bounds()
    zero = ZERO * (equation.problem.rho + equation.problem.sigma**2)
    still = jnp.isfinite(most) & (most - least <= 1e-13 * most)
    at_zero = (least <= zero) & (still | (gaps[0] <= 0))
    # FOGZO stands still at x = 0 also where V does not vanish
    recovered = at_zero & (self_consistency.strength_bounds(equation.problem)[0] <= zero)
    rigid = still & ~at_zero
    root = jnp.where(rigid, least, jnp.where(recovered, 0.0, jnp.where(falls[index] & ~at_zero, root, jnp.inf)))
    return root, jnp.where(at_zero, recovered, found | rigid)


def _gap(equation: Equation, x):
    """log F(x) - log x, as a function of log x."""
    return jnp.log(equation.implied(jnp.exp(x))) - x


def _climb(equation: Equation, low, high, gap_at_low):
    """A point near the first root above `low`: x is replaced by F(x), which no root lies below, until it hardly moves.

    Where F is nondecreasing, x < F(x) means that there is no root in [x, F(x)].
    """

    def moves(state):
        x, gap, count = state
        return (gap > NEAR) & (x < high) & (count < CLIMBS)

    def replace(state):
        x, gap, count = state
        return x + gap, _gap(equation, x + gap), count + 1

    x, gap, _ = jax.lax.while_loop(moves, replace, (low, gap_at_low, 0))
    return jnp.clip(x + gap, low, high)


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
