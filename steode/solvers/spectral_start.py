"""Initial data of the limit where coordinates carry eigenvalues: the rows of each eigenvalue, one after the other."""

import dataclasses

import numpy as np

from steode.parts.laws import Empirical, Law
from steode.parts.quadrature import rule_of_sample
from steode.solvers.libraries import library
from steode.solvers.start import DrawnStart, Kinks, Moments, NominalStart, Rows, Start, kinks_at


@dataclasses.dataclass(frozen=True, eq=False)
class SpectralStart(Start):
    """Independent w* ~ teacher, w_0 ~ init and lambda, uniform on the given eigenvalues (n,)."""

    teacher: Law
    init: Law
    values: np.ndarray

    @property
    def extent(self):
        return NominalStart(self.teacher, self.init).extent

    def rows(self, kinks: Kinks, count: int):
        eigenvalues, weights = eigenvalue_rule(self.values, count)
        start = NominalStart(self.teacher, self.init)
        edges = [kinks_at(kinks, value) for value in eigenvalues]
        # without quantized inputs the kinks are the same at every eigenvalue, and so is the rule
        rules = {at.tobytes(): start.rows(at, count) for at in {at.tobytes(): at for at in edges}.values()}
        parts = [rules[at.tobytes()] for at in edges]
        rho = self.teacher.second_moment * float(np.mean(self.values))
        return _StackedRows(parts, eigenvalues, weights, rho)

    def draw(self, generator, size):
        # the most even share of particles for each eigenvalue
        index = np.arange(size) * self.values.size // size if size >= self.values.size else None
        if index is None:
            index = generator.choice(self.values.size, size)
        return self.teacher.sample(generator, size), self.init.sample(generator, size), self.values[index]

    def moments(self):
        eigenvalues, counts = np.unique(self.values, return_counts=True)
        one, plain = np.ones(eigenvalues.shape), NominalStart(self.teacher, self.init).moments()
        averages = (plain.teacher_mean, plain.teacher_square, plain.cross, plain.mean, plain.square)
        return Moments(eigenvalues, counts / counts.sum(), *(one * average for average in averages))


@dataclasses.dataclass(frozen=True, eq=False)
class PairedStart(Start):
    """Pairs of a teacher weight and its eigenvalue, (n,) each and equally many coordinates, and w_0 ~ init."""

    teacher: np.ndarray
    init: Law
    values: np.ndarray

    @property
    def extent(self):
        return NominalStart(Empirical(self.teacher), self.init).extent

    def rows(self, kinks: Kinks, count: int):
        parts, eigenvalues, weights = [], [], []
        for chosen, value in _groups(self.values, count):
            start = NominalStart(Empirical(self.teacher[chosen]), self.init)
            parts.append(start.rows(kinks_at(kinks, value), count))
            eigenvalues.append(value)
            weights.append(chosen.mean())
        rho = float(np.mean(self.values * self.teacher**2))
        return _StackedRows(parts, np.array(eigenvalues), np.array(weights), rho)

    def draw(self, generator, size):
        count = self.values.size
        index = np.arange(size) * count // size if size >= count else generator.choice(count, size)
        return self.teacher[index], self.init.sample(generator, size), self.values[index]

    def moments(self):
        eigenvalues, index = np.unique(self.values, return_inverse=True)
        counts = np.bincount(index)
        mean, square = (np.bincount(index, power) / counts for power in (self.teacher, self.teacher**2))
        one = np.ones(eigenvalues.size)
        own = self.init.mean * one, self.init.second_moment * one
        return Moments(eigenvalues, counts / counts.sum(), mean, square, self.init.mean * mean, *own)


def _groups(values: np.ndarray, count: int):
    """Which of the eigenvalues (n,) stand together, and at what mean: neighbors, where they are more than `count`."""
    distinct = np.unique(values)
    groups = np.searchsorted(distinct, values) * min(count, distinct.size) // distinct.size
    for group in np.unique(groups):
        chosen = groups == group
        yield chosen, float(values[chosen].mean())


@dataclasses.dataclass(frozen=True, eq=False)
class DrawnSpectralStart(Start):
    """The empirical joint law of drawn teacher weights, initial weights and eigenvalues, each of shape (d,)."""

    teacher: np.ndarray
    initial: np.ndarray
    values: np.ndarray

    @property
    def extent(self):
        return DrawnStart(self.teacher, self.initial).extent

    def rows(self, kinks: Kinks, count: int):
        parts, eigenvalues, weights = [], [], []
        for chosen, value in _groups(self.values, count):
            parts.append(DrawnStart(self.teacher[chosen], self.initial[chosen]).rows(kinks_at(kinks, value), count))
            eigenvalues.append(value)
            weights.append(chosen.mean())
        rho = float(np.mean(self.values * self.teacher**2))
        return _StackedRows(parts, np.array(eigenvalues), np.array(weights), rho)

    def draw(self, generator, size):
        chosen = DrawnStart(self.teacher, self.initial).choose(generator, size)
        return self.teacher[chosen], self.initial[chosen], self.values[chosen]

    def moments(self):
        eigenvalues, index = np.unique(self.values, return_inverse=True)
        counts = np.bincount(index)

        def mean(values):
            return np.bincount(index, values) / counts

        teacher, initial = self.teacher, self.initial
        averages = (mean(teacher), mean(teacher**2), mean(teacher * initial), mean(initial), mean(initial**2))
        return Moments(eigenvalues, counts / counts.sum(), *averages)


class _StackedRows(Rows):
    """Rows of several eigenvalues."""

    def __init__(self, parts: list[Rows], eigenvalues: np.ndarray, weights: np.ndarray, rho: float):
        sizes = [part.teacher.size for part in parts]
        self.teacher = np.concatenate([part.teacher for part in parts])
        self.weights = np.concatenate([weight * part.weights for weight, part in zip(weights, parts, strict=True)])
        self.mean = np.concatenate([part.mean for part in parts])
        self.variance = np.concatenate([part.variance for part in parts])
        self.eigenvalues = np.repeat(eigenvalues, sizes)
        self.rho = rho
        self._parts = parts

    def masses(self, nodes, band=None):
        parts = [part.masses(nodes, band) for part in self._parts]
        return library(*parts).concatenate(parts)


def eigenvalue_rule(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct eigenvalues and their probabilities, or about `count` Gauss nodes where they are more."""
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size <= count:
        return distinct, counts / values.size
    return rule_of_sample(values, np.zeros(0), count)
