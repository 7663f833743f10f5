"""The derivation: each identity checked by substitution or by an independent route."""

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sympy

from steode import (
    ClippedSurrogate,
    Constant,
    Elementwise,
    Identity,
    Levels,
    LinearModel,
    Normal,
    Sign,
    SpecificationError,
    TwoPoint,
    Uniform,
    derive,
    fixed_points,
)
from steode.symbolic import symbols as sym
from steode.symbolic.averages import exact_steps
from steode.symbolic.stationary_law import stationary_masses
from tests.models import REFERENCE, STEP_QUANTIZERS

LIMIT = derive(REFERENCE)


def equations(limit, title):
    return limit.step(title).equation


def test_drift_diffusion_and_residual_variance_are_the_known_ones():
    drift = -sym.eta * sym.s * (sym.alpha_2 * sym.Q - sym.alpha_1 * sym.wstar)
    assert sympy.expand(LIMIT.drift - drift) == 0
    assert sympy.expand(LIMIT.diffusion - sym.eta**2 * sym.s**2 * sym.alpha_2 * sym.V) == 0
    assert sympy.expand(LIMIT.residual_variance - (sym.q - 2 * sym.m + sym.rho + sym.sigma**2)) == 0


def test_one_step_moments_agree_with_monte_carlo():
    """Mean and variance of one SGD step at finite d against the derived ones, to five standard errors."""
    rng, d, samples = np.random.default_rng(3), 50, 400_000
    quantizer = REFERENCE.weight_quantizer
    w, wstar, eta, noise = rng.normal(size=d), rng.normal(size=d), 0.3, 0.2
    x = rng.normal(size=(samples, d))
    z = REFERENCE.input_quantizer(x)
    residual = (z @ quantizer(w) - x @ wstar) / np.sqrt(d) - noise * rng.normal(size=samples)
    steps = -eta / np.sqrt(d) * residual[:, None] * z
    alpha_1, alpha_2 = (float(LIMIT.numeric(symbol)) for symbol in (sym.alpha_1, sym.alpha_2))
    numbers = {sym.alpha_1: alpha_1, sym.alpha_2: alpha_2, sym.eta: eta, sym.s: 1, sym.sigma: noise}
    drift = sympy.lambdify((sym.Q, sym.wstar), LIMIT.drift.subs(numbers))(quantizer(w), wstar)
    score = (steps.mean(0) - drift / d) / (steps.std(0) / np.sqrt(samples))
    assert np.abs(score).max() < 5
    overlaps = {sym.m: alpha_1 * np.mean(wstar * quantizer(w)), sym.q: alpha_2 * np.mean(quantizer(w) ** 2)}
    variance = LIMIT.residual_variance.subs(overlaps | {sym.rho: np.mean(wstar**2)} | numbers)
    # the variance is derived to leading order: the mean over coordinates must agree to order 1/d
    derived = float(LIMIT.diffusion.subs(numbers).subs(sym.V, variance)) / d
    assert abs(steps.var(0).mean() / derived - 1) < 3 / d


@pytest.mark.parametrize("quantizer", [q for q in STEP_QUANTIZERS if q.is_odd], ids=str)
def test_input_moments_agree_with_quadrature(quantizer):
    limit = derive(LinearModel(teacher=Constant(1.0), input_quantizer=quantizer))
    edges = np.concatenate([[-12.0], quantizer.thresholds, [12.0]])
    pdf = scipy.stats.norm.pdf
    cells = list(zip(edges[:-1], edges[1:], quantizer.levels, strict=True))
    alpha_1 = sum(
        level * scipy.integrate.quad(lambda x: x * pdf(x), low, high, epsabs=1e-14)[0] for low, high, level in cells
    )
    alpha_2 = sum(level**2 * scipy.integrate.quad(pdf, low, high, epsabs=1e-14)[0] for low, high, level in cells)
    assert abs(float(limit.numeric(sym.alpha_1)) - alpha_1) < 1e-10
    assert abs(float(limit.numeric(sym.alpha_2)) - alpha_2) < 1e-10


