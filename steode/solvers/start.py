"""Initial data of the limit: teacher values with probabilities, and the law of w_0 given each of them.

Either the nominal laws of a specification, or the empirical joint law of drawn (w*, w_0), which removes the fluctuation
of the instance from a comparison with a finite-dimensional run.
"""

import abc
import dataclasses

import jax.numpy as jnp
import numpy as np

from steode.laws import Law
from steode.solvers.domain import TAIL, Extent
from steode.solvers.initial import node_masses


class Start(abc.ABC):
    """Initial data; `rows(count)` discretizes the teacher law to about `count` values."""

    extent: Extent
    """Support, mean and standard deviation of w_0."""

    @abc.abstractmethod
    def rows(self, kinks: np.ndarray, count: int) -> "Rows":
        """Teacher values and the conditional initial laws."""

    @abc.abstractmethod
    def draw(self, generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """(w*, w_0) of `size` particles."""


class Rows(abc.ABC):
    """One row for each teacher value: its probability and the law of w_0 given it.

    Attributes
    ----------
    teacher, weights : values w* and probabilities, shape (K,).
    rho : E[w*^2] of the law itself, not of its discretization.
    cross_moment : E[w* w_0].
    mean, variance : of w_0 given each teacher value, shape (K,).
    """

    teacher: np.ndarray
    weights: np.ndarray
    rho: float
    cross_moment: float
    mean: np.ndarray
    variance: np.ndarray

    @abc.abstractmethod
    def masses(self, nodes):
        """Initial mass in the control volume of each node, shape (K, N); each row sums to 1."""


@dataclasses.dataclass(frozen=True)
class NominalStart(Start):
    """Independent w* ~ teacher and w_0 ~ init."""

    teacher: Law
    init: Law

    @property
    def extent(self):
        return Extent(*self.init.support(TAIL), self.init.mean, float(np.sqrt(self.init.variance)))

    def rows(self, kinks, count):
        return _NominalRows(*self.teacher.quadrature(kinks, count), self)

    def draw(self, generator, size):
        return self.teacher.sample(generator, size), self.init.sample(generator, size)


class _NominalRows(Rows):
    def __init__(self, values, weights, start: NominalStart):
        self.teacher, self.weights, self._init = values, weights, start.init
        self.rho = start.teacher.second_moment
        self.cross_moment = start.teacher.mean * start.init.mean
        self.mean = np.full(values.shape, start.init.mean)
        self.variance = np.full(values.shape, start.init.variance)

    def masses(self, nodes):
        row = node_masses(self._init, nodes)
        return jnp.broadcast_to(row[None, :], (self.teacher.size, nodes.size))


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
        return _DrawnRows(self, count)

    def draw(self, generator, size):
        # whole copies of the drawn coordinates first, so that as little as possible is resampled
        copies, rest = divmod(size, self.teacher.size)
        chosen = np.concatenate(
            [np.tile(np.arange(self.teacher.size), copies), generator.choice(self.teacher.size, rest)]
        )
        return self.teacher[chosen], self.initial[chosen]


class _DrawnRows(Rows):
    """Distinct teacher values as they are if few; otherwise each draw is shared by the two neighboring of K values."""

    def __init__(self, start: DrawnStart, count: int):
        teacher, initial = start.teacher, start.initial
        values = np.unique(teacher)
        if values.size > count:
            # equal masses, closed by the extremes, so that every draw lies between two values
            values = np.unique(np.quantile(teacher, np.linspace(0, 1, count)))
        self.teacher, self._initial = values, initial
        if values.size == 1:
            self._row, self._share = np.zeros(teacher.size, int), np.zeros(teacher.size)
        else:
            self._row = np.clip(np.searchsorted(values, teacher, side="right") - 1, 0, values.size - 2)
            self._share = (teacher - values[self._row]) / np.diff(values)[self._row]
        totals = self._sum_rows(np.ones_like(initial))
        self.weights = totals / teacher.size
        self.rho = float(np.mean(teacher**2))
        self.cross_moment = float(np.mean(teacher * initial))
        self._totals = np.where(totals > 0, totals, 1.0)
        self.mean = self._sum_rows(initial) / self._totals
        self.variance = np.maximum(self._sum_rows(initial**2) / self._totals - self.mean**2, 0.0)

    def _sum_rows(self, values):
        lower = np.bincount(self._row, values * (1 - self._share), minlength=self.teacher.size)
        if self.teacher.size == 1:
            return lower
        return lower + np.bincount(self._row + 1, values * self._share, minlength=self.teacher.size)

    def masses(self, nodes):
        nodes = np.asarray(nodes)
        right = np.clip(np.searchsorted(nodes, self._initial, side="right"), 1, nodes.size - 1)
        share = (self._initial - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
        masses = np.zeros((self.teacher.size, nodes.size))
        rows = [(self._row, 1 - self._share)]
        if self.teacher.size > 1:
            rows.append((self._row + 1, self._share))
        for row, row_share in rows:
            np.add.at(masses, (row, right - 1), row_share * (1 - share))
            np.add.at(masses, (row, right), row_share * share)
        # a row no draw belongs to has weight zero; any law will do there
        masses[self.weights == 0, 0] = 1.0
        return jnp.asarray(masses / self._totals[:, None])
