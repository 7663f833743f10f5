"""The verb `loss_profile`: the loss on given samples along the coarse direction, against the population's."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import SpecificationError, check_array, check_integer
from steode.systems.binary_relu.compiled import CompiledGradient, compile_gradient
from steode.systems.binary_relu.simulate import network
from steode.systems.binary_relu.simulation import Network, draw
from steode.systems.binary_relu.solve import check_starts
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model
from steode.systems.binary_relu.starts import Starts


@dataclasses.dataclass(frozen=True, eq=False)
class LossProfile:
    """Losses at w - distance g/|g| with v fixed, for each of K points.

    `distances` (T,); `empirical` (K, T) on `samples` drawn Z, along the coarse gradient g of the same samples;
    `population` (K, T) at the same weights.
    """

    samples: int
    distances: np.ndarray
    empirical: np.ndarray
    population: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Largest distance of the two curves after both start at 0, (K,)."""
        curves = (curve - curve[:, :1] for curve in (self.empirical, self.population))
        return np.abs(np.subtract(*curves)).max(axis=1)

    def __repr__(self) -> str:
        return f"Loss along the coarse direction: {len(self.empirical)} points, {self.samples} samples"


def loss_profile(model: BinaryReLUModel, points: Starts, distances, samples: int, *, key: int = 0) -> LossProfile:
    """Loss along the negative coarse gradient, of one data set and of the population.

    Parameters
    ----------
    model : the specification.
    points : from `steode.binary_relu.starts`; K of them.
    distances : along the direction, shape (T,), the first of them 0.
    samples : number of Z in the data set; the derivative of its loss is zero almost everywhere.
    key : of the random numbers; every point has samples of its own.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    """
    check_model(model)
    check_starts(model, points)
    distances = check_array("distances", distances)
    if distances[0] != 0:
        raise SpecificationError("distances", "distances from 0 on", distances[0], "Put 0 first.")
    samples = check_integer("samples", samples, 1)
    with jax.enable_x64(True):
        weights = jnp.asarray(points.v), jnp.asarray(points.filters(model))
        keys = jax.random.split(jax.random.key(key), len(points))
        compiled, given = compile_gradient(model), network(model)
        found = _profiles(compiled, given, *weights, keys, jnp.asarray(distances), samples)
    return LossProfile(samples, distances, *jax.device_get(found))


@eqx.filter_jit
def _profiles(compiled: CompiledGradient, given: Network, v, w, keys, distances, samples: int):
    def one(point):
        v, w, key = point
        Z = draw(key, samples, given)
        _, coarse = given.gradients(v, w, Z)
        direction = coarse / jnp.linalg.norm(coarse)

        def losses(distance):
            moved = w - distance * direction
            seen = given.observe(v, moved)
            return given.loss(v, moved, Z), compiled.evaluate("loss", v, seen["length"], seen["theta"])

        return jax.lax.map(losses, distances)

    return jax.lax.map(one, (v, w, keys))
