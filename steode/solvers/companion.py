"""A number that moves beside the law: the density equation and one ordinary differential equation, stepped together.

The number is implicit like the masses: in every stage of a step its equation is solved, by Newton's method on one
unknown, with the masses found there.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers.density import DensityOperator
from steode.solvers.equations import Problem
from steode.solvers.time_step import Masses, positive_part

NEWTON_STEPS = 2


class Coupled(NamedTuple):
    """Masses and the number beside them."""

    masses: Masses
    companion: Float[Array, ""]


class CoupledOperator(eqx.Module):
    """The density operator with the number that drives it; what `steode.solvers.time_step` needs of an operator."""

    density: DensityOperator
    time: Float[Array, ""] | float = 0.0

    @property
    def problem(self) -> Problem:
        """Whose equations they are."""
        return self.density.problem

    def at(self, time) -> "CoupledOperator":
        """The operator at this time."""
        return type(self)(self.density.at(time), time)

    @abc.abstractmethod
    def begin(self, masses: Masses) -> Coupled:
        """The state at time 0."""

    @abc.abstractmethod
    def drive(self, masses: Masses, companion) -> Float[Array, " n"]:
        """What drives weights and number; c_h, c_* and c_2 come first, all others are positive or left out."""

    @abc.abstractmethod
    def rate(self, masses: Masses, companion) -> Float[Array, ""]:
        """Time derivative of the number."""

    @abc.abstractmethod
    def rates(self, force):
        """As of the density operator."""

    def force(self, state: Coupled) -> Float[Array, " n"]:
        """What drives a state."""
        return self.drive(*state)

    def apply(self, rates, state: Coupled) -> Coupled:
        """Time derivatives."""
        return Coupled(self.density.apply(rates, state.masses), self.rate(*state))

    def implicit(self, rates, step, right_hand_side: Coupled) -> Coupled:
        """Masses and number at the end of a stage."""
        masses = self.density.implicit(rates, step, right_hand_side.masses)

        def defect(companion):
            return companion - step * self.rate(masses, companion) - right_hand_side.companion

        companion = right_hand_side.companion
        for _ in range(NEWTON_STEPS):
            value, slope = jax.jvp(defect, (companion,), (jnp.ones(()),))
            companion = companion - value / slope
        return Coupled(masses, companion)

    def masses_of(self, state: Coupled) -> Masses:
        """The masses of a state."""
        return state.masses

    def smoothed(self, rates, step, error: Coupled) -> Coupled:
        """As of the density operator; the number has no fast modes to be left out of an error."""
        return Coupled(self.density.smoothed(rates, step, error.masses), error.companion)

    def positive(self, end: Coupled, start: Coupled) -> Coupled:
        """The state with masses that are not negative."""
        return Coupled(positive_part(end.masses, start.masses), end.companion)

    def error_size(self, error: Coupled, state: Coupled) -> Float[Array, ""]:
        """Of the masses, and of the number relative to itself: the larger one."""
        relative = jnp.abs(error.companion / state.companion)
        return jnp.maximum(self.density.error_size(error.masses, state.masses), relative)

    @abc.abstractmethod
    def observables(self, state: Coupled) -> dict[str, Array]:
        """Every named observable of a state."""


class SecondMomentOperator(CoupledOperator):
    """With the mean square of the gradient, which is among the constants of the force."""

    def begin(self, masses):
        m, q, _ = self.density.overlaps(masses)
        return Coupled(jnp.asarray(masses), self.problem.companion_start(m, q))

    def drive(self, masses, companion):
        m, q, _ = self.density.overlaps(masses)
        return self.problem.beside(companion).force(m, q)

    def rate(self, masses, companion):
        return self.problem.companion_rate(self.time, self.drive(masses, companion), companion)

    def rates(self, force):
        return self.density.rates(force)

    def observables(self, state):
        return self.density.observables(state.masses) | {"second_moment": state.companion}
