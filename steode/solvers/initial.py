"""Probability of an initial law in the control volume of every node of a mesh."""

import functools

import jax
import jax.scipy.stats
import numpy as np
import scipy
from jaxtyping import Array, Float

from steode.errors import SpecificationError
from steode.parts import laws
from steode.solvers.libraries import either, library, sums_at


@functools.singledispatch
def node_masses(law: laws.Law, nodes: Float[Array, " N"], band=None) -> Float[Array, " N"]:
    """Masses that sum to 1, shape (N,). Laws with a density give it by their distribution function at the faces between
    nodes; atoms are split between the two neighboring nodes so that mass and mean are kept.

    Nodes at the ends of the `band`, (2,), absorb. Weights that start inside it are not absorbed yet: those nearest to
    an end belong to the node before it.
    """
    raise SpecificationError("init", "a law with a known distribution function", law, "Use one of steode's laws.")


@node_masses.register
def _(law: laws.Normal, nodes, band=None):
    faces = _faces(nodes, band)
    return _from_tails(faces, either(faces, scipy.special.ndtr, jax.scipy.special.ndtr), law.mean, law.std)


@node_masses.register
def _(law: laws.Laplace, nodes, band=None):
    faces = _faces(nodes, band)
    cdf = either(faces, scipy.stats.laplace.cdf, jax.scipy.stats.laplace.cdf)
    return _from_tails(faces, cdf, law.mean, law.scale)


@node_masses.register
def _(law: laws.UniformLaw, nodes, band=None):
    center, half = (law.low + law.high) / 2, (law.high - law.low) / 2
    return _from_tails(_faces(nodes, band), lambda u: library(u).clip((u + 1) / 2, 0, 1), center, half)


@node_masses.register(laws.Constant)
@node_masses.register(laws.TwoPoint)
@node_masses.register(laws.Discrete)
def _(law, nodes, band=None):
    values, weights = law.atoms
    return split_atoms(values, weights, nodes)


@node_masses.register
def _(law: laws.Empirical, nodes, band=None):
    return split_atoms(law.values, np.full(law.values.size, 1 / law.values.size), nodes)


def _faces(nodes, band):
    """Middles between neighboring nodes; next to an absorbing node, inside, the face is at the end itself."""
    faces = (nodes[1:] + nodes[:-1]) / 2
    if band is None:
        return faces
    low, high = inside(band)
    last, first = (nodes[1:] >= high) & (nodes[:-1] < high), (nodes[:-1] <= low) & (nodes[1:] > low)
    where = library(nodes, band).where
    return where(last, nodes[1:], where(first, nodes[:-1], faces))


def inside(ends):
    """A node beyond this is at the end of the band: thresholds that equal it may do so to rounding."""
    return ends * (1 - 1e-9)


def _from_tails(faces, cdf, center, scale):
    """Masses between faces of a law symmetric about its center, each side from its own tail for relative accuracy."""
    faces = (faces - center) / scale
    np_or_jnp, one = library(faces), np.ones(1)
    below = np_or_jnp.concatenate([0 * one, cdf(faces), one])
    above = np_or_jnp.concatenate([one, cdf(-faces), 0 * one])
    right = np_or_jnp.concatenate([-one, faces]) > 0
    return np_or_jnp.where(right, above[:-1] - above[1:], below[1:] - below[:-1])


def split_atoms(values: np.ndarray, weights: np.ndarray, nodes: Float[Array, " N"]) -> Float[Array, " N"]:
    """Masses of atoms, each split between its two neighboring nodes in inverse proportion to the distance."""
    np_or_jnp = library(nodes)
    right = np_or_jnp.clip(np_or_jnp.searchsorted(nodes, values, side="right"), 1, nodes.size - 1)
    share = (values - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
    parts = np_or_jnp.concatenate([weights * (1 - share), weights * share])
    return sums_at(np_or_jnp.concatenate([right - 1, right]), parts, nodes.size)
