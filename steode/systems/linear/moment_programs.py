"""Compiled programs of the moment equations, apart because of diffrax, which takes longer to load than to run."""

import diffrax
import equinox as eqx

from steode.solvers import moments
from steode.solvers.adaptive import MAX_STEPS


@eqx.filter_jit
def gaussian_closure(problem, mean, variance, times, tolerance):
    """See `steode.solvers.moments.gaussian_closure`: its observables, its result, and whether it succeeded."""
    solution = moments.gaussian_closure(problem, mean, variance, times, 1e-3 * tolerance, MAX_STEPS)
    return solution.ys, solution.result, solution.result == diffrax.RESULTS.successful


@eqx.filter_jit
def exact_moments(problem, teacher_square, cross, second, mean, teacher_mean, times, tolerance):
    """See `steode.solvers.moments.exact_moments`: its observables, its result, and whether it succeeded."""
    given = (teacher_square, cross, second, mean, teacher_mean)
    solution = moments.exact_moments(problem, *given, times, 1e-3 * tolerance, MAX_STEPS)
    return solution.ys, solution.result, solution.result == diffrax.RESULTS.successful
