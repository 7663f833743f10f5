"""Quantized SGD for linear regression at finite dimension: the literal update, and what is measured of the weights.

Nothing here comes from the derivation. `steode.engine.engine` runs it: seeds, chunks, random numbers.
"""

import abc
import math

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.special
from jax import lax
from jaxtyping import Array, Float

from steode.errors import UnsupportedError
from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.systems.regression.input_moments import input_moments
from steode.systems.regression.spec import RegressionModel


class Quantizer(eqx.Module):
    """A quantizer of vectors along the last axis, drawn from standard normal numbers."""

    @abc.abstractmethod
    def numbers(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the standard normal numbers that one array of `shape` needs."""

    @abc.abstractmethod
    def __call__(self, u: Array, normals: Array) -> Array:
        """One draw of Q(u)."""


class Exact(Quantizer):
    """Q(u) = u."""

    def numbers(self, shape):
        return (*shape[:-1], 0)

    def __call__(self, u, normals):
        return u


class Noise(Quantizer):
    """u + std e, or (1 + std e) u, with a number e for each entry or one for each vector."""

    std: Float[Array, ""]
    multiplies: bool = eqx.field(static=True)
    common: bool = eqx.field(static=True)

    def numbers(self, shape):
        return (*shape[:-1], 1) if self.common else shape

    def __call__(self, u, normals):
        error = self.std * normals
        return u * (1 + error) if self.multiplies else u + error


class Nearest(Quantizer):
    """The level of the cell u is in; not random."""

    levels: Float[Array, " n"]
    thresholds: Float[Array, " n-1"]

    def numbers(self, shape):
        return (*shape[:-1], 0)

    def __call__(self, u, normals):
        return jnp.where(jnp.isnan(u), jnp.nan, self.levels[jnp.searchsorted(self.thresholds, u, side="right")])


class Stochastic(Quantizer):
    """One of the two neighboring levels, unbiased between the outermost ones."""

    levels: Float[Array, " n"]

    def numbers(self, shape):
        return shape

    def __call__(self, u, normals):
        inside = jnp.clip(u, self.levels[0], self.levels[-1])
        upper = jnp.clip(jnp.searchsorted(self.levels, inside, side="right"), 1, self.levels.size - 1)
        low, high = self.levels[upper - 1], self.levels[upper]
        uniform = jax.scipy.special.ndtr(normals)
        return jnp.where(jnp.isnan(inside), jnp.nan, jnp.where(uniform * (high - low) < inside - low, high, low))


class RegressionSystem(eqx.Module):
    """A RegressionModel as `steode.engine.engine` runs it; changed numbers recompile nothing.

    The state is (w, mean of the averaged iterates, number of them); the engine's `fixed` is not used.
    """

    deviations: Float[Array, " d"]  # of the inputs
    teacher: Float[Array, " d"]
    step_size: Float[Array, ""]
    noise: Float[Array, ""]
    first: Array  # the first iterate that is averaged
    data: Quantizer
    label: Quantizer
    parameter: Quantizer
    activation: Quantizer
    gradient: Quantizer
    image_square: Float[Array, " d"]  # E[z^2]
    image_shrinkage: Float[Array, " d"]  # E[x z]/E[z^2]
    image_residual: Float[Array, " d"]  # E[(x - shrinkage z)^2]
    batch: int = eqx.field(static=True)

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step."""
        return sum(map(math.prod, self._shapes))

    @property
    def _shapes(self) -> list[tuple[int, ...]]:
        """Inputs, label noise, then what each quantizer needs."""
        samples, labels, weights = (self.batch, self.teacher.size), (self.batch,), (self.teacher.size,)
        return [
            samples,
            labels,
            self.data.numbers(samples),
            self.label.numbers(labels),
            self.parameter.numbers(weights),
            self.activation.numbers(labels),
            self.gradient.numbers(labels),
        ]

    def sample(self, fixed, normals: Float[Array, "R normals"]) -> tuple[Array, ...]:
        """Quantized inputs (R, B, d) and labels (R, B), and the numbers of the other quantizers, for R steps."""
        parts, start = [], 0
        for shape in self._shapes:
            stop = start + math.prod(shape)
            parts.append(jnp.reshape(normals[:, start:stop], (normals.shape[0], *shape)))
            start = stop
        inputs, xi, data, label, *others = parts
        inputs = self.deviations[None, None, :] * inputs
        labels = _dot(inputs, self.teacher) + self.noise * xi
        return self.data(inputs, data), self.label(labels, label), *others

    def step(self, fixed, state, sample, index) -> tuple[tuple[Array, ...], Array]:
        """The state after step `index`, and the sum of the residuals."""
        weights, average, count = state
        inputs, labels, *(parameter, activation, gradient) = sample
        chosen = index >= self.first
        count = count + chosen
        # a running mean: the sum of many iterates would lose their last digits
        share = chosen / jnp.maximum(count, 1).astype(weights.dtype)
        average = average + share * (weights - average)
        prediction = _dot(inputs, self.parameter(weights, parameter))
        residual = self.gradient(labels - self.activation(prediction, activation), gradient)
        weights = weights + (self.step_size / self.batch) * _dot(residual, inputs)
        return (weights, average, count), jnp.sum(residual)

    def observe(self, fixed, state) -> dict[str, Array]:
        """Risks of the last iterate and of the average; before averaging begins that is the iterate itself."""
        weights, average, count = state
        average = jnp.where(count > 0, average, weights)
        observed = {}
        for name, given in (("last", weights), ("average", average)):
            observed[f"raw_{name}"] = jnp.sum((self.deviations * (given - self.teacher)) ** 2) / 2
            # E[(z w - x w*)^2] as a sum of squares: rounding cannot make it negative
            error = self.image_square * (given - self.image_shrinkage * self.teacher) ** 2
            observed[f"quantized_{name}"] = jnp.sum(error + self.image_residual * self.teacher**2) / 2
        return observed

    def held_out(self, fixed, state, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Values on R fresh batches whose averages are risks of the last iterate, without quadrature of the inputs."""
        weights = state[0]
        rows = normals.shape[0]
        parts = jnp.reshape(normals[:, : self.batch * weights.size], (rows, self.batch, weights.size))
        inputs = self.deviations[None, None, :] * parts
        start = self.batch * (weights.size + 1)
        shape = self.data.numbers((self.batch, weights.size))
        data = jnp.reshape(normals[:, start : start + math.prod(shape)], (rows, *shape))
        truth, image = _dot(inputs, self.teacher), self.data(inputs, data)
        return {
            "raw_test": jnp.mean((_dot(inputs, weights) - truth) ** 2, axis=1) / 2,
            "quantized_test": jnp.mean((_dot(image, weights) - truth) ** 2, axis=1) / 2,
        }


def regression_system(model: RegressionModel, first: int, dtype) -> RegressionSystem:
    """Put a model's numbers into arrays of `dtype`; iterates from number `first` on are averaged."""
    square, overlap = input_moments(model.data_quantizer, model.eigenvalues)
    # where every input is rounded to zero there is nothing to be learned from it
    shrinkage = overlap / (square + (square == 0))
    residual = model.eigenvalues - shrinkage * overlap
    quantizers = {role: _quantizer(quantizer, dtype) for role, quantizer in model.quantizers.items()}
    return RegressionSystem(
        deviations=jnp.asarray(model.eigenvalues**0.5, dtype),
        teacher=jnp.asarray(model.teacher_weights, dtype),
        step_size=jnp.asarray(model.step_size, dtype),
        noise=jnp.asarray(model.noise, dtype),
        first=jnp.asarray(first, jnp.int32),
        image_square=jnp.asarray(square, dtype),
        image_shrinkage=jnp.asarray(shrinkage, dtype),
        image_residual=jnp.asarray(residual.clip(0), dtype),
        batch=model.batch_size,
        **quantizers,
    )


def _quantizer(given: EntrywiseMap, dtype) -> Quantizer:
    if type(given) in (AdditiveNoise, MultiplicativeNoise, CommonFactor):
        multiplies, common = not isinstance(given, AdditiveNoise), isinstance(given, CommonFactor)
        return Noise(jnp.asarray(given.noise_variance**0.5, dtype), multiplies, common)
    if isinstance(given, StochasticRounding):
        return Stochastic(jnp.asarray(given.grid.levels, dtype))
    if isinstance(given, StepFunction):
        return Nearest(jnp.asarray(given.levels, dtype), jnp.asarray(given.thresholds, dtype))
    if isinstance(given, Identity):
        return Exact()
    known = "AdditiveNoise, MultiplicativeNoise, CommonFactor, StochasticRounding and step functions"
    raise UnsupportedError(f"{given} cannot be simulated in a regression, which draws on the device: use {known}.")


def _dot(a, b):
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
