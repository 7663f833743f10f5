"""What is compiled: one seed through one chunk of segments, on whatever device it is put."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32

from steode.engine.noise import normals, threefry2x32

HEALTHY = np.int32(-1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Segments:
    """Consecutive stretches of steps, each inside one block of samples: arrays of shape (G,)."""

    start: Int32[Array, " G"]
    stop: Int32[Array, " G"]
    fresh: Array  # the block of samples must be generated first
    record: Array  # observables are recorded at the end

    def until(self, step: int) -> "Segments":
        """The same up to a step, with nothing recorded."""
        start, stop = np.minimum(self.start, step), np.minimum(self.stop, step)
        return Segments(start, stop, self.fresh & (stop > start), np.zeros_like(self.record))


def run_segments(system, segments: Segments, fixed, keys, state, *, rows: int, test_samples: int):
    """The state after the segments, the first unhealthy step (or HEALTHY), and observables of shape (G, ...)."""
    dtype = jax.tree.leaves(state)[0].dtype
    block = jax.eval_shape(system.sample, fixed, jax.ShapeDtypeStruct((rows, system.normals), dtype))

    def generate(start):
        return system.sample(fixed, _numbers(keys[0], start - start % rows, rows, system.normals, dtype))

    def measure(state, step):
        observed = system.observe(fixed, state)
        if test_samples:
            observed |= _held_out(system, fixed, state, keys[1], step, rows, test_samples)
        return observed

    def segment(carry, now):
        samples, state, bad = carry
        samples = lax.cond(now.fresh, lambda: generate(now.start), lambda: samples)

        def step(k, carry):
            state, bad = carry
            sample = jax.tree.map(lambda values: lax.dynamic_index_in_dim(values, k % rows, keepdims=False), samples)
            state, health = system.step(fixed, state, sample, k)
            return state, jnp.where(jnp.isfinite(health) | (bad != HEALTHY), bad, k)

        state, bad = lax.fori_loop(now.start, now.stop, step, (state, bad))
        nothing = _zeros(jax.eval_shape(measure, state, now.stop))
        return (samples, state, bad), lax.cond(now.record, lambda: measure(state, now.stop), lambda: nothing)

    (_, state, bad), observed = lax.scan(segment, (_zeros(block), state, jnp.asarray(HEALTHY)), segments)
    return state, bad, observed


def _zeros(shapes):
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), shapes)


def _numbers(key, first_row, rows, columns, dtype):
    # one pass of a loop, so that the numbers are computed once: XLA otherwise fuses the generator into each of their
    # uses, which is up to 10 times slower on a CPU; an optimization barrier does not prevent it there
    empty = jnp.zeros((rows, columns), dtype)
    return lax.fori_loop(first_row, first_row + 1, lambda row, _: normals(key, row, rows, columns, dtype), empty)


def _held_out(system, fixed, state, key, step, rows, count):
    """Means of `system.held_out` over `count` fresh samples, of a stream of its own for each record step."""
    key = jnp.stack(threefry2x32(key, step.astype(jnp.uint32), jnp.uint32(0)))
    dtype = jax.tree.leaves(state)[0].dtype
    rows = min(rows, count)

    def add(index, totals):
        numbers = _numbers(key, index * rows, rows, system.normals, dtype)
        values = system.held_out(fixed, state, numbers)
        wanted = index * rows + jnp.arange(rows) < count
        return {
            name: totals[name] + jnp.einsum("r,r...->...", wanted.astype(dtype), value)
            for name, value in values.items()
        }

    shapes = jax.eval_shape(system.held_out, fixed, state, jax.ShapeDtypeStruct((rows, system.normals), dtype))
    totals = {name: jnp.zeros(value.shape[1:], dtype) for name, value in shapes.items()}
    totals = lax.fori_loop(0, -(-count // rows), add, totals)
    return {name: total / count for name, total in totals.items()}
