"""The verbs `gradients` and `sampled_gradients`: loss and coarse gradient of given weights, expected and measured."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import UnsupportedError, check_integer
from steode.systems.classification.plane import plane_averages
from steode.systems.classification.simulate import check_weights, compiled_derivative
from steode.systems.classification.simulation import TEST_BATCH, classification_system
from steode.systems.classification.spec import ClassificationModel, check_model


@dataclasses.dataclass(frozen=True, eq=False)
class ClassificationGradients:
    """Averages over the samples of each class, in the coordinates of the subspaces.

    Attributes
    ----------
    loss : (C,), mean loss of each class.
    positive : (C,), share of its samples with positive loss.
    coarse : (K, sum of d_i), E g; the coordinates of a subspace get nothing from other classes.
    errors : standard errors of the three by name, or None where they are integrals.
    """

    loss: np.ndarray
    positive: np.ndarray
    coarse: np.ndarray
    errors: dict[str, np.ndarray] | None = None

    def __repr__(self) -> str:
        how = "integrals" if self.errors is None else "samples"
        norm = np.linalg.norm(self.coarse)
        return f"Loss by class {np.round(self.loss, 6)}, |E g| = {norm:.6g} ({how})"


def gradients(model: ClassificationModel, weights, *, lengths: int = 48) -> ClassificationGradients:
    """Expected loss and coarse gradient, by integrals over angle and length; every d_i = 2.

    Parameters
    ----------
    model : the specification; step size and batch play no part.
    weights : W in the coordinates of the subspaces, (K, sum of d_i).
    lengths : Gauss-Legendre points over the length r, >= 1; angles are exact up to rounding.

    Raises
    ------
    SpecificationError
        If the weights have another shape.
    UnsupportedError
        If a subspace is no plane; `sampled_gradients` takes any.
    """
    check_model(model)
    weights = check_weights("weights", model, weights)
    if set(model.dimensions) != {2}:
        raise UnsupportedError("gradients: integrals for subspaces of dimension 2 only; use sampled_gradients.")
    coarse, found = np.zeros_like(weights), []
    for number, block in enumerate(model.blocks):
        loss, positive, gradient = plane_averages(
            weights[:, block],
            model.votes,
            number,
            classes=model.classes,
            top=model.top,
            vote=model.vote,
            surrogate=model.slope,
            radii=model.radii,
            lengths=check_integer("lengths", lengths, 1),
        )
        coarse[:, block] = gradient / model.classes
        found.append((loss, positive))
    loss, positive = np.array(found).T
    return ClassificationGradients(loss, positive, coarse)


def sampled_gradients(model: ClassificationModel, weights, samples: int, *, key: int = 0) -> ClassificationGradients:
    """The same measured on fresh samples, with standard errors, from the update of the simulation.

    Parameters
    ----------
    model : the specification.
    weights : W in the coordinates of the subspaces, (K, sum of d_i).
    samples : number of samples, at least 128; rounded up to batches of 64.
    key : of the random numbers.

    Raises `SpecificationError` if an argument makes no sense.
    """
    check_model(model)
    weights = check_weights("weights", model, weights)
    batches = -(-check_integer("samples", samples, 2 * TEST_BATCH) // TEST_BATCH)
    plain = model.replace(batch=TEST_BATCH, rotated=False, input_dimension=None)
    with jax.enable_x64(True):
        system = classification_system(plain, compiled_derivative(model.slope), "float64")
        found = jax.device_get(_measured(system, jnp.asarray(weights), jax.random.key(key), batches))
    means = {name: value.mean(axis=0) for name, value in found.items()}
    errors = {name: value.std(axis=0, ddof=1) / np.sqrt(batches) for name, value in found.items()}
    return ClassificationGradients(**means, errors=errors)


@eqx.filter_jit
def _measured(system, weights, key, batches: int) -> dict:
    def one(number):
        normals = jax.random.normal(jax.random.fold_in(key, number), (1, system.normals), weights.dtype)
        x, labels = (value[0] for value in system.draw(None, normals))
        coarse, loss = system.coarse(weights, x, labels, 1 / system.batch)
        classes = system.member.shape[1]
        hot = classes * (labels[:, None] == jnp.arange(classes)[None, :]) / system.batch
        return {"loss": loss @ hot, "positive": (loss > 0) @ hot, "coarse": coarse}

    return jax.lax.map(one, jnp.arange(batches))
