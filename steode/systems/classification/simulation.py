"""Coarse-gradient training of two layers with a quantized ReLU: the literal update on samples, and what is measured.

Nothing here comes from the derivation. `steode.engine.engine` runs it: seeds, chunks, random numbers. What a seed
keeps, the engine's `fixed`, is the basis of its subspaces, shape (input dimension, sum of d_i).
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtr
from jaxtyping import Array, Float, Int

from steode.systems.classification.spec import POPULATION, ClassificationModel

ANGLES, LENGTHS = 240, 8
"""Grid of the population in every subspace of dimension 2."""
TEST_BATCH = 64
"""Samples drawn together where there is no batch."""


class ClassificationSystem(eqx.Module):
    """A ClassificationModel as the engine runs it; changed numbers recompile nothing.

    The state is (W, number of the last step in which a sample had positive loss, 0 for none).
    """

    step_size: Float[Array, ""]
    vote: Float[Array, ""]
    top: Float[Array, ""]
    radii: Float[Array, "2"]
    member: Float[Array, "K C"]  # 1 where a neuron votes for the class
    place: Int[Array, "C largest"]  # coordinates of each subspace; those of smaller ones point at a spare coordinate
    grid: tuple[Array, Array] | None  # samples (G, sum of d_i) and labels (G,) of the population
    derivative: Callable = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    space: int = eqx.field(static=True)

    @property
    def normals(self) -> int:
        """Standard normal numbers for one batch: direction, length and label of each sample."""
        return self.batch * (self.place.shape[1] + 2)

    def draw(self, fixed, normals: Float[Array, "R normals"]) -> tuple[Array, Array]:
        """Samples (R, B, input dimension) and labels (R, B)."""
        rows, largest = normals.shape[0], self.place.shape[1]
        numbers = jnp.reshape(normals, (rows, self.batch, largest + 2))
        classes = self.place.shape[0]
        uniform = ndtr(numbers[:, :, largest:])
        labels = jnp.minimum((classes * uniform[:, :, 0]).astype(jnp.int32), classes - 1)
        length = self.radii[0] + (self.radii[1] - self.radii[0]) * uniform[:, :, 1]
        place = self.place[labels]
        direction = jnp.where(place < self.space, numbers[:, :, :largest], 0)
        scale = length / jnp.sqrt(jnp.sum(direction**2, axis=2))
        hot = place[:, :, :, None] == jnp.arange(self.space)[None, None, None, :]
        inside = jnp.sum(jnp.where(hot, (direction * scale[:, :, None])[:, :, :, None], 0), axis=2)
        return _into(fixed, inside), labels

    def sample(self, fixed, normals: Float[Array, "R normals"]) -> tuple[Array, ...]:
        """Batches for R steps; of the population nothing is drawn."""
        return self.draw(fixed, normals) if self.grid is None else (normals[:, :1],)

    def losses(self, weights: Float[Array, "K D"], x: Float[Array, "B D"], labels: Int[Array, " B"]):
        """Loss on each sample (B,), whether it is misclassified (B,), and minus dl/dh without mu' (B, K), and h."""
        hidden = _dot(x, weights.T)
        levels = jnp.clip(jnp.ceil(hidden), 0, self.top)
        sums = _dot(levels, self.member)
        own = labels[:, None] == jnp.arange(sums.shape[1])[None, :]
        score = jnp.sum(jnp.where(own, sums, 0), axis=1)
        rivals = jnp.where(own, -jnp.inf, sums)
        best = jnp.max(rivals, axis=1)
        loss = jnp.maximum(0, 1 - self.vote * (score - best))
        tied = (rivals == best[:, None]).astype(x.dtype)
        share = tied / jnp.sum(tied, axis=1, keepdims=True)
        push = jnp.where((loss > 0)[:, None], self.vote * (own - share), 0)
        return loss, best >= score, _dot(push, self.member.T), hidden

    def coarse(self, weights, x, labels, share) -> tuple[Float[Array, "K D"], Array]:
        """Coarse gradient of the samples, each weighed by `share`, and their losses (B,)."""
        loss, _, push, hidden = self.losses(weights, x, labels)
        return -_dot((share * push * self.derivative(hidden)).T, x), loss

    def step(self, fixed, state, sample, index) -> tuple[tuple[Array, Array], Array]:
        """The state after step `index`, and the sum of the losses."""
        weights, last = state
        if self.grid is None:
            x, labels = sample
        else:
            x, labels = _into(fixed, self.grid[0]), self.grid[1]
        gradient, loss = self.coarse(weights, x, labels, 1 / x.shape[0])
        last = jnp.where(jnp.any(loss > 0), index.astype(jnp.int32) + 1, last)
        return (weights - self.step_size * gradient, last), jnp.sum(loss)

    def observe(self, fixed, state) -> dict[str, Array]:
        """W in the coordinates of the subspaces, and the last step with positive loss."""
        weights, last = state
        return {"weights": weights if fixed is None else _dot(weights, fixed), "last_loss": last}

    def held_out(self, fixed, state, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Loss, error and loss in each class (C,) on R fresh batches."""
        x, labels = self.draw(fixed, normals)
        loss, wrong, _, _ = self.losses(state[0], jnp.reshape(x, (-1, x.shape[2])), jnp.ravel(labels))
        classes = self.place.shape[0]
        hot = jnp.ravel(labels)[:, None] == jnp.arange(classes)[None, :]
        by_class = classes * loss[:, None] * hot
        found = {"loss": loss, "error": wrong.astype(x.dtype), "class_loss": by_class}
        return {
            name: jnp.mean(jnp.reshape(value, (*labels.shape, *value.shape[1:])), 1) for name, value in found.items()
        }


def classification_system(model: ClassificationModel, derivative: Callable, dtype) -> ClassificationSystem:
    """Put a model's numbers into arrays of `dtype`; `derivative` is mu', vectorized."""
    space, largest = sum(model.dimensions), max(model.dimensions)
    place = np.full((model.classes, largest), space)
    for number, block in enumerate(model.blocks):
        place[number, : block.stop - block.start] = np.arange(block.start, block.stop)
    population = model.batch == POPULATION
    return ClassificationSystem(
        step_size=jnp.asarray(model.step, dtype),
        vote=jnp.asarray(model.vote, dtype),
        top=jnp.asarray(model.top, dtype),
        radii=jnp.asarray(model.radii, dtype),
        member=jnp.asarray(model.votes[:, None] == np.arange(model.classes)[None, :], dtype),
        place=jnp.asarray(place, jnp.int32),
        grid=_population(model, dtype) if population else None,
        derivative=derivative,
        batch=TEST_BATCH if population else model.batch,
        space=space,
    )


def _population(model: ClassificationModel, dtype) -> tuple[Array, Array]:
    """Midpoints of equal cells of angle and length in every subspace, and their labels."""
    angle = 2 * np.pi * (np.arange(ANGLES) + 0.5) / ANGLES
    low, high = model.radii
    length = low + (high - low) * (np.arange(LENGTHS) + 0.5) / LENGTHS
    disk = (length[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], 1)[None]).reshape(-1, 2)
    labels = np.repeat(np.arange(model.classes), disk.shape[0])
    samples = np.zeros((labels.size, sum(model.dimensions)))
    for number, block in enumerate(model.blocks):
        samples[labels == number, block] = disk
    return jnp.asarray(samples, dtype), jnp.asarray(labels, jnp.int32)


def _into(basis, inside):
    """Coordinates of the subspaces, along the last axis, as inputs."""
    return inside if basis is None else _dot(inside, basis.T)


def _dot(a, b):
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
