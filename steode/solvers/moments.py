"""Moment equations of the limit as ordinary differential equations."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steode.solvers import runge_kutta
from steode.solvers.blocks import Blocks
from steode.solvers.equations import Problem
from steode.solvers.grouped import error_by_block

LEAST_VARIANCE = 1e-12
"""Variance given to a point mass at the start of the Gaussian closure, whose averages divide by it; in units of their
mean square and the teacher's."""
ACCURACY = 3e-4
"""Error of a time step, in units of the tolerance: what many steps near a fixed point add up to stays below it."""


class MomentEquations(NamedTuple):
    """Ordinary differential equations y' = rates(t, y) with their start.

    Attributes
    ----------
    rates : (t, y) -> y'.
    start : y at time 0, a tuple of arrays.
    observables : y -> named observables.
    size : of the state, beside which the absolute tolerance is small in any units.
    """

    rates: Callable
    start: tuple
    observables: Callable
    size: Float[Array, ""]

    def solved(self, times: Float[Array, " T"], tolerance, max_steps: int) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """Observables at increasing times, and whether the last of them was reached."""
        rtol = ACCURACY * tolerance
        states, reached = runge_kutta.integrate(self.rates, self.start, times, rtol, rtol * self.size, max_steps)
        return jax.vmap(self.observables)(states), reached


def gaussian_closure(problem: Problem, mean: Float[Array, " K"], variance: Float[Array, " K"]) -> MomentEquations:
    """Mean and variance of w for each teacher value, from those at time 0."""

    # with inertia three more moments, those of the mean gradient, begin at zero
    inertia = [] if problem.friction is None else [problem.friction]
    count = 2 + 3 * len(inertia)

    def overlaps(state):
        return problem.overlaps(problem.weight_map.gaussian_mean(*state), problem.weight_map.gaussian_square(*state))

    def rates(t, state):
        own, *companion = problem.at(t), *state[count:]
        force = (own.beside(*companion) if companion else own).gaussian_force(*state[:2])
        now, strength = own.under(force)
        arguments = (*now.training, problem.alpha_1, problem.alpha_2, problem.teacher, strength)
        moving = [problem.companion_rate(t, force, *companion)] if companion else []
        return *problem.equations.closure(*arguments, problem.weight_map, *state[:count], *inertia), *moving

    def observables(state):
        (means, variances), companion = state[:2], state[count:]
        mean_w = problem.teacher_weights @ means
        spread = problem.teacher_weights @ (variances + (means - mean_w) ** 2)
        values = problem.observables(*overlaps(state[:2])) | {"mean_w": mean_w, "std_w": jnp.sqrt(spread)}
        if isinstance(problem.weight_map, Blocks):
            image = problem.weight_map.gaussian_mean(means, variances)
            square = problem.weight_map.gaussian_square(means, variances)
            values |= error_by_block(problem, problem.teacher, problem.teacher_weights, image, square)
        return values | ({"second_moment": companion[0]} if companion else {})

    weights = problem.teacher**2, mean**2 + variance
    start = (mean, jnp.maximum(variance, LEAST_VARIANCE * largest_square(*weights)))
    start = (*start, *[0 * start[0]] * (count - 2))
    if problem.memory is not None:
        start = (*start, problem.companion_start(*overlaps(start[:2])[:2]))
    square = largest_square(*weights, problem.sigma**2)
    return _equations(rates, start, observables, square)


def exact_moments(
    problem: Problem,
    teacher_square: Float[Array, "..."],
    cross_moment: Float[Array, "..."],
    second_moment: Float[Array, "..."],
    mean: Float[Array, "..."],
    teacher_mean: Float[Array, "..."],
) -> MomentEquations:
    """The closed equations for A = E[w* w], C = E[w^2] and E[w].

    Without a spectrum they are single numbers; with one they are given each eigenvalue, whose probabilities are the
    problem's `teacher_weights`. `teacher_square` is E[w*^2], `teacher_mean` E[w*].
    """

    def average(values):
        return values if problem.eigenvalues is None else problem.teacher_weights @ values

    def overlaps(cross, second):
        # m and q are linear in these two moments: the integrands at w* Q = A and E[Q^2], a function of w^2 = C
        m = average(problem.equations.teacher_overlap(problem.alpha_1, 1.0, cross))
        square = problem.weight_map.gaussian_square(0 * second, second)
        q = average(problem.equations.self_overlap(problem.alpha_2, square))
        return m, q, problem.loss(m, q)

    def rates(t, state):
        cross, second, mean_w = state
        now, strength = problem.at(t).under(problem.force(*overlaps(cross, second)[:2]))
        arguments = (problem.alpha_1, problem.alpha_2, teacher_square, problem.sigma, strength)
        drift = now.drift(teacher_mean, mean_w, mean_w)
        return *now.equations.moments(*now.training, *arguments, cross, second), drift

    def observables(state):
        cross, second, mean_w = state
        mean = average(mean_w)
        spread = {"mean_w": mean, "std_w": jnp.sqrt(jnp.maximum(average(second) - mean**2, 0.0))}
        return problem.observables(*overlaps(cross, second)) | spread

    square = largest_square(teacher_square, second_moment, problem.sigma**2)
    return _equations(rates, (cross_moment, second_moment, mean), observables, square)


def largest_square(*squares) -> Float[Array, ""]:
    """The largest of the mean squares given, 1 if all of them vanish."""
    largest = jnp.max(jnp.stack([jnp.max(jnp.asarray(square)) for square in squares]))
    return jnp.where(largest > 0, largest, 1.0)


def _equations(rates, start, observables, square) -> MomentEquations:
    # the state holds lengths and squares of lengths: neither is small beside the absolute tolerance, in any units
    return MomentEquations(rates, start, observables, jnp.minimum(square, jnp.sqrt(square)))