def test_input_moments_of_the_reference_case():
    assert abs(float(LIMIT.numeric(sym.alpha_1)) - 0.96928) < 5e-6
    assert abs(float(LIMIT.numeric(sym.alpha_2)) - 1.09306) < 5e-6
    assert LIMIT.explicit(sym.alpha_1).free_symbols == {sym.omega_x}  # symbolic in the range


def test_unquantized_moment_equations():
    """m' = eta (rho - m), q' = 2 eta (m - q) + eta^2 V, for alpha_1 = alpha_2 = 1."""
    limit = derive(LinearModel(teacher=Normal()))
    ones = {sym.alpha_1: 1, sym.alpha_2: 1}
    a_rate, b_rate = (rate.subs(ones) for rate in limit.exact_moments.rates)
    variance = sym.C - 2 * sym.A + sym.rho + sym.sigma**2
    assert sympy.expand(a_rate - sym.eta * (sym.rho - sym.A)) == 0
    assert sympy.expand(b_rate - (2 * sym.eta * (sym.A - sym.C) + sym.eta**2 * variance)) == 0


def test_fixed_point_of_inputs_only():
    limit = derive(LinearModel(teacher=Normal(), input_quantizer=Uniform(bits=2, range=2.0)))
    _, variance, error, _, second_eigenvalue, existence = equations(limit, "fixed point")
    expected = (sym.rho * (1 - sym.alpha_1**2 / sym.alpha_2) + sym.sigma**2) / (1 - sym.eta * sym.alpha_2 / 2)
    assert sympy.simplify(variance.rhs - expected) == 0
    assert sympy.simplify(2 * error.rhs + sym.sigma**2 - expected) == 0
    assert existence == (sym.eta < 2 / sym.alpha_2)
    assert second_eigenvalue.rhs.subs(sym.eta, 2 / sym.alpha_2) == 0


def test_stationary_density_has_no_flux():
    slope = equations(LIMIT, "stationary density")[1].rhs
    density = sympy.exp(slope * sym.w)
    drift, diffusion = (
        term.subs({sym.s: 1, sym.wstar: sym.a * sym.alpha_2 / sym.alpha_1}) for term in (LIMIT.drift, LIMIT.diffusion)
    )
    assert sympy.simplify(drift * density - sympy.diff(diffusion * density, sym.w) / 2) == 0


def test_cell_masses_agree_with_the_numerical_stationary_law():
    point = fixed_points(REFERENCE)[0]
    levels, thresholds = exact_steps(REFERENCE.weight_quantizer, sym.omega)
    target = float(LIMIT.numeric(sym.alpha_1 / sym.alpha_2))
    numbers = {sym.omega: 2, sym.a: target, sym.theta: 0.1 * point.V}
    masses = np.array([float(mass.subs(numbers)) for mass in stationary_masses(levels, thresholds, sym.a, sym.theta)])
    assert np.abs(masses / masses.sum() - point.level_probabilities(1.0)).max() < 1e-12


def test_small_learning_rate_floor_is_the_limit_of_the_root():
    model = REFERENCE.replace(learning_rate=1e-4, noise=0.1)
    floor = equations(derive(model), "small-learning-rate floor")[0].rhs
    average = next(f for f in floor.atoms(sympy.Function))
    dithering = average.args[0].subs({sym.level: sympy.Rational(2, 3), sym.next_level: 2})
    dithering = derive(model).numeric(dithering.subs(sym.a, sym.alpha_1 / sym.alpha_2))
    value = float(derive(model).numeric(floor.subs(average, dithering).subs(sym.rho, 1)))
    roots = [fixed_points(model.replace(learning_rate=eta))[0].V for eta in (2e-4, 1e-4)]
    extrapolated = 2 * roots[1] - roots[0]
    assert abs(extrapolated - value) < 1e-8


def test_exact_recovery_predicts_the_second_root():
    """eps* = Delta^2 (eta - 1)/(2 eta) for small eta - 1, and none below."""
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0))
    step = equations(derive(model), "exact recovery")
    assert {equation.rhs for equation in step[3:]} == {0, sympy.factor(sym.Delta**2 * (sym.eta - 1) / sym.eta)}
    gaps_and_width = {symbol: sym.Delta for symbol in step[1].rhs.free_symbols - {sym.eta, sym.alpha_2}}
    assert step[1].rhs.subs(gaps_and_width) == sym.alpha_2 * sym.eta
    errors = [fixed_points(model.replace(learning_rate=eta))[1].eps_g for eta in (1.02, 1.05)]
    predicted = [(eta - 1) / (2 * eta) for eta in (1.02, 1.05)]
    assert np.allclose(errors, predicted, rtol=1e-6)


