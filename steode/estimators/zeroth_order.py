"""Slopes of a loss between pairs of perturbed parameters: what `spsa` and `fogzo` share."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from steode.errors import SpecificationError, check_finite, check_integer
from steode.estimators.estimate import Estimate
from steode.estimators.smoothing import Quantized

NORMALIZATIONS = ("global", "tensor")


@dataclasses.dataclass(frozen=True)
class ZerothOrder:
    """An estimator of gradients, made by `spsa` or `fogzo`: a function of (loss, params, key).

    Parameters
    ----------
    n : number of directions.
    beta : share of the straight-through direction, or a function of the step; None takes no such gradient (`spsa`).
    quantized : which leaves are quantized, and how.
    normalization : of the straight-through gradient, "global" or "tensor".
    parallel : how many directions are evaluated at once.
    """

    n: int
    beta: float | Callable | None
    quantized: PyTree
    normalization: str
    parallel: int

    def __post_init__(self):
        check_integer("n", self.n, 1, remedy="One direction is two forward passes.")
        check_integer("parallel", self.parallel, 1)
        known = self.beta is None or callable(self.beta) or isinstance(self.beta, jax.Array)
        if not known and not 0 <= check_finite("beta", self.beta) <= 1:
            raise SpecificationError("beta", "a number between 0 and 1", self.beta, "0 is spsa, 1 follows the STE.")
        if self.normalization not in NORMALIZATIONS:
            remedy = "One norm over all quantized leaves, or one for each."
            raise SpecificationError("normalization", '"global" or "tensor"', self.normalization, remedy)

    def __call__(self, loss: Callable, params: PyTree, key: jax.Array, step: int | None = None) -> Estimate:
        """The estimate for a scalar `loss` of `params`, with the random directions of `key`, at update `step`."""
        leaves, structure = jax.tree.flatten(params)
        entries = _entries(self.quantized, params, leaves)
        chosen = [index for index, entry in enumerate(entries) if entry]
        others = [index for index, entry in enumerate(entries) if not entry]

        def at(indices: list[int], tensors: list) -> jax.Array:
            changed = list(leaves)
            for index, tensor in zip(indices, tensors, strict=True):
                changed[index] = tensor
            return loss(jax.tree.unflatten(structure, changed))

        def perturbed(tensors):
            return at(chosen, tensors)

        differentiated = others if self.beta is None else [*chosen, *others]
        gradients = dict.fromkeys(range(len(leaves)))
        if differentiated:
            value, found = jax.value_and_grad(lambda tensors: at(differentiated, tensors))(
                [leaves[index] for index in differentiated]
            )
            gradients |= dict(zip(differentiated, found, strict=True))

        directions = _Directions(
            tensors=[leaves[index] for index in chosen],
            entries=[entries[index] for index in chosen],
            guide=None if self.beta is None else [gradients[index] for index in chosen],
            beta=0.0 if self.beta is None else self._beta_at(step),
            together=self.normalization == "global",
        )
        mean, level = _mean(perturbed, directions, jax.random.split(key, self.n), self.parallel)
        gradients |= dict(zip(chosen, mean, strict=True))
        gradient = jax.tree.unflatten(structure, [gradients[index] for index in range(len(leaves))])
        passes = int(bool(differentiated))
        return Estimate(gradient, value if passes else level, 2 * self.n + passes, passes)

    def _beta_at(self, step: int | None) -> float | jax.Array:
        if not callable(self.beta):
            return self.beta
        if step is None:
            raise SpecificationError("step", "the number of the update", step, "beta depends on it: give step=.")
        return self.beta(step)


def _entries(quantized: PyTree, params: PyTree, leaves: list) -> list:
    """A `Quantized` or False for every leaf of `params`."""
    marked = jax.tree.map(lambda entry: False if entry is None else entry, quantized, is_leaf=lambda x: x is None)
    try:
        entries = jax.tree.leaves(jax.tree.broadcast(marked, params))
    except ValueError as error:
        raise SpecificationError(
            "quantized", "the structure of the parameters, or its upper part", quantized, str(error)
        ) from error
    strange = [entry for entry in entries if entry is not False and not isinstance(entry, Quantized)]
    if strange:
        raise SpecificationError("quantized", "Quantized or None for every leaf", strange[0], "None: not quantized.")
    if not any(entries):
        remedy = "Mark at least one with Quantized(surrogate, scale); without one, jax.grad is exact."
        raise SpecificationError("quantized", "at least one quantized leaf", quantized, remedy)
    for leaf, entry in zip(leaves, entries, strict=True):
        if entry and not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise SpecificationError("params", "floating-point leaves", leaf, "Mark leaves of integers with None.")
    return entries


class _Directions:
    """How to draw a perturbation of the quantized tensors, and what it contributes to the estimate."""

    def __init__(self, tensors: list, entries: list, guide: list | None, beta, together: bool):
        self.tensors, self.entries, self.beta, self.together = tensors, entries, beta, together
        self.widths = [entry.width(tensor) for entry, tensor in zip(entries, tensors, strict=True)]
        self.guide, self.lengths = guide, self.widths
        if guide is not None:
            self.guide, squares = _normalized(guide, together)
            if together:
                terms = [width**2 * square for width, square in zip(self.widths, squares, strict=True)]
                total = sum(terms)
                # any length does where there is no direction
                self.lengths = [jnp.sqrt(jnp.where(total > 0, total, 1.0))] * len(tensors)

    def draw(self, key: jax.Array) -> tuple[list, list]:
        """Shift of the tensors to either side, and the direction to multiply half the difference of losses with."""
        noise_key, sign_key = jax.random.split(key)
        keys = jax.random.split(noise_key, len(self.tensors))
        if self.guide is not None:
            signs = jax.random.rademacher(sign_key, (len(self.tensors),))
        shifts, directions = [], []
        for index, (tensor, entry, width) in enumerate(zip(self.tensors, self.entries, self.widths, strict=True)):
            noise = jnp.sqrt(1 - self.beta) * entry.smoothing.sample(keys[index], tensor.shape, tensor.dtype)
            shift, direction = width * noise, noise / width
            if self.guide is not None:
                lean = jnp.sqrt(self.beta) * signs[0 if self.together else index] * self.guide[index]
                shift, direction = shift + self.lengths[index] * lean, direction + lean / self.lengths[index]
            shifts.append(shift.astype(tensor.dtype))
            directions.append(direction.astype(tensor.dtype))
        return shifts, directions


def _normalized(gradients: list, together: bool) -> tuple[list, list]:
    """Gradients of norm one, all together or each; and the square of each one's norm. A zero gradient stays zero."""
    squares = [jnp.sum(gradient**2) for gradient in gradients]
    totals = [sum(squares)] * len(squares) if together else squares
    norms = [jnp.sqrt(jnp.where(total > 0, total, 1.0)) for total in totals]
    unit = [gradient / norm for gradient, norm in zip(gradients, norms, strict=True)]
    return unit, [square / norm**2 for square, norm in zip(squares, norms, strict=True)]


def _mean(loss: Callable, directions: _Directions, keys: jax.Array, parallel: int) -> tuple[list, jax.Array]:
    """Means over `keys` of slope times direction and of the loss, `parallel` directions at a time."""
    tensors = directions.tensors

    def term(key):
        shifts, direction = directions.draw(key)
        above = loss([tensor + shift for tensor, shift in zip(tensors, shifts, strict=True)])
        below = loss([tensor - shift for tensor, shift in zip(tensors, shifts, strict=True)])
        return [(above - below) / 2 * part for part in direction], (above + below) / 2

    def chunk(keys):
        return jax.tree.map(lambda parts: parts.sum(axis=0), jax.vmap(term)(keys))

    def add(total, keys):
        return jax.tree.map(jnp.add, total, chunk(keys)), None

    n = keys.shape[0]
    # the remainder, or a whole chunk, comes first: what the sum goes on from
    first = n % parallel or parallel
    total, left = chunk(keys[:first]), keys[first:]
    if left.size:
        total, _ = jax.lax.scan(add, total, left.reshape(-1, parallel, *keys.shape[1:]))
    return jax.tree.map(lambda part: part / n, total)
