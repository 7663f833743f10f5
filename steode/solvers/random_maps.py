"""Random entrywise maps as JAX objects: the limit sees E[Q(w)] and E[Q(w)^2] at each w, and Gaussian averages of both.

These are the numerical ends of the same named averages as those of the deterministic maps.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.entrywise import Map
from steode.solvers.libraries import erfc, library

ENDS = np.array([0, -1])


class NoisyMap(Map):
    """E[Q(w)] = w and Var Q(w) = added + factor w^2."""

    added: Float[Array, ""]
    factor: Float[Array, ""]

    def __call__(self, w):
        return w

    def square(self, w):
        return (1 + self.factor) * w**2 + self.added

    def gaussian_mean(self, mean, variance):
        return mean + 0 * variance

    def gaussian_square(self, mean, variance):
        return (1 + self.factor) * (mean**2 + variance) + self.added

    def gaussian_slope(self, mean, variance):
        return 1 + 0 * (mean + variance)


class RoundingMap(Map):
    """Stochastic rounding to increasing levels: E[Q(w)] is w clipped to their range.

    E[Q(w)^2] = w (low + high) - low high between two levels: it interpolates their squares linearly.
    """

    levels: Float[Array, " n"]

    @property
    def breaks(self):
        return self.levels

    @property
    def limits(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The outermost levels."""
        return self.levels[0], self.levels[-1]

    def __call__(self, w):
        return library(w, self.levels).clip(w, self.levels[0], self.levels[-1])

    def square(self, w):
        w = self(w)
        np_or_jnp = library(w)
        levels = np_or_jnp.asarray(self.levels)
        upper = np_or_jnp.clip(np_or_jnp.searchsorted(levels, w, side="right"), 1, levels.size - 1)
        low, high = levels[upper - 1], levels[upper]
        return w * (low + high) - low * high

    def chances(self, w: Float[Array, "..."]) -> Float[Array, "... n"]:
        """Probability that each level is drawn: hat functions of w that sum to 1."""
        w, levels = self(w)[..., None], jnp.reshape(self.levels, (1,) * jnp.ndim(w) + (-1,))
        rises = jnp.clip((w - levels[..., :-1]) / jnp.diff(levels), 0.0, 1.0)
        edge = jnp.ones((*rises.shape[:-1], 1))
        return jnp.concatenate([edge, rises], axis=-1) - jnp.concatenate([rises, 0 * edge], axis=-1)

    def gaussian_mean(self, mean, variance):
        return self._interpolant(self.levels[ENDS], self.levels[0], np.ones(1), mean, variance)

    def gaussian_square(self, mean, variance):
        slopes = self.levels[1:] + self.levels[:-1]
        return self._interpolant(self.levels, self.levels[0] ** 2, slopes, mean, variance)

    def gaussian_slope(self, mean, variance):
        mean, variance = self._broadcast(mean, variance)
        above = erfc(_standardized(self.levels[ENDS], mean, variance) / np.sqrt(2.0)) / 2
        return above[..., 0] - above[..., 1]

    def _interpolant(self, knots, start, slopes, mean, variance):
        """E of the continuous function that is `start` below the knots and has these slopes between them."""
        mean, variance = self._broadcast(mean, variance)
        np_or_jnp = library(mean)
        u = _standardized(knots, mean, variance)
        tail = erfc(u / np.sqrt(2.0)) / 2
        density = np_or_jnp.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
        # E (w - T)_+ at each knot; the last slope ends at the last knot
        excess = np_or_jnp.sqrt(variance)[..., None] * (density - u * tail)
        changes = library(slopes).diff(slopes, prepend=0.0, append=0.0)
        return start + excess @ changes

    def _broadcast(self, mean, variance):
        np_or_jnp = library(mean, variance, self.levels)
        return np_or_jnp.broadcast_arrays(np_or_jnp.asarray(mean, self.levels.dtype), variance)


def _standardized(points, mean, variance):
    return (points.reshape((1,) * mean.ndim + (-1,)) - mean[..., None]) / library(variance).sqrt(variance)[..., None]
