"""Fixed points in SymPy: closed forms, the equation and its cell masses against numeric roots and quadrature."""

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
import sympy

from steode import (
    Constant,
    Discrete,
    Levels,
    LinearModel,
    Normal,
    Sign,
    Ternary,
    TwoPoint,
    Uniform,
    derive,
    fixed_points,
)
from steode.symbolic import symbols as sym
from steode.symbolic.averages import explicit
from steode.symbolic.stationary_law import stationary_masses
from tests.models import REFERENCE

pytestmark = pytest.mark.representative

ROOT = 1e-10
"""Agreement of a closed form with a numeric root."""

DIGITS = 30


def teacher_average_in(expression):
    (average,) = (term for term in expression.atoms(sympy.Function) if term.func == sym.teacher_average)
    return average


def right_side(model):
    """The right-hand side of the fixed-point equation as a function of V, in arithmetic of DIGITS digits."""
    limit = derive(model)
    right = limit.step("fixed-point equation").equation[0].rhs
    average, mean = teacher_average_in(right), sympy.Dummy()
    numbers = {symbol: sympy.Rational(repr(number)) for symbol, number in limit.parameters.items()}
    numbers |= {symbol: limit.explicit(symbol).subs(numbers) for symbol in (sym.alpha_1, sym.alpha_2)}
    numbers[sym.rho] = sympy.Float(model.teacher.second_moment, DIGITS)
    inner = sympy.lambdify((*numbers, sym.V, sym.a), explicit(average.args[0], limit.maps), "mpmath", cse=True)
    outer = sympy.lambdify((*numbers, sym.V, mean), right.subs(average, mean), "mpmath")

    def function(V):
        with mpmath.workdps(DIGITS):
            known = {symbol: mpmath.mpf(str(number.evalf(DIGITS))) for symbol, number in numbers.items()}
            values = (known[sym.alpha_1] / known[sym.alpha_2] * value for value in model.teacher.atoms[0])
            spreads = [inner(*known.values(), V, a) for a in values]
            return outer(*known.values(), V, mpmath.fdot(spreads, model.teacher.atoms[1]))

    return function


def root_of(function, near):
    with mpmath.workdps(DIGITS):
        return float(mpmath.findroot(lambda V: function(V) - V, (0.9 * near, 1.1 * near), solver="anderson"))


def value(model, expression, **others):
    """An expression of the limit as a number; `others` are further symbols by their name in the symbols module."""
    numbers = {getattr(sym, name): number for name, number in others.items()}
    return float(derive(model).numeric(expression.subs(numbers)))


