"""Update rules at finite dimension: from one batch to the change of the latent weights, before band and decay.

The algorithms are those in the docstrings of the rules, taken literally. A zeroth-order rule perturbs and quantizes
the weights, evaluates the loss at both, and multiplies the difference by the direction. It draws, for each of its n
directions, a number whose sign is s (SPSA leaves it) and the d numbers behind u. Nothing here comes from the limit.

A rule also says what the state of a run is: the weights, and with them what it remembers, if anything.
"""

import abc
import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from steode.errors import SpecificationError
from steode.parts.update_rules import FOGZO, SPSA, STE, Adam, KineticMomentum, Momentum, SignSGD, UpdateRule


class Rule(eqx.Module):
    """How the weights of a system move."""

    def count(self, dim: int) -> int:
        """Standard normal numbers that a step of the rule draws."""
        return 0

    def draw(self, numbers: Float[Array, "R count"], dim: int):
        """What those numbers stand for, arrays with leading axis R."""
        return ()

    @abc.abstractmethod
    def change(self, rate, weights: Float[Array, " d"], errors: Float[Array, " B"], inputs, losses: Callable, drawn):
        """The change that the batch asks for, which `move` subtracts.

        `errors` are the backpropagated residuals of the batch, `inputs` (B, d) its quantized inputs, `losses` gives the
        loss of the batch at other weights (n, d), `drawn` is one row of `draw`.
        """

    def begin(self, weights: Float[Array, "... d"]):
        """The state of a run that starts at these weights."""
        return weights

    def weights(self, state) -> Float[Array, "... d"]:
        """The weights of a state."""
        return state

    def with_weights(self, state, weights: Float[Array, "... d"]):
        """The state with other weights."""
        return weights

    def move(self, rate, change: Callable, pull: Callable, state):
        """The next state; at a learning rate `change` gives that of the batch in the band, `pull` the regularizers'."""
        return state - change(rate) - pull(rate)


class StraightThrough(Rule):
    """rate times mean_batch[e Q_x(x)]/sqrt(d)."""

    def change(self, rate, weights, errors, inputs, losses, drawn):
        root = np.sqrt(weights.size).astype(weights.dtype)
        return dot((rate / (root * errors.size)) * errors, inputs)


class SignOfGradient(Rule):
    """rate times sign(mean_batch[e Q_x(x)])/sqrt(d)."""

    def change(self, rate, weights, errors, inputs, losses, drawn):
        root = np.sqrt(weights.size).astype(weights.dtype)
        return rate / root * jnp.sign(dot(errors, inputs))


class Moving(NamedTuple):
    """Weights and the buffer of their gradients, of one shape."""

    weights: Float[Array, "... d"]
    buffer: Float[Array, "... d"]


class Buffered(StraightThrough):
    """A rule that remembers its gradients in a buffer, which is empty at the start."""

    def begin(self, weights):
        return Moving(weights, weights * 0)

    def weights(self, state):
        return state.weights

    def with_weights(self, state, weights):
        return state._replace(weights=weights)


class HeavyBall(Buffered):
    """The straight-through gradient collected in a buffer."""

    beta: Float[Array, ""]
    nesterov: bool = eqx.field(static=True)

    def move(self, rate, change, pull, state):
        gradient = change(1) + pull(1)
        buffer = self.beta * state.buffer + gradient
        ahead = gradient + self.beta * buffer if self.nesterov else buffer
        return Moving(state.weights - rate * ahead, buffer)


class MeanGradient(Buffered):
    """The mean of the straight-through gradients, each of which has this share of it when it comes."""

    share: Float[Array, ""]

    def move(self, rate, change, pull, state):
        mean = state.buffer + self.share * (change(1) + pull(1) - state.buffer)
        return Moving(state.weights - rate * mean, mean)


class Adaptive(NamedTuple):
    """Weights, means of their gradients and of the squares, of one shape, and the number of steps made."""

    weights: Float[Array, "... d"]
    mean: Float[Array, "... d"]
    square: Float[Array, "... d"]
    steps: Float[Array, "..."]


class AdaptiveMoments(StraightThrough):
    """Adam without epsilon: an entry whose gradients were all zero stays."""

    beta_1: Float[Array, ""]
    beta_2: Float[Array, ""]

    def begin(self, weights):
        return Adaptive(weights, weights * 0, weights * 0, weights[..., 0] * 0)

    def weights(self, state):
        return state.weights

    def with_weights(self, state, weights):
        return state._replace(weights=weights)

    def move(self, rate, change, pull, state):
        root = np.sqrt(state.weights.shape[-1]).astype(state.weights.dtype)
        gradient, steps = change(1) * root, state.steps + 1
        mean = self.beta_1 * state.mean + (1 - self.beta_1) * gradient
        square = self.beta_2 * state.square + (1 - self.beta_2) * gradient**2
        # powers near 1 lose no digits; beta_1 may be zero
        remembered = 1 - self.beta_1**steps, -jnp.expm1(steps * jnp.log(self.beta_2))
        moves = square > 0
        ratio = mean / remembered[0] / jnp.sqrt(jnp.where(moves, square / remembered[1], 1))
        return Adaptive(state.weights - rate / root * jnp.where(moves, ratio, 0) - pull(rate), mean, square, steps)


