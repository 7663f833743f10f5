"""The linear teacher-student system at finite dimension: one sample, one SGD step, what is measured.

Nothing here comes from the limit. The error is measured from the weights: with E[Q(x)] = 0 the input average of
(yhat - w*.x/sqrt(d))^2 is the mean over coordinates of E_x[(Q_i Q(x) - w*_i x)^2], Q_i = Q(w_i), and the input moments
in it are integrated numerically from the input quantizer itself.
"""

import functools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from jax import lax
from jaxtyping import Array, Float

from steode.errors import ConvergenceError
from steode.quantizers import EntrywiseMap, Identity, StepFunction
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

REACH = 12.0
"""Inputs beyond it are left out of the input moments: their probability is below 1e-32."""
SELECTED_LEVELS = 128
"""Up to this many levels a chain of selects is faster than a binary search (measured, one CPU core)."""


class StepMap(eqx.Module):
    """Q(w) = levels[j] for thresholds[j-1] <= w < thresholds[j]; the numbers may change without recompiling."""

    levels: Float[Array, " n"]
    thresholds: Float[Array, " n-1"]

    def __call__(self, w):
        if self.levels.size > SELECTED_LEVELS:
            return self.levels[self._cell(w)]
        image = jnp.full_like(w, 1) * self.levels[0]
        for j in range(self.thresholds.size):
            image = jnp.where(w >= self.thresholds[j], self.levels[j + 1], image)
        return image

    def fractions(self, w: Float[Array, " d"]) -> Float[Array, " n"]:
        """Fraction of the entries of w at each level."""
        counts = jnp.bincount(self._cell(w), length=self.levels.size)
        return counts / jnp.asarray(w.size, w.dtype)

    def _cell(self, w):
        return jnp.searchsorted(self.thresholds, w, side="right")


class SmoothMap(eqx.Module):
    """Q(w) = function(w), or w itself without a function."""

    function: Callable | None = eqx.field(static=True, default=None)

    def __call__(self, w):
        return w if self.function is None else self.function(w)


