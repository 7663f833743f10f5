"""The derived recursion of quantized regression: against a recursion written by hand, and against itself."""

import dataclasses
import itertools

import numpy as np
import pytest
import sympy

from steode import UnsupportedError, regression
from steode.parts.quantizers import Identity, Uniform
from steode.parts.spectrum import PowerLaw
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.symbolic.wick import wick
from steode.systems.regression import symbols as sym
from steode.systems.regression.derivation import derive_for

ADDITIVE = ("additive",) * 5
NONE = ("none",) * 5


def formulas(recursion) -> dict:
    """All formulas of a recursion by name."""
    plain = {field.name: getattr(recursion, field.name) for field in dataclasses.fields(recursion)}
    return {name: value for name, value in plain.items() if name not in ("kinds", "derivation")}


def test_wick_agrees_with_known_moments():
    a, b, c = sympy.symbols("a b c")
    moment = wick(sympy.Matrix([[a, c], [c, b]]))
    assert moment(4, 0) == 3 * a**2
    assert sympy.expand(moment(2, 2) - (a * b + 2 * c**2)) == 0
    assert sympy.expand(moment(3, 1) - 3 * a * c) == 0
    assert moment(3, 2) == 0
    assert sympy.expand(wick(sympy.eye(3) * a)(2, 2, 2)) == a**3
    assert moment(6, 0) == 15 * a**3


def test_additive_recursion_is_the_one_of_the_notes():
    """m' = m [1 - 2 gamma l + gamma^2 (1 + 1/B) l^2] + (gamma^2/B) l sum l m + noise."""
    found = derive_for(ADDITIVE)
    gamma, B, ell, lam, best = sym.gamma, sym.batch, sym.ell["i"], sym.lam["i"], sym.best["i"]
    eps = sym.EPSILON
    square = 1 - 2 * gamma * ell + gamma**2 * (1 + 1 / B) * ell**2
    assert sympy.simplify(found.square - square) == 0
    assert sympy.simplify(found.coupling * found.sum_square - gamma**2 / B * ell**2) == 0
    assert (found.linear, found.sum_linear) == (0, 0)
    noise = sym.sigma**2 + eps["label"] + eps["activation"] + eps["gradient"]
    constant = gamma**2 * (ell * noise / B + eps["parameter"] * (1 + 1 / B) * ell**2)
    assert sympy.simplify(found.constant - constant) == 0
    # sum over coordinates of lambda w*^2 - l (w^q)^2 + epsilon_p l, with w* = (l/lambda) w^q
    left = lam * (ell / lam * best) ** 2 - ell * best**2 + eps["parameter"] * ell
    assert sympy.simplify(found.coupling * found.sum_constant - gamma**2 / B * ell * left) == 0
    teacher, data = sym.teacher["i"], eps["data"]
    assert sympy.simplify(found.best - lam * teacher / (lam + data)) == 0


def test_without_noise_every_kind_is_the_unquantized_recursion():
    zero = dict.fromkeys(sym.EPSILON.values(), 0)
    plain = derive_for(NONE)
    for kinds in (ADDITIVE, ("common", "none", "common", "none", "none"), ("multiplicative", *NONE[1:])):
        found = derive_for(kinds)
        for name in ("square", "linear", "constant", "secular", "sum_square", "sum_linear"):
            value = getattr(found, name).subs(zero).subs(sym.lam["i"], sym.ell["i"])
            assert sympy.simplify(value - getattr(plain, name)) == 0, name


def test_common_factors_of_the_weights_act_like_independent_ones():
    """Only squares of quantized weights enter the mean squares: the two noises differ in covariances alone."""
    kinds = [("additive", "none", kind, "none", "none") for kind in ("multiplicative", "common")]
    element, common = (formulas(derive_for(kind)) for kind in kinds)
    assert element == common


@pytest.mark.parametrize("role", [1, 3, 4])
def test_common_factors_differ_from_independent_ones_only_in_larger_batches(role):
    element, common = (derive_for((*NONE[:role], kind, *NONE[role + 1 :])) for kind in ("multiplicative", "common"))
    assert sympy.simplify((element.constant - common.constant).subs(sym.batch, 1)) == 0
    assert sympy.simplify((element.square - common.square).subs(sym.batch, 1)) == 0
    differences = (element.constant - common.constant, element.square - common.square)
    assert any(sympy.simplify(difference.subs(sym.batch, 4)) != 0 for difference in differences)


