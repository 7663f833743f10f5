"""Moment equations of the linear system: the exact ones where the maps are affine, and the Gaussian closure."""

import sympy

from steode.quantizers import Identity, StepFunction
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import gaussian_average, generator
from steode.symbolic.limit import MomentEquations
from steode.symbolic.printing import latex
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.surrogates import ClippedSurrogate


def derive_closures(
    model: LinearModel, drift, diffusion, residual_variance, maps
) -> tuple[list[Step], MomentEquations | None, MomentEquations | None]:
    """Steps, the Gaussian closure (None for the clipped surrogate), and the exact moment equations (None unless
    affine).
    """
    if isinstance(model.surrogate, ClippedSurrogate):
        return [], None, None
    drift, diffusion = drift.subs(sym.s, 1), diffusion.subs(sym.s, 1)
    if isinstance(model.weight_quantizer, Identity):
        steps, exact = _exact_moments(drift, diffusion, residual_variance)
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


def _exact_moments(drift, diffusion, residual_variance) -> tuple[list[Step], MomentEquations]:
    averages_of = {sym.wstar * sym.w: sym.A, sym.w**2: sym.C, sym.wstar**2: sym.rho}

    def closed(function):
        rate = generator(function, sym.w, drift.subs(sym.Q, sym.w), diffusion)
        rate = sympy.expand(rate * sym.wstar if function == sym.w else rate)
        polynomial = sympy.Poly(rate, sym.w, sym.wstar)
        known = {(1, 1): sym.A, (2, 0): sym.C, (0, 2): sym.rho, (0, 0): sympy.S.One}
        return sum(coefficient * known[powers] for powers, coefficient in polynomial.terms())

    variance = residual_variance.subs({sym.m: sym.alpha_1 * sym.A, sym.q: sym.alpha_2 * sym.C})
    rates = tuple(closed(function) for function in (sym.w, sym.w**2))
    names = [_mean_of(function) for function in averages_of]
    step = Step(
        "exact moment equations",
        (
            sympy.Eq(sym.A, names[0]),
            sympy.Eq(sym.C, names[1]),
            sympy.Eq(sympy.Derivative(sym.A, sym.tau), sympy.factor(rates[0])),
            sympy.Eq(sympy.Derivative(sym.C, sym.tau), rates[1]),
            sympy.Eq(sym.V, variance),
        ),
        "The generator applied to w* w and w^2 gives only these two averages and rho back, because Q(w) = w is "
        "affine: the system is closed without approximation.",
    )
    return [step], MomentEquations((sym.A, sym.C), tuple(rate.subs(sym.V, variance) for rate in rates), exact=True)


def _gaussian_closure(model: LinearModel, drift, diffusion, maps) -> tuple[list[Step], MomentEquations]:
    def rate(function):
        expression = generator(function, sym.w, drift, diffusion)
        average = gaussian_average(expression, sym.w, sym.Q, sym.Q_w, sym.M, sym.S)
        # for an affine map the named averages are elementary at once
        return averages.explicit(average, maps) if isinstance(model.weight_quantizer, Identity) else average

    mean_rate = sympy.expand(rate(sym.w))
    variance_rate = sympy.expand(rate(sym.w**2) - 2 * sym.M * mean_rate)
    equations = [
        sympy.Eq(sympy.Derivative(sym.M, sym.tau), sympy.factor(mean_rate)),
        sympy.Eq(sympy.Derivative(sym.S, sym.tau), variance_rate),
    ]
    few = isinstance(model.weight_quantizer, StepFunction) and len(model.weight_quantizer.unit_levels) <= 4
    written_out = few or not isinstance(model.weight_quantizer, StepFunction | Identity)
    if written_out:
        named = sorted(set.union(*(equation.atoms(averages._Average) for equation in equations)), key=str)
        equations += [sympy.Eq(average, averages.explicit(average, maps)) for average in named]
    affine = isinstance(model.weight_quantizer, Identity)
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
