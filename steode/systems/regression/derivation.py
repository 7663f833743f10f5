"""The exact risk of quantized SGD for linear regression, computed from its update.

Gaussian inputs make the moments of one step exact at every dimension (Wick's theorem). What is carried from step to
step is, of each coordinate, the mean u and the mean square m of the deviation v = w - w^q from the weights w^q that fit
best on quantized inputs: they close, whatever the covariances between coordinates do.
"""

import dataclasses
import functools

import sympy

from steode.errors import UnsupportedError
from steode.symbolic.derivation import Derivation
from steode.symbolic.expectation import expectation
from steode.systems.regression import averages, narrative
from steode.systems.regression import symbols as sym
from steode.systems.regression.one_step import Kinds, StepMoments, kinds_of, one_step, step_moments
from steode.systems.regression.risk_recursion import RiskRecursion
from steode.systems.regression.spec import RegressionModel


def derive_regression(model: RegressionModel) -> RiskRecursion:
    """Derive the exact risk recursion of a `RegressionModel`; the numbers of the model play no part.

    Raises `UnsupportedError` for quantizers that are no noise models.
    """
    return derive_for(kinds_of(model.quantizers))


@functools.lru_cache(maxsize=256)
def derive_for(kinds: Kinds) -> RiskRecursion:
    """The recursion for quantizers of these kinds, in the order data, label, parameter, activation, gradient."""
    step = one_step(kinds)
    moments = step_moments(step)
    if any(moments.mixed):
        raise UnsupportedError(f"coordinates mix with quantizers {kinds}: their second moments do not close")
    written = _Notation(kinds[0], moments)
    decay, best = _mean(moments, written)
    square, linear, constant, coupling, summand = _second_moment(moments, written)
    sums = [written.short(part) for part in _coefficients(summand)]
    raw, quantized = (_risk(step, written, image) for image in (step.inputs["i"], step.images["i"]))
    pole = next(root for root in sympy.solve(sympy.Eq(square, 1), sym.gamma) if root != 0)
    average = averages.next_averages()
    result = RiskRecursion(
        kinds=kinds,
        derivation=Derivation(()),
        input_square=moments.input_square,
        best=best,
        decay=decay,
        square=square,
        linear=linear,
        coupling=coupling,
        constant=constant,
        sum_square=sums[0],
        sum_linear=sums[1],
        sum_constant=sums[2],
        secular=sympy.factor(coupling * sums[0] / (1 - square)),
        pole=sympy.factor(pole),
        average=average,
        raw=raw,
        quantized=quantized,
    )
    return dataclasses.replace(result, derivation=Derivation(tuple(narrative.steps(step, moments, result))))


class _Notation:
    """Writes results in l = E[z^2] and w^q instead of epsilon_d and w^*, coordinate by coordinate."""

    def __init__(self, data_kind: str, moments: StepMoments):
        ratio = sympy.factor(moments.input_square / moments.input_overlap)
        self.teacher = {c: sym.best[c] * ratio.subs(sym.lam["i"], sym.lam[c]) for c in sym.COORDINATES}
        self.input_square = moments.input_square
        self.data_kind = data_kind

    def deviations(self, expression: sympy.Expr) -> sympy.Expr:
        """Insert w = w^q + v and w^* in terms of w^q, and average over v: powers of v become u and m."""
        local = {sym.weight[c]: sym.best[c] + sym.deviation[c] for c in sym.COORDINATES}
        local |= {sym.teacher[c]: self.teacher[c] for c in sym.COORDINATES}
        symbols = tuple(sym.deviation[c] for c in sym.COORDINATES)
        return expectation(expression.subs(local), [(symbols, _deviation_moment)])

    def insert(self, expression: sympy.Expr) -> sympy.Expr:
        """An expression of coordinate i with l in place of epsilon_d (additive) or of lambda (otherwise)."""
        lam, ell, epsilon = sym.lam["i"], sym.ell["i"], sym.EPSILON["data"]
        if self.data_kind == "additive":
            return expression.subs(epsilon, ell - lam)
        return expression.subs(lam, ell * lam / self.input_square)

    def short(self, expression: sympy.Expr) -> sympy.Expr:
        """`insert`, factored."""
        return sympy.factor(self.insert(expression))

    def by_powers_of_gamma(self, expression: sympy.Expr) -> sympy.Expr:
        """A polynomial in gamma with every coefficient in its short form."""
        terms = sympy.Poly(expression, sym.gamma).terms()
        return sympy.Add(*(sym.gamma**power * self.short(coefficient) for (power,), coefficient in terms))