def test_plateau_time_is_distance_over_speed():
    step = equations(LIMIT, "plateau")
    assert sympy.simplify(step[1].rhs - sym.Delta / (2 * sym.eta * sym.alpha_1 * sym.wstar)) == 0
    numbers = {
        sym.w: 0.1,
        sym.threshold: 0.6,
        sym.level: 0.2,
        sym.eta: 0.5,
        sym.wstar: 2,
        sym.alpha_1: 1,
        sym.alpha_2: 1,
    }
    assert abs(float(LIMIT.plateau_time.subs(numbers)) - 0.5 / (0.5 * (2 - 0.2))) < 1e-15


def test_gaussian_closure_is_exact_for_affine_maps():
    limit = derive(LinearModel(teacher=Constant(1.0)))
    assert limit.gaussian_closure.exact
    mean_rate, variance_rate = limit.gaussian_closure.rates
    assert sympy.expand(mean_rate + sym.eta * (sym.alpha_2 * sym.M - sym.alpha_1 * sym.wstar)) == 0
    assert sympy.expand(variance_rate - (sym.eta**2 * sym.alpha_2 * sym.V - 2 * sym.eta * sym.alpha_2 * sym.S)) == 0


def test_clipped_surrogate_absorbs_and_has_no_closure():
    limit = derive(REFERENCE.replace(surrogate=ClippedSurrogate(1.5)))
    assert limit.gaussian_closure is None
    assert [equation.rhs for equation in equations(limit, "absorption at the clipping bound")] == [0, 0]
    with pytest.raises(SpecificationError, match="one of update"):
        limit.step("gaussian closure")


@pytest.mark.parametrize(
    "model",
    [
        REFERENCE,
        LinearModel(
            teacher=Normal(), weight_quantizer=Uniform(bits=8, range=3.0), input_quantizer=Uniform(bits=6, range=3.0)
        ),
        LinearModel(teacher=Normal(), input_quantizer=Uniform(bits=3, range=2.0)),
        LinearModel(teacher=Normal(), weight_quantizer=Elementwise("tanh(x)"), input_quantizer=Elementwise("x**3")),
        REFERENCE.replace(surrogate=ClippedSurrogate(1.0), batch_size=4),
        LinearModel(teacher=Normal(), weight_quantizer=Identity()),
        LinearModel(teacher=Normal(), weight_decay=0.1, batch_size=4),
        LinearModel(teacher=Normal(), weight_quantizer=Uniform(bits=3, range=2.0), weight_decay=0.1, batch_size=4),
        LinearModel(teacher=TwoPoint(0.5), weight_quantizer=Sign(), batch_size=4),
        LinearModel(teacher=Normal(), weight_quantizer=Elementwise("tanh(x)"), weight_decay=0.1),
    ],
    ids=[
        "both",
        "many bits",
        "inputs only",
        "smooth",
        "clipped",
        "unquantized",
        "unquantized with decay",
        "quantized with decay",
        "two levels",
        "smooth with decay",
    ],
)
def test_every_step_renders_with_title_reason_and_reference(model):
    limit = derive(model)
    titles = [step.title for step in limit.derivation]
    assert len(set(titles)) == len(titles)
    for step in limit.derivation:
        assert step.reason.endswith(".")
        assert step.reference
        assert step.latex().count("{") == step.latex().count("}")
    assert limit.markdown().count("$$") == 2 * len(titles)
    assert limit.latex().count(r"\begin{equation}\label{eq:") == len(titles)
    assert limit._repr_latex_().startswith("$")
    assert limit._repr_markdown_() == limit.markdown()


def test_derive_refuses_what_is_not_a_model():
    with pytest.raises(SpecificationError, match="a specification such as LinearModel"):
        derive("two bits")


def test_deriving_needs_no_64_bit_floats():
    assert not jax.config.read("jax_enable_x64")
