r"""The stationary law of a latent weight, and the fixed-point equation it closes.

With theta = eta V/B and targets a = alpha_1 w*/alpha_2 the law given w* is exp(-2 U(w)/theta),
U' = Q(w) - a + kappa w/alpha_2. Completing the square in V around the targets gives

    V = rho (1 - alpha_1^2/alpha_2) + sigma^2 + alpha_2 E (Q - a)^2,

where the last average is over this law: one equation for V. As a difference of order parameters a small V would drown
in their rounding.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers import cells, smooth_law
from steode.solvers.entrywise import IdentityMap, SmoothMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.random_maps import NoisyMap, RoundingMap


class ImageMoments(eqx.Module):
    """Quantized weights around their targets, for each teacher value.

    Attributes
    ----------
    offset : E[Q | w*] - a, shape (K,): zero in the range without weight decay.
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


def image_range(problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Smallest and largest value of the map, approached or reached."""
    if isinstance(problem.weight_map, StepMap):
        return problem.weight_map.levels[0], problem.weight_map.levels[-1]
    if isinstance(problem.weight_map, SmoothMap | RoundingMap):
        return tuple(map(jnp.asarray, problem.weight_map.limits))
    return jnp.asarray(-jnp.inf), jnp.asarray(jnp.inf)


def is_confined(problem: Problem) -> Float[Array, " K"]:
    """True where a stationary law exists: the target lies strictly inside the range, or weight decay confines."""
    low, high = image_range(problem)
    a = targets(problem)
    return ((a > low) & (a < high)) | (problem.decay is not None)


def excess(problem: Problem) -> Float[Array, " K"]:
    """How far the target lies above the range (> 0) or below it (< 0); 0 inside."""
    a = targets(problem)
    return a - jnp.clip(a, *image_range(problem))


def escaping(problem: Problem) -> float:
    """Fraction of the targets outside the range, where nothing confines the latent weight."""
    return float(problem.teacher_weights @ (~is_confined(problem) & (excess(problem) != 0)))


def inner_targets(problem: Problem) -> Float[Array, " K"]:
    """Targets, with those that have no stationary law moved inside the range: their results are replaced."""
    low, high = image_range(problem)
    inside = jnp.where(jnp.isfinite(low + high), (low + high) / 2, jnp.where(jnp.isfinite(low), low + 1, high - 1))
    return jnp.where(is_confined(problem), targets(problem), jnp.where(jnp.isnan(inside), 0.0, inside))


def cell_probabilities(problem: Problem, variance: Float[Array, ""]) -> Float[Array, "K n"]:
    """Probability of each level given each teacher value at residual variance V > 0, for a step function.

    Targets outside the range, or on its last level, put all probability on that level: the weight escapes, or wanders
    beyond the last threshold without bound.
    """
    probabilities = cells.cell_law(problem, variance, inner_targets(problem)).probabilities.T
    levels = problem.weight_map.levels
    index = jnp.arange(levels.size)[None, :]
    a = targets(problem)[:, None]
    saturated = jnp.where(a >= levels[-1], index == levels.size - 1, index == 0) * 1.0
    return jnp.where(is_confined(problem)[:, None], probabilities, saturated)


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
    if problem.decay is None:
        # the mean drift vanishes, so the offset is known exactly
        spread = jnp.sum(probabilities * distances**2, axis=0)
        return ImageMoments(-excess(problem), jnp.where(is_confined(problem), spread, 0.0))
    offset = jnp.sum(probabilities * distances, axis=0)
    return ImageMoments(offset, jnp.sum(probabilities * (distances - offset[None, :]) ** 2, axis=0))


def _affine_moments(problem: Problem, variance) -> ImageMoments:
    """Unquantized weights are Gaussian: mean and variance where the rates of the closure, affine in both, vanish."""
    arguments = (*problem.training, problem.alpha_1, problem.alpha_2, problem.teacher, variance, problem.weight_map)

    def rates(mean, spread):
        values = problem.equations.closure(*arguments, mean + 0 * problem.teacher, spread + 0 * problem.teacher)
        return [value + 0 * problem.teacher for value in values]

    (mean_rate, spread_rate), (mean_next, _), (_, spread_next) = rates(0.0, 0.0), rates(1.0, 0.0), rates(0.0, 1.0)
    mean = mean_rate / (mean_rate - mean_next)
    return ImageMoments(mean - targets(problem), spread_rate / (spread_rate - spread_next))


def implied_variance(problem: Problem, variance: Float[Array, ""]) -> Float[Array, ""]:
    """V computed from the stationary law at V; a fixed point gives itself back."""
    spread = image_moments(problem, variance).spread
    return unreachable(problem) + problem.alpha_2 * (problem.teacher_weights @ spread)


def unreachable(problem: Problem) -> Float[Array, ""]:
    """The part of V that no choice of the weights removes: rho (1 - alpha_1^2/alpha_2) + sigma^2."""
    return problem.rho * (1 - problem.alpha_1**2 / problem.alpha_2) + problem.sigma**2


def bounds(problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Values of V below and above every fixed point (infinite for an unbounded map).

    Below: no dithering, every weight as near its target as the range allows. Above: the most dithering there can be,
    two levels at the ends of the range around the target; with weight decay, the end farther from the target.
    """
    low, high = image_range(problem)
    inside = jnp.clip(targets(problem), low, high)
    lowest = unreachable(problem) + problem.alpha_2 * (problem.teacher_weights @ excess(problem) ** 2)
    if problem.decay is None:
        widest = problem.teacher_weights @ ((inside - low) * (high - inside))
        return lowest, lowest + problem.alpha_2 * widest
    a = targets(problem)
    return lowest, unreachable(problem) + problem.alpha_2 * (
        problem.teacher_weights @ jnp.maximum((a - low) ** 2, (a - high) ** 2)
    )


def error_terms(problem: Problem, variance: Float[Array, ""]) -> dict[str, Float[Array, ""]]:
    """The generalization error at a fixed point and the four terms it is the sum of; see `steode.fixed_points`."""
    moments = image_moments(problem, variance)
    clipping = problem.alpha_2 * (problem.teacher_weights @ excess(problem) ** 2) / 2
    bias = problem.alpha_2 * (problem.teacher_weights @ moments.offset**2) / 2
    return {
        "V": variance,
        "eps_g": (variance - problem.sigma**2) / 2,
        "input_term": problem.rho * (1 - problem.alpha_1**2 / problem.alpha_2) / 2,
        "dithering_term": problem.alpha_2 * (problem.teacher_weights @ moments.variance) / 2,
        "clipping_term": clipping,
        "decay_term": jnp.zeros(()) if problem.decay is None else bias - clipping,
    }


def density(problem: Problem, variance: Float[Array, ""], w: Float[Array, " N"]) -> Float[Array, "K N"]:
    """Stationary density mu(w | w*) under a step function, for each teacher value; NaN where there is none."""
    thresholds = problem.weight_map.thresholds
    law = cells.cell_law(problem, variance, inner_targets(problem))
    cell = jnp.searchsorted(thresholds, w, side="right")
    # the threshold at the lower end of the cell, or the first one for the lowest cell
    anchor = jnp.maximum(cell - 1, 0)
    logs = law.log_heights[anchor] + law.slopes[cell] * (w - thresholds[anchor])[:, None]
    if problem.decay is not None:
        logs = logs - cells.curvature(problem, variance) * ((w**2 - thresholds[anchor] ** 2) / 2)[:, None]
    return jnp.where(is_confined(problem)[:, None], jnp.exp(logs).T, jnp.nan)
