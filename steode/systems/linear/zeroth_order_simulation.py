"""The linear system at finite dimension with FOGZO or SPSA in place of the straight-through gradient.

The algorithms are those in the docstrings of the two, taken literally: weights are perturbed and quantized, losses
evaluated at both, and their difference multiplied by the direction. Normal numbers of a step, in order: those of its
samples as in `LinearSystem`; then, for each of the n directions, the number whose sign is s (SPSA leaves it), and the d
numbers behind u. Nothing here comes from the limit.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from steode.errors import SpecificationError
from steode.quantizers import EntrywiseMap
from steode.systems.linear.simulation import LinearSystem, dot, linear_system, step_along
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.update_rules import FOGZO, SPSA


class ZerothOrderSystem(eqx.Module):
    """A LinearModel updated by `FOGZO` or `SPSA`, as `steode.simulate.engine` runs it."""

    plain: LinearSystem  # the same model, of which all but the update is used
    beta: Float[Array, ""] | None  # share of the straight-through gradient in a direction; None: SPSA
    eps: Float[Array, ""]
    n: int = eqx.field(static=True)
    directions: str = eqx.field(static=True)

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step: the samples, then a sign and d entries for each direction."""
        return self.plain.normals + self.n * (self.plain.dim + 1)

    def sample(self, teacher: Float[Array, " d"], normals: Float[Array, "R normals"]) -> tuple[Array, ...]:
        """Quantized inputs (R, B, d), labels (R, B), signs (R, n) and random parts of the directions (R, n, d)."""
        samples, others = jnp.split(normals, [self.plain.normals], axis=1)
        others = jnp.reshape(others, (-1, self.n, self.plain.dim + 1))
        signs = jnp.where(others[..., 0] < 0, -1, 1).astype(normals.dtype)
        return *self.plain.sample(teacher, samples), signs, LAWS[self.directions](others[..., 1:])

    def step(self, teacher, weights: Float[Array, " d"], sample, index) -> tuple[Array, Array]:
        """The weights after step `index`, and the sum of the residuals yhat - y."""
        inputs, labels, signs, directions = sample
        residuals = self._outputs(weights, inputs) - labels
        if self.beta is not None:
            gradient = dot(residuals, inputs)
            norm = jnp.sqrt(jnp.sum(gradient**2))
            guide = jnp.where(norm > 0, gradient / jnp.where(norm > 0, norm, 1), 0)
            leaning = jnp.sqrt(self.beta) * signs[:, None] * guide[None, :]
            directions = leaning + jnp.sqrt(1 - self.beta) * directions
        up, down = (
            jnp.mean((self._outputs(weights[None, :] + move, inputs) - labels[None, :]) ** 2, axis=1) / 2
            for move in (self.eps * directions, -self.eps * directions)
        )
        estimate = dot((up - down) / (2 * self.eps * self.n), directions)
        return step_along(self.plain, index, weights, estimate), jnp.sum(residuals)

    def _outputs(self, weights: Float[Array, "... d"], inputs: Float[Array, "B d"]) -> Float[Array, "... B"]:
        return dot(self.plain.weight_map(weights), inputs.T) / np.sqrt(self.plain.dim).astype(weights.dtype)

    def observe(self, teacher, weights) -> dict[str, Array]:
        """Observables by name; see `steode.trajectory.OBSERVABLES`."""
        return self.plain.observe(teacher, weights)

    def held_out(self, teacher, weights, normals: Float[Array, "R normals"]) -> dict[str, Array]:
        """Values on R fresh batches, (R,) each; the numbers of the directions are not used."""
        return self.plain.held_out(teacher, weights, normals[:, : self.plain.normals])


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


def check_dimension(rule: FOGZO | SPSA, dim: int) -> None:
    """Raise `SpecificationError` unless beta = 1 - c/dim is a share, and ratio * dim at least one direction."""
    if isinstance(rule, SPSA) and rule.ratio * dim < 1:
        remedy = f"With ratio = {rule.ratio:g} a step has fewer than one direction."
        raise SpecificationError("dim", f"at least {1 / rule.ratio:g}", dim, remedy)
    if isinstance(rule, FOGZO) and rule.c > dim:
        raise SpecificationError(
            "dim", f"at least c = {rule.c:g} of the update rule", dim, "beta = 1 - c/d is a share."
        )


def zeroth_order_system(
    model: LinearModel, dim: int, dtype, compile_map: Callable[[EntrywiseMap], Callable], edges=None
) -> ZerothOrderSystem:
    """Put a model's numbers into arrays of `dtype`; arguments as those of `linear_system`."""
    rule = model.update_rule
    guided = isinstance(rule, FOGZO)
    return ZerothOrderSystem(
        plain=linear_system(model, dim, dtype, compile_map, edges),
        beta=jnp.asarray(1 - rule.c / dim, dtype) if guided else None,
        eps=jnp.asarray(rule.eps, dtype),
        n=rule.n if guided else rule.count(dim),
        directions=rule.directions,
    )
