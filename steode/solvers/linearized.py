r"""The density equation linearized at a stationary state: a coupling of low rank between independent reversible chains.

A few functionals y of the law couple the teacher values: V (or c_2) for a linear response, m and q for another output,
c_2 and the mean slope p for FOGZO. So on a mesh the Jacobian is A + sum_j b_j c_j^T: A the generators of the rows at
the stationary state, c_j = dy_j/dp, and b_j = dA/dy_j p = -A dp/dy_j with p the stationary masses. Perturbations sum to
zero in every row, so they are divergences of functions phi on the intervals. With the flux w = (rate to the right) p
across each interval at equilibrium and phi = sqrt(w) psi, the generator becomes a symmetric tridiagonal matrix S
without a zero eigenvalue,

    S_ii = -(right_i + left_i),   S_i,i+1 = sqrt(left_i right_{i+1}),   J = S + v u^T,
    u_j = sqrt(w) (difference of c_j),   v_j = sqrt(w) d log(right/left)/dy_j.

Eigenvalues of J are zeros of the secular determinant h(lambda) = det(1 - H(lambda)), H = u^T (lambda - S)^{-1} v, and
those eigenvalues of S whose eigenvectors do not move any y. H(0) = c^T dp/dy is the derivative of the implied y, F'(V*)
for a single one, so zero is an eigenvalue if and only if that has the eigenvalue 1. Derived here.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
import scipy

from steode.errors import ConvergenceError
from steode.solvers.couplings import chains, couplings_of
from steode.solvers.equations import Problem

SAFETY = 0.9
"""Largest change of h between two points of the Nyquist curve, relative to |h|; below 1 its winding is exact."""

MOST_POINTS = 20_000


@dataclasses.dataclass(frozen=True)
class Linearization:
    """The linearized density equation on a mesh of N nodes, coupled by r functionals; rows without weight take no part.

    Attributes
    ----------
    diagonal, off_diagonal : S, shapes (K, N-1) and (K, N-2).
    u, v : the coupling, shape (K, N-1, r).
    seen : the same as u of V itself, shape (K, N-1).
    masses : stationary masses, shape (K, N).
    flux : equilibrium flux w across each interval, shape (K, N-1).
    gradient : dV/dp divided by the weight of its row and centered there, shape (K, N).
    square : E[gradient^2], shape (K,).
    couplings : the same as `gradient` of the functionals y, shape (K, N, r).
    tilt : d log(masses)/dy, shape (K, N, r).
    weights : of the rows, shape (K,).
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray
    u: np.ndarray
    v: np.ndarray
    seen: np.ndarray
    masses: np.ndarray
    flux: np.ndarray
    gradient: np.ndarray
    square: np.ndarray
    couplings: np.ndarray
    tilt: np.ndarray
    weights: np.ndarray

    @property
    def response(self) -> np.ndarray:
        """H(0), shape (r, r): the change of the implied y_i with y_j; F'(V*) for a single one."""
        return np.einsum("k,kn,kni,knj->ij", self.weights, self.masses, self.couplings, self.tilt, optimize=True)

    @property
    def bounds(self) -> np.ndarray:
        """Standard deviations of c_i times those of d log(p)/dy_j: bounds of |H_ij| for Re(lambda) >= 0, by row."""
        spreads = [np.sqrt(np.sum(self.masses[..., None] * x**2, axis=1)) for x in (self.couplings, self.tilt)]
        return self.weights[:, None, None] * spreads[0][:, :, None] * spreads[1][:, None, :]

    @property
    def gaps(self) -> np.ndarray:
        """Minus the largest eigenvalue of S in each row: how fast it relaxes under a constant force, shape (K,)."""
        last = self.diagonal.shape[1] - 1
        rows = zip(self.diagonal, self.off_diagonal, strict=True)
        return -np.array([scipy.linalg.eigvalsh_tridiagonal(*row, "i", (last, last))[0] for row in rows])

    def passed(self, gradients: np.ndarray) -> np.ndarray:
        """Mass that a tilt of the law by functions centered in every row, shape (K, N, n), moves: (K, N-1, n)."""
        tilted = self.masses[..., None] * gradients
        # whichever of the two sums, from the left or from the right, does not cancel
        from_left = np.cumsum(tilted, axis=1)[:, :-1]
        from_right = -np.cumsum(tilted[:, ::-1], axis=1)[:, ::-1][:, 1:]
        left = np.cumsum(self.masses, axis=1)[:, :-1] < 0.5
        return np.where(left[..., None], from_left, from_right)