class LinearSystem(eqx.Module):
    """A LinearModel in dimension `dim`, as `steode.simulate.engine` runs it; changed numbers recompile nothing."""

    learning_rate: Float[Array, ""]
    noise: Float[Array, ""]
    decay: Float[Array, ""] | None
    bound: Float[Array, ""] | None  # half-width of the band where the surrogate derivative is 1; None: everywhere
    weight_map: StepMap | SmoothMap
    input_map: StepMap | SmoothMap
    shrinkage: Float[Array, ""]  # E[x Q(x)]/E[Q(x)^2]
    input_power: Float[Array, ""]  # E[Q(x)^2]
    input_residual: Float[Array, ""]  # E[(x - shrinkage Q(x))^2]
    dim: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)

    @property
    def normals(self) -> int:
        """Standard normal numbers in the samples of one step: the inputs and the label noise of each."""
        return self.batch * (self.dim + 1)

    def sample(self, teacher: Float[Array, " d"], normals: Float[Array, "R normals"]) -> tuple[Array, Array]:
        """Quantized inputs (R, B, d) and labels (R, B) for R steps with batches of B samples."""
        inputs, labels = self._samples(teacher, normals)
        shape = (normals.shape[0], self.batch)
        return jnp.reshape(self.input_map(inputs), (*shape, self.dim)), jnp.reshape(labels, shape)

    def step(self, teacher, weights: Float[Array, " d"], sample) -> tuple[Array, Array]:
        """The weights after one step, and the sum of the residuals yhat - y."""
        inputs, labels = sample
        root = np.sqrt(self.dim).astype(weights.dtype)
        residuals = _dot(inputs, self.weight_map(weights)) / root - labels
        change = _dot((self.learning_rate / (root * self.batch)) * residuals, inputs)
        if self.bound is not None:
            change = jnp.where(jnp.abs(weights) < self.bound, change, 0)
        if self.decay is not None:
            change = change + (self.learning_rate * self.decay / self.dim) * weights
        return weights - change, jnp.sum(residuals)

    def observe(self, teacher, weights) -> dict[str, Array]:
        """Observables by name; see `steode.trajectory.OBSERVABLES`."""
        image = self.weight_map(weights)
        # E_x[(Q_i Q(x) - w*_i x)^2] as a sum of squares: rounding cannot make it negative
        error = self.input_power * (image - self.shrinkage * teacher) ** 2 + self.input_residual * teacher**2
        eps_g = jnp.mean(error) / 2
        mean_w = jnp.mean(weights)
        measured = {
            "eps_g": eps_g,
            "V": 2 * eps_g + self.noise**2,
            "m": self.shrinkage * self.input_power * jnp.mean(teacher * image),
            "q": self.input_power * jnp.mean(image**2),
            "mean_w": mean_w,
            "std_w": jnp.sqrt(jnp.mean((weights - mean_w) ** 2)),
        }
        if isinstance(self.weight_map, StepMap):
            measured["level_fraction"] = self.weight_map.fractions(weights)
        return measured

    def held_out(self, teacher, weights, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Values on R fresh batches, (R,) each, whose averages are observables: half the squared noiseless residual."""
        inputs, _ = self._samples(teacher, normals)
        root = np.sqrt(self.dim).astype(weights.dtype)
        prediction = jnp.sum(self.input_map(inputs) * self.weight_map(weights)[None, :], axis=1) / root
        squares = (prediction - self._noiseless_labels(teacher, inputs)) ** 2
        return {"eps_g_test": jnp.mean(jnp.reshape(squares, (-1, self.batch)), axis=1) / 2}

    def _samples(self, teacher, normals) -> tuple[Array, Array]:
        """Inputs (R B, d) and noisy labels (R B,)."""
        normals = jnp.reshape(normals, (-1, self.dim + 1))
        inputs, xi = normals[:, :-1], normals[:, -1]
        return inputs, self._noiseless_labels(teacher, inputs) + self.noise * xi

    def _noiseless_labels(self, teacher, inputs):
        return jnp.sum(inputs * teacher[None, :], axis=1) / np.sqrt(self.dim).astype(inputs.dtype)


def linear_system(model: LinearModel, dim: int, dtype, compile_map: Callable[[EntrywiseMap], Callable]) -> LinearSystem:
    """Put a model's numbers into arrays of `dtype`.

    `compile_map` turns an `Elementwise` map into a JAX function; it is passed in, so that this module needs no SymPy.
    """
    shrinkage, power, residual = input_moments(model.input_quantizer)
    bound = model.surrogate.bound if isinstance(model.surrogate, ClippedSurrogate) else None
    return LinearSystem(
        learning_rate=jnp.asarray(model.learning_rate, dtype),
        noise=jnp.asarray(model.noise, dtype),
        decay=jnp.asarray(model.weight_decay, dtype) if model.weight_decay else None,
        bound=None if bound is None else jnp.asarray(bound, dtype),
        weight_map=_device_map(model.weight_quantizer, dtype, compile_map),
        input_map=_device_map(model.input_quantizer, dtype, compile_map),
        shrinkage=jnp.asarray(shrinkage, dtype),
        input_power=jnp.asarray(power, dtype),
        input_residual=jnp.asarray(residual, dtype),
        dim=dim,
        batch=model.batch_size,
    )


@functools.lru_cache(maxsize=64)
def input_moments(quantizer: EntrywiseMap) -> tuple[float, float, float]:
    """c = E[x Q]/E[Q^2], E[Q^2] and E[(x - c Q)^2] for x ~ N(0, 1), Q = Q(x), by quadrature of the map itself.

    Gauss-Legendre panels between the thresholds of a step function, adaptive Gauss-Kronrod rules for other maps; both
    accurate to 1e-11. Raises `ConvergenceError` if the adaptive rule does not get there.
    """
    overlap, power = _gaussian_averages(quantizer, lambda x, image: (x * image, image**2))
    shrinkage = float(overlap / power)
    (residual,) = _gaussian_averages(quantizer, lambda x, image: ((x - shrinkage * image) ** 2,))
    return shrinkage, float(power), float(residual)


def _gaussian_averages(quantizer: EntrywiseMap, functions: Callable) -> np.ndarray:
    def integrand(x):
        weight = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        return np.stack([value * weight for value in functions(x, quantizer(x))], axis=-1)

    if isinstance(quantizer, StepFunction | Identity):
        thresholds = quantizer.thresholds if isinstance(quantizer, StepFunction) else np.empty(0)
        edges = np.unique(np.concatenate([np.linspace(-REACH, REACH, 49), thresholds[np.abs(thresholds) < REACH]]))
        nodes, weights = np.polynomial.legendre.leggauss(16)
        halves = np.diff(edges)[:, None] / 2
        points = edges[:-1, None] + halves * (1 + nodes[None, :])
        return np.einsum("pn,pnf->f", halves * weights[None, :], integrand(points))
    result = scipy.integrate.cubature(
        lambda points: integrand(points[:, 0]), [-REACH], [REACH], rule="gk21", rtol=1e-12, atol=1e-12
    )
    if result.status != "converged":
        error = result.error.max()
        raise ConvergenceError(f"the input moments of {quantizer} did not converge: estimated error {error:.1e}")
    return result.estimate


def _device_map(quantizer: EntrywiseMap, dtype, compile_map) -> StepMap | SmoothMap:
    if isinstance(quantizer, StepFunction):
        return StepMap(jnp.asarray(quantizer.levels, dtype), jnp.asarray(quantizer.thresholds, dtype))
    return SmoothMap(None if isinstance(quantizer, Identity) else compile_map(quantizer))


def _dot(a, b):
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
