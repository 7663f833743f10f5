"""What every probability law of weights offers."""

import abc

import numpy as np


class Law(abc.ABC):
    """A probability law on the real line with finite variance; use a concrete subclass."""

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """E[w]."""

    @property
    @abc.abstractmethod
    def variance(self) -> float:
        """E[w^2] - E[w]^2."""

    @property
    def second_moment(self) -> float:
        """E[w^2]; for a teacher law this is rho."""
        return self.variance + self.mean**2

    @abc.abstractmethod
    def support(self, tail: float) -> tuple[float, float]:
        """An interval outside which lies at most probability `tail` on each side."""

    @abc.abstractmethod
    def sample(self, generator: np.random.Generator, size: int) -> np.ndarray:
        """Independent draws, shape (size,), float64."""

    @abc.abstractmethod
    def quadrature(self, kinks: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights (each of shape (K,), weights summing to 1) for E[f(w)], f smooth between the kinks.

        `nodes` is the number wanted in all; atomic laws return their atoms whatever it is.
        """
