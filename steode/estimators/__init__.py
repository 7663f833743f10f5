"""Estimators of gradients for models with quantizers: straight-through, zeroth-order, and one guided by the other.

Functions of (loss, params, key) that return an `Estimate`, whose gradient any optimizer takes:

    from steode import estimators

    estimator = estimators.fogzo(n=4, beta=0.999, quantized={"weight": estimators.Quantized(scale=0.25), "bias": None})
    estimate = estimator(loss, params, key)
    updates, state = optimizer.update(estimate.gradient, state, params)  # optax

Pure JAX: they work under `jit`, `vmap` and `scan`, for any loss of any pytree of parameters.
"""

from steode.estimators.estimate import Estimate
from steode.estimators.fogzo import fogzo
from steode.estimators.linear_beta import LinearBeta, linear_beta
from steode.estimators.smoothing import SMOOTHINGS as SMOOTHINGS
from steode.estimators.smoothing import Quantized, Smoothing
from steode.estimators.spsa import spsa
from steode.estimators.ste import ste
from steode.estimators.zeroth_order import ZerothOrder

__all__ = [
    "Estimate",
    "LinearBeta",
    "Quantized",
    "Smoothing",
    "ZerothOrder",
    "fogzo",
    "linear_beta",
    "spsa",
    "ste",
]
