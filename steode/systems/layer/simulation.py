"""Training of a layer itself: one step for all rows, what is measured of the weights, remedies.

Nothing here comes from the derivation or the fixed points. `steode.engine.engine` runs it.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import scipy.linalg
from jax import lax
from jaxtyping import Array, Float

from steode.engine.freezing import followed, freeze_in_order
from steode.engine.noise import threefry2x32
from steode.parts.quantizers import StepFunction
from steode.parts.remedies import Dampening, Freezing
from steode.systems.layer.input_moments import of_activations
from steode.systems.layer.spec import LayerModel

MOST_FRACTIONS = 64
"""Levels up to which the share of weights at each is recorded."""


class LayerSystem(eqx.Module):
    """A LayerModel as the engine runs it; `fixed` is a seed's key of the epochs' order.

    The state: w, q = Q(w) (rows, d), flips a weight of a row (rows,); where they are needed the mean of w since
    `average_from`, the running mean of q and what is frozen, the order of the samples in this epoch.
    """

    step_size: Float[Array, "r g"]
    origin: Float[Array, "r g"]
    teacher: Float[Array, "r d"]
    moment: Array  # of z, or of z and x together where inputs are quantized: what V is measured with
    rate: Float[Array, ""]
    noise: Float[Array, ""]
    root: Array | None  # of K, lower triangular: inputs are root times white noise
    levels: Array | None  # of the input quantizer
    thresholds: Array | None
    images: Array | None  # (n, d): quantized activations
    labels: Array | None  # (n, r): without noise
    average_from: Array | None  # step
    schedule: Callable | None = eqx.field(static=True)
    strength: Callable | None = eqx.field(static=True)
    freezing: Freezing | None = eqx.field(static=True)
    count: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    epochs: bool = eqx.field(static=True)
    noisy: bool = eqx.field(static=True)

    @property
    def rows(self) -> int:
        """Number of outputs."""
        return self.teacher.shape[0]

    @property
    def dim(self) -> int:
        """Number of inputs."""
        return self.teacher.shape[1]

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step."""
        drawn = self.batch * self.dim if self.images is None else 0 if self.epochs else self.batch
        return max(1, drawn + (self.batch * self.rows if self.noisy else 0))

    def sample(self, fixed, normals: Float[Array, "K normals"]) -> tuple[Array, Array]:
        """Of K steps the images (K, B, d), or numbers of activations (K, B), and labels or their noise (K, B, r)."""
        steps, batch = normals.shape[0], self.batch
        xi = jnp.zeros((steps, batch, 1), normals.dtype)
        if self.noisy:
            xi = self.noise * jnp.reshape(normals[:, -batch * self.rows :], (steps, batch, self.rows))
        if self.images is not None:
            uniform = jax.scipy.special.ndtr(normals[:, :batch])
            drawn = jnp.minimum((uniform * self.images.shape[0]).astype(jnp.int32), self.images.shape[0] - 1)
            return drawn, xi
        white = jnp.reshape(normals[:, : batch * self.dim], (steps * batch, self.dim))
        inputs = _dot(white, self.root.T)
        labels = _dot(inputs, self.teacher.T) / np.sqrt(self.dim)
        labels = jnp.reshape(labels, (steps, batch, self.rows)) + xi
        if self.levels is not None:
            inputs = self.levels[jnp.searchsorted(self.thresholds, inputs, side="right")]
        return jnp.reshape(inputs, (steps, batch, self.dim)), labels

    def begin(self, weights: np.ndarray) -> dict[str, Array]:
        """The state of latent weights (rows, d), in NumPy."""
        quantized = np.asarray(self.quantize(jnp.asarray(weights)))
        state = {"flips": np.zeros(self.rows, weights.dtype), "w": weights, "q": quantized}
        if self.average_from is not None:
            state["average"] = weights
        if self.freezing is not None:
            state |= {"visited": quantized, "frozen": np.zeros(weights.shape, bool)}
        if self.epochs:
            state["order"] = np.arange(self.images.shape[0], dtype=np.int32)
        return state

    def quantize(self, weights: Float[Array, "r d"]) -> Float[Array, "r d"]:
        """Q(w): the nearest level."""
        step, origin = self._wide(self.step_size), self._wide(self.origin)
        codes = jnp.clip(jnp.floor(weights / step + origin + 0.5), 0, self.count - 1)
        return step * (codes - origin)

    def _wide(self, values):
        return values if values.shape[1] == 1 else jnp.repeat(values, self.dim // values.shape[1], axis=1)

    def step(self, fixed, state, sample, index) -> tuple[dict[str, Array], Array]:
        """The state after step `index`, and the sum of the residuals."""
        state = dict(state)
        w, q = state["w"], state["q"]
        time = jnp.asarray(index, w.dtype) / self.dim
        rate = self.rate if self.schedule is None else jnp.asarray(self.schedule(time), w.dtype)
        images, labels = self._batch(fixed, state, sample, index)
        residual = _dot(q, images.T) / np.sqrt(self.dim) - labels.T
        change = _dot(residual, images) * (-rate / (np.sqrt(self.dim) * self.batch))
        if self.strength is not None:
            change = change - (rate / self.dim) * jnp.asarray(self.strength(time), w.dtype) * (w - q)
        if self.freezing is not None:
            change = jnp.where(state["frozen"], 0, change)
        w = w + change
        after = self.quantize(w)
        state["flips"] = state["flips"] + jnp.mean(after != q, axis=1, dtype=w.dtype)
        state |= {"w": w, "q": after}
        if self.average_from is not None:
            taken = jnp.maximum(index + 1 - self.average_from, 0).astype(w.dtype)
            share = jnp.where(taken > 0, 1 / jnp.maximum(taken, 1), 1.0)
            state["average"] = state["average"] + share * (w - state["average"])
        if self.freezing is not None:
            self._freeze(state, index)
        return state, jnp.sum(residual)

    def _batch(self, fixed, state, sample, index) -> tuple[Array, Array]:
        """Images (B, d) and labels (B, r) of step `index`; a new order of the samples at the start of an epoch."""
        if self.images is None:
            return sample
        chosen, noise = sample
        if self.epochs:
            size = self.images.shape[0]
            steps = size // self.batch
            words = [jnp.arange(size, dtype=jnp.uint32), jnp.full(size, index // steps, jnp.uint32)]
            state["order"] = lax.cond(
                index % steps == 0,
                lambda: jnp.argsort(threefry2x32(fixed, *words)[0]).astype(jnp.int32),
                lambda: state["order"],
            )
            chosen = lax.dynamic_slice(state["order"], (index % steps * self.batch,), (self.batch,))
        return self.images[chosen], self.labels[chosen] + noise

    def _freeze(self, state, index) -> None:
        visited = followed(state["visited"], state["q"], self.freezing.memory, self.dim)
        step, origin = self._wide(self.step_size), self._wide(self.origin)

        def nearest(value):
            level = step * (jnp.clip(jnp.round(value / step + origin), 0, self.count - 1) - origin)
            return level, jnp.abs(value - level) / step

        w, frozen = freeze_in_order(self.freezing, index, self.dim, visited, nearest, state["w"], state["frozen"])
        state |= {"visited": visited, "frozen": frozen, "w": w, "q": jnp.where(frozen, self.quantize(w), state["q"])}

    def observe(self, fixed, state) -> dict[str, Array]:
        """V of each row, flips of a weight so far, shares of weights at the levels; V of the rounded mean."""
        observed = {"V": self.variance(state["q"]), "flips": state["flips"]}
        if self.count <= MOST_FRACTIONS:
            step, origin = self._wide(self.step_size), self._wide(self.origin)
            code = jnp.round(state["q"] / step + origin)
            shares = lax.map(lambda j: jnp.mean(code == j, axis=1), jnp.arange(self.count))
            observed["level_fraction"] = shares.T.astype(state["w"].dtype)
        if self.average_from is not None:
            observed["V_average"] = self.variance(self.quantize(state["average"]))
        return observed

    def variance(self, quantized: Float[Array, "r d"]) -> Float[Array, " r"]:
        """E(yhat - y)^2 of each row from the second moments of the inputs themselves."""
        if self.moment.shape[0] == self.dim:
            offset = quantized - self.teacher
        else:
            offset = jnp.concatenate([quantized, -self.teacher], axis=1)
        return self.noise**2 + jnp.sum(_dot(offset, self.moment) * offset, axis=1) / self.dim

    def held_out(self, fixed, state, normals):
        """Values on fresh batches: (yhat - y)^2 of each row; of Gaussian inputs."""
        images, labels = self.sample(fixed, normals)
        predicted = _dot(images, state["q"].T) / np.sqrt(self.dim)
        return {"V_test": jnp.mean((predicted - labels) ** 2, axis=1)}


def layer_system(
    model: LayerModel,
    data: str,
    dtype,
    *,
    schedule: Callable | None = None,
    strength: Callable | None = None,
    remedy: Dampening | Freezing | None = None,
    average_from: int | None = None,
) -> LayerSystem:
    """Put a model's numbers into arrays; `data` is "gaussian", "epochs" or "online", functions are compiled ones."""

    def array(values):
        return jnp.asarray(np.asarray(values), dtype)

    own = data != "gaussian"
    grid, quantizer, teacher = model.grid, model.input_quantizer, model.weights
    steps = isinstance(quantizer, StepFunction) and not own
    images = np.asarray(quantizer(np.asarray(model.activations, float))) if own else None
    plain, image, cross = of_activations(model.activations, quantizer) if own else _moments(model)
    moment = np.block([[image, cross], [cross.T, plain]]) if model.quantizes_inputs else plain
    return LayerSystem(
        step_size=array(grid.step),
        origin=array(grid.origin),
        teacher=array(teacher),
        moment=array(moment),
        rate=array(model.learning_rate),
        noise=array(model.noise),
        root=None if own else array(scipy.linalg.cholesky(plain, lower=True)),
        levels=array(quantizer.levels) if steps else None,
        thresholds=array(quantizer.thresholds) if steps else None,
        images=array(images) if own else None,
        labels=array(np.asarray(model.activations, float) @ teacher.T / np.sqrt(model.dim)) if own else None,
        average_from=None if average_from is None else jnp.asarray(average_from, jnp.int32),
        schedule=schedule,
        strength=strength,
        freezing=remedy if isinstance(remedy, Freezing) else None,
        count=grid.count,
        batch=model.batch_size,
        epochs=data == "epochs",
        noisy=model.noise > 0,
    )


def _moments(model: LayerModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inputs = model.inputs
    return inputs.plain, inputs.image, inputs.cross


def _dot(a, b):
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
