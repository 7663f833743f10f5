"""The second-moment recursion of quantized linear regression: O(d) memory, O(d) work a step, compiled once.

In every step a coordinate meets the others only through one sum, a diagonal plus a rank-one matrix. `steps` are counted
by a loop inside one compiled program, so that a run of any length compiles nothing anew.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


class Coefficients(eqx.Module):
    """Arrays of `steode.systems.regression.derivation.RiskRecursion`, (d,) each; None where nothing is linear in u."""

    decay: Float[Array, " d"]
    square: Float[Array, " d"]
    linear: Float[Array, " d"] | None
    coupling: Float[Array, " d"]
    constant: Float[Array, " d"]  # with the constant part of T
    sum_square: Float[Array, " d"]
    sum_linear: Float[Array, " d"] | None
    next_average: Callable = eqx.field(static=True)  # (decay, m, u, c, q, U) -> the next c, q, U


class Moments(eqx.Module):
    """Moments of every coordinate after some steps, (d,) each; `overlap` to `total_mean` are those of the average."""

    square: Float[Array, " d"]
    mean: Float[Array, " d"]
    overlap: Float[Array, " d"]
    total_square: Float[Array, " d"]
    total_mean: Float[Array, " d"]


def begin(deviation: Float[Array, " d"]) -> Moments:
    """Moments of a start that is not random, at `deviation` from w^q."""
    nothing = jnp.zeros_like(deviation)
    return Moments(deviation**2, deviation, nothing, nothing, nothing)


@eqx.filter_jit
def advance(coefficients: Coefficients, moments: Moments, steps: Array, *, averaging: bool) -> Moments:
    """The moments `steps` steps later; `averaging` adds the iterates before each of the steps to the average."""

    def step(_, now: Moments) -> Moments:
        average = (now.overlap, now.total_square, now.total_mean)
        if averaging:
            average = coefficients.next_average(coefficients.decay, now.square, now.mean, *average)
        return Moments(*_next(coefficients, now.square, now.mean), *average)

    return lax.fori_loop(0, steps, step, moments)


def _next(given: Coefficients, square, mean) -> tuple[Array, Array]:
    # products before the sum: a reduction of several arrays is slower than one of a single array
    total = jnp.dot(given.sum_square, square)
    after = given.square * square + given.constant
    if given.sum_linear is not None:
        total = total + jnp.dot(given.sum_linear, mean)
    if given.linear is not None:
        after = after + given.linear * mean
    return after + given.coupling * total, given.decay * mean


@jax.jit
def risk(parts: tuple[Array, Array, Array], square: Array, mean: Array) -> Array:
    """The risk whose coefficients of (m, u, 1) are `parts`, summed over coordinates."""
    return jnp.dot(parts[0], square) + jnp.dot(parts[1], mean) + jnp.sum(parts[2])
