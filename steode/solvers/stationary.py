"""The stationary law of a latent weight under a step function: piecewise exponential, in closed form."""

import jax.numpy as jnp
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
    slopes = problem.equations.log_slope(problem.eta, variance, a, levels[None, :])
    rises = slopes[:, 1:-1] * jnp.diff(thresholds)[None, :]
    start = jnp.zeros((slopes.shape[0], 1))
    return slopes, jnp.concatenate([start, jnp.cumsum(rises, axis=1)], axis=1)


def cell_probabilities(problem: Problem, variance: Float[Array, ""]) -> Float[Array, "K n"]:
    """Probability of each level given each teacher value at residual variance V > 0.

    Targets outside the range, or on its last level, put all probability on that level: the weight escapes, or wanders
    beyond the last threshold without bound.
    """
    slopes, heights = _slopes(problem, variance)
    widths = jnp.diff(problem.weight_map.thresholds)[None, :]
    exponents = jnp.abs(slopes[:, 1:-1]) * widths
    # (1 - e^-x)/x, the mass of an exponential cell relative to its higher end
    flat = exponents < 1e-12
    fill = jnp.where(flat, 1.0, -jnp.expm1(-exponents) / jnp.where(flat, 1.0, exponents))
    inner = jnp.maximum(heights[:, :-1], heights[:, 1:]) + jnp.log(widths * fill)
    lowest = heights[:, :1] - jnp.log(slopes[:, :1])
    highest = heights[:, -1:] - jnp.log(-slopes[:, -1:])
    logs = jnp.concatenate([lowest, inner, highest], axis=1)
    masses = jnp.exp(logs - logs.max(axis=1, keepdims=True))
    probabilities = masses / masses.sum(axis=1, keepdims=True)
    levels = problem.weight_map.levels
    a = targets(problem)[:, None]
    index = jnp.arange(levels.size)[None, :]
    saturated = jnp.where(a >= levels[-1], index == levels.size - 1, index == 0) * 1.0
    return jnp.where(is_confined(problem)[:, None], probabilities, saturated)


def implied_variance(problem: Problem, variance: Float[Array, ""]) -> Float[Array, ""]:
    """V computed from the stationary law at V; a fixed point gives itself back."""
    probabilities = cell_probabilities(problem, variance)
    levels = problem.weight_map.levels
    return problem.overlaps(probabilities @ levels, probabilities @ levels**2)[2]


def density(problem: Problem, variance: Float[Array, ""], w: Float[Array, " N"]) -> Float[Array, "K N"]:
    """Stationary density mu(w | w*) for each teacher value; NaN where there is none."""
    thresholds = problem.weight_map.thresholds
    slopes, heights = _slopes(problem, variance)
    cell = jnp.searchsorted(thresholds, w, side="right")
    # the threshold at the lower end of the cell, or the first one for the lowest cell
    anchor = jnp.maximum(cell - 1, 0)
    logs = heights[:, anchor] + slopes[:, cell] * (w - thresholds[anchor])[None, :]
    # normalized by the probability of the highest cell, whose mass relative to its threshold is 1/|slope|
    probability = cell_probabilities(problem, variance)
    normalization = _log_normalization(slopes, heights, probability)
    values = jnp.exp(logs - normalization)
    return jnp.where(is_confined(problem)[:, None], values, jnp.nan)


def _log_normalization(slopes, heights, probability):
    # log Z = log(mass of an outer cell) - log(its probability); the likelier outer cell is the accurate one
    low = heights[:, :1] - jnp.log(slopes[:, :1]) - jnp.log(probability[:, :1])
    high = heights[:, -1:] - jnp.log(-slopes[:, -1:]) - jnp.log(probability[:, -1:])
    return jnp.where(probability[:, :1] > probability[:, -1:], low, high)
