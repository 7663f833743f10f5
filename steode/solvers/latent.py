r"""Mean and variance of latent weights at stationarity, given w*, under a step function or stochastic rounding.

In a cell of width W on which the log-density has slope s the mean lies W/2 L(s W/2) above the middle, with the Langevin
function L(y) = coth(y) - 1/y; in an outermost cell it lies 1/|s| beyond the last threshold. With weight decay or
dampening the mean drift vanishes, which gives the mean at once.

Under stochastic rounding the mean is by the quadrature of the law.

The stationary law is exp(2 a w/theta) times a factor without a, so that d E[w]/da = 2 Var(w)/theta > 0: each threshold
is the mean latent weight of exactly one target. Derived here.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize.elementwise
from jaxtyping import Array, Float

from steode.solvers import smooth_law, stationary
from steode.solvers.entrywise import StepMap
from steode.solvers.equations import Problem

TERMS = 500_000
"""Targets times levels evaluated at once; bounds the memory of a call."""
INSET = 1e-12
"""Distance from the ends of the range, relative to it, within which no target is looked for."""


def mean_weight(problem: Problem, variance: Float[Array, ""]) -> Float[Array, " K"]:
    """E[w | w*] for each teacher value at residual variance V > 0.

    Infinite for targets on or beyond the last level without weight decay and dampening: those weights never settle.
    """
    if problem.is_pulled:
        # the mean drift vanishes, and it is linear in the mean weight
        image = stationary.targets(problem) + stationary.image_moments(problem, variance).offset
        at_zero, at_one = (problem.drift(problem.teacher, image, position + 0 * image) for position in (0.0, 1.0))
        return at_zero / (at_zero - at_one)
    confined, a = stationary.is_confined(problem), stationary.targets(problem)
    mean = (
        _by_cells(problem, variance) if isinstance(problem.weight_map, StepMap) else _by_quadrature(problem, variance)
    )
    return jnp.where(confined, mean, jnp.where(a >= problem.weight_map.levels[-1], jnp.inf, -jnp.inf))


def _by_quadrature(problem: Problem, variance):
    points, weights = smooth_law.law(problem, variance, stationary.inner_targets(problem))
    return jnp.sum(weights * points, axis=1)


def _by_cells(problem: Problem, variance):
    levels, thresholds = problem.weight_map.levels, problem.weight_map.thresholds
    inner = stationary.inner_targets(problem)[:, None]
    slopes = problem.equations.log_slope(*problem.training, problem.alpha_2, variance, inner, levels[None, :], 0.0)
    middles, halves = (thresholds[1:] + thresholds[:-1]) / 2, jnp.diff(thresholds)[None, :] / 2
    means = [
        thresholds[0] - 1 / slopes[:, :1],
        middles[None, :] + halves * _langevin(slopes[:, 1:-1] * halves),
        thresholds[-1] - 1 / slopes[:, -1:],
    ]
    probabilities = stationary.cell_probabilities(problem, variance)
    return jnp.sum(probabilities * jnp.concatenate(means, axis=1), axis=1)


def crossings(problem: Problem, variance: float) -> Float[np.ndarray, " n"]:
    """Targets a at which the mean latent weight passes each threshold, or level of stochastic rounding, increasing.

    The quantizer applied to the mean latent weight is the step function of a with these thresholds.
    """
    levels = np.asarray(problem.weight_map.levels)
    thresholds = np.asarray(getattr(problem.weight_map, "thresholds", problem.weight_map.levels))
    # a = r E[Q] + k E[w], and E[Q] lies between the outermost levels
    pull, retained = (float(value) for value in problem.potential)
    ends = sorted((retained * levels[0], retained * levels[-1]))
    inset = INSET * (levels[-1] - levels[0])
    bracket = (pull * thresholds + ends[0] + inset, pull * thresholds + ends[1] - inset)

    def gap(a, threshold):
        # one size, so that one program serves every step of the search
        padded = np.resize(a, thresholds.size)
        return np.asarray(mean_weights(problem, variance, jnp.asarray(padded)))[: a.size].reshape(a.shape) - threshold

    return scipy.optimize.elementwise.find_root(gap, bracket, args=(thresholds,)).x


@eqx.filter_jit
def weight_variances(problem: Problem, variance, a: Float[Array, " K"]) -> Float[Array, " K"]:
    """Var(w | w*) = theta/2 d E[w]/da at targets a inside the range; without weight decay."""
    # the slope of the log-density is 2 (a - Q)/theta
    arguments = (*problem.training, problem.alpha_2, variance)
    low, high = (problem.equations.log_slope(*arguments, target, 0.0, 0.0) for target in (0.0, 1.0))

    def at(target):
        _, slope = jax.jvp(lambda a: _mean_at(problem, variance, a), (target,), (jnp.ones(()),))
        return slope / (high - low)

    return jax.lax.map(at, a, batch_size=max(1, TERMS // problem.weight_map.levels.size))


def _mean_at(problem: Problem, variance, target: Float[Array, ""]) -> Float[Array, ""]:
    teacher = target[None] * problem.alpha_2 / problem.alpha_1
    return mean_weight(dataclasses.replace(problem, teacher=teacher, teacher_weights=jnp.ones(1)), variance)[0]


@eqx.filter_jit
def mean_weights(problem: Problem, variance, a: Float[Array, " K"]) -> Float[Array, " K"]:
    """E[w] at targets a."""
    batch_size = max(1, TERMS // problem.weight_map.levels.size)
    return jax.lax.map(lambda target: _mean_at(problem, variance, target), a, batch_size=batch_size)


def _langevin(y):
    """coth(y) - 1/y, by its series where the difference would cancel."""
    small = jnp.abs(y) < 0.2
    safe = jnp.where(small, 1.0, y)
    square = jnp.where(small, y, 0.0) ** 2
    series = y * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square * (1 / 4725 - square * (2 / 93555)))))
    return jnp.where(small, series, 1 / jnp.tanh(safe) - 1 / safe)
