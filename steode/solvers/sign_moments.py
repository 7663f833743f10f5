r"""What the sign of a gradient sees of the inputs: averages over B pairs of x ~ N(0, 1) and z = Q_x(x), |.| Euclidean,

    beta_2 = E|z|,    beta_1 = E[x.z/|z|],    p_0 = P(z != 0).

With M(t) = E exp(-t z^2) and N(t) = E[x z exp(-t z^2)] of one pair both are integrals over one variable,

    beta_2 = pi^{-1/2} int_0^oo (1 - M(u^2)^B) u^{-2} du,    beta_1 = 2 B pi^{-1/2} int_0^oo N(u^2) M(u^2)^{B-1} du,

since |z| = pi^{-1/2} int (1 - exp(-u^2 z^2)) u^{-2} du and 1/|z| = 2 pi^{-1/2} int exp(-u^2 z^2) du. In log u the
integrands fall off exponentially and are analytic: the trapezoidal rule is exact to rounding. Derived here.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.entrywise import IdentityMap, Map, StepMap
from steode.solvers.libraries import erfc, library
from steode.solvers.random_maps import NoisyMap, RoundingMap

STEP, REACH = 0.1, 40.0
LOG_U = np.arange(-REACH, REACH, STEP)
"""Nodes of the trapezoidal rule, in units of the size of z."""
GRADED = np.exp(np.linspace(-REACH, np.log(20.0), 6000))
"""Distances from a zero of z: z^2 enters at every scale. A kink elsewhere leaves 1e-5 of the change of slope."""
GRADED_WEIGHTS = GRADED * (np.log(20.0) + REACH) / (GRADED.size - 1)

FAR = 9.0
NEARLY_ONE = np.nextafter(1.0, 0.0)


class SignMoments(NamedTuple):
    """beta_1, beta_2 and p_0, scalars."""

    teacher: Array
    student: Array
    moving: Array


class _Pair(NamedTuple):
    """The law of (x, z) as a mixture: E[x z; j] = products[j] in part j, and z^2 or Var z there is squares[j]."""

    weights: Float[Array, " n"]
    squares: Float[Array, " n"]
    products: Float[Array, " n"]
    is_normal: bool


def sign_moments(input_map: Map, batch) -> SignMoments:
    """The averages for a map of the inputs and a batch of B samples, a positive number."""
    weights, squares, products, is_normal = _pair(input_map)
    xp = library(squares, batch)
    unit = xp.sqrt(xp.sum(weights * squares))
    u = xp.exp(LOG_U) / unit
    exponents = u[:, None] ** 2 * squares[None, :]
    if is_normal:
        # E exp(-t z^2) of a normal z, and its derivative with respect to the logarithm of the variance
        parts = (1 + 2 * exponents) ** -0.5
        moments, joint = parts @ weights, parts**3 @ products
    else:
        moments, joint = (xp.exp(-exponents) @ values for values in (weights, products))
    # 1 - M^B from 1 - M, which keeps its digits at small u
    shortfall = (-xp.expm1(-exponents) if not is_normal else 2 * exponents * parts / (1 + 1 / parts)) @ weights
    lost = -xp.expm1(batch * xp.log1p(-xp.minimum(shortfall, NEARLY_ONE)))
    # M^(B - 1), whose slope is finite where M has fallen to nothing
    others = xp.exp((batch - 1) * xp.log(xp.maximum(moments, np.finfo(float).tiny)))
    scale = STEP / np.sqrt(np.pi)
    at_rest = xp.sum(xp.where(squares == 0, weights, 0.0))
    return SignMoments(
        teacher=2 * batch * scale * xp.sum(joint * others * u),
        student=scale * xp.sum(lost / u),
        moving=1 - at_rest**batch,
    )


def _pair(input_map: Map) -> _Pair:
    if isinstance(input_map, IdentityMap):
        return _Pair(np.ones(1), np.ones(1), np.ones(1), True)
    if isinstance(input_map, NoisyMap):
        # z ~ N(0, a^2 + added) given the factor a = 1 + sqrt(factor) xi, which vanishes at one xi
        xp = library(input_map.factor)
        xi, density = _around(-1 / xp.sqrt(xp.maximum(input_map.factor, 1e-30)))
        a = 1 + xp.sqrt(input_map.factor) * xi
        return _Pair(density, a**2 + input_map.added, density * a, True)
    if isinstance(input_map, StepMap):
        inside = _cells(input_map.thresholds)
        xp = library(input_map.thresholds)
        heights = xp.exp(-(input_map.thresholds**2) / 2) / np.sqrt(2 * np.pi)
        edge = np.zeros(1)
        sums = xp.concatenate([edge, heights]) - xp.concatenate([heights, edge])  # E[x; cell]
        return _Pair(inside, input_map.levels**2, input_map.levels * sums, False)
    if isinstance(input_map, RoundingMap):
        return _rounded(input_map.levels)
    x, density = _around(0.0)
    z = input_map(jnp.asarray(x))
    return _Pair(density, z**2, density * x * z, False)


def _rounded(levels) -> _Pair:
    """A level is drawn with a chance that is a hat function of x: E of it and, by Stein's lemma, of its slope."""
    xp = library(levels)
    gaps, inside = xp.diff(levels), _cells(levels)[1:-1]
    edge, one = np.zeros(1), np.ones(1)
    slopes = xp.concatenate([edge, inside / gaps]) - xp.concatenate([inside / gaps, edge])
    tails = erfc(levels / np.sqrt(2.0)) / 2
    excess = xp.exp(-(levels**2) / 2) / np.sqrt(2 * np.pi) - levels * tails  # E(x - level)_+
    above = -xp.diff(excess) / gaps  # chance that a level or a higher one is drawn
    chances = xp.concatenate([one, above]) - xp.concatenate([above, edge])
    return _Pair(chances, levels**2, levels * slopes, False)


def _cells(thresholds):
    """Probability of each cell between thresholds under N(0, 1)."""
    tails = erfc(thresholds / np.sqrt(2.0)) / 2
    xp = library(tails)
    return xp.concatenate([np.ones(1), tails]) - xp.concatenate([tails, np.zeros(1)])


def _around(center) -> tuple[Array, Array]:
    """Nodes and weights of N(0, 1) that crowd around a point, unless it is so far out that it does not matter."""
    xp = library(center)
    crowded, shares = (np.concatenate([sign * half[::-1], half]) for sign, half in ((-1, GRADED), (1, GRADED_WEIGHTS)))
    far = xp.abs(center) > FAR
    nodes = xp.where(far, np.linspace(-FAR, FAR, crowded.size), xp.where(far, 0.0, center) + crowded)
    weights = xp.where(far, 1.0, shares) * xp.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()
