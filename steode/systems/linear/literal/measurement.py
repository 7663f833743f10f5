"""What is measured of a run: observables of the weights, and which of the outputs' have to be sampled."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.parts.quantizers import Identity
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise
from steode.systems.linear.literal.maps import StepMap
from steode.systems.linear.spec import LinearModel

HELD_OUT_SAMPLES, HELD_OUT_BATCHES = 2000, 200
"""Held-out samples for each record where errors have to be sampled, in at least so many batches."""
LINEAR_IN_MEAN = (Identity, AdditiveNoise, MultiplicativeNoise, CommonFactor)
"""Maps Q with E[Q(u)] = u and Var Q(u) linear in u^2."""


def statistics(weights: Float[Array, " d"], weight_map, edges) -> dict[str, Array]:
    """Observables of the latent weights alone: moments, fractions at levels, fractions in bins."""
    mean_w = jnp.mean(weights)
    measured = {"mean_w": mean_w, "std_w": jnp.sqrt(jnp.mean((weights - mean_w) ** 2))}
    if isinstance(weight_map, StepMap):
        measured["level_fraction"] = weight_map.fractions(weights)
    if edges is not None:
        bins = jnp.searchsorted(edges, weights, side="right")  # 0 and the last are outside
        counts = jnp.bincount(bins, length=edges.size + 1)[1:-1]
        measured["bin_fraction"] = counts / jnp.asarray(weights.size, weights.dtype)
    return measured


def sampled_observables(model: LinearModel, rotated: bool) -> tuple[str, ...]:
    """Names of the observables that have no exact measurement from the weights."""
    if rotated and not isinstance(model.input_quantizer, Identity):
        return ("eps_g", "V", "m", "q")
    if not (isinstance(model.activation, LINEAR_IN_MEAN) and isinstance(model.teacher_activation, Identity)):
        return ("eps_g", "V")
    return () if isinstance(model.label_quantizer, LINEAR_IN_MEAN) else ("V",)


def held_out_batches(model: LinearModel, rotated: bool) -> int:
    """Held-out batches for each record that the model's observables need; 0 if all are measured from the weights.

    Batches and not only samples: a batch has one draw of the weights, and one factor of each `CommonFactor`.
    """
    return max(HELD_OUT_BATCHES, -(-HELD_OUT_SAMPLES // model.batch_size)) if sampled_observables(model, rotated) else 0
