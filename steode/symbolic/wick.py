"""Wick's theorem: moments of jointly Gaussian variables as sums over pairings."""

import functools
from collections.abc import Callable, Sequence

import sympy

from steode.symbolic.expectation import Group


def wick(covariance: sympy.Matrix) -> Callable[..., sympy.Expr]:
    """The moment function (i, j, ...) -> E[x_1^i x_2^j ...] of x ~ N(0, covariance).

    Wick's theorem (Isserlis 1918): the moment is the sum over all ways to pair the factors of the product of the
    pairs' covariances; it vanishes for an odd number of factors.
    """

    @functools.cache
    def moment(*exponents: int) -> sympy.Expr:
        factors = [number for number, power in enumerate(exponents) for _ in range(power)]
        return _pairings(tuple(factors))

    @functools.cache
    def _pairings(factors: tuple[int, ...]) -> sympy.Expr:
        if not factors:
            return sympy.S.One
        if len(factors) % 2:
            return sympy.S.Zero
        first, *rest = factors
        total = sympy.S.Zero
        # the first factor is paired with each of the others in turn
        for place, partner in enumerate(rest):
            if covariance[first, partner] != 0:
                total += covariance[first, partner] * _pairings((*rest[:place], *rest[place + 1 :]))
        return sympy.expand(total)

    return moment


def gaussian(symbol: sympy.Symbol, variance: sympy.Expr) -> Group:
    """One N(0, variance) variable, independent of all others, as a group for `expectation`."""
    return (symbol,), wick(sympy.Matrix([[variance]]))


def gaussians(symbols: Sequence[sympy.Symbol], variance: sympy.Expr) -> list[Group]:
    """Independent N(0, variance) variables."""
    return [gaussian(symbol, variance) for symbol in symbols]
