"""Several linear models trained side by side on one stream of inputs and label noise: paired comparisons.

A model sees the samples it would see alone, so that its run is the one `simulate` makes of it, to rounding; what the
models share is the generation of the inputs, which is most of the work of one of them.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from steode.errors import SpecificationError
from steode.systems.linear.literal.maps import StepMap
from steode.systems.linear.literal.system import LinearSystem, linear_system
from steode.systems.linear.spec import LinearModel


class PairedSystem(eqx.Module):
    """C linear systems of one structure with one teacher, as `steode.engine.engine` runs them: weights (C, d)."""

    members: LinearSystem  # leaves (C, ...)
    same_inputs: bool = eqx.field(static=True)  # one input quantizer for all

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step, however many models share them."""
        return self.members.normals

    def sample(self, teacher: Float[Array, " d"], normals: Float[Array, "R normals"]) -> tuple:
        """Inputs (R, B, d), quantized if all do it alike, the numbers of their maps, labels (R, C, B), numbers left."""
        first = jax.tree.map(lambda leaf: leaf[0], self.members)
        inputs, field, xi, (input_numbers, label_numbers, *rest) = first.draw(teacher, normals)
        own_labels = jax.vmap(lambda member: member.labels(field, xi, label_numbers), out_axes=1)
        labels = own_labels(self.members)
        if self.same_inputs:
            inputs = first.input_map(inputs, input_numbers)
        return inputs, input_numbers, labels, tuple(rest)

    def begin(self, weights: Float[Array, "... C d"]) -> PyTree:
        """The state of a run that starts at these weights."""
        return self.members.begin(weights)

    def weights(self, state: PyTree) -> Float[Array, "... C d"]:
        """The weights of a state."""
        return self.members.weights(state)

    def step(self, teacher, state: PyTree, sample, index) -> tuple[PyTree, Array]:
        """The state after step `index`, and the sum of the numbers that tell of divergence."""
        inputs, input_numbers, labels, rest = sample

        def one(member, state, labels):
            own = inputs if self.same_inputs else member.input_map(inputs, input_numbers)
            return member.step(teacher, state, (own, labels, *rest), index)

        state, health = jax.vmap(one)(self.members, state, labels)
        return state, jnp.sum(health)

    def observe(self, teacher, state) -> dict[str, Array]:
        """Observables with a leading axis of models."""
        return jax.vmap(lambda member, state: member.observe(teacher, state))(self.members, state)

    def held_out(self, teacher, state, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Values (R, C) on R fresh batches, the same for all models."""

        def one(member, state):
            return member.held_out(teacher, state, normals)

        return jax.vmap(one, out_axes=1)(self.members, state)


def paired_system(
    models: Sequence[LinearModel], dim: int, dtype, compile_map: Callable, edges=None, rotation=None
) -> PairedSystem:
    """The models' numbers side by side; a missing pull is 0, a missing band infinite, missing levels never reached.

    Raises `SpecificationError` unless they have the same teacher law, batch size and spectrum, and maps and update
    rules of one kind: step functions (of any number of levels) or the same smooth map.
    """
    for name in ("teacher", "batch_size", "spectrum"):
        values = {getattr(model, name) for model in models}
        if len(values) > 1:
            expected, remedy = f"models with the same {name}", "Paired models see the same samples and labels."
            raise SpecificationError("models", expected, " and ".join(sorted(map(repr, values))), remedy)
    systems = [linear_system(model, dim, dtype, compile_map, edges, rotation) for model in models]
    filled = [_with_every_part(system, systems, dtype) for system in systems]
    if len({(jax.tree.structure(system), *map(jnp.shape, jax.tree.leaves(system))) for system in filled}) > 1:
        expected = "models of one structure: step quantizers or the same smooth map, rates by numbers or one schedule"
        remedy = "Simulate the others on their own."
        raise SpecificationError("models", expected, " and ".join(map(repr, models)), remedy)
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), *filled)
    return PairedSystem(members, len({model.input_quantizer for model in models}) == 1)


def _with_every_part(system: LinearSystem, systems: list[LinearSystem], dtype) -> LinearSystem:
    for name, neutral in (("decay", 0.0), ("dampening", 0.0), ("band", (-np.inf, np.inf))):
        if getattr(system, name) is None and any(getattr(other, name) is not None for other in systems):
            value = jnp.asarray(neutral, dtype)
            system = eqx.tree_at(
                lambda s, name=name: getattr(s, name), system, value, is_leaf=lambda leaf: leaf is None
            )
    own = _step_maps(system)
    alike = [maps for maps in map(_step_maps, systems) if len(maps) == len(own)]
    sizes = [max(entry.levels.size for entry in same) for same in zip(*alike, strict=True)]
    padded = [_padded(entry, size) for entry, size in zip(own, sizes, strict=True)]
    return eqx.tree_at(_step_maps, system, padded) if padded else system


def _step_maps(system: LinearSystem) -> list[StepMap]:
    return [part for part in jax.tree.leaves(system, is_leaf=_is_step_map) if _is_step_map(part)]


def _is_step_map(part) -> bool:
    return isinstance(part, StepMap)


def _padded(own: StepMap, size: int) -> StepMap:
    missing = size - own.levels.size
    levels = jnp.concatenate([own.levels, jnp.broadcast_to(own.levels[-1], (missing,))])
    return StepMap(levels, jnp.concatenate([own.thresholds, jnp.full(missing, np.inf, own.thresholds.dtype)]))
