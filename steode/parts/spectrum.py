"""Spectra of the input covariance: the eigenvalue lambda_i that each coordinate carries, x_i ~ N(0, lambda_i)."""

import abc
import dataclasses
import functools
import pathlib

import numpy as np

from steode.errors import SMALLEST, SpecificationError, check_array, check_integer, check_positive
from steode.parts.laws.array_file import load_array

MOST_EIGENVALUES = 100_000


class Spectrum(abc.ABC):
    """The law of the eigenvalues: finitely many values, each shared by the same number of coordinates."""

    @property
    @abc.abstractmethod
    def values(self) -> np.ndarray:
        """The eigenvalues in the order of the coordinates, shape (n,), all positive."""

    @property
    def mean(self) -> float:
        """Mean variance of an input coordinate, Tr(H)/d."""
        return float(np.mean(self.values))

    @property
    def is_isotropic(self) -> bool:
        """True if all eigenvalues are 1: then nothing in the limit depends on them."""
        return bool(np.all(self.values == 1))

    def coordinates(self, dim: int) -> np.ndarray:
        """The eigenvalue of each of `dim` coordinates, shape (dim,): every value dim/n times, in order.

        Raises `SpecificationError` unless dim is a multiple of n, for then the law would be another one.
        """
        count = self.values.size
        if dim % count:
            expected = f"a multiple of the {count} eigenvalues"
            raise SpecificationError(
                "dim", expected, dim, "Every eigenvalue belongs to the same number of coordinates."
            )
        return np.repeat(self.values, dim // count)


@dataclasses.dataclass(frozen=True)
class Isotropic(Spectrum):
    """Inputs x ~ N(0, I)."""

    @property
    def values(self):
        return np.ones(1)


@dataclasses.dataclass(frozen=True)
class PowerLaw(Spectrum):
    """Eigenvalues lambda_i = scale i^-exponent, i = 1, ..., count.

    The limit is that of growing dim with `count` fixed, every eigenvalue shared by dim/count coordinates. Raises
    `SpecificationError` unless exponent and scale are positive, count is an integer between 1 and 100,000, and the
    least eigenvalue at least 1e-50.
    """

    exponent: float
    count: int
    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "exponent", check_positive("PowerLaw.exponent", self.exponent, "Or use Isotropic()."))
        object.__setattr__(self, "count", check_integer("PowerLaw.count", self.count, 1, MOST_EIGENVALUES))
        object.__setattr__(self, "scale", check_positive("PowerLaw.scale", self.scale))
        least = float(self.values[-1])
        if least < SMALLEST:
            remedy = "A direction without variance is never trained: lower the exponent or the count."
            raise SpecificationError("PowerLaw.exponent", f"eigenvalues of at least {SMALLEST:g}", least, remedy)

    @property
    def values(self):
        return self.scale * np.arange(1, self.count + 1) ** -self.exponent


@dataclasses.dataclass(frozen=True, eq=False)
class Eigenvalues(Spectrum):
    """Given eigenvalues, for example those of a data set's covariance.

    Parameters
    ----------
    values_at : array of positive numbers with one axis, or the path of a .npy file that holds one.

    Raises `SpecificationError` for an empty array, one with more axes, such as the covariance itself, a number that is
    not finite and at least 1e-50, or an unreadable file.
    """

    values_at: np.ndarray

    def __post_init__(self):
        values = self.values_at
        if isinstance(values, str | pathlib.Path):
            values = load_array("Eigenvalues.values_at", pathlib.Path(values))
        remedy = "Eigenvalues takes the eigenvalues; Eigenvalues.of_matrix(matrix) has those of a covariance."
        values = check_array("Eigenvalues.values_at", values, remedy)
        if values.min() < SMALLEST:
            remedy = "A direction without variance is never trained: leave its coordinate out."
            expected = f"positive numbers of at least {SMALLEST:g}"
            raise SpecificationError("Eigenvalues.values_at", expected, float(values.min()), remedy)
        values.setflags(write=False)
        object.__setattr__(self, "values_at", values)

    @classmethod
    def of_matrix(cls, matrix: np.ndarray) -> "Eigenvalues":
        """Those of a covariance or second-moment matrix (n, n), increasing.

        The limit then quantizes in the eigenbasis of the matrix; for weights that are rounded in another basis, where
        their inputs are correlated, see `steode.layer.LayerModel`. Raises `SpecificationError` unless the matrix is
        symmetric and its eigenvalues are positive.
        """
        matrix = np.asarray(matrix, dtype=float)
        square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
        if not square or not np.allclose(matrix, matrix.T, rtol=0, atol=1e-9 * np.abs(matrix).max(initial=0.0)):
            remedy = "For a matrix of samples X give X.T @ X/len(X)."
            raise SpecificationError("matrix", "a symmetric matrix", f"shape {matrix.shape}", remedy)
        return cls(np.linalg.eigh((matrix + matrix.T) / 2)[0])

    @property
    def values(self):
        return self.values_at

    def __eq__(self, other):
        return isinstance(other, Eigenvalues) and np.array_equal(self.values_at, other.values_at)

    def __hash__(self):
        return self._hash

    @functools.cached_property
    def _hash(self):
        return hash(self.values_at.tobytes())