def linearize(problem: Problem, force, nodes: np.ndarray) -> Linearization:
    """The linearized density equation at a force (V, or the averages of the output), on the nodes (K, N) of every row.

    The masses are those that balance every interval in detail, whatever the map of the weights; see
    `steode.solvers.stationary_mesh` for nodes that resolve them.
    """
    force = jnp.asarray(force, float)
    arrays = chains(problem, force, jnp.asarray(nodes))
    right, left, right_slopes, left_slopes, functionals, between = (np.asarray(array) for array in arrays)
    weights = np.asarray(problem.teacher_weights)
    zero = np.zeros((weights.size, 1))
    logs = np.concatenate([zero, np.cumsum(np.log(right) - np.log(left), axis=1)], axis=1)
    masses = np.exp(logs - logs.max(axis=1, keepdims=True))
    masses /= masses.sum(axis=1, keepdims=True)
    means = np.einsum("k,kn,kni->i", weights, masses, functionals)
    by_functional, force_by, of_loss = couplings_of(problem, means)

    slope = (right_slopes / right[..., None] - left_slopes / left[..., None]) @ force_by
    tilt = np.concatenate([np.zeros((weights.size, 1, slope.shape[2])), np.cumsum(slope, axis=1)], axis=1)
    couplings, loss = functionals @ by_functional.T, functionals[..., :2] @ of_loss[:, None]
    flux = right * masses[:, :-1]
    root = np.sqrt(flux)[..., None]

    def centered(values):
        return values - np.sum(masses[..., None] * values, axis=1, keepdims=True)

    return Linearization(
        diagonal=-(right + left),
        off_diagonal=np.sqrt(left[:, :-1] * right[:, 1:]),
        u=weights[:, None, None] * root * np.diff(couplings, axis=1),
        v=root * slope,
        seen=(weights[:, None, None] * root * np.diff(loss, axis=1))[..., 0],
        masses=masses,
        flux=flux,
        gradient=centered(loss)[..., 0],
        square=_variance_between(masses, np.asarray(nodes), between @ of_loss),
        couplings=centered(couplings),
        tilt=centered(tilt),
        weights=weights,
    )


def _variance_between(masses, nodes, values) -> np.ndarray:
    """Variance of a function known between the nodes; the square of its average over a control volume is too small."""
    widths = np.diff(nodes, axis=1)
    volumes = (np.pad(widths, ((0, 0), (1, 0))) + np.pad(widths, ((0, 0), (0, 1)))) / 2
    heights = masses / volumes
    shares = widths * (heights[:, :-1] + heights[:, 1:]) / 2
    mean = np.sum(shares * values, axis=1, keepdims=True)
    return np.sum(shares * (values - mean) ** 2, axis=1)


def transfer(linearization: Linearization, point: complex) -> np.ndarray:
    """H(lambda) = u^T (lambda - S)^{-1} v, shape (r, r), by one tridiagonal solve."""
    # the rows one after another are one matrix whose couplings between rows are zero
    off = _joined(linearization.off_diagonal)
    bands = np.stack([np.append(0, -off), point - linearization.diagonal.ravel(), np.append(-off, 0)])
    u, v = _columns(linearization)
    return u.T @ scipy.linalg.solve_banded((1, 1), bands, v, check_finite=False)


def secular(linearization: Linearization, point: complex) -> complex:
    """h(lambda) = det(1 - H(lambda))."""
    return complex(np.linalg.det(np.eye(linearization.u.shape[2]) - transfer(linearization, point)))


def _columns(linearization: Linearization) -> tuple[np.ndarray, np.ndarray]:
    rank = linearization.u.shape[2]
    return linearization.u.reshape(-1, rank), linearization.v.reshape(-1, rank)


def _joined(off_diagonal: np.ndarray) -> np.ndarray:
    return np.pad(off_diagonal, ((0, 0), (0, 1))).ravel()[:-1]


