r"""Cell masses of the stationary law under a step function: exponentials, or truncated Gaussians with a pull.

The log-density is continuous, with slope s and curvature -c that are constant in each cell (c = 0 without weight decay
and dampening), so every mass is an integral of exp(s u - c u^2/2) over an interval or a half-line. With the Mills ratio

    R(b, c) = int_0^oo exp(-b u - c u^2/2) du = sqrt(pi/(2c)) erfcx(b/sqrt(2c)),   R(b, 0) = 1/b,

an integral over [0, h] that falls from its left end is R(b, c) - exp(-b h - c h^2/2) R(b + c h, c).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, erfc
from jaxtyping import Array, Float

from steode.solvers.equations import Problem

FAR = 20.0
"""Argument beyond which erfcx is evaluated by its asymptotic series, whose eighth term is below 1e-17 there."""
UNROLLED = 15
FLAT = 0.01
"""Exponent of a cell below which a series is used; its next term is below 1e-15 there."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)


class CellLaw(eqx.Module):
    """Stationary law of one weight for each teacher value, cell by cell; the teacher values are the last axis.

    Attributes
    ----------
    probabilities : of the cells, shape (n, K).
    log_heights : log-density at the thresholds, shape (n-1, K).
    slopes : slope of the log-density that each cell's branch has, or would have, at w = 0, shape (n, K).
    """

    probabilities: Float[Array, "n K"]
    log_heights: Float[Array, "n-1 K"]
    slopes: Float[Array, "n K"]


def cell_law(problem: Problem, variance, a: Float[Array, " K"]) -> CellLaw:
    """The law at residual variance V for targets `a`, each of which needs a stationary law."""
    levels, thresholds = problem.weight_map.levels, problem.weight_map.thresholds
    alpha_2 = problem.alpha_2[None, :] if jnp.ndim(problem.alpha_2) else problem.alpha_2
    slopes = problem.equations.log_slope(*problem.training, alpha_2, variance, a[None, :], levels[:, None], 0.0)
    if not problem.is_pulled:
        masses, heights = _exponential(slopes, jnp.diff(thresholds)[:, None])
        total = jnp.sum(masses, axis=0, keepdims=True)
        return CellLaw(masses / total, heights - jnp.log(total), slopes)
    stiffness = curvature(problem, variance)
    logs, heights = _gaussian(slopes, stiffness[None, :] if jnp.ndim(stiffness) else stiffness, thresholds[:, None])
    total = jax.scipy.special.logsumexp(logs, axis=0, keepdims=True)
    return CellLaw(jnp.exp(logs - total), heights - total, slopes)


def curvature(problem: Problem, variance) -> Float[Array, "..."]:
    """Minus the second derivative of the log-density inside a cell; one for each row where there is a spectrum."""
    arguments = (*problem.training, problem.alpha_2, variance, 0.0, 0.0)
    return problem.equations.log_slope(*arguments, 0.0) - problem.equations.log_slope(*arguments, 1.0)


def _exponential(slopes, widths):
    """Masses of the cells and log-density at the thresholds, relative to the highest threshold."""
    rises = slopes[1:-1] * widths
    heights = _heights(rises)
    values = jnp.exp(heights)
    lower, upper, x = jnp.minimum(values[:-1], values[1:]), jnp.maximum(values[:-1], values[1:]), jnp.abs(rises)
    # (1 - e^-x)/x by its series where the difference would cancel
    flat = x < FLAT
    series = upper * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))))
    inner = widths * jnp.where(flat, series, (upper - lower) / jnp.where(flat, 1.0, x))
    return jnp.concatenate([values[:1] / slopes[:1], inner, -values[-1:] / slopes[-1:]]), heights


def _gaussian(slopes, c, thresholds):
    widths = jnp.diff(thresholds, axis=0)
    starts = slopes[1:-1] - c * thresholds[:-1]
    rises = starts * widths - c * widths**2 / 2
    heights = _heights(rises)
    inner = _log_interval(starts, c, widths, heights[:-1], heights[1:])
    lowest = heights[:1] + _log_half_line(-(slopes[:1] - c * thresholds[:1]), c)
    highest = heights[-1:] + _log_half_line(slopes[-1:] - c * thresholds[-1:], c)
    return jnp.concatenate([lowest, inner, highest]), heights


