r"""The density equation linearized at a stationary state: one rank-one coupling between independent reversible chains.

V alone couples the teacher values, so that on a mesh the Jacobian is A + b c^T: A the generators of the rows at V*,
c = dV/dp, and b = dA/dV p = -A dp/dV with p the stationary masses. Perturbations sum to zero in every row, so they are
divergences of functions phi on the intervals. With the flux w = (rate to the right) p across each interval at
equilibrium and phi = sqrt(w) psi, the generator becomes a symmetric tridiagonal matrix S without a zero eigenvalue,

    S_ii = -(right_i + left_i),   S_i,i+1 = sqrt(left_i right_{i+1}),   J = S + v u^T,
    u = sqrt(w) (difference of c),   v = sqrt(w) d log(right/left)/dV.

Eigenvalues of J are zeros of the secular function h(lambda) = 1 - H(lambda), H = u^T (lambda - S)^{-1} v, and those
eigenvalues of S whose eigenvectors do not move V. H(0) = c^T dp/dV = F'(V*), with F the implied variance, so zero is an
eigenvalue if and only if F'(V*) = 1. Derived here.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from steode.errors import ConvergenceError
from steode.solvers.density import DensityOperator
from steode.solvers.entrywise import interval_images
from steode.solvers.equations import Problem

SAFETY = 0.9
"""Largest change of h between two points of the Nyquist curve, relative to |h|; below 1 its winding is exact."""

MOST_POINTS = 20_000


@dataclasses.dataclass(frozen=True)
class Linearization:
    """The linearized density equation on a mesh of N nodes; rows without weight take no part in V.

    Attributes
    ----------
    diagonal, off_diagonal : S, shapes (K, N-1) and (K, N-2).
    u, v : the coupling by V, shape (K, N-1).
    masses : stationary masses, shape (K, N).
    flux : equilibrium flux w across each interval, shape (K, N-1).
    gradient : c divided by the weight of its row and centered there, shape (K, N).
    square : E[gradient^2], shape (K,).
    tilt : d log(masses)/dV, shape (K, N).
    weights : of the rows, shape (K,).
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray
    u: np.ndarray
    v: np.ndarray
    masses: np.ndarray
    flux: np.ndarray
    gradient: np.ndarray
    square: np.ndarray
    tilt: np.ndarray
    weights: np.ndarray

    @property
    def response(self) -> float:
        """H(0) = F'(V*): the change of the implied variance with V."""
        return float(self.weights @ np.sum(self.gradient * self.masses * self.tilt, axis=1))

    @property
    def bounds(self) -> np.ndarray:
        """Standard deviation of c times that of d log(p)/dV: bounds |H| of each row for Re(lambda) >= 0, shape (K,)."""
        squares = [np.sum(self.masses * x**2, axis=1) for x in (self.gradient, self.tilt)]
        return self.weights * np.sqrt(squares[0] * squares[1])

    @property
    def gaps(self) -> np.ndarray:
        """Minus the largest eigenvalue of S in each row: how fast it relaxes at constant V, shape (K,)."""
        last = self.diagonal.shape[1] - 1
        rows = zip(self.diagonal, self.off_diagonal, strict=True)
        return -np.array([scipy.linalg.eigvalsh_tridiagonal(*row, "i", (last, last))[0] for row in rows])


@eqx.filter_jit
def _chains(problem: Problem, variance, nodes):
    """Rates, their derivatives by V, and V by mass, of every row on its own nodes."""

    def chain(teacher, row_nodes):
        one = (teacher[None], jnp.ones(1))
        alone = eqx.tree_at(lambda p: (p.teacher, p.teacher_weights), problem, one)
        operator = DensityOperator(alone, row_nodes)
        rates, slopes = jax.jvp(operator.rates, (variance,), (jnp.ones(()),))
        gradient = jax.grad(operator.residual_variance)(jnp.zeros((1, row_nodes.size)))
        image = interval_images(alone.weight_map, row_nodes)
        between = jax.vmap(lambda q: alone.overlaps(q[None], q[None] ** 2)[2])(image)
        return [array[0] for array in (*rates, *slopes, gradient, between[None])]

    return jax.vmap(chain)(problem.teacher, nodes)


