"""Quantization ranges that move at finite dimension, as the docstrings of `steode.parts.range_rules` have them."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from steode.parts.range_rules import FollowingRange, LearnedRange
from steode.systems.linear.literal.maps import Deterministic, StepMap
from steode.systems.linear.literal.rules import dot


class Ranged(NamedTuple):
    """The state of a run whose range is learned: what the update rule has, and the range."""

    state: PyTree
    range: Float[Array, "..."]


class Follows(eqx.Module):
    """A range that is a statistic of the weights."""

    unit: StepMap  # the map of range 1
    factor: Float[Array, ""]
    power: int = eqx.field(static=True)
    percentile: float | None = eqx.field(static=True)

    def begin(self, state, weights):
        """The state of a run: that of the update rule."""
        return state

    def inner(self, state):
        """That of the update rule."""
        return state

    def outer(self, state, inner):
        """The state with another one of the update rule."""
        return inner

    def value(self, state, weights: Float[Array, " d"]) -> Float[Array, ""]:
        """The range of a state with these weights."""
        if self.percentile is not None:
            return self.factor * jnp.percentile(jnp.abs(weights), self.percentile)
        return self.factor * jnp.mean(jnp.abs(weights) ** self.power) ** (1 / self.power)

    def moved(self, state, moved, old, new, errors, inputs):
        """The state after a step, in which that of the rule has become `moved`."""
        return moved


class Learned(eqx.Module):
    """A range that follows its own gradient."""

    unit: StepMap
    start: Float[Array, ""]
    rate: Float[Array, ""]
    rule: LearnedRange = eqx.field(static=True)

    def begin(self, state, weights):
        """The state of a run."""
        return Ranged(state, weights[..., 0] * 0 + self.start)

    def inner(self, state):
        """That of the update rule."""
        return state.state

    def outer(self, state, inner):
        """The state with another one of the update rule."""
        return Ranged(inner, state.range)

    def value(self, state, weights):
        """The range of a state."""
        return state.range

    def moved(self, state, moved, old, new, errors: Float[Array, " B"], inputs: Float[Array, "B d"]):
        """The state after a step, in which the weights went from `old` to `new`."""
        u = (new if self.rule.sequential else old) / state.range
        image, inside = self.unit(u), (u > self.unit.levels[0]) & (u < self.unit.levels[-1])
        between = image - u if self.rule.gradient == "lsq" else 0 * u
        derivative = jnp.where(inside, between, image)
        dim = np.asarray(old.shape[-1], old.dtype)
        gradient = jnp.mean(errors * dot(inputs, derivative)) / np.sqrt(dim)
        change = -self.rate / dim * gradient
        if self.rule.logarithmic:
            return Ranged(moved, state.range * jnp.exp(change * state.range))
        return Ranged(moved, state.range + change)


def literal_range(rule, quantizer, dtype) -> Follows | Learned | None:
    """How the range of a quantizer moves; None if it stands still."""
    if not isinstance(rule, FollowingRange | LearnedRange):
        return None
    one = dataclasses.replace(quantizer, range=1.0)
    unit = StepMap(jnp.asarray(one.levels, dtype), jnp.asarray(one.thresholds, dtype))
    if isinstance(rule, FollowingRange):
        return Follows(unit, jnp.asarray(rule.factor, dtype), rule.power, rule.percentile)
    return Learned(unit, jnp.asarray(quantizer.range, dtype), jnp.asarray(rule.rate, dtype), rule)


def at_range(unit: StepMap, value) -> Deterministic:
    """The map of range 1 at another one."""
    return Deterministic(StepMap(value * unit.levels, value * unit.thresholds))
