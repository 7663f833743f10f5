"""Probability laws with a density."""

import abc
import dataclasses

import numpy as np
import scipy

from steode.errors import SpecificationError, check_finite, check_integer, check_positive
from steode.parts.laws.base import Law
from steode.parts.quadrature import TAIL, rule_of_density


class ContinuousLaw(Law):
    """A law with a density, known through its SciPy distribution.

    Moments and support are written out where they are short: SciPy's statistics take most of a second to load.
    """

    @property
    @abc.abstractmethod
    def distribution(self):
        """The frozen `scipy.stats` distribution."""

    @property
    @abc.abstractmethod
    def panels(self) -> np.ndarray:
        """Increasing points between which the density is smooth and varies by a moderate factor.

        The first and the last leave out at most a probability of 1e-15.
        """

    @abc.abstractmethod
    def log_density(self, w):
        """Log of the density between the first and the last panel; arithmetic only, for arrays of any library."""

    @property
    def kinks(self) -> tuple[float, ...]:
        """Points where the density itself is not smooth."""
        return ()

    @property
    def mean(self):
        return float(self.distribution.mean())

    @property
    def variance(self):
        return float(self.distribution.var())

    def support(self, tail):
        return float(self.distribution.ppf(tail)), float(self.distribution.isf(tail))

    def sample(self, generator, size):
        return self.distribution.rvs(size=size, random_state=generator)

    def quadrature(self, kinks, nodes):
        check_integer("nodes", nodes, 2)
        return rule_of_density(
            lambda w: np.exp(self.log_density(w)), self.support(TAIL), np.array(self.kinks), kinks, nodes
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normal(ContinuousLaw):
    """Gaussian law, by keywords. Raises `SpecificationError` unless mean is finite and std is positive and finite."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "mean", check_finite("Normal.mean", self.mean))
        remedy = "Use Constant for a law on one point."
        object.__setattr__(self, "std", check_positive("Normal.std", self.std, remedy))

    @property
    def variance(self):
        return self.std * self.std

    def support(self, tail):
        half = -self.std * float(scipy.special.ndtri(tail))
        return self.mean - half, self.mean + half

    @property
    def distribution(self):
        return scipy.stats.norm(self.mean, self.std)

    @property
    def panels(self):
        return self.mean + self.std * np.linspace(-8.4, 8.4, 13)

    def log_density(self, w):
        return -(((w - self.mean) / self.std) ** 2) / 2 - np.log(self.std * np.sqrt(2 * np.pi))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laplace(ContinuousLaw):
    """Density exp(-|w - mean|/scale)/(2 scale); its variance is 2 scale^2. By keywords.

    Raises `SpecificationError` unless mean is finite and scale is positive and finite.
    """

    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "mean", check_finite("Laplace.mean", self.mean))
        remedy = "Use Constant for a law on one point."
        object.__setattr__(self, "scale", check_positive("Laplace.scale", self.scale, remedy))

    @property
    def variance(self):
        return 2 * self.scale * self.scale

    def support(self, tail):
        half = -self.scale * (np.log(2 * tail) if tail < 0.5 else -np.log(2 * (1 - tail)))
        return float(self.mean - half), float(self.mean + half)

    @property
    def distribution(self):
        return scipy.stats.laplace(self.mean, self.scale)

    @property
    def panels(self):
        side = np.array([0, 1, 2, 3.5, 5, 7, 9.5, 12.5, 16, 20, 25, 35])
        return self.mean + self.scale * np.concatenate([-side[:0:-1], side])

    def log_density(self, w):
        return -abs(w - self.mean) / self.scale - np.log(2 * self.scale)

    @property
    def kinks(self):
        return (self.mean,)


@dataclasses.dataclass(frozen=True)
class UniformLaw(ContinuousLaw):
    """Constant density on [low, high]. Raises `SpecificationError` unless low < high, both finite."""

    low: float
    high: float

    def __post_init__(self):
        object.__setattr__(self, "low", check_finite("UniformLaw.low", self.low))
        object.__setattr__(self, "high", check_finite("UniformLaw.high", self.high))
        if self.low >= self.high:
            remedy = "Use Constant for a law on one point."
            raise SpecificationError("UniformLaw.high", f"a number > low = {self.low}", self.high, remedy)

    @property
    def mean(self):
        return self.low + (self.high - self.low) / 2

    @property
    def variance(self):
        return (self.high - self.low) ** 2 / 12

    def support(self, tail):
        width = tail * (self.high - self.low)
        return self.low + width, self.high - width

    @property
    def distribution(self):
        return scipy.stats.uniform(self.low, self.high - self.low)

    @property
    def panels(self):
        return np.linspace(self.low, self.high, 3)

    def log_density(self, w):
        return 0 * w - np.log(self.high - self.low)