def linearize(problem: Problem, variance: float, nodes: np.ndarray) -> Linearization:
    """The linearized density equation at residual variance `variance`, on the nodes (K, N) of every row.

    The masses are those that balance every interval in detail, whatever the map of the weights; see
    `steode.solvers.stationary_mesh` for nodes that resolve them.
    """
    arrays = _chains(problem, jnp.asarray(float(variance)), jnp.asarray(nodes))
    right, left, right_slope, left_slope, gradient, between = (np.asarray(array) for array in arrays)
    weights = np.asarray(problem.teacher_weights)
    zero = np.zeros((weights.size, 1))
    logs = np.concatenate([zero, np.cumsum(np.log(right) - np.log(left), axis=1)], axis=1)
    masses = np.exp(logs - logs.max(axis=1, keepdims=True))
    masses /= masses.sum(axis=1, keepdims=True)

    slope = right_slope / right - left_slope / left
    tilt = np.concatenate([zero, np.cumsum(slope, axis=1)], axis=1)
    flux = right * masses[:, :-1]
    return Linearization(
        diagonal=-(right + left),
        off_diagonal=np.sqrt(left[:, :-1] * right[:, 1:]),
        u=weights[:, None] * np.sqrt(flux) * np.diff(gradient, axis=1),
        v=np.sqrt(flux) * slope,
        masses=masses,
        flux=flux,
        gradient=gradient - np.sum(masses * gradient, axis=1, keepdims=True),
        square=_variance_between(masses, np.asarray(nodes), between),
        tilt=tilt - np.sum(masses * tilt, axis=1, keepdims=True),
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


def secular(linearization: Linearization, point: complex) -> complex:
    """h(lambda) = 1 - u^T (lambda - S)^{-1} v, by one tridiagonal solve."""
    # the rows one after another are one matrix whose couplings between rows are zero
    off = _joined(linearization.off_diagonal)
    bands = np.stack([np.append(0, -off), point - linearization.diagonal.ravel(), np.append(-off, 0)])
    solution = scipy.linalg.solve_banded((1, 1), bands, linearization.v.ravel(), check_finite=False)
    return 1 - linearization.u.ravel() @ solution


def _joined(off_diagonal: np.ndarray) -> np.ndarray:
    return np.pad(off_diagonal, ((0, 0), (0, 1))).ravel()[:-1]


def count_right_of(linearization: Linearization, abscissa: float = 0.0) -> int:
    """Number of eigenvalues of S + v u^T with Re(lambda) > abscissa, by the winding of h on that line (Nyquist).

    `abscissa` must lie above the spectrum of S, where h is analytic, so that its zeros are counted by its turns around
    zero. The count is exact up to rounding: with the eigenvalues -x of S, all x >= g, and C_k the `bounds`,

        |dH/d omega| <= sum_k C_k max_x x/((x + abscissa)^2 + omega^2),

    so that steps can be chosen within which h stays in a disc that does not contain zero; |H| <= |u| |v|/omega closes
    the contour. Where sum_k C_k < 1, |H| < 1 for Re(lambda) >= 0, and there is nothing to count.

    Raises `ConvergenceError` if h comes so close to zero that the count cannot be settled.
    """
    bounds, gaps = linearization.bounds, linearization.gaps
    if abscissa == 0 and bounds.sum() < 1:
        return 0
    last = float(np.linalg.norm(linearization.u, axis=1) @ np.linalg.norm(linearization.v, axis=1))
    omega, value, turn = 0.0, secular(linearization, complex(abscissa)), 0.0
    for _ in range(MOST_POINTS):
        if omega > last:
            # the curve is symmetric, and closes along an arc on which h stays to the right of zero
            return round((np.angle(value) - turn) / np.pi)
        steepest_at = np.maximum(np.hypot(abscissa, omega), gaps)
        steepest = bounds @ (steepest_at / ((steepest_at + abscissa) ** 2 + omega**2))
        omega += SAFETY * abs(value) / steepest
        new = secular(linearization, abscissa + 1j * omega)
        turn += np.angle(new / value)
        value = new
    raise ConvergenceError(f"stability: too close to a bifurcation: h = {abs(value):.1e} at omega = {omega:.3g}.")


def nearest_eigenvalues(linearization: Linearization, count: int, shift: float = 0.0) -> np.ndarray:
    """The `count` eigenvalues of S + v u^T nearest to `shift` >= 0, complex, by decreasing real part.

    Arnoldi iteration on the shifted inverse: a banded Cholesky factor of shift - S and the Sherman-Morrison formula.
    """
    diagonal, off = linearization.diagonal.ravel(), _joined(linearization.off_diagonal)
    u, v = linearization.u.ravel(), linearization.v.ravel()
    factor = scipy.linalg.cholesky_banded(np.stack([shift - diagonal, np.append(-off, 0)]), lower=True)

    def solve(x):
        return -scipy.linalg.cho_solve_banded((factor, True), x, check_finite=False)

    inverse_v = solve(v)
    feedback = 1 + u @ inverse_v

    def inverse(x):
        y = solve(x.ravel())
        return y - inverse_v * ((u @ y) / feedback)

    operator = scipy.sparse.linalg.LinearOperator((u.size, u.size), matvec=inverse, dtype=float)
    count = min(count, u.size - 2)
    start = np.random.default_rng(0).standard_normal(u.size)
    inverses = scipy.sparse.linalg.eigs(
        operator, count, v0=start, ncv=min(2 * count + 20, u.size), tol=1e-10, return_eigenvectors=False
    )
    values = shift + 1 / inverses
    return values[np.lexsort((values.imag, -values.real))]


def integrated_relaxation(linearization: Linearization) -> float:
    """Integral over time of V - V*, relative to its initial value, after the law was tilted by c.

    The tilt p (1 + epsilon c) is the smallest change of the law, in relative entropy, that changes V by a given amount.
    At constant V, <c, (-A)^{-1} p c> = sum over intervals of (cumulative sum of p c)^2/w, since the chains are
    reversible; the feedback by V divides it by 1 - F'. NaN where no change of the law moves V.
    """
    tilted = linearization.masses * linearization.gradient
    # whichever of the two sums, from the left or from the right, does not cancel
    from_left, from_right = np.cumsum(tilted, axis=1)[:, :-1], -np.cumsum(tilted[:, ::-1], axis=1)[:, ::-1][:, 1:]
    left = np.cumsum(linearization.masses, axis=1)[:, :-1] < 0.5
    passed = np.where(left, from_left, from_right)
    integral = linearization.weights @ np.sum(passed**2 / linearization.flux, axis=1)
    initial = linearization.weights @ linearization.square
    return float(integral / initial / (1 - linearization.response)) if initial > 0 else np.nan
