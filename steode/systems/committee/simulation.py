"""Training of a committee machine at finite dimension: one sample, one step, and what is measured of the weights.

The algorithm is the one in the docstring of `CommitteeModel`, taken literally, all K units of a coordinate at once.
Nothing here comes from the limit: the error is measured from the covariance of the pre-activations, which is that of
the weights themselves, by a rule in polar coordinates, pair of units by pair, whatever the activation; on held-out
inputs it is measured again, if asked for. With quantized inputs the pre-activations are Gaussian up to order 1/d, and
so is the measured error theirs; the held-out one makes no such step.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from steode.parts.schedule import Schedule
from steode.parts.surrogates import ClippedSurrogate
from steode.systems.committee.spec import CommitteeModel
from steode.systems.linear.literal.input_moments import coordinate_moments
from steode.systems.linear.literal.maps import SmoothMap, StepMap, device_map

ANGLES, RADII, FARTHEST = 256, 32, 9.0
"""Rule for a pair of units in the plane: spectrally accurate in the radius up to FARTHEST standard deviations and in
the angle, where a kink leaves an error of order ANGLES^-2."""


class CommitteeSystem(eqx.Module):
    """A CommitteeModel in dimension d, as `steode.engine.engine` runs it; `fixed` is the teacher's weights (M, d).

    The state: latent weights w (K, d), output weights v (K,).
    """

    rate: Float[Array, ""]
    output_rate: Float[Array, ""] | None
    noise: Float[Array, ""]
    decay: Float[Array, ""] | None
    band: Float[Array, " 2"] | None
    teacher_readout: Float[Array, " M"]
    overlap: Float[Array, ""]  # E[x z]
    power: Float[Array, ""]  # E[z^2]
    weight_map: StepMap | SmoothMap
    input_map: StepMap | SmoothMap
    function: Callable = eqx.field(static=True)
    surrogate: Callable = eqx.field(static=True)
    schedule: Callable | None = eqx.field(static=True)
    output_schedule: Callable | None = eqx.field(static=True)
    dim: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step: inputs and label noise of every sample."""
        return self.batch * (self.dim + 1)

    def sample(self, teacher: Float[Array, "M d"], normals: Float[Array, "R normals"]) -> tuple[Array, Array]:
        """Images of the inputs (R, B, d) and labels (R, B)."""
        images, labels, xi = self._draw(teacher, normals)
        return images, labels + self.noise * xi

    def _draw(self, teacher, normals):
        numbers = jnp.reshape(normals, (normals.shape[0] * self.batch, self.dim + 1))
        inputs = numbers[:, : self.dim]
        labels = self.function(_dot(inputs, teacher.T) / np.sqrt(self.dim)) @ self.teacher_readout
        shape = (normals.shape[0], self.batch)
        images = jnp.reshape(self.input_map(inputs), (*shape, self.dim))
        return images, jnp.reshape(labels, shape), jnp.reshape(numbers[:, self.dim], shape)

    def step(self, teacher, state, sample, index) -> tuple[tuple[Array, Array], Array]:
        """The state after step `index`, and the sum of the residuals."""
        w, v = state
        images, labels = sample
        time = index.astype(w.dtype) / self.dim
        rate = self.rate if self.schedule is None else jnp.asarray(self.schedule(time), w.dtype)
        h = _dot(images, self.weight_map(w).T) / np.sqrt(self.dim)
        hidden = self.function(h)
        residual = _dot(hidden, v) - labels
        error = residual[:, None] * v[None, :] * self.surrogate(h)
        change = _dot(error.T, images) * (-rate / (np.sqrt(self.dim) * self.batch))
        if self.band is not None:
            change = jnp.where((w > self.band[0]) & (w < self.band[1]), change, 0)
        if self.decay is not None:
            change = change - (rate * self.decay / self.dim) * w
        if self.output_rate is not None:
            pace = self.output_rate
            if self.output_schedule is not None:
                pace = jnp.asarray(self.output_schedule(time), w.dtype)
            v = v - pace / (self.dim * self.batch) * _dot(residual, hidden)
        return (w + change, v), jnp.sum(residual)

    def observe(self, teacher, state) -> dict[str, Array]:
        """Errors, overlaps and shares of levels, from the weights."""
        w, v = state
        image = self.weight_map(w)
        own = self.power * _dot(image, image.T) / self.dim
        across = self.overlap * _dot(image, teacher.T) / self.dim
        target = _dot(teacher, teacher.T) / self.dim
        whole = jnp.concatenate([jnp.concatenate([own, across], 1), jnp.concatenate([across.T, target], 1)], 0)
        signed = jnp.concatenate([v, -self.teacher_readout])
        error = signed @ self.pair_means(whole) @ signed / 2
        observed = {
            "eps_g": error,
            "V": 2 * error + self.noise**2,
            "specialization": _preference(own, across, target),
            "student_overlap": own,
            "teacher_overlap": across,
            "output_weights": v,
        }
        if isinstance(self.weight_map, StepMap):
            observed["level_fraction"] = jnp.stack([self.weight_map.fractions(row) for row in w])
        return observed

    def pair_means(self, whole: Float[Array, "P P"]) -> Float[Array, "P P"]:
        """E[f(h_p) f(h_q)] of Gaussian pre-activations with this covariance."""
        nodes, weights = np.polynomial.legendre.leggauss(RADII)
        radius = FARTHEST * (nodes + 1) / 2
        mass = FARTHEST / 2 * weights * radius * np.exp(-(radius**2) / 2) / ANGLES
        angle = 2 * np.pi * (np.arange(ANGLES) + 0.5) / ANGLES
        first, second = (jnp.asarray(np.outer(radius, turn(angle)), whole.dtype) for turn in (np.cos, np.sin))
        size = jnp.sqrt(jnp.maximum(jnp.diag(whole), 0))
        share = jnp.asarray(mass, whole.dtype)
        units = whole.shape[0]

        def one(pair):
            p, q = pair // units, pair % units
            lengths = size[p] * size[q]
            cosine = jnp.clip(jnp.where(lengths > 0, whole[p, q] / jnp.where(lengths > 0, lengths, 1), 0), -1, 1)
            other = cosine * first + jnp.sqrt(1 - cosine**2) * second
            return jnp.sum(share @ (self.function(size[p] * first) * self.function(size[q] * other)))

        return jnp.reshape(lax.map(one, jnp.arange(units**2)), (units, units))

    def held_out(self, teacher, state, normals):
        """Half the squared noiseless residual on fresh batches, (R,)."""
        w, v = state
        images, labels, _ = self._draw(teacher, normals)
        h = _dot(images, self.weight_map(w).T) / np.sqrt(self.dim)
        return {"eps_g_test": jnp.mean((_dot(self.function(h), v) - labels) ** 2, axis=1) / 2}