class TestClosedForms:
    @pytest.mark.parametrize(("inputs", "eta"), [(Uniform(2, 2.0), 0.1), (Uniform(2, 0.7), 1.5)], ids=str)
    def test_affine(self, inputs, eta):
        model = LinearModel(teacher=Normal(mean=0.3, std=0.8), input_quantizer=inputs, learning_rate=eta, noise=0.2)
        V = value(model, derive(model).fixed_point_value, rho=model.teacher.second_moment)
        assert abs(V - fixed_points(model)[0].V) < ROOT

    def test_affine_with_decay_and_batches(self):
        """Against the Ornstein-Uhlenbeck law of one weight, closed by scipy's root finder."""
        eta, kappa, batch, rho, sigma = 0.7, 0.3, 3, 1.7, 0.4
        model = LinearModel(
            teacher=Normal(std=np.sqrt(rho)),
            input_quantizer=Uniform(2, 1.5),
            learning_rate=eta,
            noise=sigma,
            weight_decay=kappa,
            batch_size=batch,
        )
        limit = derive(model)
        alpha_1, alpha_2 = (float(limit.numeric(symbol)) for symbol in (sym.alpha_1, sym.alpha_2))
        slope = alpha_1 / (alpha_2 + kappa)  # E[w | w*] = slope w*

        def excess(V):
            variance = eta * alpha_2 * V / (2 * batch * (alpha_2 + kappa))
            second = slope**2 * rho + variance
            return alpha_2 * second - 2 * alpha_1 * slope * rho + rho + sigma**2 - V

        V = value(model, limit.fixed_point_value, rho=rho)
        assert abs(V - fixed_points(model)[0].V) < ROOT
        assert abs(V - scipy.optimize.brentq(excess, 0, 100, xtol=1e-14)) < ROOT
        *_, error, _, second_eigenvalue, existence = limit.step("fixed point").equation
        assert abs(value(model, error.rhs, rho=rho) - (V - sigma**2) / 2) < ROOT
        assert sympy.simplify(existence.rhs - 2 * sym.batch * (sym.alpha_2 + sym.kappa) / sym.alpha_2**2) == 0
        assert sympy.simplify(second_eigenvalue.rhs.subs(sym.eta, existence.rhs)) == 0

    @pytest.mark.parametrize(
        "model",
        [
            LinearModel(weight_quantizer=Uniform(1, 1.1), teacher=TwoPoint(0.7, 0.3), input_quantizer=Uniform(2, 2.0)),
            LinearModel(weight_quantizer=Sign(0.4), teacher=TwoPoint(0.7), input_quantizer=Uniform(2, 2.0), noise=0.1),
            LinearModel(
                weight_quantizer=Levels((-1, 3), (0.2,)),
                teacher=TwoPoint(1.7, 0.25),
                input_quantizer=Uniform(2, 2.0),
                learning_rate=1.9,
            ),
        ],
        ids=["inside", "clipped", "asymmetric, one of two clipped"],
    )
    def test_two_levels(self, model):
        """The same V at every learning rate and batch size, equal to the numeric root."""
        solution = derive(model).fixed_point_value
        assert not solution.has(sym.eta, sym.batch)
        assert abs(value(model, solution, wstar=model.teacher.value) - fixed_points(model)[0].V) < ROOT

    def test_where_there_is_no_closed_form(self):
        two_levels = LinearModel(weight_quantizer=Sign(), teacher=Constant(0.5))
        for model in (REFERENCE, two_levels.replace(weight_decay=0.1), two_levels.replace(teacher=Normal())):
            assert derive(model).fixed_point_value is None
        titles = [step.title for step in derive(two_levels.replace(weight_decay=0.1)).derivation]
        assert "two-level fixed point" not in titles


@pytest.mark.parametrize(
    "model",
    [
        REFERENCE,
        REFERENCE.replace(teacher=Discrete((-0.7, 0.0, 0.4, 2.5)), learning_rate=0.5, noise=0.1),
        LinearModel(weight_quantizer=Levels((-2.0, 0.0, 2.0), (-0.3, 0.4)), teacher=Constant(0.1), noise=0.5),
    ],
    ids=["reference", "clipped and on no level", "own thresholds"],
)
def test_fixed_point_equation_at_high_precision(model):
    expected = fixed_points(model)[0].V
    # the learning rate enters as eta/B only
    batches = model.replace(learning_rate=5 * model.learning_rate, batch_size=5)
    for same in (model, batches):
        assert abs(root_of(right_side(same), expected) - expected) < ROOT


def quadrature_law(model, a, theta):
    """Cell masses and E[w] by adaptive quadrature of exp(-2 U/theta), U' = Q - a + kappa w/alpha_2."""
    levels, thresholds = model.weight_quantizer.levels, model.weight_quantizer.thresholds
    pull = model.weight_decay / float(derive(model).numeric(sym.alpha_2))

    def log_density(w):
        image = levels[0] * w + np.maximum(0, w - thresholds[:, None]).T @ np.diff(levels)  # integral of Q
        return -2 * (image - a * w + pull * w**2 / 2) / theta

    grid = np.linspace(-40, 40, 80_001)
    logs = log_density(grid)
    reach = grid[logs > logs.max() - 60]
    edges = np.clip(np.concatenate([[-np.inf], thresholds, [np.inf]]), reach[0], reach[-1])

    def integral(function, low, high):
        def weighted(w):
            return function(w) * np.exp(log_density(np.atleast_1d(w))[0] - logs.max())

        inside = [point for point in np.linspace(low, high, 7)[1:-1] if low < point < high] or None
        return scipy.integrate.quad(weighted, low, high, epsabs=1e-14, epsrel=1e-13, points=inside)[0]

    masses, first = (
        np.array([integral(function, low, high) for low, high in zip(edges[:-1], edges[1:], strict=True)])
        for function in (lambda w: 1.0, lambda w: w)
    )
    return masses / masses.sum(), first.sum() / masses.sum()


