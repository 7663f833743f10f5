r"""How V falls back after the law of the weights was tilted: a small model of the linearized dynamics.

With J = S + v u^T of `steode.solvers.linearized`, the deviation of V is y^T exp(J tau) x after the start x, y = u where
V alone couples the weights. On the space spanned by (s - S)^{-1} u, and the same of v, y and x, s over shifts of all
sizes, the symmetric S is a small matrix that gives the same Laplace transform at every shift, to second order (rational
Krylov projection). The essential spectrum, whose edge may be the slowest rate of all, carries what it carries in V and
no more.
"""

import dataclasses

import numpy as np
import scipy
from jaxtyping import Float

from steode.solvers.linearized import Linearization

SHIFTS = np.geomspace(0.05, 1e4, 20)
"""In units of the smallest gap."""
HIGH, LOW = 1e-2, 1e-4
"""Parts of its start between which the fall of V is timed."""
TIMES = 20_000


@dataclasses.dataclass(frozen=True)
class LateDecay:
    """The deviation of V after the tilt, relative to its start: the real part of amplitudes @ exp(rates tau)."""

    amplitudes: Float[np.ndarray, " n"]
    rates: Float[np.ndarray, " n"]

    def __call__(self, times) -> Float[np.ndarray, " m"]:
        """The relative deviation at times (m,)."""
        return np.real(np.exp(np.multiply.outer(times, self.rates)) @ self.amplitudes)

    @property
    def e_folding_time(self) -> float:
        """Time in which V falls by a factor e, averaged over its fall from 1e-2 to 1e-4 of the start."""
        settling = abs(float(np.real((self.amplitudes / self.rates).sum())))
        times = np.geomspace(1e-2 * settling, max(1e3 * settling, 60.0 / np.abs(self.rates.real).min()), TIMES)
        above = np.abs(self(times))
        last = [times[np.flatnonzero(above >= part)[-1]] for part in (HIGH, LOW)]
        return float((last[1] - last[0]) / np.log(HIGH / LOW))


def late_decay(linearization: Linearization) -> LateDecay:
    """V after a tilt by c of a stable fixed point; see `steode.stability`."""
    rank, root = linearization.u.shape[2], np.sqrt(linearization.flux)[..., None]
    gradient = linearization.gradient[..., None]
    start = -(linearization.passed(gradient) / root).ravel()
    seen = linearization.seen.ravel()
    u, v = linearization.u.reshape(-1, rank), linearization.v.reshape(-1, rank)
    diagonal = linearization.diagonal.ravel()
    off = np.pad(linearization.off_diagonal, ((0, 0), (0, 1))).ravel()[:-1]
    # V itself may be among the functionals that couple; the basis drops what is there twice
    sides, columns = np.concatenate([u, v, start[:, None], seen[:, None]], axis=1), []
    for shift in SHIFTS * linearization.gaps.min():
        bands = np.stack([shift - diagonal, np.append(-off, 0)])
        columns.append(scipy.linalg.solveh_banded(bands, sides, lower=True, check_finite=False))
    basis = _orthonormal(np.concatenate([sides, *columns], axis=1))
    image = diagonal[:, None] * basis
    image[:-1] += off[:, None] * basis[1:]
    image[1:] += off[:, None] * basis[:-1]
    small_u, small_v, small_start, small_seen = (basis.T @ side for side in (u, v, start, seen))
    rates, vectors = np.linalg.eig(basis.T @ image + small_v @ small_u.T)
    amplitudes = (small_seen @ vectors) * np.linalg.solve(vectors, small_start.astype(complex))
    return LateDecay(amplitudes / (seen @ start), rates)


def _orthonormal(columns: Float[np.ndarray, "N n"]) -> Float[np.ndarray, "N k"]:
    """A basis of the span of the columns, without directions that only rounding tells apart."""
    scaled = columns / np.linalg.norm(columns, axis=0)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    return left[:, sizes > 1e-13 * sizes[0]]
