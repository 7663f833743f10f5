"""The derivation of the exact risk as steps with reasons; every equation shown is a result of the computation."""

import sympy

from steode.symbolic.derivation import Step
from steode.systems.regression import symbols as sym
from steode.systems.regression.one_step import LETTERS, OneStep, StepMoments
from steode.systems.regression.risk_recursion import RiskRecursion
from steode.systems.regression.spec import ROLES

UPDATE = "update of Zhang, Su, Zou (arXiv 2510.18259), as reported in public notes; formula derived here"
WICK = "Wick's theorem (Isserlis 1918)"


def steps(step: OneStep, moments: StepMoments, found: RiskRecursion) -> list[Step]:
    """All steps, in the order of the argument."""
    return [
        *_setting(step),
        *_mean(moments, found),
        *_fourth_moments(step, moments),
        _recursion(found),
        _average(found),
        *_risks(found),
        _stability(found),
    ]


def _symbol(text: str) -> sympy.Symbol:
    return sympy.Symbol(text, commutative=False)


def _setting(step: OneStep) -> list[Step]:
    vector = sympy.Eq(
        _symbol(r"\mathbf{w}_{t+1}"),
        _symbol(
            r"\mathbf{w}_t + \frac{\gamma}{B}\, Q_d(X)^\top Q_o\!\left(Q_l(y) - Q_a\!\left(Q_d(X)\, Q_p(\mathbf{w}_t)"
            r"\right)\right)"
        ),
        evaluate=False,
    )
    images = [
        sympy.Eq(_symbol(f"{{Q_{LETTERS[role]}}}(u)"), _model(role, kind), evaluate=False)
        for role, kind in zip(ROLES, step.kinds, strict=True)
    ]
    whole = sympy.Eq(sympy.Symbol("r"), sympy.Symbol(r"{r_0 + \sum_j r_j}"))
    part, rest = sympy.Eq(sympy.Symbol("r_i"), step.parts["i"]), sympy.Eq(sympy.Symbol("r_0"), step.rest)
    return [
        Step(
            "update",
            (vector,),
            "One SGD step on a fresh batch of B samples. Input coordinates are Gaussian with variances lambda_i, "
            "labels are the teacher's with noise sigma xi; the five quantizers are drawn anew and independently of "
            "each other.",
            UPDATE,
        ),
        Step(
            "quantizers",
            tuple(images),
            "Each e is Gaussian with mean zero: additive noise for every entry, multiplicative noise for every "
            "entry, or one common factor e for a whole vector: for each sample where it acts on the data, for the "
            "whole batch where it acts on labels, activations or gradients.",
            UPDATE,
        ),
        Step(
            "residual",
            (whole, part, rest),
            "The residual is linear in the coordinates: r_i is the part of coordinate i, r_0 the noise without any.",
        ),
    ]


def _model(role: str, kind: str) -> sympy.Expr:
    u, entry = sympy.Symbol("u"), sympy.Symbol(f"e^{{({LETTERS[role]})}}_{{i}}")
    common = sympy.Symbol(f"e^{{({LETTERS[role]})}}")
    return {"none": u, "additive": u + entry, "multiplicative": (1 + entry) * u, "common": (1 + common) * u}[kind]


def _mean(moments: StepMoments, found: RiskRecursion) -> list[Step]:
    square, overlap = sympy.Symbol(r"\mathrm{E}[z_i^2]"), sympy.Symbol(r"\mathrm{E}[x_i z_i]")
    gradient = sympy.Symbol(r"\mathrm{E}[r z_i]")
    following = sympy.Symbol(r"{u_i}(t+1)")
    return [
        Step(
            "quantized inputs",
            (
                sympy.Eq(sym.ell["i"], square, evaluate=False),
                sympy.Eq(square, sympy.factor(moments.input_square)),
                sympy.Eq(overlap, moments.input_overlap),
            ),
            "The covariance of the inputs that the algorithm sees stays diagonal, with eigenvalues l_i.",
            WICK,
        ),
        Step(
            "one-step mean",
            (sympy.Eq(gradient, _signed(moments.gradient, sym.weight["i"])),),
            "Only coordinate i itself contributes: E[r_j z_i] and E[r_0 z_i] vanish.",
        ),
        Step(
            "best weights on quantized inputs",
            (sympy.Eq(sym.best["i"], found.best),),
            "The mean step vanishes there: the weights w^q that predict the labels best from quantized inputs. "
            "Deviations are measured from them, v = w - w^q.",
        ),
        Step(
            "mean deviation",
            (sympy.Eq(following, sympy.Mul(found.decay, sym.mean["i"], evaluate=False)),),
            "With u_i = E[v_i] the mean deviation shrinks by the same factor in every step.",
        ),
    ]


def _fourth_moments(step: OneStep, moments: StepMoments) -> list[Step]:
    z = r"z_i^2"
    zeros = tuple(
        sympy.Eq(sympy.Symbol(rf"\mathrm{{E}}[{names}]"), value, evaluate=False)
        for names, value in zip(
            ("r_j z_i", "r_0 z_i", f"r_i r_j {z}", f"r_j r_k {z}", f"r_j r_0 {z}"), moments.mixed, strict=True
        )
    )
    other, own, pair = (
        sympy.Symbol(rf"\mathrm{{E}}[{names}]")
        for names in (f"r_j^2 {z}", f"(r_i + r_0)^2 {z}", r"r_b r_c z_{bi} z_{ci}")
    )
    return [
        Step(
            "coordinates do not mix",
            zeros,
            "Every term with an odd power of some x_j or noise has mean zero. So E[r^2 z_i^2] is a sum over "
            "coordinates, and mean squares of single coordinates suffice: covariances between them never enter.",
            WICK,
        ),
        Step(
            "fourth moments, another coordinate",
            (sympy.Eq(other, sympy.factor(moments.other)),),
            "One sample: the product of a function of coordinate i and one of coordinate j.",
            WICK,
        ),
        Step(
            "fourth moments, the coordinate itself",
            (sympy.Eq(own, _by_weights(moments.own)),),
            "One sample: the same coordinate twice gives more than the product of two second moments.",
            WICK,
        ),
        Step(
            "two samples of a batch",
            (sympy.Eq(pair, _by_weights(moments.pair)),),
            "Two different samples share the quantized weights and common factors, and nothing else; B of the B^2 "
            "pairs of samples are the same sample.",
            WICK,
        ),
    ]


