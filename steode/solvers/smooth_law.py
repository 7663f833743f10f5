r"""The stationary law of a latent weight under a smooth nondecreasing map, by one-dimensional quadrature.

The potential U, U' = Q(w) - a + kappa w/alpha_2, is convex with its minimum at w_0. On each side of w_0 lengths are
measured in the distance S at which the density has fallen by about a factor e; by convexity it is below exp(-v) at
v S, v > 1. Gauss-Legendre panels in v, with U integrated on the same nodes, are then accurate for every temperature.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.equations import Problem, rows
from steode.solvers.random_maps import RoundingMap

EDGES = np.concatenate([[0.0], np.geomspace(0.125, 40.0, 24)])
"""Ends of the panels in units of S; exp(-40) is what is left out."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)
SCALES = 2.0 ** np.arange(-45, 46)
"""Candidates for S and for the distance of w_0 from zero."""
BISECTIONS = 70
POINTS = SCALES.size * NODES.size
"""Values of the map in one look for S: the most that are held at once for each target."""
STEEPEST = 1e250
"""Slopes of the log-density beyond it count as this one, for infinity times zero is not a number."""


def _antiderivative_rule() -> np.ndarray:
    """Matrix from values at the Gauss nodes of [-1, 1] to integrals from -1 to each node."""
    legendre = np.polynomial.legendre
    coefficients = np.linalg.inv(legendre.legvander(NODES, NODES.size - 1))
    return legendre.legvander(NODES, NODES.size) @ legendre.legint(coefficients, lbnd=-1, axis=0)


ANTIDERIVATIVE = _antiderivative_rule()


def law(problem: Problem, variance, a: Float[Array, " K"]) -> tuple[Array, Array]:
    """Points w (K, N) and probabilities (K, N) of the stationary law for targets a, each with a stationary law."""
    points, weights = _both_sides(problem, variance, a, _minimum(problem, a))
    return points, weights / jnp.sum(weights, axis=1, keepdims=True)


def density(problem: Problem, variance, a: Float[Array, " K"], w: Float[Array, " N"]) -> Float[Array, "K N"]:
    """The stationary density at points w, for targets a."""
    w0 = _minimum(problem, a)
    low, high = jnp.minimum(w0[:, None], w[None, :]), jnp.maximum(w0[:, None], w[None, :])
    # between the limits of stochastic rounding and beyond them the slope is linear
    inner = [jnp.clip(end, low, high) for end in _corners(problem)]
    cuts = jnp.stack([low, *inner, high], axis=-1)
    widths, shares = jnp.diff(cuts, axis=-1)[..., None], (EDGES / EDGES[-1])[None, None, None, :]
    halves = widths * np.diff(shares) / 2
    middles = cuts[..., :-1, None] + widths * (shares[..., 1:] + shares[..., :-1]) / 2
    points = middles[..., None] + halves[..., None] * NODES[None, None, None, None, :]
    slopes = _slope(problem, variance, a[:, None, None, None, None], points)
    rises = jnp.sum((slopes @ WEIGHTS) * halves, axis=(-1, -2)) * jnp.where(w[None, :] >= w0[:, None], 1.0, -1.0)
    total = jnp.sum(_both_sides(problem, variance, a, w0)[1], axis=1, keepdims=True)
    return jnp.exp(rises) / total


def _corners(problem: Problem) -> list:
    return list(problem.weight_map.limits) if isinstance(problem.weight_map, RoundingMap) else []


def _both_sides(problem: Problem, variance, a, w0):
    """Points, and weights relative to the density at w_0."""
    sides = [_side(problem, variance, a, w0, sign) for sign in (-1.0, 1.0)]
    return tuple(jnp.concatenate(parts, axis=1) for parts in zip(*sides, strict=True))


def _slope(problem: Problem, variance, a, w):
    """Slope of the log-density; `a` broadcasts against w."""
    alpha_2 = rows(problem.alpha_2, jnp.ndim(w))
    return problem.equations.log_slope(*problem.training, alpha_2, variance, a, problem.weight_map(w), w)


def _minimum(problem: Problem, a):
    """w_0 by bisection: the slope of the log-density changes from positive to negative there."""
    reach = np.concatenate([-SCALES[::-1], [0.0], SCALES])
    rising = _slope(problem, 1.0, a[:, None], jnp.asarray(reach)[None, :]) > 0
    index = jnp.clip(jnp.sum(rising, axis=1), 1, reach.size - 1)
    low, high = jnp.asarray(reach)[index - 1], jnp.asarray(reach)[index]

    def halve(_, ends):
        middle = (ends[0] + ends[1]) / 2
        rises = _slope(problem, 1.0, a, middle) > 0
        return jnp.where(rises, middle, ends[0]), jnp.where(rises, ends[1], middle)

    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (low, high))
    return (low + high) / 2


def _side(problem: Problem, variance, a, w0, sign: float):
    def fall(u):
        """Minus the log-slope at distance u (K, ...) from w_0, outwards."""
        shape = (-1,) + (1,) * (u.ndim - 1)
        return -sign * _slope(problem, variance, a.reshape(shape), w0.reshape(shape) + sign * u)

    halves = np.diff(SCALES, prepend=0.0) / 2
    centers = SCALES - halves
    ladder = centers[:, None] + halves[:, None] * NODES
    drops = (fall(jnp.broadcast_to(jnp.asarray(ladder)[None], (a.size, *ladder.shape))) @ WEIGHTS) * halves[None, :]
    scale = jnp.asarray(SCALES)[jnp.argmax(jnp.cumsum(drops, axis=1) >= 1.0, axis=1)]
    halves = np.diff(EDGES) / 2
    v = (EDGES[:-1] + halves)[:, None] + halves[:, None] * NODES
    u = scale[:, None, None] * jnp.asarray(v)[None]
    falls = jnp.minimum(fall(u), STEEPEST) * scale[:, None, None] * halves[None, :, None]
    totals = falls @ WEIGHTS
    before = jnp.concatenate([jnp.zeros((a.size, 1)), jnp.cumsum(totals, axis=1)[:, :-1]], axis=1)
    # the density only falls: what the rule says of a map that grows by many orders inside a panel must not raise it
    inside = jnp.clip(falls @ ANTIDERIVATIVE.T, 0, totals[:, :, None])
    weights = jnp.exp(-before[:, :, None] - inside) * scale[:, None, None] * (halves[:, None] * WEIGHTS)[None]
    # nothing is asked of a map where there is no weight: it may have overflowed
    points = w0[:, None, None] + jnp.where(weights > 0, sign * u, 0.0)
    return points.reshape(a.size, -1), weights.reshape(a.size, -1)