class ZerothOrder(Rule):
    """FOGZO, whose directions lean on the straight-through gradient by the share beta, or SPSA."""

    beta: Float[Array, ""] | None  # None: SPSA
    eps: Float[Array, ""]
    n: int = eqx.field(static=True)
    directions: str = eqx.field(static=True)

    def count(self, dim):
        return self.n * (dim + 1)

    def draw(self, numbers, dim):
        """Signs (R, n) and random parts of the directions (R, n, d)."""
        numbers = jnp.reshape(numbers, (-1, self.n, dim + 1))
        signs = jnp.where(numbers[..., 0] < 0, -1, 1).astype(numbers.dtype)
        return signs, LAWS[self.directions](numbers[..., 1:])

    def change(self, rate, weights, errors, inputs, losses, drawn):
        signs, directions = drawn
        if self.beta is not None:
            gradient = dot(errors, inputs)
            norm = jnp.sqrt(jnp.sum(gradient**2))
            guide = jnp.where(norm > 0, gradient / jnp.where(norm > 0, norm, 1), 0)
            leaning = jnp.sqrt(self.beta) * signs[:, None] * guide[None, :]
            directions = leaning + jnp.sqrt(1 - self.beta) * directions
        up, down = (losses(weights[None, :] + move) for move in (self.eps * directions, -self.eps * directions))
        return rate * dot((up - down) / (2 * self.eps * self.n), directions)


def dot(a, b):
    """a . b at full precision."""
    # accelerators shorten float32 products in matrix units by default
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)


def _triangular(numbers):
    """Inverse distribution function of the triangular law on +-sqrt 6, applied to probabilities."""
    tail = jnp.sqrt(2 * ndtr(-jnp.abs(numbers)))  # the smaller tail, in numbers without cancellation
    return math.sqrt(6) * jnp.sign(numbers) * (1 - tail)


def _logistic(numbers):
    """sqrt(3)/pi times the log of the odds."""
    log_cdf = jax.scipy.special.log_ndtr
    return math.sqrt(3) / math.pi * (log_cdf(numbers) - log_cdf(-numbers))


LAWS: dict[str, Callable] = {
    "uniform": lambda numbers: math.sqrt(3) * (2 * ndtr(numbers) - 1),
    "triangular": _triangular,
    "logistic": _logistic,
    "normal": lambda numbers: numbers,
}
"""Law of the random part of a direction -> its entries from standard normal numbers."""


def literal_rule(rule: UpdateRule, dim: int, dtype) -> Rule:
    """The rule in dimension `dim`, with its numbers in arrays of `dtype`.

    Raises `SpecificationError` unless every beta is a share, and ratio * dim at least one direction.
    """
    if isinstance(rule, STE):
        return StraightThrough()
    if isinstance(rule, SignSGD):
        return SignOfGradient()
    if isinstance(rule, Momentum):
        return HeavyBall(jnp.asarray(rule.beta, dtype), rule.nesterov)
    if isinstance(rule, KineticMomentum):
        if rule.friction > dim:
            remedy = "beta = 1 - friction/d is a share."
            raise SpecificationError("dim", f"at least the friction {rule.friction:g}", dim, remedy)
        return MeanGradient(jnp.asarray(rule.friction / dim, dtype))
    if isinstance(rule, Adam):
        if rule.beta_2(dim) <= 0:
            remedy = "beta_2 = 1 - second_moment_rate/d is a share."
            raise SpecificationError("dim", f"more than {rule.second_moment_rate or 1:g}", dim, remedy)
        return AdaptiveMoments(jnp.asarray(rule.beta_1, dtype), jnp.asarray(rule.beta_2(dim), dtype))
    if isinstance(rule, SPSA) and rule.ratio * dim < 1:
        remedy = f"With ratio = {rule.ratio:g} a step has fewer than one direction."
        raise SpecificationError("dim", f"at least {1 / rule.ratio:g}", dim, remedy)
    if isinstance(rule, FOGZO) and rule.c > dim:
        remedy = "beta = 1 - c/d is a share."
        raise SpecificationError("dim", f"at least c = {rule.c:g} of the update rule", dim, remedy)
    guided = isinstance(rule, FOGZO)
    return ZerothOrder(
        beta=jnp.asarray(1 - rule.c / dim, dtype) if guided else None,
        eps=jnp.asarray(rule.eps, dtype),
        n=rule.n if guided else rule.count(dim),
        directions=rule.directions,
    )