def _by_weights(expression: sympy.Expr) -> sympy.Expr:
    return sympy.collect(sympy.expand(expression), (sym.weight["i"], sym.teacher["i"]), sympy.factor)


def _recursion(found: RiskRecursion) -> Step:
    following = sympy.Symbol(r"{m_i}(t+1)")
    names = sympy.symbols("A_i r_i f_i h_i", real=True)
    terms = names[0] * sym.square["i"] + names[1] * sym.T + names[2] + names[3] * sym.mean["i"] * int(found.linear != 0)
    left = sympy.collect(sympy.expand(found.sum_constant), sym.best["i"], sympy.factor)
    summand = found.sum_square * sym.square["i"] + found.sum_linear * sym.mean["i"] + left
    equations = [
        sympy.Eq(following, terms),
        sympy.Eq(names[0], found.square),
        sympy.Eq(names[1], found.coupling),
        sympy.Eq(sym.T, sympy.Symbol(r"{\sum_j F_j}")),
        sympy.Eq(sympy.Symbol("F_i"), summand),
        sympy.Eq(names[2], _by_noise(found.constant)),
    ]
    if found.linear != 0:
        equations.append(sympy.Eq(names[3], found.linear))
    return Step(
        "second-moment recursion",
        tuple(equations),
        "For the mean squares m_i = E[v_i^2] the update and the averages above give a linear recursion, exact at "
        "every dimension: a diagonal part, and the same sum T over all coordinates for everyone.",
    )


def _signed(expression: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    """The part with the symbol, whose coefficient is negative, as minus something positive."""
    coefficient = sympy.expand(expression).coeff(symbol)
    rest = sympy.factor(sympy.expand(expression - coefficient * symbol))
    return rest - symbol * sympy.factor(-coefficient)


def _by_noise(constant: sympy.Expr) -> sympy.Expr:
    """A product whose long factor is sorted by what makes the noise."""
    _, long = sympy.factor(constant).as_independent(sympy.Add, as_Add=False)
    if not isinstance(long, sympy.Add):
        long = next((factor for factor in long.args if factor.has(sym.sigma)), long)
    return constant / long * sympy.collect(sympy.expand(long), (sym.sigma, sym.best["i"]), sympy.factor)


def _positive(fraction: sympy.Expr) -> sympy.Expr:
    """A positive quotient without two signs that cancel, its denominator by powers of the step size."""
    numerator, denominator = sympy.fraction(fraction)
    if denominator.subs(sym.gamma, 0).could_extract_minus_sign():
        numerator, denominator = -numerator, sympy.expand(-denominator)
    return numerator / sympy.collect(sympy.expand(denominator), sym.gamma, sympy.factor)


def _average(found: RiskRecursion) -> Step:
    following = (sympy.Symbol(f"{{{name}_i}}(t+1)") for name in "cqU")
    return Step(
        "averaged iterate",
        tuple(sympy.Eq(name, value) for name, value in zip(following, found.average, strict=True)),
        "Let s_i be the sum of the deviations of the averaged iterates so far, E[s_i v_i] its c_i, E[s_i^2] its q_i "
        "and E[s_i] its U_i, and g_i the factor of the mean deviation. Given the past, the next deviation is g_i "
        "v_i plus a part of mean zero. Mean square and mean of the average are q_i and U_i, divided by the squared "
        "number of averaged iterates and by their number.",
    )


def _risks(found: RiskRecursion) -> list[Step]:
    raw, quantized = (
        sum(part * symbol for part, symbol in zip(parts, (sym.square["i"], sym.mean["i"], 1), strict=True))
        for parts in (found.raw, found.quantized)
    )
    raw_risk = sympy.Symbol(r"\tfrac12\mathrm{E}(x\cdot w - x\cdot w^*)^2")
    quantized_risk = sympy.Symbol(r"\tfrac12\mathrm{E}(z\cdot w - x\cdot w^*)^2")
    return [
        Step(
            "risk on raw inputs",
            (sympy.Eq(raw_risk, sym.sum_over_i(raw), evaluate=False),),
            "Against w* on inputs that are not quantized. For the average its own mean square and mean take the "
            "places of m_i and u_i.",
        ),
        Step(
            "risk on quantized inputs",
            (sympy.Eq(quantized_risk, sym.sum_over_i(quantized), evaluate=False),),
            "Against w* on inputs quantized as in training. The part without m_i is the approximation error: what "
            "quantized inputs leave to the best weights.",
        ),
    ]


def _stability(found: RiskRecursion) -> Step:
    return Step(
        "stability",
        (sympy.StrictLessThan(sym.sum_over_i(_positive(found.secular)), 1), sym.gamma < found.pole),
        "The mean squares stay bounded if and only if the largest eigenvalue of their matrix, a diagonal plus a "
        "rank-one matrix whose entries are not negative, is below 1. That is so where the secular function at "
        "eigenvalue 1, this sum over r_i/(1 - A_i) times the coefficient of m_i in F_i, is below 1. It grows with "
        "the step size, from 0 to infinity at the second bound.",
        "matrix determinant lemma, Perron and Frobenius; derived here",
    )
