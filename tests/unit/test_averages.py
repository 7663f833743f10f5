"""Gaussian averages of entrywise maps: explicit SymPy form, JAX implementation and independent quadrature agree."""

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sympy

from steode import Elementwise, bridge
from steode.parts.quantizers import StepFunction
from steode.symbolic import symbols as sym
from steode.symbolic.averages import (
    GaussianMean,
    GaussianSlope,
    GaussianSquare,
    StationarySpread,
    explicit,
    gaussian_point_mass,
    gaussian_tail,
)
from tests.models import ODD_SMOOTH_MAPS, STEP_QUANTIZERS

QUADRATURE = 1e-10
MEAN, VARIANCE = 0.3, 0.8


def by_quadrature(function, kinks):
    """E[function(w)], w ~ N(MEAN, VARIANCE), by adaptive quadrature between the kinks."""
    law = scipy.stats.norm(MEAN, np.sqrt(VARIANCE))
    edges = np.unique(np.concatenate([[-8.0, 8.0], kinks[np.abs(kinks) < 8]]))
    pieces = [
        # inside a piece the map is smooth; staying clear of its ends avoids the value at the jump itself
        scipy.integrate.quad(lambda w: function(w) * law.pdf(w), low, high, epsabs=1e-13)[0]
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return sum(pieces)


# maps whose averages SymPy takes longer for are in tests/agreement/test_averages_of_smooth_maps.py
QUICK = [*STEP_QUANTIZERS, *(each for each in ODD_SMOOTH_MAPS if "(" not in str(getattr(each, "expression", "")))]


def test_tail_and_point_mass_are_the_integrals_of_the_normal_density():
    u, t = sympy.symbols("u t", real=True)
    at = {t: (sym.w - sym.M) / sympy.sqrt(sym.S)}
    tail = sympy.integrate(sym.normal_density(u), (u, t, sympy.oo))
    line = (u, -sympy.oo, sympy.oo)
    mass = sympy.integrate(sympy.DiracDelta(u - t) * sym.normal_density(u), line) / sympy.sqrt(sym.S)
    assert gaussian_tail() == tail.subs(at)
    assert gaussian_point_mass() == mass.subs(at)


@pytest.mark.parametrize("quantizer", QUICK, ids=str)
def test_three_routes_to_gaussian_averages_agree(quantizer):
    three_routes_agree(quantizer)


def three_routes_agree(quantizer):
    kinks = quantizer.thresholds if isinstance(quantizer, StepFunction) else np.zeros(0)

    def value(w):
        return float(quantizer(np.asarray(w)))

    expected = {
        GaussianMean: by_quadrature(value, kinks),
        GaussianSquare: by_quadrature(lambda w: value(w) ** 2, kinks),
        # Stein's lemma gives the mean slope without differentiating: Cov(w, Q) = S E[Q']
        GaussianSlope: by_quadrature(lambda w: (w - MEAN) * value(w), kinks) / VARIANCE,
    }
    with jax.enable_x64(True):
        numeric = bridge.numeric_map(quantizer)
        mean, variance = np.array(MEAN), np.array(VARIANCE)
        computed = {
            GaussianMean: float(numeric.gaussian_mean(mean, variance)),
            GaussianSquare: float(numeric.gaussian_square(mean, variance)),
            GaussianSlope: float(numeric.gaussian_slope(mean, variance)),
        }
    for kind, reference in expected.items():
        assert abs(computed[kind] - reference) < QUADRATURE, kind
        named = kind(sym.Q_w, sym.M, sym.S)
        closed = explicit(named, {sym.Q_w: (quantizer, sym.omega)})
        numbers = {sym.M: MEAN, sym.S: VARIANCE, sym.omega: getattr(quantizer, "range", 1.0)}
        assert abs(float(closed.subs(numbers).evalf()) - reference) < QUADRATURE, kind


def test_closed_forms_contain_only_elementary_functions_and_erf():
    for quantizer in STEP_QUANTIZERS:
        for kind in (GaussianMean, GaussianSquare, GaussianSlope):
            closed = explicit(kind(sym.Q_w, sym.M, sym.S), {sym.Q_w: (quantizer, sym.omega)})
            allowed = (sympy.exp, sympy.erf, sympy.erfc)
            assert all(isinstance(function, allowed) for function in closed.atoms(sympy.Function))
            assert not closed.has(sympy.Integral)


@pytest.mark.parametrize("bound", [0.99, 1.012, 2.2])
def test_mean_slope_holds_at_kinks(bound):
    """A kink inside the rule's spacing costs no accuracy that matters: the slope itself is never evaluated."""
    clipped = Elementwise(sympy.Max(-bound, sympy.Min(bound, sympy.Symbol("x"))))
    expected = by_quadrature(lambda w: float(np.clip(w, -bound, bound)) * (w - MEAN), np.array([-bound, bound]))
    with jax.enable_x64(True):
        slope = bridge.numeric_map(clipped).gaussian_slope(np.array(MEAN), np.array(VARIANCE))
    assert abs(float(slope) - expected / VARIANCE) < 1e-5


def test_stationary_spread_of_a_step_function_is_elementary():
    for pull in ((), (sym.kappa / sym.alpha_2,)):
        for quantizer in STEP_QUANTIZERS:
            named = StationarySpread(sym.Q_w, sym.a, sym.theta, *pull)
            closed = explicit(named, {sym.Q_w: (quantizer, sym.omega)})
            assert not closed.has(sympy.Integral)
            assert closed.has(sympy.erfc) == bool(pull)
            assert closed.free_symbols <= {sym.a, sym.theta, sym.omega, sym.kappa, sym.alpha_2}


def test_stationary_spread_of_a_smooth_map_averages_over_its_stationary_density():
    named = StationarySpread(sym.Q_w, sym.a, sym.theta, sym.kappa / sym.alpha_2)
    closed = explicit(named, {sym.Q_w: (Elementwise("tanh(x)"), sym.omega)})
    numerator, denominator = (integral.function for integral in sympy.fraction(closed))
    force = sympy.tanh(sym.w) - sym.a
    assert sympy.simplify(numerator / denominator - force**2) == 0
    slope = sympy.diff(sympy.log(denominator), sym.w)
    assert sympy.simplify(slope + 2 * (force + sym.kappa * sym.w / sym.alpha_2) / sym.theta) == 0


def test_stationary_spread_beyond_the_range_is_the_squared_distance():
    closed = explicit(StationarySpread(sym.Q_w, sym.a, sym.theta), {sym.Q_w: (STEP_QUANTIZERS[-2], sym.omega)})
    assert closed.subs(sym.a, 5) == 4
    assert closed.subs(sym.a, -1) == 0
    assert sympy.limit(closed.subs(sym.theta, 1), sym.a, 3, "-") == 0
