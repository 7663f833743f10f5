"""Where averages over the teacher law have kinks, so that its quadratures are cut there."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float

from steode.solvers.entrywise import SmoothMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.libraries import library
from steode.solvers.random_maps import RoundingMap


@np.errstate(divide="ignore", invalid="ignore")
def kinks(problem: Problem) -> Float[Array, " n"]:
    """Teacher values at which the stationary error has kinks at small theta, increasing.

    There the potential's minimum leaves a threshold, or stochastic rounding has nothing to draw: the target is a level,
    shifted by weight decay and dampening.
    """
    values, (student, teacher) = np.zeros(0), problem.response
    if isinstance(problem.weight_map, StepMap):
        values = levels = problem.weight_map.levels
        if problem.is_pulled:
            pull, retained = problem.potential
            shift, kept = pull * problem.weight_map.thresholds, retained * levels
            np_or_jnp = library(kept, shift)
            values = np_or_jnp.sort(np_or_jnp.concatenate([kept[:-1] + shift, kept[1:] + shift]))
    elif isinstance(problem.weight_map, RoundingMap):
        values = problem.weight_map.levels * sum(problem.potential)
    elif isinstance(problem.weight_map, SmoothMap):
        values = np.array([limit for limit in problem.weight_map.limits if abs(limit) < np.inf])
    return -student / teacher * values * problem.alpha_2 / problem.alpha_1


def kinks_by_eigenvalue(problem: Problem) -> np.ndarray | Callable[[float], np.ndarray]:
    """`kinks`, or a function of the eigenvalue that gives them where there is a spectrum."""
    if problem.eigenvalues is None:
        return np.asarray(kinks(problem))
    return lambda value: np.asarray(kinks(dataclasses.replace(problem, eigenvalues=np.asarray(value))))
