"""The share of the straight-through direction, falling during training."""

import dataclasses

import jax
import jax.numpy as jnp

from steode.errors import SpecificationError, check_integer, check_nonnegative


@dataclasses.dataclass(frozen=True)
class LinearBeta:
    """beta(step) = 1 - (1 - beta_min) min(step/steps, 1). Made by `linear_beta`."""

    beta_min: float
    steps: int

    def __call__(self, step: int | jax.Array) -> jax.Array:
        return 1 - (1 - self.beta_min) * jnp.minimum(step / self.steps, 1.0)


def linear_beta(beta_min: float, steps: int) -> LinearBeta:
    """A share beta that falls linearly from 1 to `beta_min` and stays there.

    Parameters
    ----------
    beta_min : between 0 and 1.
    steps : updates until it is reached, >= 1.

    Returns
    -------
    LinearBeta : a function of the step, for `fogzo`.

    Raises
    ------
    SpecificationError : for a beta_min outside [0, 1], or steps < 1.
    """
    if check_nonnegative("beta_min", beta_min) > 1:
        raise SpecificationError("beta_min", "a number between 0 and 1", beta_min, "0.999 leaves a thousandth.")
    return LinearBeta(float(beta_min), check_integer("steps", steps, 1))
