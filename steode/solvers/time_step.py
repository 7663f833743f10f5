"""One step in time of the density equation: TR-BDF2, with the force iterated to its implicit stages.

Each of the three stages has the learning rate of its own time. A state is the masses, or the masses with a number
beside them (`steode.solvers.companion`), and the operator says what its parts mean. A step of a solve that is
differentiated has a fixed number of iterations; one that only goes forward extrapolates the force from the step before,
and mostly takes one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Masses = Float[Array, "K N"]

GAMMA = 2 - np.sqrt(2.0)
ERROR_CONSTANT = (-3 * GAMMA**2 + 4 * GAMMA - 2) / (12 * (2 - GAMMA))
STAGE_ITERATIONS = 2
"""Iterations for V in an implicit stage, from an extrapolated guess: the error left is of fourth order in the step."""

MOST_ITERATIONS = 4
"""Iterations where they stop as soon as V is known: one is enough where it can be extrapolated from the last step."""


class Past(NamedTuple):
    """The force at the start and at the middle stage of the step before, and its length."""

    start: Float[Array, "..."]
    middle: Float[Array, "..."]
    dt: Float[Array, ""]


def step(operator, masses: Masses, dt, time=0.0) -> tuple[Masses, Masses]:
    """One positive step from `time` with a fixed number of iterations; new masses, and the local error estimate."""
    now = operator.at(time)
    force = now.force(masses)

    def guess(index, start, middle_force):
        ahead = now.force(_along(masses, GAMMA * dt, start))
        return jnp.where(index == 0, ahead, force + (middle_force - force) / GAMMA)

    return _step(operator, masses, dt, time, force, guess, STAGE_ITERATIONS, None)[:2]


def step_after(operator, past: Past, masses: Masses, dt, time, settled) -> tuple[Masses, Masses, Past]:
    """The same step with V extrapolated from the step before, and iterated until it is within a part `settled`."""
    force = operator.at(time).force(masses)

    def guess(index, start, middle_force):
        ahead = _quadratic((-1, GAMMA - 1, 0), (past.start, past.middle, force), GAMMA * dt / past.dt)
        times = -past.dt / dt, 0, GAMMA
        return jnp.where(index == 0, ahead, _quadratic(times, (past.start, force, middle_force), 1.0))

    masses, error, middle_force = _step(operator, masses, dt, time, force, guess, MOST_ITERATIONS, settled)
    return masses, error, Past(force, middle_force, dt)


def _step(operator, masses: Masses, dt, time, force, guess, most: int, settled):
    half, now = GAMMA / 2 * dt, operator.at(time)
    start = now.apply(now.rates(force), masses)

    def stage(index, carry):
        # both implicit stages are one compiled loop: programs of a first answer are small
        known, (last_force, _), _, (last_rate, _), _ = carry
        # the first ends at time + GAMMA dt, the second at time + dt
        at_end = operator.at(time + jnp.where(index == 0, GAMMA, 1.0) * dt)
        first = _usable(guess(index, start, last_force), last_force)
        end, end_force, rates = _stage(at_end, first, known, half, most, settled)
        rate = jax.tree.map(lambda end, known: (end - known) / half, end, known)
        following = _along(masses, dt * np.sqrt(2) / 4, jax.tree.map(jnp.add, start, rate))
        return following, (end_force, last_force), end, (rate, last_rate), rates

    nothing = jax.tree.map(jnp.zeros_like, masses)
    unknown = jax.tree.map(jnp.zeros_like, now.rates(force))
    begin = _along(masses, half, start), (force, force), masses, (nothing, nothing), unknown
    _, (_, middle_force), end, (end_rate, middle_rate), rates = jax.lax.fori_loop(0, 2, stage, begin)

    def defect(start, middle_rate, end_rate):
        combined = start / GAMMA - middle_rate / (GAMMA * (1 - GAMMA)) + end_rate / (1 - GAMMA)
        return 2 * ERROR_CONSTANT * dt * combined

    error = operator.smoothed(rates, half, jax.tree.map(defect, start, middle_rate, end_rate))
    # where nodes are very close, rounding in the linear systems loses mass: that too counts as an error of the step
    positive = operator.positive(end, masses)
    error = jax.tree.map(lambda error, positive, end: jnp.abs(error) + jnp.abs(positive - end), error, positive, end)
    return positive, error, middle_force


def _stage(operator, force, right_hand_side: Masses, step, most: int, settled):
    """Masses, force and rates at the end of a stage: `most` iterations, or as many as bring the force to rest."""

    def iterate(carry):
        index, force, _, _, _ = carry
        rates = operator.rates(force)
        masses = operator.implicit(rates, step, right_hand_side)
        found = operator.force(masses)
        return index + 1, found, masses, rates, jnp.max(jnp.abs(found - force)) / jnp.max(jnp.abs(found))

    unknown = jax.tree.map(jnp.zeros_like, operator.rates(force))
    begin = 0, force, right_hand_side, unknown, jnp.asarray(jnp.inf)
    if settled is None:
        # a fixed number: a solve through diffrax is differentiated in reverse
        _, force, masses, rates, _ = jax.lax.fori_loop(0, most, lambda _, carry: iterate(carry), begin)
    else:
        unsettled = lambda carry: (carry[0] < most) & ~(carry[-1] <= settled)  # noqa: E731
        _, force, masses, rates, _ = jax.lax.while_loop(unsettled, iterate, begin)
    return masses, force, rates


def _usable(guess, fallback):
    """An extrapolated force, unless its strength, V or c_2, or the scale beside it, is not positive."""
    positive = guess > 0 if jnp.ndim(guess) == 0 else jnp.all(guess[2:4] > 0)
    return jnp.where(positive, guess, fallback)


def _along(state, length, rate):
    """state + length * rate, of every part."""
    return jax.tree.map(lambda state, rate: state + length * rate, state, rate)


def _quadratic(at, values, x):
    """The value at x of the parabola through three values."""
    a, b, c = at
    parts = (x - b) * (x - c) / ((a - b) * (a - c)), (x - a) * (x - c) / ((b - a) * (b - c))
    return parts[0] * values[0] + parts[1] * values[1] + (1 - parts[0] - parts[1]) * values[2]


def positive_part(masses: Masses, before: Masses) -> Masses:
    """Negative masses set to zero and the others scaled so that every row has the total that it had before."""
    clipped = jnp.maximum(masses, 0)
    return clipped * (before.sum(axis=1, keepdims=True) / clipped.sum(axis=1, keepdims=True))
