"""Gaussian averages of erf, rectified and linear units, derived in SymPy: what the numbers are compiled from.

(u, w) is Gaussian with mean 0, variances a and b and covariance c. Two tools give everything:

- Price's theorem, d E[f(u) g(w)]/dc = E[f'(u) g'(w)];
- tilting: f'(u) = sqrt(2/pi) exp(-u^2/2) for f = erf(u/sqrt(2)) turns one Gaussian into another.
"""

import dataclasses
import functools

import sympy

from steode.errors import UnsupportedError

a, b = sympy.symbols("C_{uu} C_{ww}", positive=True)
c = sympy.Symbol("C_{uw}", real=True)
_t = sympy.Symbol("t", real=True)
FOUR = ("k", "l", "i", "j")
"""Units of an average over four: k and l through f', i and j through f."""


@dataclasses.dataclass(frozen=True)
class PairAverages:
    """Averages over two units as expressions in a, b and c.

    product : E[f(u) f(w)].
    slopes : E[f'(u) f'(w)].
    curvature : E[f''(u) f(w)], where f'' may be a point mass.
    """

    product: sympy.Expr
    slopes: sympy.Expr
    curvature: sympy.Expr


@functools.cache
def pair_averages(name: str) -> PairAverages:
    """The averages of a known activation. Raises `UnsupportedError` for another: it is integrated numerically."""
    if name == "linear":
        return PairAverages(c, sympy.S.One, sympy.S.Zero)
    if name == "erf":
        covariance = sympy.Matrix([[a, c], [c, b]])
        slopes = 2 / sympy.pi * tilted_mass(covariance, 2)
        # at c = 0 the average factorizes into means of an odd function
        product = from_zero(slopes)
        # f'' = -u f', tilted by u alone: -E[u f(w)] = -Cov(u, w) E[f'(w)] by Stein
        tilt = tilted(covariance, 1)
        rest = sympy.Matrix([[tilt[1, 1]]])
        curvature = -2 / sympy.pi * tilted_mass(covariance, 1) * tilt[0, 1] * tilted_mass(rest, 1)
        return PairAverages(product, slopes, sympy.simplify(curvature))
    if name == "relu":
        # the second derivative is a point mass at zero: the density of (u, w) there, then Price twice
        density = 1 / (2 * sympy.pi * sympy.sqrt(a * b - c**2))
        slopes = sympy.Rational(1, 4) + from_zero(density)
        product = sympy.sqrt(a * b) / (2 * sympy.pi) + from_zero(slopes)
        # E[u f'(u) f(w)] = E[f(u) f(w)] is a E[f'' f] + c E[f' f'] by Stein
        curvature = sympy.simplify((product - c * slopes) / a)
        return PairAverages(sympy.simplify(product), slopes, curvature)
    raise UnsupportedError(f"no closed Gaussian averages of {name!r}: those of erf, relu and linear units are known.")


def from_zero(rate: sympy.Expr) -> sympy.Expr:
    """The integral over c from 0."""
    primitive = sympy.integrate(rate.subs(c, _t), _t)
    value = primitive.subs(_t, c) - primitive.subs(_t, 0)
    if sympy.simplify(sympy.diff(value, c) - rate) != 0:
        raise UnsupportedError(f"SymPy's integral of {rate} over {c} is none")
    return sympy.simplify(value)


def tilted(covariance: sympy.Matrix, count: int) -> sympy.Matrix:
    """Covariance under the law tilted by exp(-u^2/2) of each of the first `count` variables."""
    first = covariance[:count, :count]
    across = covariance[:, :count]
    return (covariance - across * (sympy.eye(count) + first).inv() * across.T).applyfunc(sympy.together)


def tilted_mass(covariance: sympy.Matrix, count: int) -> sympy.Expr:
    """E of the tilting factor: det(1 + C)^(-1/2) of the first `count` variables."""
    return 1 / sympy.sqrt((sympy.eye(count) + covariance[:count, :count]).det())


def four_covariance() -> sympy.Matrix:
    """The covariance of four units, by symbols such as C_{ki}."""

    def entry(row, column):
        low, high = sorted((row, column))
        return sympy.Symbol(f"C_{{{FOUR[low]}{FOUR[high]}}}", real=True)

    return sympy.Matrix(4, 4, entry)


@functools.cache
def four_average() -> sympy.Expr:
    """E[f'(h_k) f'(h_l) f(h_i) f(h_j)] of erf units: tilted by h_k and h_l, the average of a pair is left."""
    covariance = four_covariance()
    tilt = tilted(covariance, 2)
    pair = pair_averages("erf").product.subs({a: tilt[2, 2], b: tilt[3, 3], c: tilt[2, 3]}, simultaneous=True)
    return 2 / sympy.pi * tilted_mass(covariance, 2) * pair
