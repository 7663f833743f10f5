"""From overlaps to what one coordinate feels: responses, noise, the rate of output weights, and the error.

The step of a coordinate is -eta s [alpha_2 c Q(w) + alpha_1 c* w*] with noise eta^2 alpha_2 D, where by Stein's lemma
c_kp = E[de_k/dh_p], e_k = delta v_k s(h_k): no covariance is inverted, so that units may be parallel.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.systems.committee.averages import Averages


class Force(NamedTuple):
    """What the units of one coordinate feel."""

    student: Float[Array, "K K"]  # c
    teacher: Float[Array, "K M"]  # c*
    noise: Float[Array, "K K"]  # D, of a batch
    output: Float[Array, " K"]  # E[delta f(h_k)]
    error: Float[Array, ""]  # half the mean square of the noiseless residual


class Setting(NamedTuple):
    """The numbers of a model that forces depend on."""

    averages: Averages
    teacher_readout: Float[Array, " M"]
    sigma: Float[Array, ""]
    batch: Float[Array, ""]


def covariance(own: Float[Array, "K K"], cross: Float[Array, "K M"], teacher: Float[Array, "M M"]):
    """C of (h, h*) from its blocks."""
    return jnp.block([[own, cross], [cross.T, teacher]])


def force(setting: Setting, C: Float[Array, "P P"], readout: Float[Array, " K"]) -> Force:
    """All averages at the covariance C of (h, h*) and output weights v."""
    averages, hidden = setting.averages, readout.size
    signed = jnp.concatenate([readout, -setting.teacher_readout])
    size = jnp.diag(C)
    a, b = size[:, None], size[None, :]
    products = averages.product(a, b, C)
    pairs = a[:hidden], b, C[:hidden]
    response = readout[:, None] * signed[None, :] * averages.slopes(*pairs)
    own = readout * (averages.curvature(*pairs) @ signed)
    square = averages.residual_square(C, signed, hidden)
    square = square + setting.sigma**2 * averages.surrogates(a[:hidden], b[:, :hidden], C[:hidden, :hidden])
    return Force(
        student=response[:, :hidden] + jnp.diag(own),
        teacher=response[:, hidden:],
        noise=readout[:, None] * readout[None, :] * square / setting.batch,
        output=products[:hidden] @ signed,
        error=signed @ products @ signed / 2,
    )
