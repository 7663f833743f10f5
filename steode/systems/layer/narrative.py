"""The derivation of a layer's limit as steps with reasons; every equation shown is a result of the computation."""

import sympy

from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step

_U, _T = sympy.symbols("u t", positive=True)
_J = sympy.Symbol("j", integer=True)
_DISTANCE, _PLACE = sympy.Symbol("delta", positive=True), sympy.Symbol("v", real=True)


def steps(letters, mean, noise, found) -> list[Step]:
    """All steps, in the order of the argument."""
    return [
        _update(),
        Step(
            "mean of a step",
            tuple(_named(r"d \, \mathrm{E}[\Delta w", mean, "]")),
            "The gradient of one sample is the residual times an input. Its mean needs the second moments of inputs "
            "and their images alone, whatever their law, written out here for the first coordinates of many.",
        ),
        Step(
            "targets",
            tuple(sympy.Eq(a, value, evaluate=False) for a, value in zip(letters.a, found.target, strict=True)),
            "The mean step vanishes at these weights; without input quantizer they are the layer's own. In their terms "
            "the drift is minus eta times K applied to Q - a.",
        ),
        Step(
            "noise of a step",
            tuple(_pairs(r"d \, \mathrm{Cov}[\Delta w", noise)),
            "The residual is a sum of very many small terms, so that it is Gaussian together with any few inputs, and "
            "correlated with each only weakly. By Wick's theorem the covariance of a step follows; batches divide it.",
            "Wick's theorem (Isserlis 1918); derived here",
        ),
        Step(
            "residual variance",
            (sympy.Eq(sym.V, found.V, evaluate=False),),
            "The mean square of the residual, written out for as many coordinates.",
        ),
        _sde(letters, found),
        _balance(letters, found),
        _mean_square(found),
        _masses(),
        _clipping(letters, found),
    ]


def _update() -> Step:
    vector = sympy.Eq(
        sympy.Symbol(r"W_{k+1}", commutative=False),
        sympy.Symbol(
            r"W_k - \frac{\eta}{\sqrt{d}\, B} \sum_{b=1}^{B} (\hat{y}_b - y_b)\, z_b^\top,\quad "
            r"\hat{y} = Q(W_k)\, z/\sqrt{d},\quad y = W^{*} x/\sqrt{d} + \sigma \xi,\quad z = Q_x(x)",
            commutative=False,
        ),
        evaluate=False,
    )
    return Step(
        "update",
        (vector,),
        "All rows share the samples and have each their own residual, so that one row is followed. The "
        "straight-through estimator takes the slope of the quantizer to be one.",
    )


def _named(left: str, values: sympy.Matrix, right: str):
    for k, value in enumerate(values):
        yield sympy.Eq(sympy.Symbol(f"{left}_{k + 1}{right}"), sympy.factor_terms(value, sym.eta), evaluate=False)


def _pairs(left: str, values: sympy.Matrix):
    for i in range(values.shape[0]):
        for j in range(i, values.shape[0]):
            yield sympy.Eq(sympy.Symbol(f"{left}_{i + 1}, \\Delta w_{j + 1}]"), values[i, j], evaluate=False)


def _sde(letters, found) -> Step:
    image = r"K_q" if letters.quantized else "K"
    whole = sympy.Eq(
        sympy.Symbol(r"\mathrm{d}w", commutative=False),
        sympy.Symbol(
            rf"-\eta\, {image} \left[Q(w) - a\right] \mathrm{{d}}\tau + "
            rf"\eta \sqrt{{V/B}}\, {image}^{{1/2}}\, \mathrm{{d}}B",
            commutative=False,
        ),
        evaluate=False,
    )
    drift = [sympy.Eq(sympy.Symbol(f"b_{k + 1}"), value, evaluate=False) for k, value in enumerate(found.drift)]
    return Step(
        "stochastic differential equation",
        (whole, *drift),
        "In rescaled time tau = step/d the steps add up to a diffusion with this drift b, once K is the second moment "
        "of the images.",
    )


def _balance(letters, found) -> Step:
    law = sympy.Eq(sympy.Symbol(r"\mu(w)"), found.law, evaluate=False)
    slope = sympy.Eq(sympy.Derivative(found.potential[0], letters.w[0]), letters.Q[0] - letters.a[0], evaluate=False)
    flux = [sympy.Eq(sympy.Symbol(rf"J_{k + 1}"), value, evaluate=False) for k, value in enumerate(found.flux)]
    return Step(
        "detailed balance",
        (law, slope, *flux),
        "The probability flux is the drift times the law minus half the divergence of the diffusion matrix times the "
        "law. For the product law it vanishes in every cell, for every K: correlations change how fast the law is "
        "reached, not what it is. At thresholds the potentials and with them the law are continuous.",
    )


def _mean_square(found) -> Step:
    return Step(
        "fixed point",
        (sympy.Eq(sym.V, found.fixed_point, evaluate=False),),
        "Under the law the mean of Q - a vanishes, for the law times U' is a total derivative, and coordinates are "
        "independent: of the quadratic form only the diagonal is left, with the mean squares of Q - a as factors. Each "
        "depends on V through the temperature, which closes the equation.",
    )


def _masses() -> Step:
    """Cell masses on an equidistant grid, integrated over a cell whose level lies above the target."""
    half = sympy.Rational(1, 2)
    rise = sympy.expand(((_J + half - _U) ** 2 - (_J - half - _U) ** 2) / 2)
    potential = (_DISTANCE - half) ** 2 / 2 + _DISTANCE * (_PLACE + half)
    inner, outer = (
        sympy.simplify(sympy.integrate(sympy.exp(-2 * potential / _T), (_PLACE, -half, end)))
        for end in (half, sympy.oo)
    )
    return Step(
        "masses of the cells",
        (
            sympy.Eq(sympy.Symbol(r"U(T_{j+1}) - U(T_j)"), rise, evaluate=False),
            sympy.Eq(sympy.Symbol(r"p_{\mathrm{inner}}"), inner, evaluate=False),
            sympy.Eq(sympy.Symbol(r"p_{\mathrm{outer}}"), outer, evaluate=False),
        ),
        "In units of the step, with the target at u between the levels 0 and n - 1, the potential rises in a cell by "
        "its level minus u, so that at thresholds it is half the squared distance from the target. A cell whose "
        "level is at the distance delta from the target has this mass, an outermost one is a half-line; t is the "
        "temperature in units of the squared step.",
    )


def _clipping(letters, found) -> Step:
    rest = [sympy.Eq(sympy.Symbol(f"q_{k + 2}"), value, evaluate=False) for k, value in enumerate(found.compensated)]
    push = sympy.Eq(sympy.Symbol("b_1"), found.pushed, evaluate=False)
    return Step(
        "targets outside the range",
        (*rest, push),
        "A coordinate whose target is above the range sits at the last level omega. The free ones then have no drift "
        "at the optimum of the quadratic form given the clipped ones, and the clipped one is driven outward as long "
        "as its target is above omega: the conditions of the least-squares problem with bounds. Around the optimum "
        "the free block has the same product law.",
    )
