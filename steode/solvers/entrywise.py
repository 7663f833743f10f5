"""Deterministic entrywise maps as JAX objects, with the Gaussian averages the limit needs.

These are the numerical ends of the named averages in `steode.symbolic.averages`; a test holds the two together.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.libraries import erfc, library

QUADRATURE_NODES = np.linspace(-9.0, 9.0, 2001)
QUADRATURE_WEIGHTS = np.exp(-(QUADRATURE_NODES**2) / 2) / np.exp(-(QUADRATURE_NODES**2) / 2).sum()
"""Trapezoidal rule for a standard Gaussian: spectrally accurate for smooth maps; 1e-5 of the change of slope at
kinks.
"""


class Map(eqx.Module):
    """An entrywise map; all methods broadcast over arrays."""

    @abc.abstractmethod
    def __call__(self, w: Float[Array, "..."]) -> Float[Array, "..."]:
        """Q(w), or its mean where Q is drawn at random."""

    @property
    def breaks(self) -> Float[Array, " n"]:
        """Where the map or its square is not smooth, increasing: nodes of every mesh."""
        return np.zeros(0)

    def square(self, w: Float[Array, "..."]) -> Float[Array, "..."]:
        """E[Q(w)^2] at this w: the square itself, unless Q is drawn at random."""
        return self(w) ** 2

    @abc.abstractmethod
    def gaussian_mean(self, mean: Float[Array, "..."], variance: Float[Array, "..."]) -> Float[Array, "..."]:
        """E[Q(w)], w ~ N(mean, variance)."""

    @abc.abstractmethod
    def gaussian_square(self, mean: Float[Array, "..."], variance: Float[Array, "..."]) -> Float[Array, "..."]:
        """E[Q(w)^2], w ~ N(mean, variance)."""

    @abc.abstractmethod
    def gaussian_slope(self, mean: Float[Array, "..."], variance: Float[Array, "..."]) -> Float[Array, "..."]:
        """E[Q'(w)], w ~ N(mean, variance)."""


class IdentityMap(Map):
    """Q(w) = w."""

    def __call__(self, w):
        return w

    def gaussian_mean(self, mean, variance):
        return mean + 0 * variance

    def gaussian_square(self, mean, variance):
        return mean**2 + variance

    def gaussian_slope(self, mean, variance):
        return 1 + 0 * (mean + variance)


class StepMap(Map):
    """Q(w) = levels[j] for thresholds[j-1] <= w < thresholds[j]."""

    levels: Float[Array, " n"]
    thresholds: Float[Array, " n-1"]

    def __call__(self, w):
        np_or_jnp = library(w, self.levels)
        cell = np_or_jnp.searchsorted(self.thresholds, w, side="right")
        return np_or_jnp.where(np_or_jnp.isnan(w), np.nan, np_or_jnp.asarray(self.levels)[cell])

    @property
    def breaks(self):
        return self.thresholds

    def _standardized(self, mean, variance):
        roots = library(variance).sqrt(variance)
        return (_last_axis(self.thresholds, mean.ndim) - mean[..., None]) / roots[..., None]

    def _mean_of_step(self, values, mean, variance):
        mean, variance = self._broadcast(mean, variance)
        tails = erfc(self._standardized(mean, variance) / np.sqrt(2.0)) / 2
        return values[0] + tails @ library(values).diff(values)

    def _broadcast(self, mean, variance):
        np_or_jnp = library(mean, variance, self.levels)
        return np_or_jnp.broadcast_arrays(np_or_jnp.asarray(mean, self.levels.dtype), variance)

    def gaussian_mean(self, mean, variance):
        return self._mean_of_step(self.levels, mean, variance)

    def gaussian_square(self, mean, variance):
        return self._mean_of_step(self.levels**2, mean, variance)

    def gaussian_slope(self, mean, variance):
        mean, variance = self._broadcast(mean, variance)
        np_or_jnp = library(mean)
        heights = np_or_jnp.exp(-(self._standardized(mean, variance) ** 2) / 2)
        return heights / np_or_jnp.sqrt(2 * np.pi * variance)[..., None] @ np_or_jnp.diff(self.levels)


class SmoothMap(Map):
    """A continuous elementwise function with its limits at minus and plus infinity (NaN where there is none).

    Gaussian averages are by quadrature, the mean slope by Stein's lemma.
    """

    function: Callable = eqx.field(static=True)
    limits: tuple[float, float] = eqx.field(static=True)

    def __call__(self, w):
        return self.function(w)

    def _average(self, function, mean, variance):
        mean, variance = jnp.broadcast_arrays(jnp.asarray(mean, jnp.result_type(float)), variance)
        points = mean[..., None] + jnp.sqrt(variance)[..., None] * _last_axis(QUADRATURE_NODES, mean.ndim)
        return function(points) @ jnp.asarray(QUADRATURE_WEIGHTS)

    def gaussian_mean(self, mean, variance):
        return self._average(self.function, mean, variance)

    def gaussian_square(self, mean, variance):
        return self._average(lambda w: self.function(w) ** 2, mean, variance)

    def gaussian_slope(self, mean, variance):
        # E[Q'] = E[(w - M) Q]/S needs no derivative, which would jump at a kink
        mean, variance = jnp.broadcast_arrays(jnp.asarray(mean, jnp.result_type(float)), variance)
        scale = jnp.sqrt(variance)
        points = mean[..., None] + scale[..., None] * _last_axis(QUADRATURE_NODES, mean.ndim)
        centered = self.function(points) - self.function(mean)[..., None]
        return centered @ jnp.asarray(QUADRATURE_WEIGHTS * QUADRATURE_NODES) / scale


def _last_axis(values, leading: int):
    """`values` as the last of `leading` + 1 axes, so that broadcasting is explicit."""
    return values.reshape((1,) * leading + (-1,))


def interval_images(entrywise_map: Map, nodes: Float[Array, " N"]) -> Float[Array, " N-1"]:
    """Q between neighboring nodes: exact for step maps whose thresholds are nodes, the midpoint value otherwise."""
    return entrywise_map((nodes[1:] + nodes[:-1]) / 2)


def interval_squares(entrywise_map: Map, nodes: Float[Array, " N"]) -> Float[Array, " N-1"]:
    """E[Q^2] between neighboring nodes, where `interval_images` gives E[Q]."""
    return entrywise_map.square((nodes[1:] + nodes[:-1]) / 2)