def committee_system(
    model: CommitteeModel, dim: int, dtype, functions: tuple[Callable, Callable], compiled: Callable
) -> CommitteeSystem:
    """Put a model's numbers into arrays; `functions` are f and what stands for f', `compiled` compiles the others."""

    def array(value):
        return jnp.asarray(value, dtype)

    def number(rate):
        return array(0.0 if isinstance(rate, Schedule) else rate)

    def schedule(rate):
        return compiled(rate) if isinstance(rate, Schedule) else None

    moments = coordinate_moments(model.input_quantizer, np.ones(1))
    surrogate, pace = model.surrogate, model.output_learning_rate
    return CommitteeSystem(
        rate=number(model.learning_rate),
        output_rate=None if pace is None else number(pace),
        noise=array(model.noise),
        decay=array(model.weight_decay) if model.weight_decay else None,
        band=array(surrogate.band) if isinstance(surrogate, ClippedSurrogate) else None,
        teacher_readout=array(model.teacher_readout),
        overlap=array(moments.overlap[0]),
        power=array(moments.power[0]),
        weight_map=device_map(model.weight_quantizer, dtype, compiled),
        input_map=device_map(model.input_quantizer, dtype, compiled),
        function=functions[0],
        surrogate=functions[1],
        schedule=schedule(model.learning_rate),
        output_schedule=schedule(pace),
        dim=dim,
        batch=model.batch_size,
    )


def _preference(own, across, target):
    """Mean over units of the largest cosine with a teacher unit, less the mean of the others, in magnitude."""
    cosines = jnp.abs(across) / jnp.sqrt(jnp.maximum(jnp.outer(jnp.diag(own), jnp.diag(target)), 1e-30))
    count = cosines.shape[1]
    best = jnp.max(cosines, axis=1)
    rest = (jnp.sum(cosines, axis=1) - best) / max(count - 1, 1)
    return jnp.mean(best - rest)


def _dot(a, b):
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
