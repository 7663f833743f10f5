"""Weights of a run that stop, in the order of certainty or where they oscillate: `steode.parts.remedies`, literally."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from steode.engine.freezing import followed, freeze_in_order
from steode.parts.quantizers import StepFunction
from steode.parts.remedies import Freezing, OscillationFreezing
from steode.systems.linear.literal.around import Around, innermost_of
from steode.systems.linear.literal.maps import StepMap


class Freezes(NamedTuple):
    """The state of a run with the running mean of Q(w), and what is frozen.

    For the freezing of oscillations also the running mean of their number in a step, and the direction of each weight's
    last change of level, 0 before the first.
    """

    state: PyTree
    visited: Float[Array, "... d"]
    frozen: Bool[Array, "... d"]
    frequency: Float[Array, "... d"] | None = None
    direction: Float[Array, "... d"] | None = None


class FreezingSystem(Around):
    """A system whose weights stop for good, each on a level."""

    image: StepMap
    plan: Freezing | OscillationFreezing = eqx.field(static=True)
    threshold: Callable | None = eqx.field(static=True, default=None)  # of time, for oscillations

    def inner(self, state: Freezes) -> PyTree:
        """The state of the system inside."""
        return state.state

    def outer(self, state: Freezes, inner: PyTree) -> Freezes:
        """The state with another one of the system inside."""
        return state._replace(state=inner)

    def begin(self, weights: Float[Array, "... d"]) -> Freezes:
        """The state of a run that starts at these weights."""
        state = self.system.begin(weights)
        visited = self.image(self.system.weights(state))
        still = jnp.zeros(visited.shape, bool)
        counts = () if self.threshold is None else (0 * visited, 0 * visited)
        return Freezes(state, visited, still, *counts)

    def step(self, teacher, state: Freezes, sample, index) -> tuple[Freezes, Array]:
        """The state after step `index`, and a number that is finite as long as all is well."""
        following, health = self.system.step(teacher, state.state, sample, index)
        before = self.system.weights(state.state)
        w = jnp.where(state.frozen, before, self.system.weights(following))
        old, new = self.image(before), self.image(w)
        visited = followed(state.visited, new, self.plan.memory, self.dim)
        state = state._replace(visited=visited)
        if self.threshold is None:
            w, frozen = freeze_in_order(self.plan, index, self.dim, visited, self._nearest, w, state.frozen)
        else:
            move = jnp.sign(new - old)
            oscillates = (move * state.direction < 0).astype(w.dtype)
            frequency = followed(state.frequency, oscillates, self.plan.memory, self.dim)
            time = (index + 1).astype(w.dtype) / self.dim
            often = np.sqrt(self.dim).astype(w.dtype) * frequency > jnp.asarray(self.threshold(time), w.dtype)
            frozen = state.frozen | (often & (time >= self.plan.start))
            w = jnp.where(frozen & ~state.frozen, self._nearest(visited)[0], w)
            state = state._replace(frequency=frequency, direction=jnp.where(move != 0, move, state.direction))
        inner = self.system.with_weights(following, w)
        return state._replace(state=inner, frozen=frozen), health

    def observe(self, teacher, state: Freezes) -> dict[str, Array]:
        """Observables by name, with the fraction of weights that are frozen."""
        share = jnp.mean(state.frozen.astype(state.visited.dtype))
        return super().observe(teacher, state) | {"frozen_fraction": share}

    def _nearest(self, value):
        """The nearest level, and its distance in mean steps of the grid, which leaves the order as it is."""
        levels = self.image.levels
        middles = (levels[1:] + levels[:-1]) / 2
        level = levels[jnp.searchsorted(middles, value, side="right")]
        return level, jnp.abs(value - level)


def freezing_system(
    system, quantizer: StepFunction, plan: Freezing | OscillationFreezing, threshold: Callable | None
) -> FreezingSystem:
    """The system with weights that stop; `threshold` is that of oscillations, of time."""
    dtype = innermost_of(system).learning_rate.dtype
    image = StepMap(jnp.asarray(quantizer.levels, dtype), jnp.asarray(quantizer.thresholds, dtype))
    return FreezingSystem(system, image, plan, threshold)
