"""The gradient that the loss itself defines: the straight-through estimator."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree

from steode.estimators.estimate import Estimate


def ste(loss: Callable, params: PyTree, key: jax.Array | None = None, step: int | None = None) -> Estimate:
    """The straight-through estimator, `jax.grad` of a loss whose quantizers carry surrogate derivatives.

    One forward and one backward pass.

    Parameters
    ----------
    loss : params -> a scalar.
    params : pytree of floating-point arrays.
    key, step : not used; they are there so that every estimator is called alike.

    Returns
    -------
    Estimate
    """
    value, gradient = jax.value_and_grad(loss)(params)
    return Estimate(gradient, value, 1, 1)
