"""Coordinates of several kinds in one array: a map of its own for each block of entries, and laws one after another."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from steode.solvers.entrywise import Map
from steode.solvers.libraries import library
from steode.solvers.start import Kinks, Rows, Start


def counts_of(shares: tuple[float, ...], size: int) -> tuple[int, ...]:
    """Entries of each block among `size`, to the nearest."""
    return tuple(np.diff(np.round(np.cumsum([0.0, *shares]) * size)).astype(int).tolist())


class Blocks(Map):
    """The first entries, along the first axis, under the first map, those after them under the second, and so on."""

    maps: tuple[Map, ...]
    counts: tuple[int, ...] = eqx.field(static=True)

    def split(self, values) -> list:
        """The part of an array that belongs to each block; a number or an array of one entry belongs to all."""
        if np.ndim(values) == 0 or values.shape[0] == 1:
            return [values] * len(self.counts)
        ends = np.cumsum(self.counts)
        return [values[end - count : end] for end, count in zip(ends, self.counts, strict=True)]

    def sums(self, values) -> Array:
        """Sum over the entries of each block, (G,)."""
        return jnp.stack([jnp.sum(part) for part in self.split(values)])

    def _each(self, name: str, *arguments):
        parts = zip(*(self.split(argument) for argument in arguments), strict=True)
        images = [getattr(own, name)(*part) for own, part in zip(self.maps, parts, strict=True)]
        return library(*images).concatenate(images)

    def __call__(self, w):
        return self._each("__call__", w)

    def square(self, w):
        return self._each("square", w)

    def gaussian_mean(self, mean, variance):
        return self._each("gaussian_mean", mean, variance)

    def gaussian_square(self, mean, variance):
        return self._each("gaussian_square", mean, variance)

    def gaussian_slope(self, mean, variance):
        return self._each("gaussian_slope", mean, variance)


@dataclasses.dataclass(frozen=True)
class JoinedStart:
    """Starts of several kinds of coordinates, of which each has its share; what closures and particles take of one."""

    starts: tuple[Start, ...]
    shares: tuple[float, ...]

    def rows(self, kinks: Kinks, count: int) -> "JoinedRows":
        """The rows of all kinds, one after another."""
        return JoinedRows(tuple(start.rows(kinks, count) for start in self.starts), self.shares)

    def draw(self, generator: np.random.Generator, size: int) -> tuple:
        """As `Start.draw`, one kind after another."""
        counts = counts_of(self.shares, size)
        drawn = [start.draw(generator, count) for start, count in zip(self.starts, counts, strict=True)]
        return tuple(None if parts[0] is None else np.concatenate(parts) for parts in zip(*drawn, strict=True))


class JoinedRows:
    """Rows of several kinds of coordinates one after another, as in `Rows`; `counts` says how many are of each."""

    def __init__(self, parts: tuple[Rows, ...], shares: tuple[float, ...]):
        self.counts = tuple(part.teacher.size for part in parts)
        self.teacher, self.mean, self.variance = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("teacher", "mean", "variance")
        )
        self.weights = np.concatenate([share * part.weights for share, part in zip(shares, parts, strict=True)])
        self.rho = total_square(parts, shares)
        known = parts[0].eigenvalues is not None
        self.eigenvalues = np.concatenate([part.eigenvalues for part in parts]) if known else None


def total_square(parts: tuple[Rows, ...], shares: tuple[float, ...]) -> float:
    """rho of all kinds together."""
    return sum(share * part.rho for share, part in zip(shares, parts, strict=True))
