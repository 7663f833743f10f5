"""The linear system with everything around its core: spectra, stochastic maps, and maps of labels, output and residual.

The algorithm is the one in the docstring of `LinearModel`, taken literally. Normal numbers of a step, in order: for
every sample its d inputs and its label noise, as in `LinearSystem`; then what the maps of inputs, labels, output,
residual and weights draw. Nothing here comes from the limit: where the output is linear up to noise, errors are
measured from the weights, with the moments of `spectral_moments`, and elsewhere on held-out samples.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.quantizers import EntrywiseMap, Identity
from steode.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise
from steode.systems.linear.general_maps import Deterministic, Multiplicative, RandomMap, Slope, output_slope, random_map
from steode.systems.linear.simulation import SmoothMap, StepMap, descend, device_map, dot, statistics, training
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.spectral_moments import coordinate_moments

HELD_OUT_SAMPLES, HELD_OUT_BATCHES = 2000, 200
"""Held-out samples for each record where errors have to be sampled, in at least so many batches."""
LINEAR_IN_MEAN = (Identity, AdditiveNoise, MultiplicativeNoise, CommonFactor)
"""Maps Q with E[Q(u)] = u and Var Q(u) linear in u^2."""


class Moments(eqx.Module):
    """Input moments in the eigenbasis (d,) (see `InputMoments`), and E[z_i^2] on the axes that are quantized."""

    variance: Float[Array, " d"]
    overlap: Float[Array, " d"]
    power: Float[Array, " d"]
    shrinkage: Float[Array, " d"]
    residual: Float[Array, " d"]
    axis_power: Float[Array, " d"]


class GeneralSystem(eqx.Module):
    """Any LinearModel in dimension `dim`, as `steode.simulate.engine` runs it; changed numbers recompile nothing."""

    learning_rate: Float[Array, ""]
    noise: Float[Array, ""]
    decay: Float[Array, ""] | None
    bound: Float[Array, ""] | None
    weight_map: RandomMap
    input_map: RandomMap
    label_map: RandomMap
    output_map: RandomMap
    residual_map: RandomMap
    teacher_map: StepMap | SmoothMap
    slope: Slope
    scale: Float[Array, " d"] | None  # square roots of the eigenvalues; None: all are 1
    rotation: Float[Array, "d d"] | None  # x -> R x; weights and teacher live in the rotated coordinates
    moments: Moments | None  # None: all observables of the outputs are sampled
    dim: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    sampled: tuple[str, ...] = eqx.field(static=True)  # observables measured on held-out samples
    edges: Float[Array, " bins+1"] | None = None
    schedule: Callable | None = eqx.field(static=True, default=None)

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step."""
        return sum(self._counts)

    @property
    def _counts(self) -> tuple[int, ...]:
        """Numbers of one step: samples, then draws of the maps of inputs, labels, output, residual and weights."""
        of_batch = [entry.count(self.batch) for entry in (self.label_map, self.output_map, self.residual_map)]
        inputs = self.batch * self.input_map.count(self.dim)
        return (self.batch * (self.dim + 1), inputs, *of_batch, self.weight_map.count(self.dim))

    def sample(self, teacher: Float[Array, " d"], normals: Float[Array, "R normals"]) -> tuple[Array, ...]:
        """Quantized inputs (R, B, d), quantized labels (R, B), and the numbers left (output, residual, weights)."""
        inputs, _, labels, rest = self._draw(teacher, normals)
        return inputs, labels, *rest

    def step(self, teacher, weights: Float[Array, " d"], sample, index) -> tuple[Array, Array]:
        """The weights after step `index`, and a number that is finite as long as all is well."""
        inputs, labels, output_numbers, residual_numbers, weight_numbers = sample
        field, output = self._forward(weights, inputs, output_numbers, weight_numbers)
        errors = self.residual_map(output - labels, residual_numbers) * self.slope(field)
        # a bounded output hides diverging weights
        return descend(self, index, weights, errors, inputs), jnp.sum(errors) + jnp.sum(field)

    def observe(self, teacher, weights) -> dict[str, Array]:
        """Observables by name, without those that are sampled; see `steode.trajectory.OBSERVABLES`."""
        image_map = self.weight_map.image if isinstance(self.weight_map, Deterministic) else None
        measured = statistics(weights, image_map, self.edges)
        if self.moments is None:
            return measured
        moments, image, target = self.moments, self.weight_map.mean(weights), teacher
        if self.rotation is not None:
            image, target = dot(image, self.rotation), dot(target, self.rotation)
        if isinstance(self.weight_map, Multiplicative) and self.weight_map.common:
            # one factor: the noise of h is that factor times h, whatever the axes
            noise = jnp.mean(moments.power * self.weight_map.variance(image))
        else:
            noise = jnp.mean(moments.axis_power * self.weight_map.variance(weights))
        q = jnp.mean(moments.power * image**2) + noise
        measured |= {"m": jnp.mean(moments.overlap * target * image), "q": q}
        # E_x[(W_i z_i - w*_i x_i)^2] as a sum of squares: rounding cannot make it negative
        error = moments.power * (image - moments.shrinkage * target) ** 2 + moments.residual * target**2
        # variances linear in u^2 average to those at the root mean square
        residual = jnp.mean(error) + noise + self.output_map.variance(jnp.sqrt(q))
        label_square = jnp.mean(moments.variance * target**2) + self.noise**2
        label_noise = self.label_map.variance(jnp.sqrt(label_square))
        exact = {"eps_g": residual / 2, "V": residual + self.noise**2 + label_noise}
        return measured | {name: value for name, value in exact.items() if name not in self.sampled}

    def held_out(self, teacher, weights, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Values on R fresh batches, (R,) each, whose averages are observables: those sampled, else the error again."""
        inputs, teacher_field, labels, (output_numbers, _, weight_numbers) = self._draw(teacher, normals)
        forward = jax.vmap(self._forward, (None, 0, 0, 0))
        field, output = forward(weights, inputs, output_numbers, weight_numbers)
        values = {
            "eps_g": (output - self.teacher_map(teacher_field)) ** 2 / 2,
            "V": (output - labels) ** 2,
            "m": field * teacher_field,
            "q": field**2,
        }
        chosen = {name: jnp.mean(values[name], axis=1) for name in self.sampled}
        return chosen if "eps_g" in chosen else chosen | {"eps_g_test": jnp.mean(values["eps_g"], axis=1)}

    def _forward(self, weights, inputs: Float[Array, "B d"], output_numbers, weight_numbers) -> tuple[Array, Array]:
        """h and f(h) for one batch."""
        field = dot(inputs, self.weight_map(weights, weight_numbers)) / np.sqrt(self.dim).astype(weights.dtype)
        return field, self.output_map(field, output_numbers)

    def _draw(self, teacher, normals: Float[Array, "R normals"]) -> tuple[Array, Array, Array, tuple[Array, ...]]:
        """Quantized inputs (R, B, d), h* and quantized labels (R, B), and the numbers left."""
        samples, input_numbers, label_numbers, *rest = jnp.split(normals, np.cumsum(self._counts)[:-1], axis=1)
        samples = jnp.reshape(samples, (-1, self.batch, self.dim + 1))
        inputs, xi = samples[..., :-1], samples[..., -1]
        if self.scale is not None:
            inputs = inputs * self.scale[None, None, :]
        if self.rotation is not None:
            inputs = dot(inputs, self.rotation.T)
        teacher_field = dot(inputs, teacher) / np.sqrt(self.dim).astype(inputs.dtype)
        labels = self.label_map(self.teacher_map(teacher_field) + self.noise * xi, label_numbers)
        input_numbers = jnp.reshape(input_numbers, (*inputs.shape[:2], self.input_map.count(self.dim)))
        return self.input_map(inputs, input_numbers), teacher_field, labels, tuple(rest)


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


def general_system(
    model: LinearModel, dim: int, dtype, compile_map: Callable[[EntrywiseMap], Callable], edges=None, rotation=None
) -> GeneralSystem:
    """Put a model's numbers into arrays of `dtype`; arguments as those of `linear_system`.

    `rotation`, an orthogonal matrix (dim, dim), takes the data out of the axes of the quantizers: x -> R x.
    """
    sampled = sampled_observables(model, rotation is not None)
    eigenvalues = model.spectrum.coordinates(dim)
    moments = None
    if "q" not in sampled:
        measured = coordinate_moments(model.input_quantizer, model.spectrum, dim)
        axis_power = measured.power if rotation is None else (rotation**2) @ measured.power
        values = (eigenvalues, measured.overlap, measured.power, measured.shrinkage, measured.residual, axis_power)
        moments = Moments(*(jnp.asarray(value, dtype) for value in values))

    def quantizer(entry):
        return random_map(entry, dtype, compile_map)

    return GeneralSystem(
        **training(model, dtype, compile_map),
        weight_map=quantizer(model.weight_quantizer),
        input_map=quantizer(model.input_quantizer),
        label_map=quantizer(model.label_quantizer),
        output_map=quantizer(model.activation),
        residual_map=quantizer(model.residual_quantizer),
        teacher_map=device_map(model.teacher_activation, dtype, compile_map),
        slope=output_slope(model.activation_surrogate, dtype, compile_map),
        scale=None if model.spectrum.is_isotropic else jnp.asarray(np.sqrt(eigenvalues), dtype),
        rotation=None if rotation is None else jnp.asarray(rotation, dtype),
        moments=moments,
        dim=dim,
        sampled=sampled,
        edges=None if edges is None else jnp.asarray(edges, dtype),
    )