def _deviation_moment(*exponents: int) -> sympy.Expr:
    """E of a monomial in (v_i, v_j, v_k): only moments of one coordinate are known."""
    used = [(c, power) for c, power in zip(sym.COORDINATES, exponents, strict=True) if power]
    if not used:
        return sympy.S.One
    if len(used) > 1 or used[0][1] > 2:
        raise UnsupportedError(f"no rule for the moment {used} of the deviations")
    ((coordinate, power),) = used
    return sym.mean[coordinate] if power == 1 else sym.square[coordinate]


def _mean(moments: StepMoments, written: _Notation) -> tuple[sympy.Expr, sympy.Expr]:
    """The factor by which a mean deviation shrinks, and the weights w^q at which the mean step vanishes."""
    (best,) = sympy.solve(sympy.Eq(moments.gradient, 0), sym.weight["i"])
    after = sym.mean["i"] + sym.gamma * written.deviations(moments.gradient)
    decay = sympy.cancel(after / sym.mean["i"])
    if decay.has(sym.mean["i"]):
        raise UnsupportedError("the mean deviation does not decay by a factor")
    return written.by_powers_of_gamma(decay), sympy.factor(best)


def _second_moment(moments: StepMoments, written: _Notation):
    """square, linear, constant, coupling, and the summand F_i of T, so that the recursion is as in `RiskRecursion`."""
    deviation = sym.weight["i"] - sym.best["i"]
    drift = written.deviations(2 * sym.gamma * deviation * moments.gradient)
    # B of the B^2 pairs of samples are the same sample
    same, pair = sym.gamma**2 / sym.batch, sym.gamma**2 * (1 - 1 / sym.batch)
    coupling, summand = _separate(written.deviations(moments.other))
    own = written.deviations(moments.own) - coupling * summand
    after = sym.square["i"] + drift + same * own + pair * written.deviations(moments.pair)
    coefficients = [written.by_powers_of_gamma(part) for part in _coefficients(after)]
    return (*coefficients, written.short(same * coupling), summand)


def _separate(other: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """E[r_j^2 z_i^2] as a function of coordinate i times one of coordinate j, the latter returned in i.

    Summed over j != i it is coupling (T - F_i), T the sum over all coordinates.
    """
    own = {symbols["j"] for symbols in (sym.lam, sym.best, sym.mean, sym.square)}
    outside, inside = sympy.factor(other).as_independent(*own, as_Add=False)
    if inside.has(sym.lam["i"]):
        raise UnsupportedError("the coupling of two coordinates does not factorize")
    renamed = {symbols["j"]: symbols["i"] for symbols in (sym.lam, sym.best, sym.mean, sym.square)}
    return outside, inside.subs(renamed, simultaneous=True)


def _coefficients(expression: sympy.Expr) -> list[sympy.Expr]:
    """Coefficients of m, u and 1; the expression is linear in m and u."""
    polynomial = sympy.Poly(sympy.expand(expression), sym.square["i"], sym.mean["i"])
    if polynomial.total_degree() > 1:
        raise UnsupportedError("second moments are not linear in themselves")
    return [polynomial.coeff_monomial(power) for power in (sym.square["i"], sym.mean["i"], 1)]


def _risk(step, written: _Notation, image: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """Coefficients of (m, u, 1) in one coordinate's part of E[(image.w - x.w^*)^2]/2."""
    error = image * sym.weight["i"] - step.inputs["i"] * sym.teacher["i"]
    value = written.deviations(step.average(sympy.expand(error**2) / 2))
    return tuple(written.short(part) for part in _coefficients(value))
