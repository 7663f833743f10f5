"""Probability laws on finitely many points: given values, and the empirical law of given numbers."""

import abc
import dataclasses
import functools
import pathlib

import numpy as np

from steode.errors import SpecificationError, check_array, check_finite, check_positive
from steode.parts.laws.array_file import load_array
from steode.parts.laws.base import Law
from steode.parts.quadrature import rule_of_atoms


class _AtomicLaw(Law):
    """A law on finitely many atoms."""

    @property
    @abc.abstractmethod
    def atoms(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and probabilities, each of shape (K,)."""

    @property
    def mean(self):
        values, weights = self.atoms
        return float(weights @ values)

    @property
    def variance(self):
        values, weights = self.atoms
        return float(weights @ (values - self.mean) ** 2)

    def support(self, tail):
        values, _ = self.atoms
        return float(values.min()), float(values.max())

    def sample(self, generator, size):
        values, weights = self.atoms
        return generator.choice(values, size=size, p=weights)

    def quadrature(self, kinks, nodes):
        return self.atoms


@dataclasses.dataclass(frozen=True)
class Constant(_AtomicLaw):
    """Every weight equals `value`. Raises `SpecificationError` unless it is finite."""

    value: float

    def __post_init__(self):
        object.__setattr__(self, "value", check_finite("Constant.value", self.value))

    @property
    def atoms(self):
        return np.array([self.value]), np.array([1.0])


@dataclasses.dataclass(frozen=True)
class TwoPoint(_AtomicLaw):
    """+value with the given probability, -value otherwise.

    Raises `SpecificationError` unless value > 0 and 0 < probability < 1.
    """

    value: float = 1.0
    probability: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "value", check_positive("TwoPoint.value", self.value))
        check_finite("TwoPoint.probability", self.probability)
        if not 0 < self.probability < 1:
            remedy = "Use Constant for a law on one point."
            raise SpecificationError("TwoPoint.probability", "a number between 0 and 1", self.probability, remedy)

    @property
    def atoms(self):
        return np.array([-self.value, self.value]), np.array([1 - self.probability, self.probability])


@dataclasses.dataclass(frozen=True)
class Discrete(_AtomicLaw):
    """Finitely many values with probabilities (equal ones if not given).

    Raises `SpecificationError` if the two do not fit, a probability is not positive, or they do not sum to 1 (to 1e-9).
    """

    values: tuple[float, ...]
    probabilities: tuple[float, ...] | None = None

    def __post_init__(self):
        values = tuple(check_array("Discrete.values", self.values).tolist())
        object.__setattr__(self, "values", values)
        if self.probabilities is None:
            return
        probabilities = tuple(check_array("Discrete.probabilities", self.probabilities).tolist())
        object.__setattr__(self, "probabilities", probabilities)
        if len(probabilities) != len(values):
            expected, remedy = f"{len(values)} probabilities", "Give one probability for each value."
            raise SpecificationError("Discrete.probabilities", expected, probabilities, remedy)
        if min(probabilities) <= 0 or abs(sum(probabilities) - 1) > 1e-9:
            expected, remedy = "positive numbers that sum to 1", "Divide them by their sum."
            raise SpecificationError("Discrete.probabilities", expected, probabilities, remedy)

    @property
    def atoms(self):
        count = len(self.values)
        weights = np.full(count, 1 / count) if self.probabilities is None else np.array(self.probabilities)
        return np.array(self.values), weights / weights.sum()


@dataclasses.dataclass(frozen=True, eq=False)
class Empirical(Law):
    """The law of given numbers, for example the weights of a trained layer.

    Parameters
    ----------
    values : array with one axis, or the path of a .npy file that holds one.

    `sample(generator, size)` returns the numbers themselves, in order, when `size` equals their count; otherwise draws
    with replacement. Raises `SpecificationError` for an empty array, one with more axes, NaN or infinite entries, or an
    unreadable file.
    """

    values: np.ndarray

    def __post_init__(self):
        values, name = self.values, f"{type(self).__name__}.values"
        if isinstance(values, str | pathlib.Path):
            values = load_array(name, pathlib.Path(values))
        remedy = "It takes single numbers: values.ravel() for those of all entries of a layer."
        values = check_array(name, values, remedy)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __eq__(self, other):
        return type(other) is type(self) and np.array_equal(self.values, other.values)

    def __hash__(self):
        return hash(self.values.tobytes())

    @property
    def mean(self):
        return float(self.values.mean())

    @property
    def variance(self):
        return float(self.values.var())

    def support(self, tail):
        return float(self.values.min()), float(self.values.max())

    def sample(self, generator, size):
        if size == self.values.size:
            return self.values.copy()
        return generator.choice(self.values, size=size)

    def quadrature(self, kinks, nodes):
        """The distinct values themselves if they are few; otherwise Gauss rules of the data between the kinks."""
        distinct, weights = self._distinct
        return (distinct, weights) if distinct.size <= nodes else rule_of_atoms(distinct, weights, kinks, nodes)

    @functools.cached_property
    def _distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct values, increasing, and their probabilities."""
        distinct, counts = np.unique(self.values, return_counts=True)
        return distinct, counts / self.values.size
