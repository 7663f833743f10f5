"""Initial data of the limit: teacher values with probabilities, and the law of w_0 given each of them.

Either the nominal laws of a specification, or the empirical joint law of drawn (w*, w_0), which removes the fluctuation
of the instance from a comparison with a finite-dimensional run.
"""

import abc
import dataclasses
from collections.abc import Callable

import numpy as np

from steode.parts.laws import Empirical, Law
from steode.solvers.domain import TAIL, Extent
from steode.solvers.initial import node_masses
from steode.solvers.libraries import library

Kinks = np.ndarray | Callable[[float], np.ndarray]
"""Teacher values at which integrands have kinks, shape (n,), or a function of the eigenvalue that gives them."""


def kinks_at(kinks: Kinks, eigenvalue: float) -> np.ndarray:
    """The kinks at one eigenvalue."""
    return kinks(eigenvalue) if callable(kinks) else kinks


class Start(abc.ABC):
    """Initial data; `rows(kinks, count)` discretizes the teacher law to about `count` values."""

    extent: Extent
    """Support, mean and standard deviation of w_0."""

    @abc.abstractmethod
    def rows(self, kinks: Kinks, count: int) -> "Rows":
        """Teacher values and the conditional initial laws."""

    @abc.abstractmethod
    def draw(self, generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """(w*, w_0) of `size` particles, and their eigenvalues where there is a spectrum."""

    @abc.abstractmethod
    def moments(self) -> "Moments":
        """Averages over the coordinates of each eigenvalue."""


@dataclasses.dataclass(frozen=True)
class Moments:
    """Averages given each eigenvalue, arrays of shape (K,); single numbers where there is no spectrum.

    Attributes
    ----------
    eigenvalues, weights : distinct eigenvalues and their probabilities; None without a spectrum.
    teacher_mean, teacher_square, cross, mean, square : E[w*], E[w*^2], E[w* w_0], E[w_0] and E[w_0^2].
    """

    eigenvalues: np.ndarray | None
    weights: np.ndarray | None
    teacher_mean: np.ndarray
    teacher_square: np.ndarray
    cross: np.ndarray
    mean: np.ndarray
    square: np.ndarray


class Rows(abc.ABC):
    """One row for each teacher value: its probability and the law of w_0 given it.

    Attributes
    ----------
    teacher, weights : values w* and probabilities, shape (K,).
    rho : E[lambda w*^2] of the law itself, not of its discretization.
    eigenvalues : the eigenvalue each row's coordinates carry, shape (K,); None without a spectrum.
    mean, variance : of w_0 given each teacher value, shape (K,).
    """

    teacher: np.ndarray
    weights: np.ndarray
    rho: float
    mean: np.ndarray
    variance: np.ndarray
    eigenvalues: np.ndarray | None = None

    @abc.abstractmethod
    def masses(self, nodes, band=None):
        """Initial mass in the control volume of each node, shape (K, N); each row sums to 1.

        Nodes at the ends of the `band`, (2,), absorb; see `steode.solvers.initial`.
        """


@dataclasses.dataclass(frozen=True)
class NominalStart(Start):
    """Independent w* ~ teacher and w_0 ~ init."""

    teacher: Law
    init: Law

    @property
    def extent(self):
        return Extent(*self.init.support(TAIL), self.init.mean, float(np.sqrt(self.init.variance)))

    def rows(self, kinks, count):
        return _NominalRows(*self.teacher.quadrature(kinks_at(kinks, 1.0), count), self)

    def draw(self, generator, size):
        return self.teacher.sample(generator, size), self.init.sample(generator, size), None

    def moments(self):
        teacher, init = self.teacher, self.init
        cross = teacher.mean * init.mean
        return Moments(None, None, teacher.mean, teacher.second_moment, cross, init.mean, init.second_moment)


class _NominalRows(Rows):
    def __init__(self, values, weights, start: NominalStart):
        self.teacher, self.weights, self._init = values, weights, start.init
        self.rho = start.teacher.second_moment
        self.mean = np.full(values.shape, start.init.mean)
        self.variance = np.full(values.shape, start.init.variance)

    def masses(self, nodes, band=None):
        row = node_masses(self._init, nodes, band)
        return library(row).broadcast_to(row[None, :], (self.teacher.size, nodes.size))


@dataclasses.dataclass(frozen=True, eq=False)
class DrawnStart(Start):
    """The empirical joint law of drawn teacher weights and initial weights, each of shape (d,)."""

    teacher: np.ndarray
    initial: np.ndarray

    @property
    def extent(self):
        w = self.initial
        return Extent(float(w.min()), float(w.max()), float(w.mean()), float(w.std()))

    def rows(self, kinks, count):
        return _DrawnRows(self, kinks_at(kinks, 1.0), count)

    def moments(self):
        teacher, initial = self.teacher, self.initial
        cross, square = np.mean(teacher * initial), np.mean(initial**2)
        return Moments(None, None, teacher.mean(), np.mean(teacher**2), cross, initial.mean(), square)

    def draw(self, generator, size):
        chosen = self.choose(generator, size)
        return self.teacher[chosen], self.initial[chosen], None

    def choose(self, generator, size) -> np.ndarray:
        """Indices of the draws that stand for `size` particles."""
        # whole copies of the drawn coordinates first, so that as little as possible is resampled
        copies, rest = divmod(size, self.teacher.size)
        repeated = np.tile(np.arange(self.teacher.size), copies)
        return np.concatenate([repeated, generator.choice(self.teacher.size, rest)])


class _DrawnRows(Rows):
    """Gauss nodes of the drawn teacher weights; each node takes the draws nearest to it in rank, up to its probability.

    Draws in order of w* and nodes in theirs both cut [0, 1] into intervals; where two overlap, that share of the draw
    belongs to the node. Masses of the nodes, and the law of w_0 over all draws, are kept exactly.
    """

    def __init__(self, start: DrawnStart, kinks: np.ndarray, count: int):
        self.teacher, self.weights = Empirical(start.teacher).quadrature(kinks, count)
        self.rho = float(np.mean(start.teacher**2))
        size, ends = start.teacher.size, np.cumsum(self.weights)
        edges = np.union1d(np.arange(size + 1) / size, ends[:-1])
        middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        self._row = np.searchsorted(ends[:-1], middles)
        draw = np.argsort(start.teacher, kind="stable")[(middles * size).astype(int)]
        self._initial = start.initial[draw]
        self._share = widths / np.bincount(self._row, widths)[self._row]
        self.mean = np.bincount(self._row, self._share * self._initial)
        self.variance = np.bincount(self._row, self._share * (self._initial - self.mean[self._row]) ** 2)

    def masses(self, nodes, band=None):
        nodes = np.asarray(nodes)
        right = np.clip(np.searchsorted(nodes, self._initial, side="right"), 1, nodes.size - 1)
        fraction = (self._initial - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
        masses = np.zeros((self.teacher.size, nodes.size))
        np.add.at(masses, (self._row, right - 1), self._share * (1 - fraction))
        np.add.at(masses, (self._row, right), self._share * fraction)
        return masses
