"""The rates of exponential fitting: the two-point problem with constant drift, solved exactly."""

import jax.numpy as jnp
from jaxtyping import Array, Float

SMALL = 0.1
"""Below, a series of five terms is exact to rounding; above, one exponential loses one digit at most."""


def fitted_rates(peclet: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """B(-x) and B(x), B(x) = x/(e^x - 1), at cell Peclet numbers x: rates with and against the drift.

    B(-x) = B(x) + x; taken from |x|, neither value is a difference, and one exponential gives both.
    """
    # not jnp.abs, whose derivative at 0, where a target is on a level, is 0
    size = jnp.where(peclet > 0, peclet, -peclet)
    small = _bernoulli(size)
    return jnp.where(peclet > 0, small + size, small), jnp.where(peclet > 0, small, small + size)


def _bernoulli(x):
    """x/(e^x - 1) for x >= 0, to rounding, smooth at 0 and safe to differentiate."""
    small = x < SMALL
    safe = jnp.where(small, 1.0, x)
    fall = jnp.exp(-safe)
    y = jnp.where(small, x, 0.0) ** 2
    series = 1 - x / 2 + y / 12 * (1 - y / 60 * (1 - y / 42 * (1 - y / 40 * (1 - y * 10 / 396))))
    return jnp.where(small, jnp.where(small, series, 0.0), safe * fall / (1 - fall))
