"""Flips counted in a run: how often weights pass each threshold from one step to the next.

Counting compares the weights before and after every step; a system without it carries no instruction of this. Counts
are whole numbers of 64 bits, in two words, as single precision would lose them.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, UInt32

from steode.systems.linear.literal.around import Around

WORD = 2.0**32


class Counted(eqx.Module):
    """The state of a run with the number of crossings of each threshold so far: low and high words."""

    state: PyTree
    low: UInt32[Array, "... thresholds"]
    high: UInt32[Array, "... thresholds"]


class CountingSystem(Around):
    """A system that counts."""

    thresholds: Float[Array, " thresholds"]

    def inner(self, state: Counted) -> PyTree:
        """The state of the system inside."""
        return state.state

    def begin(self, weights: Float[Array, "... d"]) -> Counted:
        """The state of a run that starts at these weights."""
        zero = jnp.zeros((*weights.shape[:-1], self.thresholds.size), jnp.uint32)
        return Counted(self.system.begin(weights), zero, zero)

    def step(self, teacher, state: Counted, sample, index) -> tuple[Counted, Array]:
        """The state after step `index`, and a number that is finite as long as all is well."""
        following, health = self.system.step(teacher, state.state, sample, index)
        before, after = (
            self.system.weights(part)[None, :] >= self.thresholds[:, None] for part in (state.state, following)
        )
        passed = jnp.sum(before != after, axis=1, dtype=jnp.uint32)
        low = state.low + passed
        carried = (low < passed).astype(jnp.uint32)
        return Counted(following, low, state.high + carried), health

    def observe(self, teacher, state: Counted) -> dict[str, Array]:
        """Observables by name, with "crossings" of each threshold by a weight since the start."""
        kind = self.thresholds.dtype
        count = state.high.astype(kind) * WORD + state.low.astype(kind)
        return super().observe(teacher, state) | {"crossings": count / jnp.asarray(self.dim, kind)}
