"""FOGZO's limit: its derivation, the mean slope on a mesh, and its fixed points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from scipy import stats

from steode import (
    FOGZO,
    SPSA,
    STE,
    Constant,
    Discrete,
    Elementwise,
    Identity,
    LinearModel,
    Normal,
    Uniform,
    UnsupportedError,
    derive,
    fixed_points,
    solve,
    sweep,
)
from steode.solvers.density import DensityOperator
from steode.symbolic import symbols as sym
from steode.systems.linear.problem import make_problem, nominal_start

pytestmark = pytest.mark.representative

RULE = FOGZO(c=2.0, eps=0.3)
MODEL = LinearModel(
    teacher=Constant(0.7),
    weight_quantizer=Uniform(bits=2, range=1.5),
    learning_rate=0.3,
    noise=0.2,
    update_rule=RULE,
)


@pytest.mark.parametrize("changes", [{}, {"batch_size": 3}, {"weight_decay": 0.1}, {"weight_quantizer": Identity()}])
def test_the_limit_is_that_of_the_ste_with_another_rate_and_more_noise(changes):
    model = MODEL.replace(**changes)
    limit, ste = derive(model), derive(model.replace(update_rule=STE()))
    decay = limit.drift.subs(sym.p_tau, 0)
    assert sympy.simplify(limit.drift - decay - sym.p_tau * (ste.drift.subs(sym.s, 1) - decay)) == 0
    assert sympy.expand(decay - sympy.expand(ste.drift.subs(sym.s, 1)).coeff(sym.kappa) * sym.kappa) == 0
    noise = 1 + sym.c_u / sym.n_dir
    assert sympy.simplify(limit.diffusion / ste.diffusion.subs(sym.s, 1) - sym.p_tau**2 * noise) == 0


def test_flips_make_a_number_and_the_random_part_drops_out():
    limit = derive(MODEL)
    assert limit.step("flips at a threshold").equation[2].rhs == 0
    assert not limit.step("change of the output").equation[-1].rhs.has(sym.c_u)
    slope = limit.step("measured slope").equation[-1].rhs
    assert not slope.has(sym.eps)
    assert slope.coeff(sym.p_tau).subs(sym.s_dir, 1) / sympy.sqrt(sym.alpha_2) == sympy.Symbol(
        r"\left|e\right|", nonnegative=True
    )


def test_a_batch_of_one_is_the_derivation_of_one_sample():
    step = derive(MODEL.replace(batch_size=2)).step("batch")
    slope = step.equation[1].rhs
    one = derive(MODEL).step("measured slope").equation[-1].rhs
    squares = next(symbol for symbol in slope.free_symbols if "sum" in symbol.name)
    residual = sympy.Symbol(r"\left|e\right|", nonnegative=True)
    assert sympy.simplify(slope.subs(squares, residual**2).subs(sym.batch, 1) - one) == 0


@pytest.mark.parametrize("quantizer", [Uniform(bits=2, range=1.5), Elementwise("tanh(2*x)")])
def test_the_mean_slope_on_a_mesh_is_of_second_order(quantizer):
    exact = stats.norm.expect(lambda w: 2 / np.cosh(2 * w) ** 2, loc=0.1, scale=0.8, lb=-8, ub=8)
    if isinstance(quantizer, Uniform):
        exact = np.diff(quantizer.levels) @ stats.norm.pdf(quantizer.thresholds, 0.1, 0.8)
    errors = []
    with jax.enable_x64(True):
        problem = make_problem(MODEL.replace(weight_quantizer=quantizer), nominal_start(MODEL).rows(np.zeros(0), 2))
        for intervals in (80, 160):
            nodes = jnp.linspace(-8.0, 8.0, intervals + 1)  # the thresholds -1, 0 and 1 are nodes
            operator = DensityOperator(problem, nodes)
            masses = np.diff(stats.norm.cdf(np.concatenate([[-9], (nodes[1:] + nodes[:-1]) / 2, [9]]), 0.1, 0.8))
            errors.append(float(operator.mean_slope(jnp.asarray(masses)[None, :])) - exact)
    assert abs(errors[0]) < 0.03 * exact
    assert 3.7 < errors[0] / errors[1] < 4.3


@pytest.mark.parametrize("teacher", [Constant(0.7), Constant(-0.2), Discrete((0.3, 1.1))])
@pytest.mark.parametrize("rule", [RULE, FOGZO(c=0.0, eps=1.0), FOGZO(c=6.0, eps=1.0, n=4)])
def test_a_fixed_point_has_the_law_of_its_ste_model_and_the_slope_of_its_law(teacher, rule):
    model = MODEL.replace(teacher=teacher, update_rule=rule, batch_size=2)
    (point,) = fixed_points(model)
    (ste,) = fixed_points(point.ste_model)
    assert pytest.approx(ste.V, rel=1e-10) == point.V
    assert point.ste_model.learning_rate == pytest.approx(0.3 * point.mean_slope * rule.noise_factor, rel=1e-14)
    # the slope once as a dithering, from the solution, and once as the density at the thresholds
    values, weights = teacher.atoms
    quantizer = model.weight_quantizer
    heights = sum(
        weight * point.density(quantizer.thresholds, wstar) for wstar, weight in zip(values, weights, strict=True)
    )
    assert np.diff(quantizer.levels) @ heights == pytest.approx(point.mean_slope, rel=1e-9)
    assert ste.density(np.linspace(-2, 2, 5), values[0]) == pytest.approx(
        point.density(np.linspace(-2, 2, 5), values[0])
    )


def test_two_levels_have_the_slope_in_closed_form():
    # the dithering of two levels around a target is (omega - a)(a + omega) at every temperature
    omega, target = 1.5, 0.7
    (point,) = fixed_points(MODEL.replace(weight_quantizer=Uniform(bits=1, range=omega)))
    dithering = omega**2 - target**2
    variance = dithering + 0.2**2
    assert pytest.approx(variance, rel=1e-12) == point.V
    assert point.mean_slope == pytest.approx(np.sqrt(2 * dithering / (0.3 * variance * (1 + 2.0))), rel=1e-12)


def test_unquantized_weights_have_slope_one():
    model = MODEL.replace(weight_quantizer=Identity())
    (point,) = fixed_points(model)
    # V = sigma^2/(1 - eta (1 + c)/2) for inputs that are not quantized
    assert pytest.approx(0.04 / (1 - 0.3 * 3 / 2), rel=1e-12) == point.V
    assert point.mean_slope == 1
    assert solve(model, 80.0, times=[80.0], tolerance=1e-6)["V"][0] == pytest.approx(point.V, rel=1e-7)


def test_the_closure_has_the_rates_of_its_own_law_at_the_start():
    model = MODEL.replace(teacher=Normal(), init=Normal(mean=0.1, std=0.8))
    closure = solve(model, 1e-3, times=[0.0, 1e-3], method="gaussian")
    # with E[w* w] = 0 at the start, dm/dtau = -eta p (cov(w*, alpha_2 Q) - alpha_1 E w*^2) E[Q'] = eta p E[Q']
    quantizer = model.weight_quantizer
    slope = np.diff(quantizer.levels) @ stats.norm.pdf(quantizer.thresholds, 0.1, 0.8)
    assert closure["m"][0] == pytest.approx(0, abs=1e-12)
    assert closure["m"][1] / 1e-3 == pytest.approx(0.3 * slope * slope, rel=3e-3)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: solve(MODEL, 1.0, method="particles"), "density at the thresholds"),
        (lambda: solve(MODEL, 1.0, start=(np.ones(4), np.linspace(-1, 1, 4))), "density at the thresholds"),
        (lambda: fixed_points(MODEL.replace(weight_decay=0.1)), "weight decay"),
        (
            lambda: sweep(MODEL.replace(update_rule=SPSA(ratio=1.0, eps=0.3)), {"noise": [0.1]}, "plateau", t_end=1.0),
            "SPSA",
        ),
    ],
)
def test_what_is_not_derived_is_refused(call, reason):
    with pytest.raises(UnsupportedError, match=reason):
        call()


def test_a_representable_teacher_is_said_to_be_recoverable():
    found = fixed_points(MODEL.replace(teacher=Discrete((-0.5, 0.5)), noise=0.0, learning_rate=0.02))
    assert "V = 0 recovers the teacher exactly" in found.note


def test_the_formula_of_the_derivation_leaves_out_targets_beyond_the_range():
    (point,) = fixed_points(MODEL.replace(teacher=Normal()))
    temperature = point.ste_model.learning_rate * point.V
    assert point.escaping > 0.1
    # D alone: with the excess of the targets beyond the range it would be a fifth more
    assert point.mean_slope == pytest.approx(2 * 2 * point.dithering_term / temperature, rel=1e-10)
    equation = derive(MODEL.replace(teacher=Normal())).step("mean slope at stationarity").equation[0]
    assert "mathbb{1}" in str(equation.rhs)
