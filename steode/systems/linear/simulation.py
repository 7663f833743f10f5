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
from steode.schedule import Schedule
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.surrogates import ClippedSurrogate

REACH = 12.0
"""Inputs beyond it are left out of the input moments: their probability is below 1e-32."""
SELECTED_LEVELS = 128
"""Up to this many levels a chain of selects is faster than a binary search (measured, one CPU core)."""


class StepMap(eqx.Module):
    """Q(w) = levels[j] for thresholds[j-1] <= w < thresholds[j]; the numbers may change without recompiling.

    NaN stays NaN.
    """

    levels: Float[Array, " n"]
    thresholds: Float[Array, " n-1"]

    def __call__(self, w):
        if self.levels.size > SELECTED_LEVELS:
            return jnp.where(jnp.isnan(w), jnp.nan, self.levels[self._cell(w)])
        # 0 w is zero, but for NaN, which no comparison below replaces: it costs nothing that can be measured
        image = self.levels[0] + 0 * w
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

    learning_rate: Float[Array, ""]  # of the first step, if there is a schedule
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
    edges: Float[Array, " bins+1"] | None = None  # of the bins in which weights are counted
    schedule: Callable | None = eqx.field(static=True, default=None)  # tau -> learning rate; None: it is constant

    @property
    def normals(self) -> int:
        """Standard normal numbers in the samples of one step: the inputs and the label noise of each."""
        return self.batch * (self.dim + 1)

    def sample(self, teacher: Float[Array, " d"], normals: Float[Array, "R normals"]) -> tuple[Array, Array]:
        """Quantized inputs (R, B, d) and labels (R, B) for R steps with batches of B samples."""
        inputs, noiseless, xi = self.draw(teacher, normals)
        return self.input_map(inputs), noiseless + self.noise * xi

    def step(self, teacher, weights: Float[Array, " d"], sample, index) -> tuple[Array, Array]:
        """The weights after step `index`, and the sum of the residuals yhat - y."""
        inputs, labels = sample
        residuals = dot(inputs, self.weight_map(weights)) / np.sqrt(self.dim).astype(weights.dtype) - labels
        return descend(self, index, weights, residuals, inputs), jnp.sum(residuals)

    def observe(self, teacher, weights) -> dict[str, Array]:
        """Observables by name; see `steode.trajectory.OBSERVABLES`."""
        image = self.weight_map(weights)
        # E_x[(Q_i Q(x) - w*_i x)^2] as a sum of squares: rounding cannot make it negative
        error = self.input_power * (image - self.shrinkage * teacher) ** 2 + self.input_residual * teacher**2
        eps_g = jnp.mean(error) / 2
        return {
            "eps_g": eps_g,
            "V": 2 * eps_g + self.noise**2,
            "m": self.shrinkage * self.input_power * jnp.mean(teacher * image),
            "q": self.input_power * jnp.mean(image**2),
        } | statistics(weights, self.weight_map, self.edges)

    def held_out(self, teacher, weights, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Values on R fresh batches, (R,) each, whose averages are observables: half the squared noiseless residual."""
        inputs, noiseless, _ = self.draw(teacher, normals)
        prediction = dot(self.input_map(inputs), self.weight_map(weights)) / np.sqrt(self.dim).astype(weights.dtype)
        return {"eps_g_test": jnp.mean((prediction - noiseless) ** 2, axis=1) / 2}

    def draw(self, teacher, normals: Float[Array, "R normals"]) -> tuple[Array, Array, Array]:
        """Inputs (R, B, d) before quantization, labels without noise (R, B) and standard normal label noise (R, B)."""
        normals = jnp.reshape(normals, (-1, self.batch, self.dim + 1))
        inputs, xi = normals[..., :-1], normals[..., -1]
        return inputs, dot(inputs, teacher) / np.sqrt(self.dim).astype(inputs.dtype), xi


def descend(system, index, weights, residuals: Float[Array, " B"], inputs: Float[Array, "B d"]) -> Array:
    """The weights after a step along mean_batch[residual * input] / sqrt(d), with the system's rate, band and decay."""
    learning_rate = _rate_at(system, index)
    root = np.sqrt(system.dim).astype(weights.dtype)
    return _changed(system, learning_rate, weights, dot((learning_rate / (root * system.batch)) * residuals, inputs))


def step_along(system, index, weights, gradient: Float[Array, " d"]) -> Array:
    """The weights after a step along a gradient, with the system's rate, band and decay."""
    learning_rate = _rate_at(system, index)
    return _changed(system, learning_rate, weights, learning_rate * gradient)


def _rate_at(system, index) -> Array:
    learning_rate = system.learning_rate
    if system.schedule is None:
        return learning_rate
    time = jnp.asarray(index, learning_rate.dtype) / system.dim
    return jnp.asarray(system.schedule(time), learning_rate.dtype)


def _changed(system, learning_rate, weights, change) -> Array:
    if system.bound is not None:
        change = jnp.where(jnp.abs(weights) < system.bound, change, 0)
    if system.decay is not None:
        change = change + (learning_rate * system.decay / system.dim) * weights
    return weights - change


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


def linear_system(
    model: LinearModel, dim: int, dtype, compile_map: Callable[[EntrywiseMap], Callable], edges=None
) -> LinearSystem:
    """Put a model's numbers into arrays of `dtype`; `edges` of bins in which the weights are counted, if any.

    `compile_map` turns an `Elementwise` map or a `Schedule` into a JAX function; it is passed in, so that this module
    needs no SymPy.
    """
    shrinkage, power, residual = input_moments(model.input_quantizer)
    return LinearSystem(
        **training(model, dtype, compile_map),
        weight_map=device_map(model.weight_quantizer, dtype, compile_map),
        input_map=device_map(model.input_quantizer, dtype, compile_map),
        shrinkage=jnp.asarray(shrinkage, dtype),
        input_power=jnp.asarray(power, dtype),
        input_residual=jnp.asarray(residual, dtype),
        dim=dim,
        edges=None if edges is None else jnp.asarray(edges, dtype),
    )


def training(model: LinearModel, dtype, compile_map: Callable[[EntrywiseMap], Callable]) -> dict:
    """The fields of a system that say how it is trained."""
    rate, schedule = model.learning_rate, None
    if isinstance(rate, Schedule):
        schedule = compile_map(rate)
        rate = schedule(0.0)
    bound = model.surrogate.bound if isinstance(model.surrogate, ClippedSurrogate) else None
    return {
        "learning_rate": jnp.asarray(rate, dtype),
        "noise": jnp.asarray(model.noise, dtype),
        "decay": jnp.asarray(model.weight_decay, dtype) if model.weight_decay else None,
        "bound": None if bound is None else jnp.asarray(bound, dtype),
        "batch": model.batch_size,
        "schedule": schedule,
    }


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


def device_map(quantizer: EntrywiseMap, dtype, compile_map) -> StepMap | SmoothMap:
    """A deterministic map as JAX applies it."""
    if isinstance(quantizer, StepFunction):
        return StepMap(jnp.asarray(quantizer.levels, dtype), jnp.asarray(quantizer.thresholds, dtype))
    return SmoothMap(None if isinstance(quantizer, Identity) else compile_map(quantizer))


def dot(a, b):
    """a . b at full precision."""
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
