"""Every root of an equation x = F(x) for stationary states, and what there is at each of them."""

import dataclasses

import jax
import numpy as np
import scipy

from steode.solvers.fixed_point import terms_at
from steode.solvers.programs import bounded_jit
from steode.solvers.root_search import RESOLUTION, isolate_roots
from steode.solvers.scalar_equations import Equation, StrengthEquation, search_interval

BLOCK = 8
"""Values of x at which an equation is evaluated in one call."""


@dataclasses.dataclass(frozen=True)
class Roots:
    """Every root x > 0 found, increasing; `complete` if it is proved that there are no others, `proof` says how."""

    values: list[float]
    complete: bool
    proof: str


def _all_of(equation: Equation, x) -> tuple:
    return equation.implied(x), terms_at(equation, x), equation.force(x)


@bounded_jit
def _evaluated(equation: Equation, values) -> tuple:
    """All of an equation at each value, in one program: a root is looked for and described by the same."""
    return jax.lax.map(lambda x: _all_of(equation, x), values)


def evaluate(equation: Equation, values: np.ndarray) -> np.ndarray:
    """F at each of the values."""
    if equation.is_affine:
        host = jax.device_get(equation)
        return np.array([float(host.implied(value)) for value in values])
    # blocks of one size, so that one program serves every number of values
    padded = np.concatenate([values, np.full(-values.size % BLOCK, values[-1])]).reshape(-1, BLOCK)
    return np.concatenate([np.asarray(_evaluated(equation, block)[0]) for block in padded])[: values.size]


def at(equation: Equation, x: float) -> tuple:
    """F, the error with its terms (see `steode.solvers.fixed_point.terms_at`) and the force at one value."""
    if equation.is_affine:
        return _all_of(jax.device_get(equation), np.asarray(x))
    return jax.tree.map(lambda values: values[0], jax.device_get(_evaluated(equation, np.full(BLOCK, x))))


def affine_root(equation: StrengthEquation) -> float:
    """The root of an affine F, infinite unless its slope is below 1."""
    equation = jax.device_get(equation)
    start = float(equation.implied(np.zeros(())))
    # one step as long as the value at zero, beside which a slope of order one is not lost
    step = start or 1.0
    slope = (float(equation.implied(np.asarray(step))) - start) / step
    return start / (1 - slope) if slope < 1 else np.inf


def find_roots(equation: Equation) -> Roots:
    """Every root x > 0, by exclusion of what is not one; see `steode.solvers.root_search`."""
    if equation.is_affine:
        root = affine_root(equation)
        return Roots([root] * (0 < root < np.inf), True, "the equation is linear: there is no other")
    outline = jax.device_get(equation)
    pairs = outline.bounds(), search_interval(outline), outline.knowledge()
    (lowest, highest), (low, high), (slope, floor) = (map(float, pair) for pair in pairs)
    bounded, name = np.isfinite(highest), equation.name
    if bounded and highest - lowest <= 1e-13 * highest:
        # no target has two levels around it to flip between: what remains is x without dithering
        return Roots([lowest] if lowest > 0 else [], True, "no weight can flip between levels: there is no other")
    known = None if np.isnan(slope) else slope
    search = isolate_roots(lambda values: evaluate(equation, values), low, high, known, floor)
    roots = [
        scipy.optimize.brentq(lambda x: at(equation, x)[0] - x, *bracket, xtol=1e-15 * bracket[0], rtol=1e-14)
        for bracket in search.brackets
    ]
    if search.complete:
        span = [f"above {name} = {low:.3g}"] * (low > lowest) + [f"up to {name} = {high:.3g}"] * (not bounded)
        why = "by a bound of its slope" if known else "by its monotonicity"
        proof = (
            f"the equation has no other root {' and '.join(span)}".rstrip() + f", {why}: all other {name} are excluded"
        )
    elif search.touching:
        where = search.touching[0][0]
        proof = f"not decided whether there is a double root near {name} = {where:.9g} (to {RESOLUTION:g})"
    else:
        proof = "roots found by changes of sign; it is not proved that there are no others"
    return Roots(sorted(roots), search.complete and bounded, proof)
