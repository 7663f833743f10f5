"""Moment equations of the limit as ordinary differential equations, by diffrax."""

import diffrax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers.equations import Problem

LEAST_VARIANCE = 1e-12
"""Variance given to a point mass at the start of the Gaussian closure, whose averages divide by it; in units of their
mean square and the teacher's."""


def gaussian_closure(
    problem: Problem,
    mean: Float[Array, " K"],
    variance: Float[Array, " K"],
    times: Float[Array, " T"],
    tolerance,
    max_steps: int,
) -> diffrax.Solution:
    """Mean and variance of w for each teacher value; `ys` holds the named observables at `times`."""

    # with inertia three more moments, those of the mean gradient, begin at zero
    inertia = [] if problem.friction is None else [problem.friction]
    count = 2 + 3 * len(inertia)

    def overlaps(state):
        return problem.overlaps(problem.weight_map.gaussian_mean(*state), problem.weight_map.gaussian_square(*state))

    def rates(t, state, args):
        own, *companion = problem.at(t), *state[count:]
        force = (own.beside(*companion) if companion else own).gaussian_force(*state[:2])
        now, strength = own.under(force)
        arguments = (*now.training, problem.alpha_1, problem.alpha_2, problem.teacher, strength)
        moving = [problem.companion_rate(t, force, *companion)] if companion else []
        return *problem.equations.closure(*arguments, problem.weight_map, *state[:count], *inertia), *moving

    def observables(t, state, args):
        (means, variances), companion = state[:2], state[count:]
        mean_w = problem.teacher_weights @ means
        spread = problem.teacher_weights @ (variances + (means - mean_w) ** 2)
        values = problem.observables(*overlaps(state[:2])) | {"mean_w": mean_w, "std_w": jnp.sqrt(spread)}
        return values | ({"second_moment": companion[0]} if companion else {})

    weights = problem.teacher**2, mean**2 + variance
    start = (mean, jnp.maximum(variance, LEAST_VARIANCE * largest_square(*weights)))
    start = (*start, *[0 * start[0]] * (count - 2))
    if problem.memory is not None:
        start = (*start, problem.companion_start(*overlaps(start[:2])[:2]))
    square = largest_square(*weights, problem.sigma**2)
    return _integrate(rates, start, observables, times, tolerance, square, max_steps)


def exact_moments(
    problem: Problem,
    teacher_square: Float[Array, "..."],
    cross_moment: Float[Array, "..."],
    second_moment: Float[Array, "..."],
    mean: Float[Array, "..."],
    teacher_mean: Float[Array, "..."],
    times: Float[Array, " T"],
    tolerance,
    max_steps: int,
) -> diffrax.Solution:
    """The closed equations for A = E[w* w], C = E[w^2] and E[w]; `ys` holds the named observables at `times`.

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

    def rates(t, state, args):
        cross, second, mean_w = state
        now, strength = problem.at(t).under(problem.force(*overlaps(cross, second)[:2]))
        arguments = (problem.alpha_1, problem.alpha_2, teacher_square, problem.sigma, strength)
        drift = now.drift(teacher_mean, mean_w, mean_w)
        return *now.equations.moments(*now.training, *arguments, cross, second), drift

    def observables(t, state, args):
        cross, second, mean_w = state
        mean = average(mean_w)
        spread = {"mean_w": mean, "std_w": jnp.sqrt(jnp.maximum(average(second) - mean**2, 0.0))}
        return problem.observables(*overlaps(cross, second)) | spread

    square = largest_square(teacher_square, second_moment, problem.sigma**2)
    return _integrate(rates, (cross_moment, second_moment, mean), observables, times, tolerance, square, max_steps)


def largest_square(*squares) -> Float[Array, ""]:
    """The largest of the mean squares given, 1 if all of them vanish."""
    largest = jnp.max(jnp.stack([jnp.max(jnp.asarray(square)) for square in squares]))
    return jnp.where(largest > 0, largest, 1.0)


def _integrate(rates, start, observables, times, tolerance, square, max_steps) -> diffrax.Solution:
    # the state holds lengths and squares of lengths: neither is small beside the absolute tolerance, in any units
    size = jnp.minimum(square, jnp.sqrt(square))
    return diffrax.diffeqsolve(
        diffrax.ODETerm(rates),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=start,
        saveat=diffrax.SaveAt(ts=times, fn=observables),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance * size),
        max_steps=max_steps,
        throw=False,
    )
