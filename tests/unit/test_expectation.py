"""Expectation rules: exact on what they know, an error on what they do not."""

import pytest
import sympy

from steode import UnsupportedError
from steode.symbolic import symbols as sym
from steode.symbolic.expectation import expectation, fokker_planck, gaussian_average, generator, leading_order


def gaussian_moment(power):
    return sympy.factorial2(power - 1) if power % 2 == 0 else sympy.S.Zero


def test_expectation_factorizes_over_independent_groups():
    a, b = sympy.symbols("a b")
    groups = [((sym.x,), gaussian_moment), ((sym.xi,), gaussian_moment)]
    computed = expectation((a * sym.x + b * sym.xi**2) ** 2 * sym.x**2, groups)
    assert sympy.expand(computed - (3 * a**2 + 3 * b**2)) == 0


def test_leading_order_takes_the_coefficient_of_one_over_d():
    assert leading_order(sym.q / sym.d + sym.m / sym.d**2, sym.d) == sym.q
    with pytest.raises(UnsupportedError, match="does not vanish"):
        leading_order(1 + 1 / sym.d, sym.d)


def test_gaussian_average_of_products_uses_stein():
    average = gaussian_average(sym.w * sym.Q, sym.w, sym.Q, sym.Q_w, sym.M, sym.S)
    affine = average.replace(lambda e: e.func.__name__ == "GaussianMean", lambda e: sym.M)
    affine = affine.replace(lambda e: e.func.__name__ == "GaussianSlope", lambda e: sympy.S.One)
    assert sympy.expand(affine - (sym.M**2 + sym.S)) == 0  # Q = w gives E[w^2]
    with pytest.raises(UnsupportedError, match="no rule"):
        gaussian_average(sym.w**3, sym.w, sym.Q, sym.Q_w, sym.M, sym.S)


def test_generator_and_fokker_planck_are_adjoint():
    """The integral of g (L* p) equals that of (L g) p for densities that vanish at infinity."""
    drift, diffusion = -sym.w + sym.a, 2 + sym.w**2
    density, test_function = sympy.exp(-(sym.w**2)), sym.w**3 - sym.w
    line = (sym.w, -sympy.oo, sympy.oo)
    left = sympy.integrate(sympy.expand(test_function * fokker_planck(density, sym.w, drift, diffusion).doit()), line)
    right = sympy.integrate(sympy.expand(generator(test_function, sym.w, drift, diffusion) * density), line)
    assert sympy.simplify(left - right) == 0
