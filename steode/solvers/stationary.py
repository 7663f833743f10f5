r"""The stationary law of a latent weight, given its teacher weight and what drives the weights.

With theta = eta V/B and targets a = alpha_1 w*/alpha_2 the law given w* is exp(-2 U(w)/theta),
U' = Q(w) - a + (kappa w + zeta (w - Q))/alpha_2; in general theta = eta c_2/(B c_h) and
a = -c_* alpha_1 w*/(c_h alpha_2). The equation it closes is in `steode.solvers.self_consistency`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers import cells, smooth_law
from steode.solvers.entrywise import IdentityMap, SmoothMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.libraries import as_array, library, numeric
from steode.solvers.random_maps import NoisyMap, RoundingMap


class ImageMoments(eqx.Module):
    """Quantized weights around their targets, for each teacher value.

    Attributes
    ----------
    offset : E[Q | w*] - a, shape (K,): zero in the range without weight decay and dampening.
    variance : Var(Q | w*), shape (K,): the dithering.
    """

    offset: Float[Array, " K"]
    variance: Float[Array, " K"]

    @property
    def spread(self) -> Float[Array, " K"]:
        """E[(Q - a)^2 | w*]."""
        return self.offset**2 + self.variance


def targets(problem: Problem) -> Float[Array, " K"]:
    """a = alpha_1 w*/alpha_2, the mean quantized weight at stationarity where it lies inside the range.

    An output that is not linear multiplies it by -c_*/c_h.
    """
    student, teacher = problem.response
    return -teacher * problem.alpha_1 * problem.teacher / (student * problem.alpha_2)


def best_targets(problem: Problem) -> Float[Array, " K"]:
    """alpha_1 w*/alpha_2, the quantized weight of least error."""
    return problem.alpha_1 * problem.teacher / problem.alpha_2


def image_range(problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Smallest and largest value of the map, approached or reached."""
    if isinstance(problem.weight_map, StepMap):
        return problem.weight_map.levels[0], problem.weight_map.levels[-1]
    if isinstance(problem.weight_map, SmoothMap | RoundingMap):
        return tuple(map(as_array, problem.weight_map.limits))
    return np.asarray(-np.inf), np.asarray(np.inf)


def is_confined(problem: Problem) -> Float[Array, " K"]:
    """True where a stationary law exists: the target lies strictly inside the range, or something pulls the weight."""
    low, high = image_range(problem)
    a = targets(problem)
    return ((a > low) & (a < high)) | problem.is_pulled


def excess(problem: Problem) -> Float[Array, " K"]:
    """How far the target lies above the range (> 0) or below it (< 0); 0 inside."""
    a = targets(problem)
    return a - numeric.clip(a, *image_range(problem))


def escaping(problem: Problem) -> Float[Array, ""]:
    """Fraction of the targets outside the range, where nothing confines the latent weight."""
    return problem.teacher_weights @ (~is_confined(problem) & (excess(problem) != 0))


@np.errstate(invalid="ignore")
def inner_targets(problem: Problem) -> Float[Array, " K"]:
    """Targets, with those that have no stationary law moved inside the range: their results are replaced."""
    low, high = image_range(problem)
    near_end = numeric.where(numeric.isfinite(low), low + 1, high - 1)
    inside = numeric.where(numeric.isfinite(low + high), (low + high) / 2, near_end)
    return numeric.where(is_confined(problem), targets(problem), numeric.where(numeric.isnan(inside), 0.0, inside))


def cell_probabilities(problem: Problem, variance: Float[Array, ""]) -> Float[Array, "K n"]:
    """Probability of each level given each teacher value at residual variance V > 0, for a step function.

    Targets outside the range, or on its last level, put all probability on that level: the weight escapes, or wanders
    beyond the last threshold without bound.
    """
    return _saturated(problem, cells.cell_law(problem, variance, inner_targets(problem)).probabilities.T)


def _saturated(problem: Problem, probabilities: Float[Array, "K n"]) -> Float[Array, "K n"]:
    """These probabilities of the levels where a law exists, and all of it on the last level elsewhere."""
    levels, a = problem.weight_map.levels, targets(problem)[:, None]
    index = np.arange(levels.size)[None, :]
    saturated = numeric.where(a >= levels[-1], index == levels.size - 1, index == 0) * 1.0
    return numeric.where(is_confined(problem)[:, None], probabilities, saturated)


