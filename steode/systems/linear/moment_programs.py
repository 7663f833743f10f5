"""Compiled programs of the moment equations."""

from steode.solvers import moments
from steode.solvers.adaptive import MAX_STEPS
from steode.solvers.programs import bounded_jit


@bounded_jit
def gaussian_closure(problem, mean, variance, times, tolerance):
    """See `steode.solvers.moments.gaussian_closure`: observables at the times, and whether the last was reached."""
    return moments.gaussian_closure(problem, mean, variance).solved(times, tolerance, MAX_STEPS)


@bounded_jit
def exact_moments(problem, teacher_square, cross, second, mean, teacher_mean, times, tolerance):
    """See `steode.solvers.moments.exact_moments`: observables at the times, and whether the last was reached."""
    given = (teacher_square, cross, second, mean, teacher_mean)
    return moments.exact_moments(problem, *given).solved(times, tolerance, MAX_STEPS)
