"""The stationary law of a latent weight under a step function: piecewise exponential, in closed form."""

import jax
import jax.numpy as jnp
import jax.scipy.special
from jaxtyping import Array, Float

from steode.solvers.equations import Problem


def targets(problem: Problem) -> Float[Array, " K"]:
    """a = alpha_1 w*/alpha_2, the mean quantized weight at stationarity where it lies inside the range."""
    return problem.alpha_1 * problem.teacher / problem.alpha_2


def is_confined(problem: Problem) -> Float[Array, " K"]:
    """True where the target lies strictly inside the range, so that a stationary law exists."""
    levels = problem.weight_map.levels
    a = targets(problem)
    return (a > levels[0]) & (a < levels[-1])


def _slopes(problem: Problem, variance) -> tuple[Float[Array, "K n"], Float[Array, "K n-1"]]:
    """Log-slope of the density in each cell, and its log at each threshold (0 at the first)."""
    levels, thresholds = problem.weight_map.levels, problem.weight_map.thresholds
    # any interior target serves for the rows that are not confined: their result is replaced
    center = (levels[0] + levels[-1]) / 2
    a = jnp.where(is_confined(problem), targets(problem), center)[:, None]
    slopes = problem.equations.log_slope(*problem.training, problem.alpha_2, variance, a, levels[None, :], 0.0)
    rises = slopes[:, 1:-1] * jnp.diff(thresholds)[None, :]
    start = jnp.zeros((slopes.shape[0], 1))
    return slopes, jnp.concatenate([start, jnp.cumsum(rises, axis=1)], axis=1)


def _log_masses(problem: Problem, variance) -> tuple[Float[Array, "K n"], Float[Array, "K n"], Float[Array, "K n-1"]]:
    """Log of each cell's mass before normalization, with the slopes and the heights at the thresholds."""
    slopes, heights = _slopes(problem, variance)
    widths = jnp.diff(problem.weight_map.thresholds)[None, :]
    exponents = jnp.abs(slopes[:, 1:-1]) * widths
    # (1 - e^-x)/x, the mass of an exponential cell relative to its higher end
    flat = exponents < 1e-12
    fill = jnp.where(flat, 1.0, -jnp.expm1(-exponents) / jnp.where(flat, 1.0, exponents))
    inner = jnp.maximum(heights[:, :-1], heights[:, 1:]) + jnp.log(widths * fill)
    lowest = heights[:, :1] - jnp.log(slopes[:, :1])
    highest = heights[:, -1:] - jnp.log(-slopes[:, -1:])
    return jnp.concatenate([lowest, inner, highest], axis=1), slopes, heights


def cell_probabilities(problem: Problem, variance: Float[Array, ""]) -> Float[Array, "K n"]:
    """Probability of each level given each teacher value at residual variance V > 0.

    Targets outside the range, or on its last level, put all probability on that level: the weight escapes, or wanders
    beyond the last threshold without bound.
    """
    probabilities = jax.nn.softmax(_log_masses(problem, variance)[0], axis=1)
    levels = problem.weight_map.levels
    a = targets(problem)[:, None]
    index = jnp.arange(levels.size)[None, :]
    saturated = jnp.where(a >= levels[-1], index == levels.size - 1, index == 0) * 1.0
    return jnp.where(is_confined(problem)[:, None], probabilities, saturated)


def spread(problem: Problem, variance: Float[Array, ""]) -> Float[Array, " K"]:
    """E[(Q - a)^2 | w*]: the dithering of a confined weight, the squared overshoot of the target of an escaping one."""
    distances = problem.weight_map.levels[None, :] - targets(problem)[:, None]
    return jnp.sum(cell_probabilities(problem, variance) * distances**2, axis=1)


def implied_variance(problem: Problem, variance: Float[Array, ""]) -> Float[Array, ""]:
    """V computed from the stationary law at V; a fixed point gives itself back.

    The square in V is completed around the targets, V = rho (1 - alpha_1^2/alpha_2) + sigma^2 + alpha_2 E[(Q - a)^2]:
    as a difference of order parameters a small V would drown in their rounding.
    """
    unreachable = problem.rho * (1 - problem.alpha_1**2 / problem.alpha_2) + problem.sigma**2
    return unreachable + problem.alpha_2 * (problem.teacher_weights @ spread(problem, variance))


def density(problem: Problem, variance: Float[Array, ""], w: Float[Array, " N"]) -> Float[Array, "K N"]:
    """Stationary density mu(w | w*) for each teacher value; NaN where there is none."""
    thresholds = problem.weight_map.thresholds
    log_masses, slopes, heights = _log_masses(problem, variance)
    cell = jnp.searchsorted(thresholds, w, side="right")
    # the threshold at the lower end of the cell, or the first one for the lowest cell
    anchor = jnp.maximum(cell - 1, 0)
    logs = heights[:, anchor] + slopes[:, cell] * (w - thresholds[anchor])[None, :]
    values = jnp.exp(logs - jax.scipy.special.logsumexp(log_masses, axis=1, keepdims=True))
    return jnp.where(is_confined(problem)[:, None], values, jnp.nan)
