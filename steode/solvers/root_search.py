r"""All roots of F(V) = V in an interval, with a proof that there are no others.

Two facts about the implied variance F let whole intervals [l, r] be excluded from its values at the ends alone.

Monotone. Without weight decay and for a nondecreasing map F is nondecreasing. Proof: the stationary density is
exp(-2 U/theta) with U convex. Let s_-(u), s_+(u) be the moduli of U' on the two branches of the level set U = u; both
increase with u. Given U = u the mean of U'^2 = (Q - a)^2 is (s_- + s_+)/(1/s_- + 1/s_+) = s_- s_+, which increases with
u; and U has density proportional to exp(-2u/theta) (1/s_- + 1/s_+), which is stochastically increasing in theta. So
E (Q - a)^2 is nondecreasing in theta = eta V/B. No root lies in [l, r] if F(l) > r or F(r) < l.

Lipschitz. For every convex U, d E f/d log theta = Cov(f, 2U/theta), and 2U/theta has a variance of at most 1, the
varentropy bound of log-concave laws in one dimension (Fradelizi, Madiman and Wang 2016). With f = (Q - a)^2 between
f_0 and f_0 + D, Var f <= D E(f - f_0); so, by Cauchy and Schwarz over the targets, |dF/d log V| is at most
sqrt(2 C (F - F_0)), C = alpha_2 E D/2 and F_0 = F with f_0 for f. Then H = sqrt(F - F_0) changes by at most
sqrt(C/2) log(r/l) and stays between (H(l) + H(r) -+ sqrt(C/2) log(r/l))/2.

Both derived here, but for the varentropy bound.
"""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np

from steode.errors import ConvergenceError

FIRST_POINTS = 64
PARTS = 8
"""Pieces into which an interval that cannot be excluded is cut."""
RESOLUTION = 1e-9
"""Relative width at which an interval is not cut any further: roots closer than this are not told apart."""
ROUNDING = 1e-11
"""Relative error of a value of F that an exclusion must survive."""
MOST_POINTS = 20_000
"""Values of F after which the search gives up its proof."""


@dataclasses.dataclass(frozen=True)
class Search:
    """What a search found.

    brackets : intervals (l, r) at whose ends F(V) - V has different signs, one for each root.
    complete : True if every other value of V is excluded.
    touching : intervals narrower than the resolution that are neither excluded nor hold a change of sign.
    """

    brackets: list[tuple[float, float]]
    complete: bool
    touching: list[tuple[float, float]]


def isolate_roots(
    function: Callable[[np.ndarray], np.ndarray], low: float, high: float, slope: float | None, floor: float = 0.0
) -> Search:
    """Brackets of all roots of function(V) = V for 0 < low <= V <= high.

    Parameters
    ----------
    slope : 0 if the function is nondecreasing; C > 0 if the square root of function - floor changes by at most
        sqrt(C/2) log(r/l); None if nothing is known, when the search only looks for changes of sign.
    floor : lower bound of the function.

    Raises `ConvergenceError` where the function is not a number: neither a root nor its absence follows from that.
    """
    points = np.geomspace(low, high, FIRST_POINTS if slope is not None else 2000)
    values = _numbers(function, points)
    known = dict(zip(points.tolist(), values.tolist(), strict=True))
    leaves, intervals = [], list(itertools.pairwise(points.tolist()))
    while intervals and slope is not None and len(known) < MOST_POINTS:
        undecided = [(a, b) for a, b in intervals if not _excluded(a, b, known[a], known[b], slope, floor)]
        leaves += [(a, b) for a, b in undecided if b - a <= RESOLUTION * b]
        cuts = [np.linspace(a, b, PARTS + 1).tolist() for a, b in undecided if b - a > RESOLUTION * b]
        new = np.array([point for cut in cuts for point in cut[1:-1]])
        if new.size:
            known |= dict(zip(new.tolist(), _numbers(function, new).tolist(), strict=True))
        intervals = [interval for cut in cuts for interval in itertools.pairwise(cut)]
    if intervals:
        ordered = sorted(known)
        changes = [(a, b) for a, b in itertools.pairwise(ordered) if (known[a] > a) != (known[b] > b)]
        return Search(changes, False, [])
    brackets, touching = [], []
    for a, b in _merged(leaves):
        (brackets if (known[a] > a) != (known[b] > b) else touching).append((a, b))
    return Search(brackets, not touching, touching)


def _numbers(function: Callable[[np.ndarray], np.ndarray], points: np.ndarray) -> np.ndarray:
    values = function(points)
    if np.isnan(values).any():
        where = points[np.isnan(values)][0]
        raise ConvergenceError(f"fixed points: the stationary law at {where:.6g} could not be averaged.")
    return values


def _excluded(low: float, high: float, at_low: float, at_high: float, slope: float, floor: float) -> bool:
    if slope == 0:
        least, most = at_low, at_high
    else:
        middle = (np.sqrt(max(at_low - floor, 0.0)) + np.sqrt(max(at_high - floor, 0.0))) / 2
        half = np.sqrt(slope / 2) * np.log(high / low) / 2
        least, most = floor + max(middle - half, 0.0) ** 2, floor + (middle + half) ** 2
    return least > high * (1 + ROUNDING) or most < low * (1 - ROUNDING)


def _merged(leaves: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Neighboring intervals joined."""
    merged = []
    for low, high in sorted(leaves):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged
