"""Entrywise maps of the simulation, deterministic and random: images, and means and variances given the argument.

A random map acts on vectors (..., n) with standard normal numbers (..., count(n)) that the engine addresses: one number
an entry, one a vector, or none. The mean and variance maps serve to measure errors from the weights.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction
from steode.parts.stochastic import AdditiveNoise, CommonFactor, StochasticMap, StochasticRounding
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, OutputSurrogate

SELECTED_LEVELS = 128
"""Up to this many levels a chain of selects is faster than a binary search (measured, one CPU core)."""


class StepMap(eqx.Module):
    """Q(w) = levels[j] for thresholds[j-1] <= w < thresholds[j]; the numbers may change without recompiling.

    NaN stays NaN.
    """

    levels: Float[Array, " n"]
    thresholds: Float[Array, " n-1"]

    def __call__(self, w):
        if self.levels.size > SELECTED_LEVELS:
            return jnp.where(jnp.isnan(w), jnp.nan, self.levels[self._cell(w)])
        # 0 w is zero, but for NaN, which no comparison below replaces: it costs nothing that can be measured
        image = self.levels[0] + 0 * w
        for j in range(self.thresholds.size):
            image = jnp.where(w >= self.thresholds[j], self.levels[j + 1], image)
        return image

    def fractions(self, w: Float[Array, " d"]) -> Float[Array, " n"]:
        """Fraction of the entries of w at each level."""
        counts = jnp.bincount(self._cell(w), length=self.levels.size)
        return counts / jnp.asarray(w.size, w.dtype)

    def _cell(self, w):
        return jnp.searchsorted(self.thresholds, w, side="right")


class SmoothMap(eqx.Module):
    """Q(w) = function(w), or w itself without a function."""

    function: Callable | None = eqx.field(static=True, default=None)

    def __call__(self, w):
        return w if self.function is None else self.function(w)


class Deterministic(eqx.Module):
    """Q(u) = image(u)."""

    image: StepMap | SmoothMap

    def count(self, size: int) -> int:
        """Normal numbers for a vector of `size` entries."""
        return 0

    def __call__(self, u, numbers):
        return self.image(u)

    def mean(self, u):
        """E[Q(u)]."""
        return self.image(u)

    def variance(self, u):
        """Var Q(u), entry by entry."""
        return jnp.zeros_like(u)


class Additive(eqx.Module):
    """Q(u) = u + std n."""

    std: Float[Array, ""]

    def count(self, size: int) -> int:
        return size

    def __call__(self, u, numbers):
        return u + self.std * numbers

    def mean(self, u):
        return u

    def variance(self, u):
        return jnp.full_like(u, 1) * self.std**2


class Multiplicative(eqx.Module):
    """Q(u) = (1 + std n) u, with a number n for each entry, or one for the whole vector."""

    std: Float[Array, ""]
    common: bool = eqx.field(static=True)

    def count(self, size: int) -> int:
        return 1 if self.common else size

    def __call__(self, u, numbers):
        return u * (1 + self.std * numbers)

    def mean(self, u):
        return u

    def variance(self, u):
        return (self.std * u) ** 2


class Rounding(eqx.Module):
    """The upper of the two neighboring levels where Phi(n) <= (u - low)/(high - low), else the lower.

    Phi(n) is uniform on (0, 1); it may round to 1, so that equality has to give the upper level.
    """

    levels: Float[Array, " n"]

    def count(self, size: int) -> int:
        return size

    def __call__(self, u, numbers):
        low, high, inside = self._neighbors(u)
        return jnp.where(ndtr(numbers) <= (inside - low) / (high - low), high, low)

    def mean(self, u):
        return jnp.clip(u, self.levels[0], self.levels[-1])

    def variance(self, u):
        low, high, inside = self._neighbors(u)
        return (inside - low) * (high - inside)

    def _neighbors(self, u):
        inside = self.mean(u)
        inner = self.levels[1:-1]
        if inner.size > SELECTED_LEVELS:
            lower = jnp.searchsorted(inner, inside, side="right")
            return jnp.where(jnp.isnan(u), jnp.nan, self.levels[lower]), self.levels[lower + 1], inside
        # clipped to the range, no entry is infinite; NaN stays NaN in the lower level, and so in the draw
        low, high = self.levels[0] + 0 * inside, self.levels[1] + 0 * inside
        for j in range(inner.size):
            above = inside >= inner[j]
            low, high = jnp.where(above, inner[j], low), jnp.where(above, self.levels[j + 2], high)
        return low, high, inside


RandomMap = Deterministic | Additive | Multiplicative | Rounding


class Slope(eqx.Module):
    """Surrogate derivative of the output's map: a function, or 1 within a band, or 1."""

    band: Float[Array, " 2"] | None = None
    function: Callable | None = eqx.field(static=True, default=None)

    def __call__(self, h):
        if self.function is not None:
            return jnp.broadcast_to(jnp.asarray(self.function(h), h.dtype), h.shape)
        if self.band is None:
            return jnp.ones_like(h)
        return ((h > self.band[0]) & (h < self.band[1])).astype(h.dtype)


@dataclasses.dataclass(frozen=True)
class _Expression:
    """What `compile_map` needs of an `Elementwise` map, for a derivative, which may jump."""

    expression: object
    variable: object


def device_map(quantizer: EntrywiseMap, dtype, compile_map) -> StepMap | SmoothMap:
    """A deterministic map as JAX applies it."""
    if isinstance(quantizer, StepFunction):
        return StepMap(jnp.asarray(quantizer.levels, dtype), jnp.asarray(quantizer.thresholds, dtype))
    return SmoothMap(None if isinstance(quantizer, Identity) else compile_map(quantizer))


def random_map(quantizer: EntrywiseMap, dtype, compile_map: Callable) -> RandomMap:
    """The map with its numbers in arrays of `dtype`."""
    if not isinstance(quantizer, StochasticMap):
        return Deterministic(device_map(quantizer, dtype, compile_map))
    if isinstance(quantizer, StochasticRounding):
        return Rounding(jnp.asarray(quantizer.grid.levels, dtype))
    std = jnp.asarray(quantizer.noise_variance**0.5, dtype)
    if isinstance(quantizer, AdditiveNoise):
        return Additive(std)
    return Multiplicative(std, isinstance(quantizer, CommonFactor))


def output_slope(surrogate: OutputSurrogate, dtype, compile_map: Callable) -> Slope:
    """The surrogate derivative with its numbers in arrays of `dtype`."""
    if isinstance(surrogate, ClippedSurrogate):
        return Slope(band=jnp.asarray(surrogate.band, dtype))
    if isinstance(surrogate, DerivativeOf):
        return Slope(function=smooth_slope(surrogate, compile_map))
    return Slope()


def smooth_slope(surrogate: DerivativeOf, compile_map: Callable) -> Callable:
    """The derivative of a proxy as a function."""
    return compile_map(_Expression(surrogate.derivative, surrogate.proxy.variable))
