r"""Stationary states as one equation x = F(x) for one number.

For a linear response x is the strength c_2 of the noise, which is V where the output is linear and deterministic.

With FOGZO the stationary laws are those of the STE at the learning rate that the mean slope sets. The law depends on
the temperature theta = eta p V (1 + c/n)/B alone, and by integration by parts its mean slope is p = 2 D/theta, with
D = E[Var(Q | w*)] the dithering of the weights whose target lies inside the range. So x = theta^2 and

    theta^2 = 2 eta (1 + c/n) D(theta) V(theta)/B.

D and V are nondecreasing in theta (see `steode.solvers.root_search`), hence so is the right-hand side. Derived here.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers import self_consistency, stationary
from steode.solvers.entrywise import IdentityMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.libraries import numeric
from steode.solvers.random_maps import NoisyMap, RoundingMap
from steode.solvers.self_consistency import State, StationaryEquation

ZERO = 1e-13
"""Lower bounds of c_2 below this fraction of the labels' variance are zero."""
LARGEST = 1e6
"""Where the map is unbounded: largest V looked at, in units of the variance of the labels."""
RESIDUAL = 1e-11
"""Largest |F(x) - x| of a root, relative to x."""


class GapEquation(StationaryEquation):
    """An equation whose right-hand side is known from G and q of the stationary state at x."""

    @abc.abstractmethod
    def gap_bounds(self) -> tuple:
        """G below and above every root, and the largest q."""

    def implied(self, x):
        """F(x)."""
        found = self.state(x)
        return self.problem.strength_of_gap(found.gap, found.self_overlap)

    def bounds(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Values below and above every root."""
        least, most, overlap = self.gap_bounds()
        return self.problem.strength_of_gap(least, 0.0), self.problem.strength_of_gap(most, overlap)


class StrengthEquation(GapEquation):
    """c_2 of a response c_h = 1, c_* = -1; `problem` is the model's."""

    problem: Problem
    smallest: float = eqx.field(static=True, default=1e-9)
    """Roots below this fraction of the largest possible x count as x = 0, where that is a root."""
    tolerance = RESIDUAL

    @property
    def name(self) -> str:
        """The unknown."""
        return "V" if self.problem.equations.strength_of_gap is None else "c_2"

    @property
    def is_affine(self) -> bool:
        """True if F is affine: unquantized weights, or noise on them that keeps their mean."""
        return isinstance(self.problem.weight_map, IdentityMap | NoisyMap)

    def force(self, x):
        # unquantized weights updated by FOGZO have the mean slope 1
        return x if self.problem.linear_response else numeric.stack([1.0 + 0 * x, -1.0 + 0 * x, x])

    def gap_bounds(self):
        return self_consistency.gap_bounds(self.problem)

    def knowledge(self) -> tuple[Float[Array, ""] | float, Float[Array, ""] | float]:
        """What `steode.solvers.root_search.isolate_roots` takes of F: slope (NaN: nothing is known) and floor."""
        problem = self.problem
        if isinstance(problem.weight_map, RoundingMap) or problem.dampening is not None:
            return np.nan, 0.0
        if problem.decay is None:
            # every variance of labels, output and residual grows with q alone, and q with the dithering
            return 0.0, 0.0
        zero, by_gap, by_q = problem.sigma**2, 1.0, 0.0
        if problem.equations.strength_of_gap is not None:
            origin, one = (jnp.zeros(()), jnp.zeros(())), jnp.ones(())
            zero, by_gap = jax.jvp(problem.strength_of_gap, origin, (one, 0 * one))
            by_q = jax.jvp(problem.strength_of_gap, origin, (0 * one, one))[1]
        low, high = stationary.image_range(problem)
        a, weights = stationary.targets(problem), problem.teacher_weights * problem.alpha_2
        largest = numeric.maximum((a - low) ** 2, (a - high) ** 2)
        if isinstance(problem.weight_map, StepMap):
            smallest = numeric.min((a[:, None] - problem.weight_map.levels[None, :]) ** 2, axis=1)
        else:
            smallest = stationary.excess(problem) ** 2
        slope = weights @ (largest - smallest) / 2
        # the bound is of the dithering; where q counts by itself it is none of F
        known = numeric.isfinite(slope) & (by_q == 0) & (abs(by_gap - 1) < 1e-12)
        floor = self_consistency.unreachable_gap(problem) + weights @ smallest + zero
        return numeric.where(known, slope, np.nan), numeric.where(known, floor, 0.0)


class LossEquation(GapEquation):
    """V with the sign of the gradient, which is driven by V alone; `problem` is the model's.

    The temperature theta = eta p_0 (pi V/2)^{1/2}/beta_2 increases with V, and with it the dithering; targets
    beta_1 w*/beta_2 do not depend on V.
    """

    problem: Problem
    smallest: float = eqx.field(static=True, default=1e-12)
    name = "V"
    is_affine = False
    tolerance = RESIDUAL

    def force(self, x):
        return self.problem.force_of_loss(x)

    def gap_bounds(self):
        """G of weights that do not dither and are as near as can be, and of those that do so as much as can be."""
        problem = self.problem
        low, high = stationary.image_range(problem)
        best, weights = stationary.best_targets(problem), problem.teacher_weights * problem.alpha_2
        inside, unreachable = (
            numeric.clip(stationary.targets(problem), low, high),
            self_consistency.unreachable_gap(problem),
        )
        if not problem.is_pulled:
            least = (inside - best) ** 2
            most = least + (inside - low) * (high - inside)
        else:
            least = (best - numeric.clip(best, low, high)) ** 2
            most = numeric.maximum((best - low) ** 2, (best - high) ** 2)
        overlap = numeric.sum(weights * numeric.maximum(low**2, high**2))
        return unreachable + weights @ least, unreachable + weights @ most, overlap

    def knowledge(self) -> tuple[float, float]:
        """F is nondecreasing, unless a pull moves the means or levels are drawn at random."""
        known = not self.problem.is_pulled and not isinstance(self.problem.weight_map, RoundingMap)
        return (0.0 if known else np.nan), 0.0


class TemperatureEquation(StationaryEquation):
    """theta^2 with FOGZO; `problem` is the model's."""

    problem: Problem
    smallest: float = eqx.field(static=True, default=1e-12)
    name = "theta^2"
    is_affine = False
    tolerance = RESIDUAL

    def averages(self, x) -> tuple:
        """D and c_2 = (1 + c/n) V at a squared temperature."""
        # at the response 1, -1 the temperature is eta c_2/B, and the law depends on it alone
        strength = numeric.sqrt(x) * self.problem.batch / self.problem.eta
        problem, _ = self.problem.under(numeric.stack([1.0 + 0 * x, -1.0 + 0 * x, strength]))
        moments = stationary.image_moments(problem, strength)
        confined = numeric.where(stationary.is_confined(problem), moments.variance, 0.0)
        gap = self_consistency.unreachable_gap(problem) + problem.teacher_weights @ (problem.alpha_2 * moments.spread)
        return problem.teacher_weights @ confined, problem.strength_of_gap(gap, 0.0)

    def force(self, x):
        dithering, strength = self.averages(x)
        slope = 2 * dithering / numeric.sqrt(x)
        return numeric.stack([slope, -slope, strength])

    def implied(self, x):
        """F(theta^2)."""
        dithering, strength = self.averages(x)
        return 2 * self.problem.eta / self.problem.batch * dithering * strength

    def bounds(self):
        """Zero, and the value of F with all the dithering there can be."""
        problem = self.problem
        low, high = stationary.image_range(problem)
        inside = numeric.clip(stationary.targets(problem), low, high)
        widest = problem.teacher_weights @ ((inside - low) * (high - inside))
        return np.zeros(()), 2 * problem.eta / problem.batch * widest * self_consistency.strength_bounds(problem)[1]

    def knowledge(self) -> tuple[float, float]:
        """F is nondecreasing."""
        return 0.0, 0.0


class GroupedEquation(GapEquation):
    """Several kinds of coordinates under one force: what the equation of each says of G and q, by its share."""

    parts: tuple[StrengthEquation, ...] | tuple[LossEquation, ...]
    shares: tuple[float, ...] = eqx.field(static=True)
    tolerance = RESIDUAL

    @property
    def problem(self) -> Problem:
        """That of the first kind: output, noise and rates are common to all."""
        return self.parts[0].problem

    @property
    def kinds(self):
        return tuple((share, part.problem) for share, part in zip(self.shares, self.parts, strict=True))

    @property
    def name(self) -> str:
        """The unknown."""
        return self.parts[0].name

    @property
    def smallest(self) -> float:
        """As of its parts."""
        return self.parts[0].smallest

    @property
    def is_affine(self) -> bool:
        """True if F is affine."""
        return all(part.is_affine for part in self.parts)

    def force(self, x):
        return self.parts[0].force(x)

    def gap_bounds(self):
        return self_consistency.mixed(self.shares, [part.gap_bounds() for part in self.parts])

    def states(self, x) -> list[State]:
        """The stationary state of each kind at x."""
        return [part.state(x) for part in self.parts]

    def state(self, x):
        return self_consistency.mixed(self.shares, self.states(x))

    def knowledge(self):
        """Slopes and floors of the kinds are averages over coordinates, as F is."""
        return self_consistency.mixed(self.shares, [part.knowledge() for part in self.parts])


Equation = StrengthEquation | TemperatureEquation | LossEquation | GroupedEquation


def scalar_equation(problem: Problem) -> Equation | None:
    """The equation whose roots are the stationary states; None where c_h and c_* are unknown beside c_2."""
    if problem.equations.force_of_loss is not None:
        return LossEquation(problem)
    if problem.needs_slope:
        return (StrengthEquation if isinstance(problem.weight_map, IdentityMap) else TemperatureEquation)(problem)
    return StrengthEquation(problem) if problem.linear_response else None


def search_interval(equation: Equation) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Positive, finite values below and above every root but x = 0, with room for rounding."""
    lowest, highest = equation.bounds()
    label = equation.problem.rho + equation.problem.sigma**2
    high = numeric.where(numeric.isfinite(highest), highest * (1 + 1e-9), LARGEST * label)
    return numeric.where(lowest <= ZERO * label, equation.smallest * high, lowest * (1 - 1e-12)), high
