"""The density equation forward in time with controlled steps: one small program, whose compilation is soon done.

Steps end exactly on the reported times, so nothing is interpolated. Their size follows the L1 norm of the local error,
of third order, as in diffrax's integral controller; a solve that is differentiated goes through
`steode.solvers.controlled_steps`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.density import DensityOperator, Masses

SAFETY, LEAST_FACTOR, LARGEST_FACTOR = 0.9, 0.2, 10.0
"""Of the step that the error estimate asks for, what is taken, and by how much a step may change at once."""

SMALLEST_STEP = 4 * np.finfo(float).eps
"""Relative to the time: a smaller step does not change it."""


def march(
    operator: DensityOperator,
    initial: Masses,
    times: Float[Array, " T"],
    density_times: Float[Array, " U"],
    tolerance: Float[Array, ""] | float,
    first_step: Float[Array, ""] | float,
    max_steps: int,
) -> dict:
    """Integrate from time 0, with a largest L1 error over teacher values of `tolerance` in every step.

    The last of `density_times` is the last of `times`; equal times are reported alike. Returns the observables at
    `times`, "initial" ones, the masses at `density_times`, the force at the end, the number of steps, and whether the
    end was reached.
    """
    # the first observables are those of the start
    all_times = jnp.concatenate([jnp.zeros(1), times])
    shapes = jax.eval_shape(operator.observables, initial)
    observed = {name: jnp.zeros((all_times.size, *shape.shape), shape.dtype) for name, shape in shapes.items()}
    kept = jnp.zeros((density_times.size, *initial.shape))
    time, step, steps = jnp.zeros(()), jnp.asarray(first_step, float), jnp.zeros((), int)
    begin = (jnp.zeros((), int), jnp.zeros((), int), (time, step, jnp.asarray(initial), steps), observed, kept)

    def unfinished(carry):
        (time, step, _, steps), reported = carry[2], carry[0]
        return (reported < all_times.size) & (steps < max_steps) & (step > SMALLEST_STEP * time)

    def to_next(carry):
        reported, stored, state, observed, kept = carry
        own = all_times[reported]
        other = jnp.where(stored < density_times.size, density_times[stored], jnp.inf)
        target = jnp.minimum(own, other)
        state = _until(operator, target, state, tolerance, max_steps)
        values = operator.observables(state[2])
        observed = {name: _put(observed[name], values[name], reported) for name in observed}
        kept = _put(kept, state[2], stored)
        return reported + (own == target), stored + (other == target), state, observed, kept

    _, _, (time, _, last, steps), observed, kept = jax.lax.while_loop(unfinished, to_next, begin)
    return {
        "observables": {name: values[1:] for name, values in observed.items()},
        "initial": {name: values[0] for name, values in observed.items()},
        "densities": kept,
        "force": operator.force(last),
        "steps": steps,
        "succeeded": time >= all_times[-1],
    }


def _put(array, value, index):
    return jax.lax.dynamic_update_index_in_dim(array, value, index, 0)


def _until(operator: DensityOperator, target, state: tuple, tolerance, max_steps: int) -> tuple:
    """The state (time, next step, masses, steps made) at `target`, or where steps are too many or too small."""

    def before(state):
        time, step, _, steps = state
        return (time < target) & (steps < max_steps) & (step > SMALLEST_STEP * time)

    def advance(state):
        time, step, masses, steps = state
        left = target - time
        # two equal steps rather than a long one and the rest
        length = jnp.where(step >= left, left, jnp.where(2 * step > left, left / 2, step))
        end, error = operator.step(masses, length, time)
        size = jnp.max(jnp.sum(error, axis=-1)) / tolerance
        accepted = size < 1
        # a step cut at a reported time does not cut those after it
        largest = jnp.maximum(LARGEST_FACTOR, step / length)
        factor = jnp.clip(SAFETY / jnp.cbrt(jnp.maximum(size, 1e-30)), LEAST_FACTOR, largest)
        factor = jnp.where(jnp.isfinite(size), factor, LEAST_FACTOR)
        time = jnp.where(accepted, jnp.where(step >= left, target, time + length), time)
        return time, length * factor, jnp.where(accepted, end, masses), steps + 1

    return jax.lax.while_loop(before, advance, state)
