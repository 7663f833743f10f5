"""Moment equations of the linear system: the exact ones where the maps are affine, and the Gaussian closure."""

import sympy

from steode.parts.quantizers import Identity, StepFunction
from steode.parts.stochastic import StochasticRounding
from steode.parts.surrogates import IdentitySurrogate
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import gaussian_average, generator
from steode.symbolic.limit import MomentEquations
from steode.symbolic.printing import latex
from steode.systems.linear.spec import LinearModel


def derive_closures(
    model: LinearModel, drift, diffusion, strength, maps
) -> tuple[list[Step], MomentEquations | None, MomentEquations | None]:
    """Steps, the Gaussian closure (None unless the surrogate is 1), and exact moment equations (None unless affine).

    `strength` is V in m and q, or c_2, which is left for the output averages to give.
    """
    if not isinstance(model.surrogate, IdentitySurrogate):
        return [], None, None
    drift, diffusion = drift.subs(sym.s, 1), diffusion.subs(sym.s, 1)
    if strength == sym.c_2 and averages.is_affine(model.weight_quantizer):
        steps, exact = _exact_moments_by_eigenvalue(model, drift, diffusion)
    elif isinstance(model.weight_quantizer, Identity):
        steps, exact = _exact_moments(drift, diffusion, strength)
    else:
        steps, exact = _moment_hierarchy(drift, diffusion), None
    closure_steps, closure = _gaussian_closure(model, drift, diffusion, maps)
    return [*steps, *closure_steps], closure, exact


def _mean_of(expression: sympy.Expr) -> sympy.Symbol:
    return sympy.Symbol(rf"\mathrm{{E}}\left[{latex(expression)}\right]")


def _moment_hierarchy(drift, diffusion) -> list[Step]:
    equations = [
        sympy.Eq(
            sympy.Derivative(_mean_of(function), sym.tau),
            _mean_of(sympy.factor(generator(function, sym.w, drift, diffusion))),
        )
        for function in (sym.w, sym.w**2)
    ]
    return [
        Step(
            "moment equations",
            tuple(equations),
            "The generator applied to w and w^2; with Q a function that is not affine the right-hand sides contain "
            "new averages, so no finite set of moments closes.",
        )
    ]


def _closed_rates(drift, diffusion, teacher_square) -> tuple[sympy.Expr, sympy.Expr]:
    """Rates of A = E[w* w] and C = E[w^2] for Q(w) = w, given the symbol of E[w*^2]."""

    def closed(function):
        rate = generator(function, sym.w, drift.subs(sym.Q, sym.w), diffusion)
        rate = sympy.expand(rate * sym.wstar if function == sym.w else rate)
        polynomial = sympy.Poly(rate, sym.w, sym.wstar)
        known = {(1, 1): sym.A, (2, 0): sym.C, (0, 2): teacher_square, (0, 0): sympy.S.One}
        return sum(coefficient * known[powers] for powers, coefficient in polynomial.terms())

    return closed(sym.w), closed(sym.w**2)


def _moment_definitions() -> list[sympy.Eq]:
    return [sympy.Eq(sym.A, _mean_of(sym.wstar * sym.w)), sympy.Eq(sym.C, _mean_of(sym.w**2))]


def _moment_rates(rates) -> list[sympy.Eq]:
    return [
        sympy.Eq(sympy.Derivative(sym.A, sym.tau), sympy.factor(rates[0])),
        sympy.Eq(sympy.Derivative(sym.C, sym.tau), rates[1]),
    ]


def _exact_moments(drift, diffusion, residual_variance) -> tuple[list[Step], MomentEquations]:
    variance = residual_variance.subs({sym.m: sym.alpha_1 * sym.A, sym.q: sym.alpha_2 * sym.C})
    rates = _closed_rates(drift, diffusion, sym.rho)
    step = Step(
        "exact moment equations",
        (*_moment_definitions(), *_moment_rates(rates), sympy.Eq(sym.V, variance)),
        "The generator applied to w* w and w^2 gives only these two averages and rho back, because Q(w) = w is "
        "affine: the system is closed without approximation.",
    )
    return [step], MomentEquations((sym.A, sym.C), tuple(rate.subs(sym.V, variance) for rate in rates), exact=True)


def _exact_moments_by_eigenvalue(model: LinearModel, drift, diffusion) -> tuple[list[Step], MomentEquations]:
    rates = _closed_rates(drift, diffusion, sym.rho_w)
    square = averages.second_moment(model.weight_quantizer, sym.C, sym.nu_w)
    overlaps = [
        sympy.Eq(sym.m, _mean_of(sym.alpha_1 * sym.A)),
        sympy.Eq(sym.q, _mean_of(sym.alpha_2 * square)),
    ]
    reason = (
        "The generator applied to w* w and w^2 gives only these two averages back, because the mean of Q(w) is w: with "
        "the output averages as functions of m and q the system is closed without approximation, whatever the output."
    )
    if not model.spectrum.is_isotropic:
        reason += " A and C are averages given lambda, two equations for each eigenvalue; m and q average over them."
    step = Step("exact moment equations", (*_moment_definitions(), *_moment_rates(rates), *overlaps), reason)
    return [step], MomentEquations((sym.A, sym.C), rates, exact=True)


def _gaussian_closure(model: LinearModel, drift, diffusion, maps) -> tuple[list[Step], MomentEquations]:
    affine = averages.is_affine(model.weight_quantizer)

    def rate(function):
        expression = generator(function, sym.w, drift, diffusion)
        average = gaussian_average(expression, sym.w, sym.Q, sym.Q_w, sym.M, sym.S)
        # for an affine map the named averages are elementary at once
        return averages.explicit(average, maps) if affine else average

    mean_rate = sympy.expand(rate(sym.w))
    variance_rate = sympy.expand(rate(sym.w**2) - 2 * sym.M * mean_rate)
    equations = [
        sympy.Eq(sympy.Derivative(sym.M, sym.tau), sympy.factor(mean_rate)),
        sympy.Eq(sympy.Derivative(sym.S, sym.tau), variance_rate),
    ]
    few = isinstance(model.weight_quantizer, StepFunction) and len(model.weight_quantizer.unit_levels) <= 4
    written_out = few or not (affine or isinstance(model.weight_quantizer, StepFunction | StochasticRounding))
    if written_out:
        named = sorted(set.union(*(equation.atoms(averages._Average) for equation in equations)), key=str)
        equations += [sympy.Eq(average, averages.explicit(average, maps)) for average in named]
    if affine:
        caveat = "It is exact here, because Q is affine."
    elif isinstance(model.weight_quantizer, StepFunction):
        caveat = (
            "It is an approximation: good until weights pile up at thresholds, 10 to 40 percent off late at low bit "
            "width."
        )
    else:
        caveat = "It is an approximation, because Q is not affine and the law of w does not stay Gaussian."
    reason = (
        "Closing the hierarchy by w | w* ~ N(M, S) for each teacher value, with Stein's lemma for E[w Q], gives two "
        f"equations a teacher value. {caveat}"
    )
    step = Step("Gaussian closure", tuple(equations), reason)
    return [step], MomentEquations((sym.M, sym.S), (mean_rate, variance_rate), exact=affine)
