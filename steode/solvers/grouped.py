"""Density equations of several kinds of coordinates, which move under one force."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.density import DensityOperator, implicit_bands
from steode.solvers.entrywise import IdentityMap
from steode.solvers.equations import Problem
from steode.solvers.time_step import Masses


def error_by_group(problem: Problem, m: Float[Array, " G"], q: Float[Array, " G"], rho: Float[Array, " G"]) -> dict:
    """The part of eps_g from each kind, by its shares of the overlaps; only a linear output has such parts."""
    return {"eps_g_by_group": (q - 2 * m + rho) / 2} if has_linear_output(problem) else {}


def has_linear_output(problem: Problem) -> bool:
    """True where the output is the pre-activation itself."""
    return problem.output is None or isinstance(problem.output, IdentityMap)


def error_by_block(problem: Problem, teacher, weights, image, square) -> dict[str, Array]:
    """The same from E[Q] and E[Q^2] of coordinates one after another, with their teacher weights and probabilities."""
    variance = 1.0 if problem.eigenvalues is None else problem.eigenvalues
    overlap = problem.equations.teacher_overlap(problem.alpha_1, teacher, image)
    parts = overlap, problem.equations.self_overlap(problem.alpha_2, square), variance * teacher**2
    return error_by_group(problem, *(problem.weight_map.sums(weights * part) for part in parts))


class GroupedOperator(eqx.Module):
    """One density operator for each kind, with its share; states and rates are tuples of theirs.

    All problems have rho of the whole; what `steode.solvers.time_step` and `march` need of an operator.
    """

    operators: tuple[DensityOperator, ...]
    shares: tuple[float, ...] = eqx.field(static=True)
    squares: Float[Array, " G"]  # each kind's share of rho

    @property
    def problem(self) -> Problem:
        """That of the first kind: output, noise and rates are common to all."""
        return self.operators[0].problem

    def at(self, time) -> "GroupedOperator":
        """The operator at this time."""
        return GroupedOperator(tuple(operator.at(time) for operator in self.operators), self.shares, self.squares)

    def _own_overlaps(self, state: tuple[Masses, ...]) -> tuple:
        """Shares of m and q by kind, (G,) each."""
        parts = [operator.overlaps(masses)[:2] for operator, masses in zip(self.operators, state, strict=True)]
        return tuple(jnp.asarray(self.shares) * jnp.stack(values) for values in zip(*parts, strict=True))

    def force(self, state: tuple[Masses, ...]) -> Float[Array, "..."]:
        """What drives the weights of all kinds."""
        m, q = self._own_overlaps(state)
        return self.problem.force(jnp.sum(m), jnp.sum(q))

    def rates(self, force) -> tuple:
        """As of the density operator, by kind."""
        return tuple(operator.rates(force) for operator in self.operators)

    def _each(self, method: str, *arguments) -> tuple:
        parts = zip(self.operators, *arguments, strict=True)
        return tuple(getattr(operator, method)(*rest) for operator, *rest in parts)

    def apply(self, rates: tuple, state: tuple[Masses, ...]) -> tuple[Masses, ...]:
        """Time derivatives of the masses."""
        return self._each("apply", rates, state)

    def implicit(self, rates: tuple, step, right_hand_side: tuple[Masses, ...]) -> tuple[Masses, ...]:
        """Masses at the end of a stage."""
        # one call for all kinds: two that may run at a time can wait for each other's threads without end
        size = max(part.shape[1] for part in right_hand_side)
        bands = zip(*(implicit_bands(own, step) for own in rates), strict=True)
        lower, diagonal, upper, known = (
            jnp.concatenate([_extended(part, size, fill) for part in parts])
            for parts, fill in zip((*bands, right_hand_side), (0.0, 1.0, 0.0, 0.0), strict=True)
        )
        found = jax.lax.linalg.tridiagonal_solve(lower, diagonal, upper, known[..., None])[..., 0]
        ends = np.cumsum([part.shape[0] for part in right_hand_side])
        return tuple(
            own[:, : part.shape[1]] for own, part in zip(jnp.split(found, ends[:-1]), right_hand_side, strict=True)
        )

    def smoothed(self, rates: tuple, step, error: tuple[Masses, ...]) -> tuple[Masses, ...]:
        """As of the density operator."""
        return self.implicit(rates, step, error)

    def positive(self, end: tuple[Masses, ...], start: tuple[Masses, ...]) -> tuple[Masses, ...]:
        """Masses that are not negative."""
        return self._each("positive", end, start)

    def masses_of(self, state: tuple[Masses, ...]) -> tuple[Masses, ...]:
        """The masses of a state."""
        return state

    def error_size(self, error: tuple[Masses, ...], state: tuple[Masses, ...]) -> Float[Array, ""]:
        """L1 norm of an error, averaged over the coordinates of all kinds."""
        return jnp.asarray(self.shares) @ jnp.stack(self._each("error_size", error, state))

    def observables(self, state: tuple[Masses, ...]) -> dict[str, Array]:
        """Every named observable that has a meaning for all kinds together, and the error by kind."""
        m, q = self._own_overlaps(state)
        shares = jnp.asarray(self.shares)
        own = self._each("observables", state)
        mean, std = (jnp.stack([values[name] for values in own]) for name in ("mean_w", "std_w"))
        total, overlaps = shares @ mean, (jnp.sum(m), jnp.sum(q))
        values = self.problem.observables(*overlaps, self.problem.loss(*overlaps))
        values |= {"mean_w": total, "std_w": jnp.sqrt(shares @ (std**2 + (mean - total) ** 2))}
        return values | error_by_group(self.problem, m, q, self.squares)


def _extended(values: Float[Array, "K n"], size: int, fill: float) -> Float[Array, "K N"]:
    return jnp.pad(values, [(0, 0), (0, size - values.shape[1])], constant_values=fill)