def image_moments(problem: Problem, variance: Float[Array, ""]) -> ImageMoments:
    """Mean and variance of the quantized weights at residual variance V > 0."""
    if isinstance(problem.weight_map, IdentityMap | NoisyMap):
        return _affine_moments(problem, variance)
    a = inner_targets(problem)
    if isinstance(problem.weight_map, StepMap):
        probabilities = cells.cell_law(problem, variance, a).probabilities
        distances = problem.weight_map.levels[:, None] - a[None, :]
    else:
        points, weights = smooth_law.law(problem, variance, a)
        probabilities, distances = weights.T, (problem.weight_map(points) - a[:, None]).T
    if not problem.is_pulled:
        # the mean drift vanishes, so the offset is known exactly
        spread = numeric.sum(probabilities * distances**2, axis=0)
        return ImageMoments(-excess(problem), numeric.where(is_confined(problem), spread, 0.0))
    offset = numeric.sum(probabilities * distances, axis=0)
    return ImageMoments(offset, numeric.sum(probabilities * (distances - offset[None, :]) ** 2, axis=0))


def _affine_moments(problem: Problem, variance) -> ImageMoments:
    """Unquantized weights are Gaussian: mean and variance where the rates of the closure, affine in both, vanish."""
    arguments = (*problem.training, problem.alpha_1, problem.alpha_2, problem.teacher, variance, problem.weight_map)

    def rates(mean, spread):
        values = problem.equations.closure(*arguments, mean + 0 * problem.teacher, spread + 0 * problem.teacher)
        return [value + 0 * problem.teacher for value in values]

    # slopes by differentiation: a difference between 0 and 1 would be lost beside V in small units of the weights
    if library(variance, *jax.tree.leaves(problem)) is np:
        # of plain numbers, by the imaginary part of an affine function at i
        (mean_rate, spread_rate), (mean_image, _), (_, spread_image) = (rates(*at) for at in ((0, 0), (1j, 0), (0, 1j)))
        return ImageMoments(-mean_rate / mean_image.imag - targets(problem), -spread_rate / spread_image.imag)
    zero, one = jnp.zeros(()), jnp.ones(())
    (mean_rate, spread_rate), (mean_slope, _) = jax.jvp(rates, (zero, zero), (one, zero))
    _, (_, spread_slope) = jax.jvp(rates, (zero, zero), (zero, one))
    return ImageMoments(-mean_rate / mean_slope - targets(problem), -spread_rate / spread_slope)


def level_probabilities(problem: Problem, variance: Float[Array, ""]) -> Float[Array, "K n"]:
    """Probability that a quantized weight is at each level given each teacher value, where the map has levels."""
    if isinstance(problem.weight_map, StepMap):
        return cell_probabilities(problem, variance)
    points, weights = smooth_law.law(problem, variance, inner_targets(problem))
    return _saturated(problem, numeric.sum(weights[:, :, None] * problem.weight_map.chances(points), axis=1))


def density(problem: Problem, variance: Float[Array, ""], w: Float[Array, " N"]) -> Float[Array, "K N"]:
    """Stationary density mu(w | w*) of the latent weight for each teacher value; NaN where there is none."""
    confined = is_confined(problem)[:, None]
    if isinstance(problem.weight_map, StepMap):
        return numeric.where(confined, _cell_density(problem, variance, w), np.nan)
    if isinstance(problem.weight_map, IdentityMap | NoisyMap):
        moments = _affine_moments(problem, variance)
        mean, spread = (targets(problem) + moments.offset)[:, None], moments.variance[:, None]
        return numeric.exp(-((w[None, :] - mean) ** 2) / (2 * spread)) / numeric.sqrt(2 * np.pi * spread)
    return numeric.where(confined, smooth_law.density(problem, variance, inner_targets(problem), w), np.nan)


def _cell_density(problem: Problem, variance, w):
    thresholds = problem.weight_map.thresholds
    law = cells.cell_law(problem, variance, inner_targets(problem))
    cell = numeric.searchsorted(thresholds, w, side="right")
    # the threshold at the lower end of the cell, or the first one for the lowest cell
    anchor = numeric.maximum(cell - 1, 0)
    logs = law.log_heights[anchor] + law.slopes[cell] * (w - thresholds[anchor])[:, None]
    if problem.is_pulled:
        curvature = cells.curvature(problem, variance)
        logs = logs - curvature * ((w**2 - thresholds[anchor] ** 2) / 2)[:, None]
    return numeric.exp(logs).T
