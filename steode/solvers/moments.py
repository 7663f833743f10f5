"""Moment equations of the limit as ordinary differential equations, by diffrax."""

import diffrax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers.equations import Problem

LEAST_VARIANCE = 1e-12
"""Variance given to a point mass at the start of the Gaussian closure, whose averages divide by it."""


def gaussian_closure(
    problem: Problem,
    mean: Float[Array, " K"],
    variance: Float[Array, " K"],
    times: Float[Array, " T"],
    tolerance,
    max_steps: int,
) -> diffrax.Solution:
    """Mean and variance of w for each teacher value; `ys` holds the named observables at `times`."""

    def overlaps(state):
        return problem.overlaps(problem.weight_map.gaussian_mean(*state), problem.weight_map.gaussian_square(*state))

    def rates(t, state, args):
        _, _, residual_variance = overlaps(state)
        arguments = (*problem.at(t).training, problem.alpha_1, problem.alpha_2, problem.teacher, residual_variance)
        return problem.equations.closure(*arguments, problem.weight_map, *state)

    def observables(t, state, args):
        means, variances = state
        mean_w = problem.teacher_weights @ means
        spread = problem.teacher_weights @ (variances + (means - mean_w) ** 2)
        return problem.observables(*overlaps(state)) | {"mean_w": mean_w, "std_w": jnp.sqrt(spread)}

    start = (mean, jnp.maximum(variance, LEAST_VARIANCE))
    return _integrate(rates, start, observables, times, tolerance, max_steps)


def exact_moments(
    problem: Problem, cross_moment: Float[Array, ""], second_moment: Float[Array, ""], times, tolerance, max_steps: int
) -> diffrax.Solution:
    """The closed equations for A = E[w* w] and C = E[w^2]; `ys` holds the named observables at `times`."""

    def rates(t, state, args):
        return problem.equations.moments(
            *problem.at(t).training, problem.alpha_1, problem.alpha_2, problem.rho, problem.sigma, *state
        )

    def observables(t, state, args):
        cross, second = state
        # m and q are linear in these two moments: the integrands at w* Q = A and Q^2 = B
        m = problem.equations.teacher_overlap(problem.alpha_1, 1.0, cross)
        q = problem.equations.self_overlap(problem.alpha_2, second)
        return problem.observables(m, q, problem.equations.residual_variance(m, q, problem.rho, problem.sigma))

    return _integrate(rates, (cross_moment, second_moment), observables, times, tolerance, max_steps)


def _integrate(rates, start, observables, times, tolerance, max_steps) -> diffrax.Solution:
    return diffrax.diffeqsolve(
        diffrax.ODETerm(rates),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=start,
        saveat=diffrax.SaveAt(ts=times, fn=observables),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        max_steps=max_steps,
        throw=False,
    )
