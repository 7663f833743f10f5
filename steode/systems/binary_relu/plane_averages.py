"""Gaussian averages of any surrogate derivative over one row of the input, by quadrature.

With x along w and y across it, towards w*, and mu' evaluated at R x:

    G_0 = E[x mu'],    G_1 = E[x mu' 1{x > 0}],    G_e = E[x mu' Phi(x cot(theta))],
    G_p = sin(theta) E[mu'(R sin(theta) t)]/sqrt(2 pi),    t standard Gaussian.

The first three are integrals over x after the one over y; the last is by parts across w. Derived here.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
# geometric towards 0, where the teacher's gate has a layer as thin as tan(theta)
EDGES = np.concatenate([[0.0], np.geomspace(1e-8, 0.1, 8), [0.4, 1.0, 1.8, 2.8, 4.0, 5.5, 7.5, 10.0]])


def plane_averages(
    derivative: Callable, kinks: tuple[float, ...], R: Float[Array, ""], theta: Float[Array, ""]
) -> tuple[Float[Array, ""], ...]:
    """G_0, G_1, G_e and G_p at one length R > 0 and one angle in [0, pi].

    `derivative` is mu', vectorized; panels of 16 Gauss-Legendre nodes end at its `kinks`, so that a mu' that is smooth
    between them is integrated to rounding. Differentiable in R and theta.
    """
    x, weights = _half_line(kinks, R)
    up, down = derivative(R * x), derivative(-R * x)
    share = ndtr(x * (jnp.cos(theta) / jnp.maximum(jnp.sin(theta), 1e-300)))
    on, off = jnp.sum(weights * x * up), -jnp.sum(weights * x * down)
    along = jnp.sum(weights * x * (up * share - down * (1 - share)))
    spread = R * jnp.sin(theta)
    t, weights = _half_line(kinks, spread)
    mean = jnp.sum(weights * (derivative(spread * t) + derivative(-spread * t)))
    return on + off, on, along, jnp.sin(theta) * mean / np.sqrt(2 * np.pi)


def _half_line(kinks: tuple[float, ...], scale) -> tuple[Array, Array]:
    """Nodes on x > 0 and weights with the Gaussian density, with panels ending where scale x or -scale x is a kink."""
    bends = [jnp.clip(abs(kink) / jnp.maximum(scale, 1e-300), 0, EDGES[-1]) for kink in kinks if kink != 0]
    edges = jnp.sort(jnp.concatenate([jnp.asarray(EDGES), jnp.stack(bends)])) if bends else jnp.asarray(EDGES)
    half, middle = jnp.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    x = jnp.ravel(middle + half * NODES[None, :])
    weights = jnp.ravel(half * WEIGHTS[None, :])
    return x, weights * jnp.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
