"""Coarse-gradient descent on samples: Z is drawn, the two layers are evaluated, and the update is the literal one.

Nothing here comes from the derivation; what is measured of the weights is measured directly.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key


class Network(eqx.Module):
    """Two linear layers with a binarized ReLU and their teacher; `derivative` is mu', vectorized."""

    v_star: Float[Array, " m"]
    w_star: Float[Array, " n"]
    step: Float[Array, ""]
    derivative: Callable = eqx.field(static=True)

    def residual(self, v, w, Z: Float[Array, "B m n"]) -> Float[Array, " B"]:
        """y - y* on each sample."""
        return _output(v, w, Z) - _output(self.v_star, self.w_star, Z)

    def gradients(self, v, w, Z: Float[Array, "B m n"]) -> tuple[Float[Array, " m"], Float[Array, " n"]]:
        """Means over the samples of (y - y*) s(Zw) and of the coarse gradient (y - y*) Z^T (mu'(Zw) o v)."""
        hidden, residual = _dot(Z, w), self.residual(v, w, Z)
        backward = residual[:, None] * self.derivative(hidden) * v[None, :]
        return residual @ _on(hidden) / residual.size, jnp.einsum("bm,bmn->n", backward, Z) / residual.size

    def update(self, v, w, Z: Float[Array, "B m n"]) -> tuple[Float[Array, " m"], Float[Array, " n"]]:
        """One step on a batch."""
        slope, coarse = self.gradients(v, w, Z)
        return v - self.step * slope, w - self.step * coarse

    def loss(self, v, w, Z: Float[Array, "B m n"]) -> Float[Array, ""]:
        """Mean of (y - y*)^2/2 on the samples."""
        return jnp.mean(self.residual(v, w, Z) ** 2) / 2

    def observe(self, v, w) -> dict[str, Array]:
        """Angle to w*, length of w, and the output weights."""
        along = w @ self.w_star
        across = jnp.linalg.norm(w - along * self.w_star)
        return {"theta": jnp.arctan2(across, along), "length": jnp.linalg.norm(w), "v": v}


@eqx.filter_jit
def train(network: Network, v, w, key: Key[Array, ""], batch: int, steps: int, every: int, data=None):
    """One run: final weights and the observations after 0, every, 2 every, ... of `steps` steps.

    Each step draws a fresh batch of `batch` samples, or uses all of `data` (samples, m, n) if it is given.
    """

    def one(state, number):
        drawn = draw(jax.random.fold_in(key, number), batch, network) if data is None else data
        return network.update(*state, drawn), None

    def block(state, start):
        observed = network.observe(*state)
        state, _ = lax.scan(one, state, start + jnp.arange(every))
        return state, observed

    state, observed = lax.scan(block, (v, w), jnp.arange(steps // every) * every)
    last = network.observe(*state)
    return state, {name: jnp.concatenate([observed[name], last[name][None]]) for name in last}


def draw(key: Key[Array, ""], count: int, network: Network) -> Float[Array, "count m n"]:
    """Samples Z with independent standard Gaussian entries."""
    shape = (count, network.v_star.size, network.w_star.size)
    return jax.random.normal(key, shape, network.v_star.dtype)


def _output(v, w, Z):
    return _dot(_on(_dot(Z, w)), v)


def _on(x):
    return (x > 0).astype(x.dtype)


def _dot(a, b):
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
