r"""Dynamical mean-field theory of weights under inputs in general position: a causal Monte Carlo with memory.

Weights follow dw = eta s (K delta dtau + sqrt(V/B) K^(1/2) dW) + eta f(w) dtau coordinate by coordinate, with offsets
delta = s (a - Q(w)) and V = floor + delta^T K delta/d. For K with eigenvectors in general position (Haar) and d to
infinity one coordinate feels y = K delta + noise as

    y = zeta + R delta,     zeta Gaussian, R lower triangular in time,

where R and Cov zeta come from the average over eigenvalues <.> that matches, on both sides of the rotation, the
response G = E d delta/d zeta and the correlation C = E delta delta^T. Along an eigenvector

    delta^ = chi^ + H y^,   y^ = lambda delta^ + sqrt(lambda) n,   Cov n = N = diag(V/(B dt)),   M = (1 - lambda H)^-1,

so that (H, M, R are triangular and commute)

    H <M> = G,     <M C_chi M^T> + <lambda H M N (H M)^T> = C,     R = <lambda M> <M>^-1,
    Cov zeta = <(lambda - R) M C_chi M^T (lambda - R)^T> + <M>^-1 <lambda M N M^T> <M>^-T,
    V = floor + <lambda M C_chi M^T + lambda^2 H M N (H M)^T>_tt.

R is the R-transform of the spectrum with G as argument. All is causal: row t of each needs only what is before. G is
found by Gaussian integration by parts, E[delta_t zeta_r] (Cov zeta)^-1, which does not need the derivative of a jump.
What else moves a weight, f, its scale s and a floor that changes in time are local in this sense, and free.

Source: derived here (docs/layer.md); for K = A^T Lambda A with A of independent entries it is the theory of its rows.
"""

import abc
from typing import NamedTuple

import numpy as np
import scipy

SMALLEST = 1e-12
"""Least conditional variance of a step of zeta, in parts of its variance."""


class Coordinates(abc.ABC):
    """Samples of one coordinate, n of them: where its weight starts, and what it does by itself."""

    start: np.ndarray
    """Initial weights, (n,)."""
    scale: np.ndarray | float
    """s, (n,), by which a coordinate feels the field y; its offset holds it too."""

    @abc.abstractmethod
    def offset(self, weights: np.ndarray) -> np.ndarray:
        """delta = s (a - Q(w)), (n,)."""

    @abc.abstractmethod
    def floor(self, weights: np.ndarray) -> float:
        """What V is beside delta^T K delta/d."""

    def drift(self, weights: np.ndarray) -> np.ndarray | float:
        """f(w), what moves a weight beside the field."""
        return 0.0

    def measure(self, weights: np.ndarray) -> np.ndarray:
        """Averages over the samples that are wanted, (k,)."""
        return np.zeros(0)


class Path(NamedTuple):
    """Along times 0, dt, ..., steps dt, all (steps + 1, ...).

    V; the mean of R delta, the part of the field that a coordinate's own past makes, times each of `aligned`; and what
    the coordinates measure.
    """

    V: np.ndarray
    overlap: np.ndarray
    measured: np.ndarray


