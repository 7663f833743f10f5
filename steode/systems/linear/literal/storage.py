"""Latent weights that are stored in a format of few bits: rounded after every step, all else in full precision."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float, PyTree

from steode.systems.linear.literal.around import Around

SIGNIFICANT = {"bfloat16": 8, "float16": 11}
"""Format -> binary digits of a number in it, the leading one included."""
ROUNDINGS = ("nearest", "stochastic")


class StoredSystem(Around):
    """A `LinearSystem` whose weights are rounded after every step."""

    digits: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True)

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step: those of the system, and one a weight for stochastic rounding."""
        return self.system.normals + (self.dim if self.stochastic else 0)

    def sample(self, teacher, normals) -> tuple:
        """As `LinearSystem.sample`, with the numbers that decide how weights are rounded."""
        own, rest = jnp.split(normals, [self.system.normals], axis=1)
        return self.system.sample(teacher, own), rest

    def begin(self, weights: Float[Array, "... d"]) -> PyTree:
        """The state of a run that starts at these weights, rounded to the nearest number of the format."""
        return self.system.begin(self._nearest(weights))

    def step(self, teacher, state: PyTree, sample, index) -> tuple[PyTree, Array]:
        """The state after step `index`, and a number that is finite as long as all is well."""
        own, numbers = sample
        following, health = self.system.step(teacher, state, own, index)
        weights = self.system.weights(following)
        stored = self._drawn(weights, numbers) if self.stochastic else self._nearest(weights)
        return self.system.with_weights(following, stored), health

    def held_out(self, teacher, state, normals) -> dict[str, Array]:
        """As `LinearSystem.held_out`."""
        return self.system.held_out(teacher, state, normals[:, : self.system.normals])

    def _nearest(self, weights):
        # exponents stay those of single precision: weights are of order one
        return jax.lax.reduce_precision(jnp.asarray(weights), exponent_bits=8, mantissa_bits=self.digits - 1)

    def _drawn(self, weights, numbers: Float[Array, " d"]):
        """One of the two neighbors, with probabilities that keep the mean."""
        _, exponents = jnp.frexp(weights)
        unit = jnp.ldexp(jnp.ones_like(weights), exponents - self.digits)
        return jnp.floor(weights / unit + ndtr(numbers)) * unit