def _heights(rises):
    """Log-density at the thresholds relative to the highest of them, from its rises between them.

    The rises are positive up to the peak and negative beyond it; summed away from it, small ones are not lost in the
    rounding of large ones.
    """
    count = rises.shape[0]
    if count > UNROLLED:
        edge = jnp.zeros((1, rises.shape[1]))
        below = jnp.cumsum(jnp.maximum(rises, 0)[::-1], axis=0)[::-1]
        above = jnp.cumsum(jnp.minimum(rises, 0), axis=0)
        return jnp.concatenate([edge, above]) - jnp.concatenate([below, edge])
    # few rows: plain sums, which the compiler fuses with what surrounds them
    rows = [jnp.zeros(rises.shape[1])]
    for j in range(count):
        rows.append(rows[j] + jnp.minimum(rises[j], 0))
    below = jnp.zeros(rises.shape[1])
    for j in reversed(range(count)):
        below = below + jnp.maximum(rises[j], 0)
        rows[j] = rows[j] - below
    return jnp.stack(rows)


def _log_half_line(slope, c):
    """log int_0^oo exp(slope u - c u^2/2) du, c > 0."""
    rising = slope > 0
    up = jnp.where(rising, slope, 1.0)
    peak = up**2 / (2 * c) + jnp.log(jnp.sqrt(np.pi / (2 * c)) * (1 + erf(up / jnp.sqrt(2 * c))))
    falling = jnp.log(_mills(jnp.where(rising, 0.0, -slope), c))
    return jnp.where(rising, peak, falling)


def _log_interval(slope, c, width, left, right):
    """log int_0^width exp(slope u - c u^2/2) du, c > 0, where the log-density is `left` at 0 and `right` at width.

    Only the larger of the two is used: the other one differs from it by a number that may be huge.
    """
    end = slope - c * width
    peaked = (slope > 0) & (end < 0)
    # from the higher end downwards, where the density has no peak inside
    from_right = slope + end > 0
    fall = jnp.where(peaked, 0.0, jnp.where(from_right, end, -slope))
    one_sided = jnp.log(_falling(fall, c, width))
    rise, drop = jnp.where(peaked, slope, 0.0), jnp.where(peaked, -end, 0.0)
    root = jnp.sqrt(2 * c)
    halves = jnp.where(peaked, erf(rise / root) + erf(drop / root), 1.0)
    two_sided = jnp.where(from_right, drop, rise) ** 2 / (2 * c) + jnp.log(halves * jnp.sqrt(np.pi / (2 * c)))
    return jnp.where(from_right, right, left) + jnp.where(peaked, two_sided, one_sided)


def _falling(b, c, width):
    """int_0^width exp(-b u - c u^2/2) du for b >= 0; nearly flat intervals by Gauss-Legendre, without cancellation."""
    exponent = b * width + c * width**2 / 2
    nearly_flat = exponent < 1.0
    # exponents of steep intervals, which the rule is not for, are set to zero
    parts = [jnp.where(nearly_flat, b * u + c * u**2 / 2, 0.0) for u in (width * (x + 1) / 2 for x in NODES)]
    by_rule = width * sum(weight / 2 * jnp.exp(-part) for weight, part in zip(WEIGHTS, parts, strict=True))
    difference = _mills(b, c) - jnp.exp(-exponent) * _mills(b + c * width, c)
    return jnp.where(nearly_flat, by_rule, jnp.where(nearly_flat, 1.0, difference))


def _mills(b, c):
    x = b / jnp.sqrt(2 * c)
    far = x > FAR
    near = jnp.where(far, 0.0, x)
    scaled = jnp.sqrt(np.pi / (2 * c)) * jnp.exp(near**2) * erfc(near)
    safe = jnp.where(far, b, 1.0)
    y = jnp.where(far, c / safe**2, 0.0)
    term, series = 1.0, 1.0
    for n in range(1, 8):
        term = -(2 * n - 1) * y * term
        series = series + term
    return jnp.where(far, series / safe, scaled)
