"""Literal gradient descent: each loss written once more from its definition, differentiated by `jax.grad`.

Nothing here comes from the derivations or the flow's vector fields; the two share specifications, data and starts.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from steode.errors import ConvergenceError, SpecificationError
from steode.systems.gradient_flows import spec


@functools.singledispatch
def outputs(model, parameters: dict, data: dict):
    """What the model with these parameters predicts: f(x_n), or the matrix W of a completion."""
    raise SpecificationError("model", "a specification of steode.gradient_flows", model, "For example DiagonalModel().")


@functools.singledispatch
def losses(model, predicted, data: dict):
    """The loss of these predictions."""
    raise SpecificationError("model", "a specification of steode.gradient_flows", model, "For example DiagonalModel().")


@functools.singledispatch
def parameters_of(model) -> dict:
    """The start as trained parameters."""
    return model.start()


@outputs.register
def _(model: spec.CooccurrenceModel, parameters, data):
    def sentence(words):
        X = jax.nn.one_hot(words, model.vocabulary, axis=0)
        values = parameters["W_V"] @ X
        scores = X.T @ parameters["W_K"].T @ (parameters["W_Q"] @ X) / jnp.sqrt(model.width)
        attended = values @ jax.nn.softmax(scores, axis=0)
        return jnp.sum(parameters["a"] @ (parameters["W"] @ attended))

    return jax.vmap(sentence)(data["words"])


@losses.register
def _(model: spec.CooccurrenceModel, predicted, data):
    return jnp.mean(jax.nn.softplus(-data["labels"] * predicted))


@outputs.register
def _(model: spec.DiagonalModel, parameters, data):
    return data["inputs"] @ (parameters["u"] ** model.depth - parameters["w"] ** model.depth)


@losses.register
def _(model: spec.DiagonalModel, predicted, data):
    return jnp.sum(jnp.exp(-predicted))


@outputs.register
def _(model: spec.SparseModel, parameters, data):
    squares = model.strength * (parameters["w"] ** 2 - parameters["u"] ** 2)
    return data["inputs"] @ (squares + model.linear * parameters["v"])


@losses.register
def _(model: spec.SparseModel, predicted, data):
    return jnp.sum((data["targets"] - predicted) ** 2) / (2 * predicted.size)


@outputs.register
def _(model: spec.UnivariateModel, parameters, data):
    hidden = jax.nn.relu(jnp.outer(data["x"], parameters["a"]) - parameters["b"][None, :])
    return hidden @ parameters["c"] / model.width


@losses.register
def _(model: spec.UnivariateModel, predicted, data):
    # in units of the width: time does not depend on it
    return model.width * jnp.sum((predicted - data["y"]) ** 2) / 2


@outputs.register
def _(model: spec.CompletionModel, parameters, data):
    return functools.reduce(lambda below, factor: factor @ below, parameters["factors"])


@losses.register
def _(model: spec.CompletionModel, predicted, data):
    return jnp.sum(data["mask"] * (predicted - data["target"]) ** 2) / 2


@parameters_of.register
def _(model: spec.CompletionModel) -> dict:
    if model.depth == 0:
        raise SpecificationError("depth", "a finite depth", 0, "Only the flow has a limit of infinite depth.")
    start = model.start()
    root = np.diag(start["singular"] ** (1 / model.depth))
    factors = [root] * model.depth
    factors[0] = factors[0] @ start["V"].T
    factors[-1] = start["U"] @ factors[-1]
    return {"factors": factors}


def gradient(model, data: dict) -> Callable:
    """The gradient of the literal loss in the trained parameters."""
    fixed = {"a"} if isinstance(model, spec.CooccurrenceModel) else set()

    def slope(parameters):
        trained = {name: value for name, value in parameters.items() if name not in fixed}
        kept = {name: value for name, value in parameters.items() if name in fixed}
        found = jax.grad(lambda moved: losses(model, outputs(model, moved | kept, data), data))(trained)
        return found | {name: jnp.zeros_like(value) for name, value in kept.items()}

    return slope


def descend_states(model, step: float, steps: int, every: int):
    """Parameters, predictions and losses after 0, every, 2 every, ... steps of full-batch gradient descent.

    Each leaf has a leading axis of records.

    Raises `ConvergenceError` where parameters stop being finite.
    """
    data = {name: jnp.asarray(value) for name, value in model.data().items()}
    start = jax.tree.map(jnp.asarray, parameters_of(model))
    slope = gradient(model, data)

    def one(state, _):
        return jax.tree.map(lambda value, moved: value - step * moved, state, slope(state)), None

    def block(state, _):
        return lax.scan(one, state, None, length=every)[0], state

    @jax.jit
    def run(start):
        last, seen = lax.scan(block, start, None, length=steps // every)
        return jax.tree.map(lambda before, after: jnp.concatenate([before, after[None]]), seen, last)

    found = run(start)
    finite = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves(found)]
    wrong = np.flatnonzero(~np.all(finite, axis=0))
    if wrong.size:
        raise ConvergenceError(
            f"Gradient descent diverged before step {int(wrong[0]) * every}; lower the step {step:g}."
        )
    predicted = jax.lax.map(lambda one: outputs(model, one, data), found)
    loss = jax.lax.map(lambda one: losses(model, one, data), predicted)
    return jax.tree.map(np.asarray, (found, predicted, loss))
