"""The density equation forward in time with controlled steps: one small program, whose compilation is soon done.

Steps end exactly on the reported times, so nothing is interpolated. Their size follows the L1 norm of the local error,
averaged over teacher values, of third order, as in diffrax's integral controller; a solve that is differentiated goes
through `steode.solvers.controlled_steps`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.density import DensityOperator
from steode.solvers.time_step import Masses, Past, step_after

SAFETY, LEAST_FACTOR, LARGEST_FACTOR = 0.9, 0.2, 10.0
"""Of the step that the error estimate asks for, what is taken, and by how much a step may change at once."""

SETTLED = 0.1
"""V may differ between rates and masses of a stage by this part of the tolerance: it moves less mass than that."""

SMALLEST_STEP = 4 * np.finfo(float).eps
"""Relative to the time: a smaller step does not change it."""


def march(
    operator: DensityOperator,
    initial: Masses,
    times: Float[Array, " T"],
    snapshot_times: Float[Array, " U"],
    tolerance: Float[Array, ""] | float,
    first_step: Float[Array, ""] | float,
    max_steps: int,
) -> dict:
    """Integrate from time 0, with an L1 error of `tolerance` in every step.

    The last of `snapshot_times` is the last of `times`; equal times are reported alike. Returns the observables at
    `times`, "initial" ones, the masses at `snapshot_times`, the force at the end, the number of steps, and whether the
    end was reached.
    """
    # the first observables are those of the start
    all_times = jnp.concatenate([jnp.zeros(1), times])
    shapes = jax.eval_shape(operator.observables, initial)
    observed = jnp.zeros((all_times.size, sum(shape.size for shape in shapes.values())))
    kept = jax.tree.map(lambda part: jnp.zeros((snapshot_times.size, *part.shape)), operator.masses_of(initial))
    time, step, steps = jnp.zeros(()), jnp.asarray(first_step, float), jnp.zeros((), int)
    force = operator.at(0.0).force(initial)
    state = time, step, jax.tree.map(jnp.asarray, initial), steps, Past(force, force, step)
    begin = (jnp.zeros((), int), jnp.zeros((), int), state, observed, kept)

    def unfinished(carry):
        (time, step, _, steps, _), reported = carry[2], carry[0]
        return (reported < all_times.size) & (steps < max_steps) & (step > SMALLEST_STEP * time)

    def to_next(carry):
        reported, stored, state, observed, kept = carry
        own = all_times[reported]
        other = jnp.where(stored < snapshot_times.size, snapshot_times[stored], jnp.inf)
        target = jnp.minimum(own, other)
        state = _until(operator, target, state, tolerance, max_steps)
        observed = _put(observed, _in_a_row(operator.observables(state[2])), reported)
        kept = jax.tree.map(lambda all, now: _put(all, now, stored), kept, operator.masses_of(state[2]))
        return reported + (own == target), stored + (other == target), state, observed, kept

    _, _, (time, _, last, steps, _), observed, kept = jax.lax.while_loop(unfinished, to_next, begin)
    observed = _by_name(observed, shapes)
    return {
        "observables": {name: values[1:] for name, values in observed.items()},
        "initial": {name: values[0] for name, values in observed.items()},
        "densities": kept,
        "force": operator.at(time).force(last),
        "steps": steps,
        "succeeded": time >= all_times[-1],
    }


def _in_a_row(values: dict) -> Float[Array, " n"]:
    return jnp.concatenate([jnp.ravel(values[name]) for name in sorted(values)])


def _by_name(rows: Float[Array, "T n"], shapes: dict) -> dict:
    """Rows of `_in_a_row` taken apart again."""
    names = sorted(shapes)
    parts = jnp.split(rows, np.cumsum([shapes[name].size for name in names])[:-1], axis=1)
    return {name: part.reshape(-1, *shapes[name].shape) for name, part in zip(names, parts, strict=True)}


def _put(array, value, index):
    return jax.lax.dynamic_update_index_in_dim(array, value, index, 0)


def _until(operator: DensityOperator, target, state: tuple, tolerance, max_steps: int) -> tuple:
    """The state (time, next step, masses, steps made, past) at `target`, or where steps are too many or too small."""

    def before(state):
        time, step, _, steps, _ = state
        return (time < target) & (steps < max_steps) & (step > SMALLEST_STEP * time)

    def advance(state):
        time, step, masses, steps, past = state
        left = target - time
        # two equal steps rather than a long one and the rest
        length = jnp.where(step >= left, left, jnp.where(2 * step > left, left / 2, step))
        end, error, made = step_after(operator, past, masses, length, time, SETTLED * tolerance)
        size = operator.error_size(error, masses) / tolerance
        accepted = size < 1
        # a step cut at a reported time does not cut those after it
        largest = jnp.maximum(LARGEST_FACTOR, step / length)
        factor = jnp.clip(SAFETY / jnp.cbrt(jnp.maximum(size, 1e-30)), LEAST_FACTOR, largest)
        factor = jnp.where(jnp.isfinite(size), factor, LEAST_FACTOR)
        time = jnp.where(accepted, jnp.where(step >= left, target, time + length), time)
        masses, past = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), (end, made), (masses, past))
        return time, length * factor, masses, steps + 1, past

    return jax.lax.while_loop(before, advance, state)
