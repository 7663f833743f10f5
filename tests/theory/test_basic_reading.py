"""The short derivation to read is the assembled one, term by term."""

import pytest
import sympy

from steode import derive
from steode.symbolic import symbols as sym
from steode.symbolic.averages import GaussianMean, GaussianSlope
from steode.systems.linear.derivations.basic import basic_limit
from steode.systems.linear.derivations.stationary_density import target
from tests.models import REFERENCE


@pytest.fixture(scope="module")
def both():
    return basic_limit(), derive(REFERENCE)


def same(first, second):
    return sympy.simplify(sympy.expand(first - second)) == 0


def test_drift_diffusion_and_residual(both):
    basic, limit = both
    assert same(basic["drift"], limit.drift.subs(sym.s, 1))
    assert same(basic["diffusion"], limit.diffusion.subs(sym.s, 1))
    assert same(basic["residual_variance"], limit.residual_variance)
    assert same(basic["eps_g"], limit.observables["eps_g"])


def test_density_equation(both):
    basic, limit = both
    right = limit.step("density equation").equation[0].rhs
    # the assembled one writes mu(tau, w) and Q_w
    mine = basic["rate of the density"].replace(sympy.Function("mu"), lambda w: sym.mu(sym.tau, w))
    mine = mine.replace(sympy.Function("Q"), sympy.Function("Q_w"))
    assert same(mine.doit(), right.doit())


def test_stationary_law(both):
    basic, limit = both
    assert same(basic["target"], target(limit.drift.subs(sym.s, 1)))
    # the assembled one is written in the target a
    assert same(basic["stationary_log_slope"], limit.stationary_log_slope.subs(sym.a, basic["target"]))


def test_gaussian_closure(both):
    basic, limit = both
    named = {
        sympy.Function("E_Q")(sym.M, sym.S): GaussianMean(sym.Q_w, sym.M, sym.S),
        sympy.Function("E_slope")(sym.M, sym.S): GaussianSlope(sym.Q_w, sym.M, sym.S),
    }
    for name, rate in zip(("rate of M", "rate of S"), limit.gaussian_closure.rates, strict=True):
        assert same(basic[name].subs(named), rate)
