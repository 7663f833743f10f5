"""The linear teacher-student system at finite dimension: one sample, one SGD step, what is measured.

The algorithm is the one in the docstring of `LinearModel`, taken literally. Normal numbers of a step, in order: for
every sample its d inputs and its label noise; what the maps of inputs, labels, output, residual and weights draw; what
the update rule draws.

Nothing here comes from the limit. Where the output is linear up to noise the error is measured from the weights: with
E[Q(x)] = 0 the input average of (yhat - w*.x/sqrt(d))^2 is the mean over coordinates of E_x[(Q_i Q(x) - w*_i x)^2],
Q_i = Q(w_i), and the input moments in it are integrated numerically from the input quantizer itself. Elsewhere errors
are measured on held-out samples.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from steode.parts.quantizers import EntrywiseMap
from steode.parts.schedule import Schedule
from steode.parts.surrogates import DerivativeOf
from steode.systems.linear.literal.groups import GroupedMap, band_of, eigenvalues_of, weight_map_of
from steode.systems.linear.literal.input_moments import coordinate_moments
from steode.systems.linear.literal.maps import (
    Deterministic,
    Multiplicative,
    RandomMap,
    Slope,
    SmoothMap,
    StepMap,
    device_map,
    output_slope,
    random_map,
    smooth_slope,
)
from steode.systems.linear.literal.measurement import sampled_observables, statistics
from steode.systems.linear.literal.ranges import Follows, Learned, at_range, literal_range
from steode.systems.linear.literal.rules import Rule, dot, literal_rule
from steode.systems.linear.spec import LinearModel


class Moments(eqx.Module):
    """Input moments in the eigenbasis (d,) (see `InputMoments`), and E[z_i^2] on the axes that are quantized."""

    variance: Float[Array, " d"]
    overlap: Float[Array, " d"]
    power: Float[Array, " d"]
    shrinkage: Float[Array, " d"]
    residual: Float[Array, " d"]
    axis_power: Float[Array, " d"]


class LinearSystem(eqx.Module):
    """A LinearModel in dimension `dim`, as `steode.engine.engine` runs it; changed numbers recompile nothing.

    A part that does nothing (no spectrum, no decay, the identity as a map) leaves no instruction in the compiled step.
    """

    learning_rate: Float[Array, ""]  # of the first step, if there is a schedule
    noise: Float[Array, ""]
    decay: Float[Array, ""] | None
    dampening: Float[Array, ""] | None  # of the first step, if there is a schedule
    mobility: Callable | None = eqx.field(static=True)  # surrogate derivative of the weights; None: it is 1
    band: Float[Array, "2 ..."] | None  # ends of the band where the surrogate derivative is 1; None: everywhere
    weight_map: RandomMap | GroupedMap
    input_map: RandomMap
    label_map: RandomMap
    output_map: RandomMap
    residual_map: RandomMap
    teacher_map: StepMap | SmoothMap
    slope: Slope
    rule: Rule
    scale: Float[Array, " d"] | None  # square roots of the eigenvalues; None: all are 1
    rotation: Float[Array, "d d"] | None  # x -> R x; weights and teacher live in the rotated coordinates
    moments: Moments | None  # None: all observables of the outputs are sampled
    dim: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    sampled: tuple[str, ...] = eqx.field(static=True)  # observables measured on held-out samples
    range_motion: Follows | Learned | None = None  # None: the range of the weights' map stands still
    edges: Float[Array, " bins+1"] | None = None  # of the bins in which weights are counted
    schedules: tuple = eqx.field(static=True, default=())  # of the fields that change: pairs (name, tau -> value)

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step."""
        return sum(self._counts)

    @property
    def _counts(self) -> tuple[int, ...]:
        """Numbers of one step: samples; draws of the maps of inputs, labels, output, residual, weights; the rule's."""
        of_batch = [entry.count(self.batch) for entry in (self.label_map, self.output_map, self.residual_map)]
        inputs = self.batch * self.input_map.count(self.dim)
        own = self.weight_map.count(self.dim), self.rule.count(self.dim)
        return (self.batch * (self.dim + 1), inputs, *of_batch, *own)

    def sample(self, teacher: Float[Array, " d"], normals: Float[Array, "R normals"]) -> tuple:
        """Quantized inputs (R, B, d) and labels (R, B), and the numbers of output, residual, weights and rule."""
        inputs, field, xi, (input_numbers, label_numbers, *rest) = self.draw(teacher, normals)
        return self.input_map(inputs, input_numbers), self.labels(field, xi, label_numbers), *rest

    def begin(self, weights: Float[Array, "... d"]) -> PyTree:
        """The state of a run that starts at these weights: the weights themselves, unless the rules remember more."""
        state = self.rule.begin(weights)
        return state if self.range_motion is None else self.range_motion.begin(state, weights)

    def weights(self, state: PyTree) -> Float[Array, "... d"]:
        """The weights of a state."""
        return self.rule.weights(state if self.range_motion is None else self.range_motion.inner(state))

    def with_weights(self, state: PyTree, weights: Float[Array, "... d"]) -> PyTree:
        """The state with other weights."""
        if self.range_motion is None:
            return self.rule.with_weights(state, weights)
        inner = self.rule.with_weights(self.range_motion.inner(state), weights)
        return self.range_motion.outer(state, inner)

    def with_range(self, state: PyTree) -> "LinearSystem":
        """The system with the map of the weights that a state has."""
        if self.range_motion is None:
            return self
        value = self.range_motion.value(state, self.weights(state))
        return dataclasses.replace(self, weight_map=at_range(self.range_motion.unit, value))

    def step(self, teacher, state: PyTree, sample, index) -> tuple[PyTree, Array]:
        """The state after step `index`, and a number that is finite as long as all is well."""
        now, weights = self.at(index).with_range(state), self.weights(state)
        inputs, labels, output_numbers, residual_numbers, weight_numbers, rule_numbers = sample
        field, output = now.forward(weights, inputs, output_numbers, weight_numbers)
        errors = self.residual_map(output - labels, residual_numbers) * self.slope(field)

        def losses(others: Float[Array, "n d"]) -> Float[Array, " n"]:
            """Half the mean squared distance of output and label on this batch, of other weights."""
            numbers = (values[None, :] for values in (output_numbers, weight_numbers))
            return jnp.mean((now.forward(others, inputs, *numbers)[1] - labels[None, :]) ** 2, axis=1) / 2

        def change(rate) -> Float[Array, " d"]:
            change = self.rule.change(rate, weights, errors, inputs, losses, rule_numbers)
            if self.mobility is not None:
                change = change * jnp.asarray(self.mobility(weights), change.dtype)
            if self.band is not None:
                change = jnp.where((weights > self.band[0]) & (weights < self.band[1]), change, 0)
            return change

        def pull(rate) -> Float[Array, " d"]:
            pull = jnp.zeros((), weights.dtype)
            if self.decay is not None:
                pull = (rate * self.decay / self.dim) * weights
            if now.dampening is not None:
                pull = pull + (rate * now.dampening / self.dim) * (weights - now.weight_map(weights, weight_numbers))
            return pull

        if self.range_motion is None:
            moved = self.rule.move(now.learning_rate, change, pull, state)
        else:
            moved = self.rule.move(now.learning_rate, change, pull, self.range_motion.inner(state))
            moved = self.range_motion.moved(state, moved, weights, self.rule.weights(moved), errors, inputs)
        # a bounded output hides diverging weights
        return moved, jnp.sum(errors) + jnp.sum(field)

    def at(self, index) -> "LinearSystem":
        """The system with the learning rate and the dampening of a step."""
        dtype = self.learning_rate.dtype
        time = jnp.asarray(index, dtype) / self.dim
        return dataclasses.replace(self, **{name: jnp.asarray(at(time), dtype) for name, at in self.schedules})

    def observe(self, teacher, state) -> dict[str, Array]:
        """Observables by name, without those that are sampled; see `steode.systems.linear.observables.OBSERVABLES`."""
        weights, weight_map = self.weights(state), self.with_range(state).weight_map
        image_map = weight_map.image if isinstance(weight_map, Deterministic) else None
        measured = statistics(weights, image_map, self.edges)
        if self.range_motion is not None:
            measured["range"] = self.range_motion.value(state, weights)
        if self.moments is None:
            return measured
        moments, image, target = self.moments, weight_map.mean(weights), teacher
        if self.rotation is not None:
            image, target = dot(image, self.rotation), dot(target, self.rotation)
        if isinstance(weight_map, Multiplicative) and weight_map.common:
            # one factor: the noise of h is that factor times h, whatever the axes
            noise = jnp.mean(moments.power * weight_map.variance(image))
        else:
            noise = jnp.mean(moments.axis_power * weight_map.variance(weights))
        q = jnp.mean(moments.power * image**2) + noise
        measured |= {"m": jnp.mean(moments.overlap * target * image), "q": q}
        # E_x[(W_i z_i - w*_i x_i)^2] as a sum of squares: rounding cannot make it negative
        error = moments.power * (image - moments.shrinkage * target) ** 2 + moments.residual * target**2
        # variances linear in u^2 average to those at the root mean square
        residual = jnp.mean(error) + noise + self.output_map.variance(jnp.sqrt(q))
        label_square = jnp.mean(moments.variance * target**2) + self.noise**2
        label_noise = self.label_map.variance(jnp.sqrt(label_square))
        exact = {"eps_g": residual / 2, "V": residual + self.noise**2 + label_noise}
        sums = not self.sampled and self.rotation is None and isinstance(self.output_map, Deterministic)
        if sums and isinstance(weight_map, GroupedMap):
            exact["eps_g_by_group"] = weight_map.sums(error) / (2 * self.dim)
        return measured | {name: value for name, value in exact.items() if name not in self.sampled}

    def held_out(self, teacher, state, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Values on R fresh batches, (R,) each, whose averages are observables: those sampled, else the error again."""
        weights = self.weights(state)
        inputs, teacher_field, xi, (input_numbers, label_numbers, *others) = self.draw(teacher, normals)
        inputs, labels = self.input_map(inputs, input_numbers), self.labels(teacher_field, xi, label_numbers)
        output_numbers, _, weight_numbers, _ = others
        forward = self.with_range(state).forward
        field, output = jax.vmap(forward, (None, 0, 0, 0))(weights, inputs, output_numbers, weight_numbers)
        values = {
            "eps_g": (output - self.teacher_map(teacher_field)) ** 2 / 2,
            "V": (output - labels) ** 2,
            "m": field * teacher_field,
            "q": field**2,
        }
        chosen = {name: jnp.mean(values[name], axis=1) for name in self.sampled}
        return chosen if "eps_g" in chosen else chosen | {"eps_g_test": jnp.mean(values["eps_g"], axis=1)}

    def forward(self, weights, inputs: Float[Array, "B d"], output_numbers, weight_numbers) -> tuple[Array, Array]:
        """h and f(h) for one batch, (B,) each; (n, B) for weights (n, d) with numbers (1, ...)."""
        image = self.weight_map(weights, weight_numbers)
        product = dot(inputs, image) if weights.ndim == 1 else dot(image, inputs.T)
        field = product / np.sqrt(self.dim).astype(weights.dtype)
        return field, self.output_map(field, output_numbers)

    def labels(self, field, xi, numbers) -> Float[Array, "R B"]:
        """Quantized labels from the teacher's pre-activations and standard normal label noise."""
        return self.label_map(self.teacher_map(field) + self.noise * xi, numbers)

    def draw(self, teacher, normals: Float[Array, "R normals"]) -> tuple[Array, Array, Array, tuple]:
        """Inputs (R, B, d) before quantization, h* and label noise (R, B), and what maps and rule draw."""
        samples, input_numbers, *rest, rule_numbers = jnp.split(normals, np.cumsum(self._counts)[:-1], axis=1)
        samples = jnp.reshape(samples, (-1, self.batch, self.dim + 1))
        inputs, xi = samples[..., :-1], samples[..., -1]
        if self.scale is not None:
            inputs = inputs * self.scale[None, None, :]
        if self.rotation is not None:
            inputs = dot(inputs, self.rotation.T)
        field = dot(inputs, teacher) / np.sqrt(self.dim).astype(inputs.dtype)
        input_numbers = jnp.reshape(input_numbers, (*inputs.shape[:2], self.input_map.count(self.dim)))
        return inputs, field, xi, (input_numbers, *rest, self.rule.draw(rule_numbers, self.dim))


def linear_system(
    model: LinearModel, dim: int, dtype, compile_map: Callable[[EntrywiseMap], Callable], edges=None, rotation=None
) -> LinearSystem:
    """Put a model's numbers into arrays of `dtype`.

    `compile_map` turns an `Elementwise` map or a `Schedule` into a JAX function; it is passed in, so that this module
    needs no SymPy. `edges` are those of bins in which the weights are counted, if any. `rotation`, an orthogonal matrix
    (dim, dim), takes the data out of the axes of the quantizers: x -> R x.
    """
    sampled = sampled_observables(model, rotation is not None)
    moments, eigenvalues, band = None, eigenvalues_of(model, dim), band_of(model, dim)
    if "q" not in sampled:
        measured = coordinate_moments(model.input_quantizer, eigenvalues)
        axis_power = measured.power if rotation is None else (rotation**2) @ measured.power
        values = (eigenvalues, measured.overlap, measured.power, measured.shrinkage, measured.residual, axis_power)
        moments = Moments(*(jnp.asarray(value, dtype) for value in values))
    rates = {"learning_rate": model.learning_rate} | ({"dampening": model.dampening} if model.dampening else {})
    schedules = tuple((name, compile_map(value)) for name, value in rates.items() if isinstance(value, Schedule))
    rates |= {name: schedule(0.0) for name, schedule in schedules}

    def quantizer(entry):
        return random_map(entry, dtype, compile_map)

    return LinearSystem(
        learning_rate=jnp.asarray(rates["learning_rate"], dtype),
        noise=jnp.asarray(model.noise, dtype),
        decay=jnp.asarray(model.weight_decay, dtype) if model.weight_decay else None,
        dampening=jnp.asarray(rates["dampening"], dtype) if model.dampening else None,
        mobility=smooth_slope(model.surrogate, compile_map) if isinstance(model.surrogate, DerivativeOf) else None,
        band=None if band is None else jnp.asarray(band, dtype),
        weight_map=weight_map_of(model, dim, dtype, compile_map),
        input_map=quantizer(model.input_quantizer),
        label_map=quantizer(model.label_quantizer),
        output_map=quantizer(model.activation),
        residual_map=quantizer(model.residual_quantizer),
        teacher_map=device_map(model.teacher_activation, dtype, compile_map),
        slope=output_slope(model.activation_surrogate, dtype, compile_map),
        rule=literal_rule(model.update_rule, dim, dtype),
        range_motion=literal_range(model.range_rule, model.weight_quantizer, dtype),
        scale=None if model.spectrum.is_isotropic else jnp.asarray(np.sqrt(eigenvalues), dtype),
        rotation=None if rotation is None else jnp.asarray(rotation, dtype),
        moments=moments,
        dim=dim,
        batch=model.batch_size,
        sampled=sampled,
        edges=None if edges is None else jnp.asarray(edges, dtype),
        schedules=schedules,
    )
