"""The verb `gradients`: loss, true and coarse gradient at many points, and the same measured on samples."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import check_integer
from steode.systems.binary_relu.compiled import CompiledGradient, compile_gradient
from steode.systems.binary_relu.simulate import network
from steode.systems.binary_relu.simulation import Network, draw
from steode.systems.binary_relu.solve import check_starts
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model
from steode.systems.binary_relu.starts import Starts


@dataclasses.dataclass(frozen=True, eq=False)
class Gradients:
    """At K points: `loss` (K,), `output` = df/dv (K, m), `filter` = df/dw (K, n), `coarse` = E g (K, n).

    Measured ones are means over samples and have `errors`, the standard errors by name; there `filter` is None, for the
    gradient of a sample's loss is zero.
    """

    loss: np.ndarray
    output: np.ndarray
    coarse: np.ndarray
    filter: np.ndarray | None = None
    errors: dict[str, np.ndarray] | None = None

    @property
    def correlation(self) -> np.ndarray:
        """<E g, df/dw>, (K,); needs `filter`."""
        return np.sum(self.coarse * self.filter, axis=1)

    def __repr__(self) -> str:
        return f"Gradients at {self.loss.size} points" + ("" if self.errors is None else ", measured on samples")


def gradients(model: BinaryReLUModel, points: Starts) -> Gradients:
    """Population loss, its gradient and the expected coarse gradient, from the derived formulas.

    Parameters
    ----------
    model : the specification.
    points : from `steode.binary_relu.starts` or `random_starts`.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    """
    check_model(model)
    check_starts(model, points)
    with jax.enable_x64(True):
        compiled = compile_gradient(model)

        given = (jnp.asarray(part) for part in (points.v, points.length, points.theta))
        output, loss, slope, along, across = jax.device_get(_derived(compiled, *given))
    e = points.filters(model) / points.length[:, None]
    # at the same angle less a right one: across w in the plane of the two, towards w*
    turned = dataclasses.replace(points, theta=points.theta - np.pi / 2, length=np.ones(len(points)))
    beside = turned.filters(model)
    return Gradients(loss, output, along[:, None] * e + across[:, None] * beside, slope[:, None] * beside)


def sampled_gradients(model: BinaryReLUModel, points: Starts, samples: int, *, key: int = 0) -> Gradients:
    """The same on `samples` drawn Z, literally: loss, gradient in v, coarse gradient in w, and standard errors.

    Parameters
    ----------
    model, points : as for `gradients`.
    samples : number of Z, the same for all points.
    key : of the random numbers.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    """
    check_model(model)
    check_starts(model, points)
    samples = check_integer("samples", samples, 2)
    with jax.enable_x64(True):
        given = network(model)
        weights = jnp.asarray(points.v), jnp.asarray(points.filters(model))
        measured = jax.device_get(_measure(given, *weights, draw(jax.random.key(key), samples, given)))
    (loss, loss_error), (output, output_error), (coarse, coarse_error) = measured
    errors = {"loss": loss_error, "output": output_error, "coarse": coarse_error}
    return Gradients(loss, output, coarse, None, errors)


@eqx.filter_jit
def _derived(compiled: CompiledGradient, v, length, theta):
    def one(v, R, theta):
        names = ("loss", "filter_gradient", "along", "across")
        return compiled.output_gradient(v, theta), *(compiled.evaluate(name, v, R, theta) for name in names)

    return jax.vmap(one)(v, length, theta)


@eqx.filter_jit
def _measure(given: Network, v, w, Z):
    def one(pair):
        singles = jax.vmap(lambda z: (given.loss(*pair, z[None]), *given.gradients(*pair, z[None])))(Z)
        return tuple((jnp.mean(part, axis=0), jnp.std(part, axis=0) / np.sqrt(len(Z))) for part in singles)

    return jax.lax.map(one, (v, w))
