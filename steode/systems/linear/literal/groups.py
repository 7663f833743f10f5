"""Groups of coordinates at finite dimension: they stand one after another, each as large as its share says."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.errors import SpecificationError
from steode.parts.surrogates import ClippedSurrogate
from steode.systems.linear.literal.maps import RandomMap, random_map
from steode.systems.linear.spec import LinearModel


def group_sizes(model: LinearModel, dim: int) -> tuple[int, ...]:
    """Coordinates of each group, to the nearest; all `dim` without groups.

    Raises `SpecificationError` if a group has none, or with a spectrum not the same number at every eigenvalue.
    """
    if not model.groups:
        return (dim,)
    count = model.spectrum.values.size
    sizes = np.diff(np.round(np.cumsum([0.0, *model.shares]) * dim)).astype(int)
    if np.any(sizes == 0) or np.any(sizes % count):
        expected = f"groups whose sizes are multiples of {count}" if count > 1 else "at least one coordinate in a group"
        raise SpecificationError("dim", expected, f"{dim}, of which groups take {sizes.tolist()}", "Take another dim.")
    return tuple(sizes.tolist())


def eigenvalues_of(model: LinearModel, dim: int) -> Float[np.ndarray, " d"]:
    """The eigenvalue of each coordinate: those of a group have them all."""
    return np.concatenate([model.spectrum.coordinates(size) for size in group_sizes(model, dim)])


def draw_weights(model: LinearModel, name: str, generator: np.random.Generator, dim: int) -> Float[np.ndarray, " d"]:
    """Weights from the law of each group; `name` is "teacher" or "init"."""
    pairs = zip(model.members, group_sizes(model, dim), strict=True)
    return np.concatenate([getattr(member, name).sample(generator, size) for member, size in pairs])


def band_of(model: LinearModel, dim: int) -> Float[np.ndarray, "2 ..."] | None:
    """Ends of the band beyond which weights are frozen, of each coordinate where there are groups; None without one."""
    clipped = [isinstance(member.surrogate, ClippedSurrogate) for member in model.members]
    if not any(clipped):
        return None
    pairs = zip(clipped, model.members, strict=True)
    bands = np.array([member.surrogate.band if own else (-np.inf, np.inf) for own, member in pairs])
    return np.repeat(bands, group_sizes(model, dim), axis=0).T if model.groups else bands[0]


def weight_map_of(model: LinearModel, dim: int, dtype, compile_map: Callable) -> "RandomMap | GroupedMap":
    """The map of the weights."""
    maps = tuple(random_map(member.weight_quantizer, dtype, compile_map) for member in model.members)
    return GroupedMap(maps, group_sizes(model, dim)) if model.groups else maps[0]


class GroupedMap(eqx.Module):
    """A deterministic map for each group of the coordinates, which are the last axis."""

    maps: tuple[RandomMap, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)

    def count(self, size: int) -> int:
        """Normal numbers for a vector of `size` entries."""
        return 0

    def __call__(self, u, numbers):
        parts = zip(self.maps, self._split(u), strict=True)
        return jnp.concatenate([own(part, numbers) for own, part in parts], axis=-1)

    def mean(self, u):
        """E[Q(u)]."""
        return self(u, None)

    def variance(self, u):
        """Var Q(u), entry by entry."""
        return jnp.zeros_like(u)

    def sums(self, values: Float[Array, " d"]) -> Float[Array, " G"]:
        """Sum over each group."""
        return jnp.stack([jnp.sum(part) for part in self._split(values)])

    def _split(self, values) -> list[Array]:
        return jnp.split(values, np.cumsum(self.sizes)[:-1], axis=-1)
