"""Random entrywise maps, known to the theory through a mean map and a variance map.

A stochastic quantizer draws Q(u) anew every time it is used. The limit sees two functions of it, the mean E[Q(u)] and
the variance Var Q(u) given u; the simulation draws from it.
"""

import abc
import dataclasses

import numpy as np

from steode.errors import SpecificationError, check_positive
from steode.parts.quantizers import EntrywiseMap, StepFunction


class StochasticMap(EntrywiseMap):
    """A random map of vectors that acts on every entry in the same way; use a concrete subclass."""

    @property
    def is_odd(self) -> bool:
        """True if the mean map is odd and the variance map even."""
        return True

    @property
    def is_unbiased(self) -> bool:
        """True if E[Q(u)] = u for every u."""
        return True

    def mean(self, u: np.ndarray) -> np.ndarray:
        """E[Q(u)] entrywise; u of any shape."""
        return np.asarray(u)

    @abc.abstractmethod
    def variance(self, u: np.ndarray) -> np.ndarray:
        """Var Q(u) entrywise, at every entry by itself; u of any shape."""

    @abc.abstractmethod
    def sample(self, u: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """One draw of Q(u); the last axis of u is the vector that a `CommonFactor` multiplies as a whole."""

    def __call__(self, x):
        """The mean map."""
        return self.mean(x)


@dataclasses.dataclass(frozen=True)
class AdditiveNoise(StochasticMap):
    """Q(u) = u + e, e ~ N(0, noise_variance) for every entry: the model of a fine integer grid.

    E[e e^T | u] = noise_variance I. Raises `SpecificationError` unless noise_variance is positive and finite.
    """

    noise_variance: float

    def __post_init__(self):
        _check_noise(self)

    def variance(self, u):
        return np.full(np.shape(u), self.noise_variance)

    def sample(self, u, generator):
        return u + np.sqrt(self.noise_variance) * generator.standard_normal(np.shape(u))


@dataclasses.dataclass(frozen=True)
class MultiplicativeNoise(StochasticMap):
    """Q(u) = (1 + e) u, e ~ N(0, noise_variance) for every entry by itself: the model of floating point.

    Given u the errors of different entries are independent, E[e_i^2 | u] = noise_variance u_i^2. Raises
    `SpecificationError` unless noise_variance is positive and finite.
    """

    noise_variance: float

    def __post_init__(self):
        _check_noise(self)

    def variance(self, u):
        return self.noise_variance * np.asarray(u) ** 2

    def sample(self, u, generator):
        return u * (1 + np.sqrt(self.noise_variance) * generator.standard_normal(np.shape(u)))


@dataclasses.dataclass(frozen=True)
class CommonFactor(StochasticMap):
    """Q(u) = (1 + e) u with one e ~ N(0, noise_variance) for the whole vector: rank-one multiplicative noise.

    E[e e^T | u] = noise_variance u u^T. Each entry has the variance of `MultiplicativeNoise`, but all entries err
    together. Raises `SpecificationError` unless noise_variance is positive and finite.
    """

    noise_variance: float

    def __post_init__(self):
        _check_noise(self)

    def variance(self, u):
        return self.noise_variance * np.asarray(u) ** 2

    def sample(self, u, generator):
        return u * (1 + np.sqrt(self.noise_variance) * generator.standard_normal((*np.shape(u)[:-1], 1)))


@dataclasses.dataclass(frozen=True)
class StochasticRounding(StochasticMap):
    """Rounding to one of the two neighboring levels of a grid, unbiased within its range.

    Between two levels low <= u <= high the upper one is drawn with probability (u - low)/(high - low), so that
    E[Q(u)] = u and Var Q(u) = (u - low)(high - u); beyond the outermost levels Q(u) saturates. The grid's own
    thresholds play no part. Raises `SpecificationError` unless grid is a `StepFunction`.
    """

    grid: StepFunction

    def __post_init__(self):
        if not isinstance(self.grid, StepFunction):
            remedy = "For example Uniform(bits=4, range=2.0)."
            raise SpecificationError(
                "StochasticRounding.grid", "a step function, whose levels are used", self.grid, remedy
            )

    @property
    def is_odd(self) -> bool:
        return all(a == -b for a, b in zip(self.grid.unit_levels, reversed(self.grid.unit_levels), strict=True))

    @property
    def is_unbiased(self) -> bool:
        return False

    def mean(self, u):
        return np.clip(u, self.grid.levels[0], self.grid.levels[-1])

    def variance(self, u):
        low, high, inside = self._neighbors(u)
        return (inside - low) * (high - inside)

    def sample(self, u, generator):
        low, high, inside = self._neighbors(u)
        drawn = np.where(generator.random(np.shape(u)) * (high - low) < inside - low, high, low)
        return np.where(np.isnan(inside), np.nan, drawn)

    def _neighbors(self, u):
        levels = self.grid.levels
        inside = self.mean(u)
        upper = np.clip(np.searchsorted(levels, inside, side="right"), 1, levels.size - 1)
        return levels[upper - 1], levels[upper], inside


def _check_noise(quantizer) -> None:
    argument = f"{type(quantizer).__name__}.noise_variance"
    value = check_positive(argument, quantizer.noise_variance, "Use Identity() for no quantization.")
    object.__setattr__(quantizer, "noise_variance", value)


def grid_of(quantizer: EntrywiseMap) -> StepFunction | None:
    """The step function itself, or the one whose levels stochastic rounding draws; None for other maps."""
    grid = quantizer.grid if isinstance(quantizer, StochasticRounding) else quantizer
    return grid if isinstance(grid, StepFunction) else None


def with_grid(quantizer: EntrywiseMap, grid: StepFunction) -> EntrywiseMap:
    """The same quantizer with another grid."""
    return dataclasses.replace(quantizer, grid=grid) if isinstance(quantizer, StochasticRounding) else grid
