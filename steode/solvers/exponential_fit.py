"""The rates of exponential fitting: the two-point problem with constant drift, solved exactly."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def fitted_rates(peclet: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """B(-x) and B(x), B(x) = x/(e^x - 1), at cell Peclet numbers x: rates with and against the drift.

    B(-x) = B(x) + x; taken from |x|, neither value is a difference, and one exponential gives both.
    """
    # not jnp.abs, whose derivative at 0, where a target is on a level, is 0
    size = jnp.where(peclet > 0, peclet, -peclet)
    small = _bernoulli(size)
    return jnp.where(peclet > 0, small + size, small), jnp.where(peclet > 0, small, small + size)


def _bernoulli(x):
    """x/(e^x - 1), smooth through 0 and safe to differentiate."""
    small = jnp.abs(x) < 1e-3
    safe = jnp.where(small, 1.0, x)
    series = 1 - x / 2 + x**2 / 12 - x**4 / 720
    return jnp.where(small, jnp.where(small, series, 0.0), safe / jnp.expm1(safe))