DECAYED = [
    LinearModel(weight_quantizer=Uniform(2, 2.0), teacher=Constant(1.0), weight_decay=0.2, batch_size=2, noise=0.3),
    LinearModel(weight_quantizer=Sign(), teacher=Constant(2.5), weight_decay=1.0, learning_rate=0.6),
    LinearModel(weight_quantizer=Ternary(1.5), teacher=Constant(-0.4), weight_decay=0.01, input_quantizer=Sign()),
    LinearModel(weight_quantizer=Levels((-1.0, 0.1, 3.0)), teacher=Constant(0.5), weight_decay=0.5, noise=0.1),
]
NAMES = ["two bits", "sign, beyond the range", "weak decay", "own levels"]


class TestWeightDecay:
    @pytest.mark.parametrize("model", DECAYED, ids=NAMES)
    @pytest.mark.parametrize("theta", [0.05, 0.6])
    def test_masses_agree_with_quadrature(self, model, theta):
        limit = derive(model)
        a, pull = (limit.numeric(x) for x in (sym.alpha_1 * model.teacher.value / sym.alpha_2, sym.kappa / sym.alpha_2))
        levels, thresholds = (
            [sympy.Float(x) for x in column]
            for column in (model.weight_quantizer.levels, model.weight_quantizer.thresholds)
        )
        masses = np.array([float(m) for m in stationary_masses(levels, thresholds, a, sympy.Float(theta), pull)])
        expected, mean_weight = quadrature_law(model, float(a), theta)
        assert np.abs(masses / masses.sum() - expected).max() < ROOT
        # the step "mean quantized weight" holds for this law, at every temperature
        (balance,) = limit.step("mean quantized weight").equation
        mean_image = sympy.Symbol(r"\mathrm{E}\left[Q \mid w^{*}\right]", real=True)
        mean_latent = sympy.Symbol(r"\mathrm{E}\left[w \mid w^{*}\right]", real=True)
        averages = {mean_image: expected @ model.weight_quantizer.levels, mean_latent: mean_weight}
        gap = (balance.lhs - balance.rhs).subs(averages)
        assert abs(value(model, gap, wstar=model.teacher.value)) < ROOT

    def test_root_agrees_with_the_numeric_one_and_with_quadrature(self):
        model = DECAYED[0]
        a, levels = model.teacher.value, model.weight_quantizer.levels

        def excess(V):
            masses, _ = quadrature_law(model, a, model.learning_rate * V / model.batch_size)
            return model.noise**2 + masses @ (levels - a) ** 2 - V

        expected = fixed_points(model)[0].V
        root = root_of(right_side(model), expected)
        assert abs(root - expected) < ROOT
        assert abs(scipy.optimize.brentq(excess, 0.9 * root, 1.1 * root, xtol=1e-13) - root) < ROOT

    @pytest.mark.parametrize("model", DECAYED, ids=NAMES)
    def test_floor_is_the_limit_of_the_spread(self, model):
        """The conditions of the two cases single out one cell or threshold."""
        limit = derive(model)
        floor = limit.step("small-learning-rate floor").equation[1].rhs
        average = teacher_average_in(floor)
        a = limit.numeric(sym.alpha_1 * model.teacher.value / sym.alpha_2)
        levels = [*model.weight_quantizer.levels, sympy.oo]
        edges = [-sympy.oo, *model.weight_quantizer.thresholds, sympy.oo]
        cases = []
        for index in range(len(levels) - 1):
            numbers = {sym.level: levels[index], sym.next_level: levels[index + 1], sym.a: a}
            numbers |= {sym.T[sym.j]: edges[index], sym.T[sym.j + 1]: edges[index + 1]}
            balance = limit.step("small-learning-rate floor").equation[0].rhs.subs(numbers)
            cases.append(limit.numeric(average.args[0].subs(numbers | {sym.balance: limit.numeric(balance)})))
        (spread,) = (case for case in cases if case is not sympy.nan)
        predicted = value(model, floor.subs(average, spread), rho=model.teacher.second_moment)
        implied = right_side(model)
        values = [float(implied(mpmath.mpf(V))) for V in (2e-4, 1e-4)]
        assert abs(2 * values[1] - values[0] - predicted) < 1e-6

    def test_steps_that_do_not_hold_are_left_out(self):
        model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0))
        kept, decayed = (
            {step.title for step in derive(m).derivation} for m in (model, model.replace(weight_decay=0.1))
        )
        assert kept - decayed == {"exact recovery", "small-learning-rate correction"}