def count_right_of(linearization: Linearization, abscissa: float = 0.0) -> int:
    """Number of eigenvalues of S + v u^T with Re(lambda) > abscissa, by the winding of h on that line (Nyquist).

    `abscissa` must lie above the spectrum of S, where h is analytic, so that its zeros are counted by its turns around
    zero. The count is exact up to rounding: with the eigenvalues -x of S, all x >= g, and C_k the `bounds`,

        |dH/d omega| <= sum_k C_k max_x x/((x + abscissa)^2 + omega^2),

    entry by entry, so that steps can be chosen within which (1 - H)^{-1} times the new 1 - H stays nearer to 1 than 1
    and its eigenvalues turn by less than a right angle; |H_ij| <= |u_i| |v_j|/omega closes the contour. Where the sum
    of C_k has a norm below 1, so has H for Re(lambda) >= 0, and there is nothing to count.

    Raises `ConvergenceError` if h comes so close to zero that the count cannot be settled.
    """
    bounds, gaps = linearization.bounds, linearization.gaps
    # in units in which the functionals act on one another alike
    units = _balanced(bounds.sum(axis=0))
    ratios = units[None, :] / units[:, None]
    bounds, one = bounds * ratios, np.eye(units.size)
    if abscissa == 0 and np.linalg.norm(bounds.sum(axis=0), 2) < 1:
        return 0
    sizes = [np.linalg.norm(side, axis=1) for side in (linearization.u, linearization.v)]
    last = float(np.linalg.norm(np.einsum("ki,kj->ij", *sizes) * ratios, 2))
    omega, turn = 0.0, 0.0
    value = one - transfer(linearization, complex(abscissa)) * ratios
    for _ in range(MOST_POINTS):
        if omega > last:
            # the curve is symmetric, and closes along an arc on which 1 - H has its eigenvalues to the right of zero
            return round((_turn(value) - turn) / np.pi)
        steepest_at = np.maximum(np.hypot(abscissa, omega), gaps)
        rates = steepest_at / ((steepest_at + abscissa) ** 2 + omega**2)
        steepest = np.linalg.norm(np.einsum("k,kij->ij", rates, bounds))
        omega += SAFETY * np.linalg.svd(value, compute_uv=False)[-1] / steepest
        new = one - transfer(linearization, abscissa + 1j * omega) * ratios
        turn += _turn(np.linalg.solve(value, new))
        value = new
    nearest = abs(np.linalg.det(value))
    raise ConvergenceError(f"stability: too close to a bifurcation: h = {nearest:.1e} at omega = {omega:.3g}.")


def _turn(matrix: np.ndarray) -> float:
    """The angle of the determinant of a matrix whose eigenvalues lie to the right of zero."""
    return float(np.angle(np.linalg.eigvals(matrix)).sum())


def _balanced(bounds: np.ndarray) -> np.ndarray:
    _, (units, _) = scipy.linalg.matrix_balance(bounds, permute=False, separate=True)
    return units


def nearest_eigenvalues(linearization: Linearization, count: int, shift: float = 0.0) -> np.ndarray:
    """The `count` eigenvalues of S + v u^T nearest to `shift` >= 0, complex, by decreasing real part.

    Arnoldi iteration on the shifted inverse: a banded Cholesky factor of shift - S and the Woodbury formula.
    """
    diagonal, off = linearization.diagonal.ravel(), _joined(linearization.off_diagonal)
    u, v = _columns(linearization)
    factor = scipy.linalg.cholesky_banded(np.stack([shift - diagonal, np.append(-off, 0)]), lower=True)

    def solve(x):
        return -scipy.linalg.cho_solve_banded((factor, True), x, check_finite=False)

    inverse_v = solve(v)
    feedback, size = np.eye(u.shape[1]) + u.T @ inverse_v, u.shape[0]

    def inverse(x):
        y = solve(x.ravel())
        return y - inverse_v @ np.linalg.solve(feedback, u.T @ y)

    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=inverse, dtype=float)
    count = min(count, size - 2)
    start = np.random.default_rng(0).standard_normal(size)
    inverses = scipy.sparse.linalg.eigs(
        operator, count, v0=start, ncv=min(2 * count + 20, size), tol=1e-10, return_eigenvectors=False
    )
    values = shift + 1 / inverses
    return values[np.lexsort((values.imag, -values.real))]


def integrated_relaxation(linearization: Linearization) -> float:
    """Integral over time of V - V*, relative to its initial value, after the law was tilted by c = dV/dp.

    The tilt p (1 + epsilon c) is the smallest change of the law, in relative entropy, that changes V by a given amount.
    Under a constant force, <f, (-A)^{-1} p c> = sum over intervals of (cumulative sums of p f and p c)/w, since the
    chains are reversible; for the functionals y the feedback (1 - H(0))^{-1} stretches it, and they move V in turn. NaN
    where no change of the law moves V.
    """
    given = linearization
    passed = given.passed(np.concatenate([given.gradient[..., None], given.couplings], axis=2))
    alone, *driven = np.einsum("k,kn,kni->i", given.weights, passed[..., 0] / given.flux, passed)
    moved = np.einsum("k,kn,knj->j", given.weights, given.masses * given.gradient, given.tilt)
    initial = given.weights @ given.square
    feedback = np.linalg.solve(np.eye(moved.size) - given.response, np.array(driven))
    return float((alone + moved @ feedback) / initial) if initial > 0 else np.nan
