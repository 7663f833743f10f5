"""Stability of a recursion whose matrix is diagonal plus rank one with entries >= 0: scalar equations, O(d) each.

For m' = A m + r (F.m) + f with A diagonal, an eigenvalue rho that is no A_i solves the secular equation
sum_i r_i F_i/(rho - A_i) = 1; the largest is the spectral radius (Perron, Frobenius). Golub, Van Loan, "Matrix
Computations", section 8.4.
"""

from collections.abc import Callable

import numpy as np
import scipy.optimize

PRECISION = 8 * np.finfo(float).eps


def largest_step_size(secular: Callable[[float], float], pole: float) -> float:
    """The root of secular(gamma) = 1, which grows from 0 at 0 to infinity at the pole."""
    # brentq rather than a fixed number of bisections: close to the pole the function is very steep
    low, high = pole * 1e-15, pole * (1 - 1e-12)
    return float(scipy.optimize.brentq(lambda gamma: secular(gamma) - 1, low, high, xtol=1e-300, rtol=PRECISION))


def spectral_radius(square: np.ndarray, coupling: np.ndarray, sum_square: np.ndarray) -> float:
    """The largest eigenvalue of diag(square) + coupling sum_square^T; all entries (d,) and >= 0."""
    products, top = coupling * sum_square, int(np.argmax(square))
    below = square[top] - square

    def excess(distance):
        return float(np.sum(products / (distance + below))) - 1

    # the term of the largest entry alone gives a lower bound, all terms at that entry an upper one
    low, high = float(products[top]), float(np.sum(products))
    if excess(high) >= 0:
        return float(square[top] + high)
    root = scipy.optimize.brentq(excess, low, high, xtol=1e-300, rtol=PRECISION)
    return float(square[top] + root)


def stationary(square, coupling, sum_square, constant) -> np.ndarray:
    """The fixed point of the recursion, (d,), by the formula of Sherman and Morrison; the spectral radius is < 1."""
    remaining = 1 - square
    free, spread = constant / remaining, coupling / remaining
    return free + spread * (sum_square @ free) / (1 - sum_square @ spread)
