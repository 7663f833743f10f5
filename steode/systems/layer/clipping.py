"""Targets outside the range: the box-constrained least-squares problem of each row.

Of every row

    minimize (q - a)^T K (q - a)/2   over   low <= q <= high.

With the clipped coordinates C held at their ends and P = K^-1, shared by all rows, the others move to

    q = a + P_{:C} nu,   P_CC nu = end_C - a_C,

and nu is the gradient at the clipped ones: it has to push them outward. Clipped and free coordinates that violate their
conditions are exchanged all at once, and one by one, the last of them, once that has stopped to make progress: then it
ends in finitely many steps for every positive K (block principal pivoting: Judice and Pires 1994, with Murty's rule).
"""

import numpy as np
import scipy.linalg

from steode.errors import ConvergenceError

PATIENCE = 8
"""Exchanges of all at once without progress, after which coordinates are exchanged one by one."""
MOST = 5000
TOUCHING = 1e-10
"""Violations below this part of the range, or of the largest gradient, are rounding."""


def box_least_squares(values: np.ndarray, matrix: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The best weights inside the box for targets `values`, all (rows, d); rows whose targets fit
    keep them.

    Raises `ConvergenceError` if the exchanges do not end, as for a K that is singular up to rounding.
    """
    best = values.copy()
    slack = TOUCHING * (high - low)
    rows = np.flatnonzero(((values < low - slack) | (values > high + slack)).any(axis=1))
    if not rows.size:
        return best
    inverse = scipy.linalg.cho_solve(scipy.linalg.cho_factor(matrix), np.eye(matrix.shape[0]))
    inverse = (inverse + inverse.T) / 2
    a, low, high = values[rows], low[rows], high[rows]
    # -1 at the lower end, 1 at the upper end, 0 free
    side = np.where(a < low, -1, np.where(a > high, 1, 0))
    fewest, patience = np.full(rows.size, a.shape[1] + 1), np.full(rows.size, PATIENCE)
    left = np.arange(rows.size)
    for _ in range(MOST):
        q, push = _given(a[left], inverse, side[left], low[left], high[left])
        wrong = _violations(q, push, side[left], low[left], high[left])
        count = np.count_nonzero(wrong, axis=1)
        done = count == 0
        best[rows[left[done]]] = np.clip(q[done], low[left[done]], high[left[done]])
        left, q, wrong, count = left[~done], q[~done], wrong[~done], count[~done]
        if not left.size:
            return best
        better = count < fewest[left]
        fewest[left] = np.where(better, count, fewest[left])
        patience[left] = np.where(better, PATIENCE, patience[left] - 1)
        for k in np.flatnonzero(patience[left] < 0):
            wrong[k, np.flatnonzero(wrong[k])[:-1]] = False
        entering = np.where(q < low[left], -1, 1)
        side[left] = np.where(wrong, np.where(side[left] == 0, entering, 0), side[left])
    raise ConvergenceError(f"clipping: {left.size} rows did not find their clipped weights; damp K.")


def _given(a, inverse, side, low, high):
    """q and nu given which coordinates are clipped, for all rows."""
    push = np.zeros_like(a)
    ends = np.where(side < 0, low, high) - a
    for row in range(a.shape[0]):
        clipped = np.flatnonzero(side[row])
        if clipped.size:
            block = inverse[np.ix_(clipped, clipped)]
            factor = scipy.linalg.cho_factor(block, overwrite_a=True, check_finite=False)
            push[row, clipped] = scipy.linalg.cho_solve(factor, ends[row, clipped], check_finite=False)
    return a + push @ inverse, push


def _violations(q, push, side, low, high):
    slack = TOUCHING * (high - low)
    outside = (side == 0) & ((q < low - slack) | (q > high + slack))
    inward = side * push > TOUCHING * np.abs(push).max(axis=1, keepdims=True)
    return outside | ((side != 0) & inward)
