"""Running averages of quantized and of latent weights beside a run, and the errors one would have by deploying them."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from steode.parts.remedies import RunningAverage
from steode.systems.linear.literal.around import Around, innermost_of
from steode.systems.linear.literal.maps import Deterministic, SmoothMap


class Averaged(NamedTuple):
    """The state of a run with the averages so far."""

    state: PyTree
    images: Float[Array, "... d"]
    latent: Float[Array, "... d"]


class AveragingSystem(Around):
    """A system beside which Q(w) and w are averaged; of a random map of the weights its mean is."""

    start: int = eqx.field(static=True)  # steps before the first that counts
    memory: float | None = eqx.field(static=True)  # steps

    def inner(self, state: Averaged) -> PyTree:
        """The state of the system inside."""
        return state.state

    def outer(self, state: Averaged, inner: PyTree) -> Averaged:
        """The state with another one of the system inside."""
        return state._replace(state=inner)

    def begin(self, weights: Float[Array, "... d"]) -> Averaged:
        """The state of the runs that start at these weights, of S seeds (S, d)."""
        state = self.system.begin(weights)
        latent = jnp.asarray(self.system.weights(state))
        return Averaged(state, jax.vmap(self._image)(state, latent), latent)

    def step(self, teacher, state: Averaged, sample, index) -> tuple[Averaged, Array]:
        """The state after step `index`, and a number that is finite as long as all is well."""
        following, health = self.system.step(teacher, state.state, sample, index)
        w = self.system.weights(following)
        count = jnp.maximum(index + 1 - self.start, 1).astype(w.dtype)
        share = 1 / count if self.memory is None else jnp.maximum(1 / count, min(1.0, 1 / self.memory))
        images = state.images + share * (self._image(following, w) - state.images)
        latent = state.latent + share * (w - state.latent)
        return Averaged(following, images, latent), health

    def observe(self, teacher, state: Averaged) -> dict[str, Array]:
        """Observables by name, with the errors of averages that are measured from the weights."""
        measured = super().observe(teacher, state)
        errors = {name: system.observe(teacher, own) for name, system, own in self._deployed(state)}
        return measured | {name: values["eps_g"] for name, values in errors.items() if "eps_g" in values}

    def held_out(self, teacher, state: Averaged, normals) -> dict[str, Array]:
        """As `LinearSystem.held_out`, with the errors of averages where errors have to be sampled."""
        values = super().held_out(teacher, state, normals)
        if "eps_g" not in values:
            return values
        own = normals[:, : self.base.normals]
        errors = {name: system.held_out(teacher, part, own) for name, system, part in self._deployed(state)}
        return values | {name: found["eps_g"] for name, found in errors.items()}

    def _image(self, inner, w):
        """Q(w), or its mean, under a state of the system inside."""
        innermost = self.system.innermost(inner) if isinstance(self.system, Around) else inner
        return self.base.with_range(innermost).weight_map.mean(w)

    def _deployed(self, state: Averaged):
        """Name, system and state of each: as they are under no quantizer, rounded once under the run's own."""
        base, inner = self.base, self.innermost(state)
        rule = inner if base.range_motion is None else base.range_motion.inner(inner)
        plain = dataclasses.replace(base, weight_map=Deterministic(SmoothMap()), range_motion=None)
        rounding = dataclasses.replace(base.with_range(inner), range_motion=None)
        for name, values in (("mean_q", state.images), ("mean_w", state.latent)):
            own = base.rule.with_weights(rule, values)
            yield f"eps_g_{name}", plain, own
            yield f"eps_g_{name}_rounded", rounding, own


def averaging_system(system, average: RunningAverage) -> AveragingSystem:
    """The system with averages beside it; times of `average` become steps."""
    dim = innermost_of(system).dim
    memory = None if average.memory is None else average.memory * dim
    return AveragingSystem(system, round(average.start * dim), memory)
