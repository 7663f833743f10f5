"""Expectation rules: exact moments of one SGD step, Gaussian averages by Stein's lemma, and the Ito generator.

Each rule refuses what it does not know, so that an answer is always a theorem.
"""

from collections.abc import Callable

import sympy

from steode.errors import UnsupportedError
from steode.symbolic.averages import GaussianMean, GaussianSlope, GaussianSquare

Group = tuple[tuple[sympy.Symbol, ...], Callable[..., sympy.Expr]]
"""Jointly distributed symbols, independent of every other group, and their moment as a function of the exponents."""


def expectation(expression: sympy.Expr, groups: list[Group]) -> sympy.Expr:
    """E of a polynomial in random symbols, monomial by monomial, independent groups factorizing.

    Parameters
    ----------
    expression : polynomial in the random symbols; everything else in it is a constant.
    groups : each a pair (symbols, moment) with moment(i, j, ...) = E[x_1^i x_2^j ...].
    """
    variables = [symbol for symbols, _ in groups for symbol in symbols]
    total = sympy.S.Zero
    for exponents, coefficient in sympy.Poly(sympy.expand(expression), *variables).terms():
        product, start = coefficient, 0
        for symbols, moment in groups:
            product *= moment(*exponents[start : start + len(symbols)])
            start += len(symbols)
        total += product
    return sympy.expand(total)


def leading_order(expression: sympy.Expr, dimension: sympy.Symbol) -> sympy.Expr:
    """The coefficient of 1/d of an expression that is polynomial in 1/d with no constant term."""
    small = sympy.Symbol("epsilon", positive=True)
    polynomial = sympy.Poly(sympy.expand(expression.subs(dimension, 1 / small)), small)
    if polynomial.coeff_monomial(1) != 0:
        raise UnsupportedError(f"{expression} does not vanish as {dimension} grows: no limit in time steps of 1/d")
    return sympy.factor(polynomial.coeff_monomial(small))


def gaussian_average(
    expression: sympy.Expr, weight: sympy.Symbol, image: sympy.Symbol, entrywise_map: sympy.Symbol, mean, variance
) -> sympy.Expr:
    """E of a polynomial in w and Q = Q(w), w ~ N(mean, variance), at most quadratic.

    Products with the weight use Stein's lemma, E[w Q] = M E[Q] + S E[Q'].
    """
    arguments = (entrywise_map, mean, variance)
    known = {
        (0, 0): sympy.S.One,
        (1, 0): mean,
        (2, 0): mean**2 + variance,
        (0, 1): GaussianMean(*arguments),
        (0, 2): GaussianSquare(*arguments),
        (1, 1): mean * GaussianMean(*arguments) + variance * GaussianSlope(*arguments),
    }

    def moment(power, image_power):
        if (power, image_power) not in known:
            raise UnsupportedError(f"no rule for the Gaussian average of {weight}^{power} {image}^{image_power}")
        return known[power, image_power]

    return expectation(expression, [((weight, image), moment)])


def generator(function: sympy.Expr, weight: sympy.Symbol, drift: sympy.Expr, diffusion: sympy.Expr) -> sympy.Expr:
    """Ito generator: the mean rate of change of function(w) along dw = drift dtau + sqrt(diffusion) dB."""
    first = sympy.diff(function, weight)
    return sympy.expand(drift * first + diffusion * sympy.diff(first, weight) / 2)


def fokker_planck(density: sympy.Expr, weight: sympy.Symbol, drift: sympy.Expr, diffusion: sympy.Expr) -> sympy.Expr:
    """The adjoint of the generator acting on a density, left in divergence form."""
    transport = sympy.Derivative(-drift * density, weight)
    return transport + sympy.Derivative(diffusion * density / 2, (weight, 2))
