"""What an estimator returns."""

import equinox as eqx
import jax
from jaxtyping import PyTree


class Estimate(eqx.Module):
    """An estimate of a gradient, and what it cost.

    Attributes
    ----------
    gradient : in the place of the gradient, a pytree like the parameters.
    loss : the loss at the parameters; of an estimate without a pass there, the mean over the perturbed ones.
    forward : number of forward passes (evaluations of the loss), a backward pass's own one included.
    backward : number of backward passes.
    """

    gradient: PyTree
    loss: jax.Array
    forward: int = eqx.field(static=True)
    backward: int = eqx.field(static=True)
