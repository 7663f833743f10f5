r"""Stationary states of the general linear system: the overlaps that a force leaves, and the force that they imply.

Given c_h, c_* and c_2 every weight has the stationary law of `steode.solvers.stationary`, at the temperature
eta c_2/(B c_h) around the target a = -c_* alpha_1 w*/(c_h alpha_2). Its averages give m and q, and those the force
again. For a linear response one number, c_2, is left:

    G = E[w*^2 (lambda - alpha_1^2/alpha_2)] + E[alpha_2 ((Q - a)^2 + v)],    c_2 = c_2(G, q),

and c_2 = V = G + sigma^2 where the output is linear and deterministic.
"""

import abc

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from steode.solvers import smooth_law, stationary
from steode.solvers.equations import Problem
from steode.solvers.libraries import numeric
from steode.solvers.random_maps import NoisyMap, RoundingMap


class State(eqx.Module):
    """A stationary state under a force.

    Attributes
    ----------
    teacher_overlap, self_overlap : m and q.
    gap : G = q - 2m + rho, summed from squares.
    unreachable, dithering, clipping, pull, noise : the parts of G: inputs (what no weights remove, and targets
        beside the best), Var(Q), targets beyond the range, weight decay and dampening, and the variance v of
        stochastic weights.
    """

    teacher_overlap: Float[Array, ""]
    self_overlap: Float[Array, ""]
    gap: Float[Array, ""]
    unreachable: Float[Array, ""]
    dithering: Float[Array, ""]
    clipping: Float[Array, ""]
    pull: Float[Array, ""]
    noise: Float[Array, ""]


def state(problem: Problem, force: Float[Array, "..."]) -> State:
    """The stationary state under a force (c_2 alone, or c_h, c_* and c_2)."""
    problem, strength = problem.under(force)
    moments = stationary.image_moments(problem, strength)
    targets, excess = stationary.targets(problem), stationary.excess(problem)
    mean = targets + moments.offset
    noise = _noise(problem, strength, mean, moments)
    weights, alpha_1, alpha_2 = problem.teacher_weights, problem.alpha_1, problem.alpha_2
    # the sign of a gradient has other targets than the gradient
    shift = targets - stationary.best_targets(problem)
    beyond = excess != 0
    unreachable = unreachable_gap(problem) + weights @ (alpha_2 * numeric.where(beyond, 0.0, shift**2))
    clipping = weights @ (alpha_2 * numeric.where(beyond, (shift - excess) ** 2, 0.0))
    bias = weights @ (alpha_2 * (moments.offset + shift) ** 2)
    dithering = weights @ (alpha_2 * moments.variance)
    extra = weights @ (alpha_2 * noise) if is_random(problem) else np.zeros(())
    m = weights @ (alpha_1 * problem.teacher * mean)
    q = weights @ (alpha_2 * (mean**2 + moments.variance + noise))
    gap = unreachable_gap(problem) + bias + dithering + extra
    pull = np.zeros(()) if not problem.is_pulled else gap - unreachable - clipping - dithering - extra
    return State(m, q, gap, unreachable, dithering, clipping, pull, extra)


class StationaryEquation(eqx.Module):
    """An equation whose unknown x says what drives the weights."""

    problem: eqx.AbstractVar[Problem]

    @property
    def kinds(self) -> tuple[tuple[float, Problem], ...]:
        """Kinds of coordinates, each with its share."""
        return ((1.0, self.problem),)

    @abc.abstractmethod
    def force(self, x) -> Float[Array, "..."]:
        """What drives the weights at x, as the problem takes it."""

    def state(self, x) -> State:
        """The stationary state at x."""
        return state(self.problem, self.force(x))


def error_terms(problem: Problem, found: State) -> dict[str, Float[Array, ""]]:
    """The parts of the generalization error of an output with linear answers; see `steode.systems.linear.fixed_point`.

    Summed from them, a small error is not a difference of large overlaps.
    """
    noise = found.noise
    if problem.output is not None and hasattr(problem.output, "gaussian_square"):
        noise = noise + problem.output.gaussian_square(np.zeros(()), found.self_overlap) - found.self_overlap
    parts = {
        "input_term": found.unreachable,
        "dithering_term": found.dithering,
        "clipping_term": found.clipping,
        "decay_term": found.pull,
        "noise_term": noise,
    }
    return {name: part / 2 for name, part in parts.items()}


def unreachable_gap(problem: Problem) -> Float[Array, ""]:
    """The part of G that no choice of the weights removes: E[w*^2 (lambda - alpha_1^2/alpha_2)]."""
    variance = np.asarray(1.0) if problem.eigenvalues is None else problem.eigenvalues
    return problem.teacher_weights @ (problem.teacher**2 * (variance - problem.alpha_1**2 / problem.alpha_2))


def mixed(shares: tuple[float, ...], parts: list):
    """Averages over kinds of coordinates, of which each has its share: pytrees of numbers added up."""
    return jax.tree.map(lambda *values: sum(share * value for share, value in zip(shares, values, strict=True)), *parts)


def is_random(problem: Problem) -> bool:
    """True if the map of the weights is drawn at random."""
    return isinstance(problem.weight_map, NoisyMap | RoundingMap)


def _noise(problem: Problem, strength, mean, moments) -> Float[Array, " K"]:
    """E[v(w) | w*] of a stochastic map of the weights."""
    weight_map = problem.weight_map
    if isinstance(weight_map, NoisyMap):
        return weight_map.added + weight_map.factor * (mean**2 + moments.variance)
    if isinstance(weight_map, RoundingMap):
        points, weights = smooth_law.law(problem, strength, stationary.inner_targets(problem))
        inside = numeric.sum(weights * (weight_map.square(points) - weight_map(points) ** 2), axis=1)
        # weights that escape sit beyond the outermost level, where nothing is left to draw
        return numeric.where(stationary.is_confined(problem), inside, 0.0)
    return numeric.zeros_like(mean)


def implied_force(problem: Problem, force: Float[Array, "..."]) -> Float[Array, "..."]:
    """The force that the stationary state under a force implies; a fixed point gives itself back."""
    found = state(problem, force)
    if problem.linear_response:
        return problem.strength_of_gap(found.gap, found.self_overlap)
    return problem.force(found.teacher_overlap, found.self_overlap)


@np.errstate(invalid="ignore")
def strength_bounds(problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Values of c_2 below and above every fixed point of a linear response (infinite for an unbounded map)."""
    least, most, overlap = gap_bounds(problem)
    return problem.strength_of_gap(least, 0.0), problem.strength_of_gap(most, overlap)


def gap_bounds(problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Values of G below and above every fixed point of a linear response, and the largest q.

    Below: every weight as near its target as the range allows, and q = 0. Above: the quantized weights lie in the
    range, so that given their mean E(Q - a)^2, random or not, is at most that of the two ends; with weight decay or
    dampening, which move the mean, that of the end farther from the target.
    """
    low, high = stationary.image_range(problem)
    a, weights, alpha_2 = stationary.targets(problem), problem.teacher_weights, problem.alpha_2
    unreachable, rigid = unreachable_gap(problem), stationary.excess(problem) ** 2
    inside = numeric.clip(a, low, high)
    widest = rigid + (inside - low) * (high - inside)
    if problem.is_pulled:
        widest = numeric.maximum((a - low) ** 2, (a - high) ** 2)
    # q is at most that of the outermost levels all the time
    most = weights @ (alpha_2 * numeric.maximum(low**2, high**2) + 0 * a)
    return unreachable + weights @ (alpha_2 * rigid), unreachable + weights @ (alpha_2 * widest), most
