"""Teacher weights that belong to the eigenvalues of the inputs, one to each."""

import dataclasses

import numpy as np

from steode.errors import SpecificationError
from steode.parts.laws.atomic import Empirical


@dataclasses.dataclass(frozen=True, eq=False)
class Paired(Empirical):
    """One number for each eigenvalue of the spectrum: pairs (lambda_i, w*_i), in place of independent ones.

    A real task has such pairs: the components w* . v_i of a weight vector along the eigenvectors v_i of its inputs'
    covariance. Every coordinate of a run with the eigenvalue lambda_i has the teacher weight w*_i; nothing is drawn.
    Drawn pairs are given as their draws.

    Parameters
    ----------
    values : array (n,), or the path of a .npy file that holds one, in the order of the spectrum's n eigenvalues.

    Raises
    ------
    SpecificationError
        As `Empirical`; a model whose spectrum has another number of eigenvalues refuses it, too.
    """

    @classmethod
    def along_eigenvectors(cls, matrix: np.ndarray, weights: np.ndarray) -> "Paired":
        """The components of weights (n,) along the eigenvectors of a symmetric matrix (n, n).

        They are in the order of `Eigenvalues.of_matrix(matrix)`. Raises `SpecificationError` if the shapes differ.
        """
        matrix, weights = np.asarray(matrix, dtype=float), np.asarray(weights, dtype=float)
        if matrix.ndim != 2 or weights.shape != matrix.shape[:1] or matrix.shape[0] != matrix.shape[1]:
            received = f"shapes {matrix.shape} and {weights.shape}"
            raise SpecificationError("weights", "one number for each row of a square matrix", received, "")
        return cls(np.linalg.eigh((matrix + matrix.T) / 2)[1].T @ weights)

    def sample(self, generator, size):
        """The numbers, each for as many neighboring coordinates as its eigenvalue has."""
        if size % self.values.size:
            expected = f"a multiple of the {self.values.size} pairs"
            raise SpecificationError("dim", expected, size, "Every pair belongs to the same number of coordinates.")
        return np.repeat(self.values, size // self.values.size)
