"""Laws under which a surrogate is the average of its quantizer: h_smooth(x) = E h(x + eps_bar u)."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from steode.errors import SpecificationError, check_positive


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """A law of u, zero mean and unit variance, whose average of a quantizer h of unit scale is the surrogate.

        h_smooth(x) = E h(x + eps_bar u)

    A quantizer alpha h(x/alpha) has the surrogate alpha h_smooth(x/alpha), with eps = alpha eps_bar.

    Parameters
    ----------
    surrogate : name of h_smooth.
    quantizer : name of h.
    eps_bar : standard deviation of the perturbation at unit scale, > 0.
    sample : (key, shape, dtype) -> independent draws of u.
    density : u -> its probability density.

    Raises
    ------
    SpecificationError : if `eps_bar` is not a number > 0.
    """

    surrogate: str
    quantizer: str
    eps_bar: float
    sample: Callable = dataclasses.field(repr=False)
    density: Callable = dataclasses.field(repr=False)

    def __post_init__(self):
        check_positive("eps_bar", self.eps_bar)


ROOT3, ROOT6 = math.sqrt(3), math.sqrt(6)


def _uniform(key, shape, dtype):
    return jax.random.uniform(key, shape, dtype, -ROOT3, ROOT3)


def _uniform_density(u):
    return jnp.where(jnp.abs(u) <= ROOT3, 0.5 / ROOT3, 0.0)


def _logistic(key, shape, dtype):
    return ROOT3 / math.pi * jax.random.logistic(key, shape, dtype)


def _logistic_density(u):
    eps_bar = math.pi / math.sqrt(12)
    return eps_bar / 2 * (1 - jnp.tanh(eps_bar * u) ** 2)


def _triangular(key, shape, dtype):
    return ROOT6 * (jax.random.uniform(key, (2, *shape), dtype).sum(axis=0) - 1)


def _triangular_density(u):
    return jnp.maximum(1 - jnp.abs(u) / ROOT6, 0.0) / ROOT6


SMOOTHINGS = {
    law.surrogate: law
    for law in (
        Smoothing("identity", "round", 1 / (2 * ROOT3), _uniform, _uniform_density),
        Smoothing("hardtanh", "sign", 1 / ROOT3, _uniform, _uniform_density),
        Smoothing("tanh", "sign", math.pi / math.sqrt(12), _logistic, _logistic_density),
        Smoothing("approxsign", "sign", 1 / ROOT6, _triangular, _triangular_density),
    )
}
"""By name of the surrogate. `identity` serves rounding to any equidistant levels; of a quantizer with finitely many it
makes the identity clipped to the outermost levels."""


@dataclasses.dataclass(frozen=True)
class Quantized:
    """Says that a tensor is quantized inside the loss, and how far to perturb it.

    Parameters
    ----------
    surrogate : a name in `SMOOTHINGS` ("identity", "hardtanh", "tanh", "approxsign"), or a `Smoothing`.
    scale : alpha, the step of the rounding or the level of the sign, > 0; or a function of the tensor that returns it.
    eps : perturb by this standard deviation, > 0, and not by alpha times the `eps_bar` of the law.

    Raises
    ------
    SpecificationError : for an unknown surrogate, or a scale or eps that is not > 0.
    """

    surrogate: str | Smoothing = "identity"
    scale: float | Callable = 1.0
    eps: float | None = None

    def __post_init__(self):
        if not isinstance(self.surrogate, Smoothing) and self.surrogate not in SMOOTHINGS:
            remedy = "Give one of these, or a Smoothing of your own."
            raise SpecificationError("surrogate", "one of " + ", ".join(SMOOTHINGS), self.surrogate, remedy)
        for name, value in (("scale", self.scale), ("eps", self.eps)):
            if value is not None and not callable(value) and not isinstance(value, jax.Array):
                check_positive(name, value)

    @property
    def smoothing(self) -> Smoothing:
        """The law of the perturbation."""
        return self.surrogate if isinstance(self.surrogate, Smoothing) else SMOOTHINGS[self.surrogate]

    def width(self, tensor: jax.Array) -> float | jax.Array:
        """Standard deviation of the perturbation of `tensor`."""
        if self.eps is not None:
            return self.eps
        scale = self.scale(tensor) if callable(self.scale) else self.scale
        return scale * self.smoothing.eps_bar
