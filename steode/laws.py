"""Probability laws of teacher weights w* and initial weights w_0.

Every law can serve as either. A law offers its first two moments, samples (NumPy, for the finite-dimensional runs) and
a quadrature between kinks (for the limit): stationary quantities are piecewise smooth in w* with a kink at every
quantization level, where Gauss-Hermite converges slowly, so the law is cut at the kinks and at quantiles, and each panel
is replaced by the two-point Gauss rule of the law on it.
"""

import abc
import dataclasses
import pathlib
import zipfile

import numpy as np
import scipy.stats

from steode.errors import SpecificationError, check_finite, check_integer, check_nonnegative, check_positive

TAIL = 1e-16
"""Probability cut from each tail of a continuous law by the quadrature."""


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
        values = tuple(_finite_array("Discrete.values", self.values).tolist())
        object.__setattr__(self, "values", values)
        if self.probabilities is None:
            return
        probabilities = tuple(_finite_array("Discrete.probabilities", self.probabilities).tolist())
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


class _ContinuousLaw(Law):
    """A law with a density, known through its SciPy distribution."""

    @property
    @abc.abstractmethod
    def distribution(self):
        """The frozen `scipy.stats` distribution."""

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
        quantiles = self.distribution.ppf(np.linspace(0, 1, nodes // 2 + 1)[1:-1])
        low, high = self.distribution.ppf(TAIL), self.distribution.isf(TAIL)
        inner = _panel_edges(np.concatenate([self.kinks, quantiles]), kinks, nodes)
        edges = np.concatenate([[low], inner[(inner > low) & (inner < high)], [high]])
        unit_points, unit_weights = np.polynomial.legendre.leggauss(64)
        centers, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
        points = centers[:, None] + halves[:, None] * unit_points
        weights = halves[:, None] * unit_weights * self.distribution.pdf(points)
        return _gauss_rules(list(zip(points, weights / weights.sum(), strict=True)))


def _panel_edges(own: np.ndarray, kinks: np.ndarray, nodes: int) -> np.ndarray:
    """Sorted edges of the panels: the law's own, and the kinks unless they are so many that each is weak."""
    kinks = np.asarray(kinks, dtype=float)
    return np.unique(np.concatenate([own, kinks]) if kinks.size <= nodes // 2 else own)


def _gauss_rules(panels: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Replace the measure on each panel, given as points and weights, by its two-point Gauss rule.

    The rule keeps mass, mean, variance and third moment, so that piecewise cubics are integrated exactly.
    """
    nodes, masses = [], []
    for points, weights in panels:
        mass = weights.sum()
        if mass <= TAIL:
            continue
        mean = weights @ points / mass
        std = np.sqrt(weights @ (points - mean) ** 2 / mass)
        if std <= 1e-12 * max(1.0, abs(mean)):
            nodes.append([mean])
            masses.append([mass])
            continue
        half_skew = weights @ ((points - mean) / std) ** 3 / mass / 2
        root = np.sqrt(half_skew**2 + 1)
        nodes.append([mean + std * (half_skew - root), mean + std * (half_skew + root)])
        masses.append([mass * (root + half_skew) / (2 * root), mass * (root - half_skew) / (2 * root)])
    nodes, masses = np.concatenate(nodes), np.concatenate(masses)
    return nodes, masses / masses.sum()


@dataclasses.dataclass(frozen=True)
class Normal(_ContinuousLaw):
    """Gaussian law. Raises `SpecificationError` unless mean is finite and std is positive and finite."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "mean", check_finite("Normal.mean", self.mean))
        remedy = "Use Constant for a law on one point."
        object.__setattr__(self, "std", check_positive("Normal.std", self.std, remedy))

    @property
    def distribution(self):
        return scipy.stats.norm(self.mean, self.std)


@dataclasses.dataclass(frozen=True)
class Laplace(_ContinuousLaw):
    """Density exp(-|w - mean|/scale)/(2 scale); its variance is 2 scale^2.

    Raises `SpecificationError` unless mean is finite and scale is positive and finite.
    """

    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "mean", check_finite("Laplace.mean", self.mean))
        remedy = "Use Constant for a law on one point."
        object.__setattr__(self, "scale", check_positive("Laplace.scale", self.scale, remedy))

    @property
    def distribution(self):
        return scipy.stats.laplace(self.mean, self.scale)

    @property
    def kinks(self):
        return (self.mean,)


@dataclasses.dataclass(frozen=True)
class UniformLaw(_ContinuousLaw):
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
    def distribution(self):
        return scipy.stats.uniform(self.low, self.high - self.low)


@dataclasses.dataclass(frozen=True, eq=False)
class Empirical(Law):
    """The law of given numbers, for example the weights of a trained layer.

    Parameters
    ----------
    values : array of any shape (flattened), or the path of a .npy file.

    `sample(generator, size)` returns the numbers themselves, in order, when `size` equals their count; otherwise draws
    with replacement. Raises `SpecificationError` for an empty array, NaN or infinite entries, or an unreadable file.
    """

    values: np.ndarray

    def __post_init__(self):
        values = self.values
        if isinstance(values, str | pathlib.Path):
            values = _load_array("Empirical.values", pathlib.Path(values))
        values = _finite_array("Empirical.values", values)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __eq__(self, other):
        return isinstance(other, Empirical) and np.array_equal(self.values, other.values)

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
        distinct, counts = np.unique(self.values, return_counts=True)
        if distinct.size <= nodes:
            return distinct, counts / self.values.size
        quantiles = np.quantile(self.values, np.linspace(0, 1, nodes // 2 + 1)[1:-1])
        panel = np.searchsorted(_panel_edges(quantiles, kinks, nodes), self.values, side="right")
        sample_weight = np.full(self.values.size, 1 / self.values.size)
        return _gauss_rules([(self.values[panel == i], sample_weight[panel == i]) for i in np.unique(panel)])


def _finite_array(argument: str, values: object) -> np.ndarray:
    """A flat float64 copy of `values`, checked to be non-empty and finite."""
    try:
        # NumPy would turn "1", True and 1j into 1.0
        numeric = np.asarray(values).dtype.kind not in "bcmMSTU"
        array = np.array(values, dtype=float).ravel() if numeric else None
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is None:
        raise SpecificationError(argument, "an array of numbers", values, "Give finite real numbers only.")
    if array.size == 0:
        raise SpecificationError(argument, "at least one number", values, "The array is empty.")
    if not np.all(np.isfinite(array)):
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise SpecificationError(argument, "finite numbers", f"{array[bad]} at index {bad}", "Remove or replace it.")
    return array


def _load_array(argument: str, path: pathlib.Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        remedy = f"NumPy says: {error}"
        raise SpecificationError(argument, "the path of a readable .npy file", str(path), remedy) from None
