"""An explicit Runge-Kutta method, forward in time alone, as one small program.

diffrax, which differentiates through a solve, takes three times as long to compile. The pair of orders 5 and 4 of
Dormand and Prince (1980), with the interpolant of order 4 of Shampine (1986).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

PLACES = np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
"""Of the stages in a step; the last one is the derivative at its end."""
TABLEAU = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [1 / 5, 0, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0, 0],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
    ]
)
ERROR = np.array([-71 / 57600, 0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40])
"""Weights of the stages in the estimated error of a step."""
INTERPOLANT = np.array(
    [
        [1, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432],
        [0, 0, 0, 0],
        [0, 131558114200 / 32700410799, -68118460800 / 10900136933, 87487479700 / 32700410799],
        [0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072],
        [0, 127303824393 / 49829197408, -318862633887 / 49829197408, 701980252875 / 199316789632],
        [0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844],
        [0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423],
    ]
)
"""Weights of the stages at a share s of a step, as polynomials: coefficients of s to s^4."""
FIRST = 1e-5
"""Of the time integrated: the first step tried, which soon grows."""
SAFETY, LEAST_FACTOR, LARGEST_FACTOR = 0.9, 0.2, 10.0
"""Of the next step's length."""


def integrate(
    rates: Callable, start, times: Float[Array, " T"], rtol, atol, max_steps: int
) -> tuple[object, Bool[Array, ""]]:
    """The solution of y' = rates(t, y), y(0) = `start`, at `times`, and whether the last of them was reached.

    Parameters
    ----------
    rates : (t, y) -> y', of the structure of y.
    start : arrays in any structure; those of the solution have an axis (T,) before their own.
    times : from 0 on, nondecreasing; rates are not asked for after the last.
    rtol, atol : the estimated error of a step is at most atol + rtol |y|, in root mean square over the state.
    max_steps : steps tried before the integration ends; values at times that are not reached are NaN.
    """
    first, restored = ravel_pytree(start)
    tableau, places, end = jnp.asarray(TABLEAU), jnp.asarray(PLACES), times[-1]

    def step(state):
        time, y, length, _, _, stages, count, refused = state
        is_last = time + length >= end
        length = jnp.where(is_last, end - time, length)

        def stage(index, found):
            stages, _ = found
            inside = y + length * (tableau[index] @ stages)
            rate, _ = ravel_pytree(rates(time + places[index] * length, restored(inside)))
            return stages.at[index].set(rate), inside

        # a loop, so that the rates are compiled once; the last stage is at the end of the step
        new_stages, new = jax.lax.fori_loop(0, PLACES.size, stage, (jnp.zeros_like(stages), y))
        allowed = atol + rtol * jnp.maximum(jnp.abs(y), jnp.abs(new))
        error = jnp.sqrt(jnp.mean((length * (jnp.asarray(ERROR) @ new_stages) / allowed) ** 2))
        error = jnp.where(jnp.isfinite(error), error, jnp.inf)
        # a step that was just shortened does not grow at once
        longest = jnp.where(refused, 1.0, LARGEST_FACTOR)
        following = length * jnp.clip(SAFETY * error ** (-1 / 5), LEAST_FACTOR, longest)
        reached = jnp.where(is_last, end, time + length)
        accept = (reached, new, following, time, y, new_stages, count + 1, False)
        again = (*state[:2], following, *state[3:6], count + 1, True)
        return jax.tree.map(lambda new, old: jnp.where(error <= 1, new, old), accept, again)

    def until(state, wanted):
        def is_before(state):
            time, _, length, _, _, _, count, _ = state
            return (time < wanted) & (count < max_steps) & (time + length > time)

        state = jax.lax.while_loop(is_before, step, state)
        time, _, _, before, y, stages, _, _ = state
        length = time - before
        share = (wanted - before) / jnp.where(length > 0, length, 1.0)
        weights = jnp.asarray(INTERPOLANT) @ share ** jnp.arange(1, 5)
        return state, jnp.where(time >= wanted, y + length * (weights @ stages), jnp.nan)

    zero, stages = jnp.zeros(()), jnp.zeros((PLACES.size, first.size))
    state = (zero, first, FIRST * end, zero, first, stages, 0, False)
    state, values = jax.lax.scan(until, state, times)
    return jax.vmap(restored)(values), state[0] >= end
