"""Running averages of quantized and latent weights that particles carry beside their motion."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Averages(NamedTuple):
    """Of Q(w) and of w, (P,) each."""

    images: Float[Array, " P"]
    latent: Float[Array, " P"]


class Averaging(eqx.Module):
    """Plain means from `start` on until they span `memory`, in rescaled time; from then on they forget exponentially.

    dM = (x - M) dtau/min(tau - start, memory), the limit of the steps of `steode.RunningAverage`.
    """

    start: Float[Array, ""]
    memory: Float[Array, ""]

    def step(self, averages: Averages, image, w, end, dt) -> Averages:
        """The averages after a step of length dt that ends at `end`, with these values."""
        passed = jnp.maximum(end - self.start, dt)
        share = jnp.maximum(dt / passed, -jnp.expm1(-dt / self.memory))
        return Averages(*(mean + share * (value - mean) for mean, value in zip(averages, (image, w), strict=True)))