def test_noise_of_activations_is_divided_by_the_batch_unless_common():
    """What the paper says of batches, read off the formulas as B grows."""
    for kind, vanishes in (("additive", True), ("multiplicative", True), ("common", False)):
        found = derive_for((*NONE[:3], kind, "none"))
        noise = sympy.limit(found.constant, sym.batch, sympy.oo)
        assert (noise == 0) is vanishes


def test_every_step_has_a_title_a_reason_and_renders():
    found = derive_for(ADDITIVE)
    titles = [step.title for step in found.derivation]
    assert len(set(titles)) == len(titles) == 16
    assert found.step("Stability").equation[0].rhs == 1
    assert all(step.reason and step.reference for step in found.derivation)
    assert found.markdown().count("$$") == 32
    assert "additive" in repr(found)


def test_quantizers_that_are_no_noise_models_are_named():
    model = regression.RegressionModel(spectrum=PowerLaw(2.0, 3), step_size=0.1)
    for quantizer in (Uniform(4, 2.0), StochasticRounding(Uniform(4, 2.0))):
        with pytest.raises(UnsupportedError, match=r"activation_quantizer.*simulate it"):
            regression.derive(model.replace(activation_quantizer=quantizer))
    assert regression.derive(model.replace(activation_quantizer=Identity())).kinds == NONE


def brute_force(model, steps):
    """Risks of the last iterate and of the average on raw inputs by full matrices; additive noise, B = 1."""
    gamma, lam = model.step_size, model.eigenvalues
    eps = {role: getattr(quantizer, "noise_variance", 0.0) for role, quantizer in model.quantizers.items()}
    H, teacher = np.diag(lam), model.teacher_weights
    seen = H + eps["data"] * np.eye(lam.size)
    w, second = model.initial_weights.copy(), np.outer(model.initial_weights, model.initial_weights)
    sums, cross, total = np.zeros_like(w), np.zeros_like(second), np.zeros_like(second)

    def wick4(A):
        return 2 * seen @ A @ seen + np.trace(A @ seen) * seen

    for _ in range(steps):
        # sum of iterates s: E[s w^T], E[s s^T], E[s]
        joint = cross + second
        total, sums = total + cross + cross.T + second, sums + w
        step = np.eye(lam.size) - gamma * seen
        cross = joint @ step + gamma * np.outer(sums, H @ teacher)
        quantized = second + eps["parameter"] * np.eye(lam.size)
        # E[(y - z w)^2 z z^T]: y and z jointly Gaussian, y = x w* + noise
        power = teacher @ H @ teacher + model.noise**2 + eps["label"] + eps["activation"] + eps["gradient"]
        label = power * seen + 2 * np.outer(H @ teacher, H @ teacher)
        direction = np.outer(H @ teacher, seen @ w)
        mixed = (teacher @ H @ w) * seen + direction + direction.T
        fourth = label - 2 * mixed + wick4(quantized)
        drift = np.outer(w, H @ teacher) - second @ seen
        second = second + gamma * (drift + drift.T) + gamma**2 * fourth
        w = step @ w + gamma * H @ teacher
    mean, average = sums / steps, total / steps**2
    risks = [
        np.trace(H @ (moment - np.outer(first, teacher) - np.outer(teacher, first) + np.outer(teacher, teacher))) / 2
        for first, moment in ((w, second), (mean, average))
    ]
    return risks


def test_mean_squares_agree_with_full_covariance_matrices():
    """The same recursion on d x d matrices, written by hand: covariances indeed never enter."""
    noises = {"data": 0.05, "label": 0.1, "parameter": 0.02, "activation": 0.2, "gradient": 0.15}
    quantizers = {f"{role}_quantizer": AdditiveNoise(value) for role, value in noises.items()}
    teacher = np.array([1.0, -2.0, 0.5, 3.0])
    model = regression.RegressionModel(
        spectrum=[1.5, 0.7, 0.3, 0.01], teacher=teacher, init=[0.5, 0.5, -1.0, 0.0], step_size=0.2, **quantizers
    )
    exact = regression.risk(model, 40, record=[40])
    last, average = brute_force(model, 40)
    assert exact["raw_last"][0] == pytest.approx(last, rel=1e-12)
    assert exact["raw_average"][0] == pytest.approx(average, rel=1e-12)


def test_kinds_cover_the_noise_models():
    kinds = itertools.product((AdditiveNoise, MultiplicativeNoise, CommonFactor), repeat=1)
    model = regression.RegressionModel(spectrum=[1.0, 0.5], step_size=0.1)
    names = [regression.derive(model.replace(label_quantizer=kind(0.1))).kinds[1] for (kind,) in kinds]
    assert names == ["additive", "multiplicative", "common"]