def gauss_rule(eigenvalues: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (n,), n <= size, that average polynomials of degree 2n - 1 as the eigenvalues (d,) do.

    Lanczos on the diagonal matrix of eigenvalues, orthogonalized twice; fewer nodes where fewer eigenvalues differ.
    """
    vectors = [np.full(eigenvalues.size, eigenvalues.size**-0.5)]
    diagonal, beside = [], []
    for _ in range(size):
        new = eigenvalues * vectors[-1]
        diagonal.append(new @ vectors[-1])
        for _ in range(2):
            for vector in vectors:
                new = new - (new @ vector) * vector
        norm = np.linalg.norm(new)
        if norm < 1e-10 * eigenvalues.max() or len(vectors) == size:
            break
        beside.append(norm)
        vectors.append(new / norm)
    nodes, basis = scipy.linalg.eigh_tridiagonal(np.array(diagonal), np.array(beside))
    return np.maximum(nodes, 0.0), basis[0] ** 2


class Memory:
    """The kernels of the theory, row by row in time, for the nodes of the spectrum (n,) with their weights (n,)."""

    def __init__(self, nodes: np.ndarray, weights: np.ndarray, steps: int):
        shape = (nodes.size, steps, steps)
        self.nodes, self.weights = nodes, weights
        self.M, self.P, self.A, self.F = (np.zeros(shape) for _ in range(4))  # P = H M, A = (lambda-R) M, F = <M>^-1 M
        self.mean, self.cov_chi = np.zeros((steps, steps)), np.zeros((steps, steps))
        self.noise = np.zeros(steps)

    def advance(self, response: np.ndarray, correlation: np.ndarray, floor: float, inverse: float):
        """One time t more.

        Parameters
        ----------
        response : row t of G, (t,).
        correlation : row t of C, (t + 1,).
        floor : residual variance that is left at delta = 0.
        inverse : 1/(B dt).

        Returns
        -------
        V, and the rows t of R and of Cov zeta, (t + 1,).
        """
        t = response.size
        past, now = slice(0, t), slice(0, t + 1)
        lam, weights, M, P = self.nodes, self.weights, self.M, self.P
        H = _right(self.mean[past, past], response)
        P[:, t, past] = H @ M[:, past, past]
        M[:, t, past] = lam[:, None] * P[:, t, past]
        M[:, t, t] = 1.0
        self.mean[t, now] = weights @ M[:, t, now]
        # Cov chi from C
        noisy = P[:, t, past] * self.noise[past]
        left = correlation - _average(weights * lam, P[:, now, past], noisy)
        carried = M[:, t, past] @ self.cov_chi[past, past]
        known = _average(weights, M[:, past, past], carried)
        row = np.zeros(t + 1)
        row[past] = scipy.linalg.solve_triangular(self.mean[past, past], left[past] - known, lower=True) if t else 0.0
        twice = 2 * self.mean[t, past] @ row[past]
        row[t] = left[t] - twice - weights @ np.sum(carried * M[:, t, past], axis=1)
        self.cov_chi[t, now] = self.cov_chi[now, t] = row
        quadratic = np.sum((M[:, t, now] @ self.cov_chi[now, now]) * M[:, t, now], axis=1)
        V = floor + weights @ (lam * quadratic + lam**2 * np.sum(noisy * P[:, t, past], axis=1))
        self.noise[t] = V * inverse
        R = _right(self.mean[now, now], (weights * lam) @ M[:, t, now])
        unit = np.zeros(t + 1)
        unit[t] = 1.0
        self.A[:, t, now] = lam[:, None] * M[:, t, now] - R @ M[:, now, now]
        self.F[:, t, now] = _right(self.mean[now, now], unit) @ M[:, now, now]
        covariance = _average(weights, self.A[:, now, now], self.A[:, t, now] @ self.cov_chi[now, now])
        covariance += _average(weights * lam, self.F[:, now, now], self.F[:, t, now] * self.noise[now])
        return V, R, covariance


def follow(
    spectrum: tuple[np.ndarray, np.ndarray],
    sample: Coordinates,
    *,
    rates: np.ndarray,
    batch_size: int,
    dt: float,
    rng: np.random.Generator,
    aligned: np.ndarray | None = None,
) -> Path:
    """Follow the samples over rates.size time steps dt with these learning rates.

    Biased by the time step, in its first order, and by the number of samples, in the inverse of it. The spectrum is
    nodes and weights of `gauss_rule`; `aligned` (n,) is what the field is multiplied by for `Path.overlap`.
    """
    size, steps = sample.start.size, rates.size
    memory = Memory(*spectrum, steps + 1)
    white = np.zeros((steps + 1, size))
    offsets = np.zeros((steps + 1, size))
    root = np.zeros((steps + 1, steps + 1))
    weights = sample.start.copy()
    fixed = _orthonormal(np.stack([np.ones(size), sample.offset(weights), sample.start]))
    V, measured = np.zeros(steps + 1), []
    products, overlap = np.zeros(steps + 1), np.zeros(steps + 1)
    for t in range(steps + 1):
        past = slice(0, t)
        offsets[t] = sample.offset(weights)
        measured.append(sample.measure(weights))
        response = _right(root[past, past], white[past] @ offsets[t] / size)
        correlation = offsets[: t + 1] @ offsets[t] / size
        V[t], R, covariance = memory.advance(response, correlation, sample.floor(weights), 1 / (batch_size * dt))
        if aligned is not None:
            products[t] = aligned @ offsets[t] / size
            overlap[t] = R @ products[: t + 1]
        if t == steps:
            break
        if t:
            root[t, past] = scipy.linalg.solve_triangular(root[past, past], covariance[past], lower=True)
        own = covariance[t] - root[t, past] @ root[t, past]
        root[t, t] = np.sqrt(max(own, SMALLEST * covariance[t], np.finfo(float).tiny))
        white[t] = _new(rng, fixed, white[past])
        field = sample.scale * (root[t, : t + 1] @ white[: t + 1] + R @ offsets[: t + 1])
        weights += rates[t] * dt * (field + sample.drift(weights))
    return Path(V, overlap, np.stack(measured))


def _new(rng: np.random.Generator, fixed: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Normal numbers of mean square one, uncorrelated in the sample with what is fixed and with earlier ones."""
    new = rng.standard_normal(fixed.shape[1])
    new -= (fixed @ new) @ fixed
    new -= (white @ new / new.size) @ white
    return new / np.sqrt(np.mean(new**2))


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    _, values, right = np.linalg.svd(rows, full_matrices=False)
    return right[values > 1e-10 * values.max()]


def _right(lower: np.ndarray, row: np.ndarray) -> np.ndarray:
    """row @ lower^-1 of a lower triangular matrix."""
    return scipy.linalg.solve_triangular(lower, row, lower=True, trans="T") if row.size else row


def _average(weights: np.ndarray, rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """sum_n weights_n rows_n @ vectors_n: (n, s, k), (n, k) -> (s,)."""
    return weights @ np.matmul(rows, vectors[:, :, None])[:, :, 0]
