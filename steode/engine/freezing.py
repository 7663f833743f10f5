"""Weights that stop while others go on: the steps of `steode.parts.remedies` at finite dimension.

For weights of any shape (..., d); of two axes the first has rows, which freeze each by itself.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from steode.parts.remedies import Freezing

Nearest = Callable[[Float[Array, "... d"]], tuple[Float[Array, "... d"], Float[Array, "... d"]]]
"""The level nearest to a value, and the distance to it in steps of the grid."""

ROUNDING = 1e-3
"""Of the number of weights that are due."""


def followed(mean: Array, value: Array, memory: float, dim: int) -> Array:
    """A running mean that forgets within the rescaled time `memory`, one step on."""
    return mean + (value - mean) * min(1.0, 1 / (memory * dim))


def freeze_in_order(
    plan: Freezing, index, dim: int, visited: Float[Array, "... d"], nearest: Nearest, w, frozen: Bool[Array, "... d"]
) -> tuple[Float[Array, "... d"], Bool[Array, "... d"]]:
    """Weights and what is frozen after step `index`: in a round those nearest to a level, as many as are due."""
    time = (index + 1).astype(visited.dtype) / dim
    share = jnp.clip((time - plan.start) / (plan.stop - plan.start), 0, 1)
    wanted = jnp.ceil(dim * share - ROUNDING).astype(jnp.int32)

    def choose():
        level, distance = nearest(visited)
        rank = jnp.argsort(jnp.argsort(jnp.where(frozen, -1.0, distance), axis=-1), axis=-1)
        stopped = frozen | (rank < wanted)
        return jnp.where(stopped & ~frozen, level, w), stopped

    due = ((index + 1) % max(1, round(plan.every * dim)) == 0) & (wanted > 0)
    return lax.cond(due, choose, lambda: (w, frozen))
