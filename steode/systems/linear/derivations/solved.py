"""Fixed points in closed form: affine maps, and quantizers with two levels."""

import functools

import sympy

from steode.parts.laws import Constant, Law, TwoPoint
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.limit import MomentEquations


@functools.lru_cache(maxsize=16)
def affine_fixed_point(
    exact: MomentEquations, residual_variance, unquantized: bool
) -> tuple[tuple[Step, ...], sympy.Expr]:
    """Steps, and V at the fixed point of the exact moment equations; it exists below the stated learning rate."""
    solution = sympy.solve(exact.rates, exact.states, dict=True)[0]
    variance = residual_variance.subs({sym.m: sym.alpha_1 * sym.A, sym.q: sym.alpha_2 * sym.C}).subs(solution)
    jacobian = sympy.Matrix(exact.rates).jacobian(sympy.Matrix(exact.states))
    eigenvalues = sorted((sympy.factor(value) for value in jacobian.eigenvals()), key=sympy.count_ops)
    names = sympy.symbols(f"lambda_1:{len(eigenvalues) + 1}")
    (limit,) = (sympy.factor(root) for value in eigenvalues for root in sympy.solve(value, sym.eta) if root != 0)
    margin = 1 - sym.eta / limit
    V = _over(variance, margin)
    eps_g = _over((variance - sym.sigma**2) / 2, 2 * margin)
    steps = [
        Step(
            "fixed point",
            (
                sympy.Eq(sym.A, sympy.factor(solution[sym.A])),
                sympy.Eq(sym.V, V, evaluate=False),
                sympy.Eq(sym.eps_g, eps_g, evaluate=False),
                *(sympy.Eq(name, value) for name, value in zip(names, eigenvalues, strict=True)),
                sympy.StrictLessThan(sym.eta, limit),
            ),
            "The moment equations are linear, so the fixed point and the eigenvalues of the relaxation are explicit. "
            "It exists and is stable while both eigenvalues are negative, which is the condition of the last line; "
            "from there on the error grows without bound.",
        )
    ]
    if unquantized:
        exact_inputs = {sym.alpha_1: 1, sym.alpha_2: 1}
        margin = margin.subs(exact_inputs)
        V_1 = _over(V.subs(exact_inputs), margin)
        eps_1 = _over(eps_g.subs(exact_inputs), 2 * margin)
        limit = sympy.factor(limit.subs(exact_inputs))
        steps.append(
            Step(
                "unquantized fixed point",
                (sympy.Eq(sym.V, V_1), sympy.Eq(sym.eps_g, eps_1), sympy.StrictLessThan(sym.eta, limit)),
                "The same with inputs that are not quantized, alpha_1 = alpha_2 = 1: the reference to which quantized "
                "models are compared.",
            )
        )
    return tuple(steps), V


def _over(value, denominator) -> sympy.Expr:
    """The value with this denominator, and a numerator sorted by rho and sigma."""
    numerator = sympy.Poly(sympy.simplify(value * denominator), sym.rho, sym.sigma)
    terms = [
        _around(coefficient) * sym.rho**first * sym.sigma**second for (first, second), coefficient in numerator.terms()
    ]
    return sympy.Add(*terms) / denominator


def _around(coefficient) -> sympy.Expr:
    """A coefficient as its value for alpha_1 = 0, which is a number, times one minus the rest."""
    if not coefficient.has(sym.alpha_1):
        return sympy.factor(coefficient)
    without = sympy.simplify(coefficient.subs(sym.alpha_1, 0))
    return without * (1 - sympy.factor(1 - coefficient / without))


def two_level_fixed_point(teacher: Law, levels, unreachable) -> tuple[Step, sympy.Expr | None]:
    """The step, and V for a teacher of one value or of two opposite ones (None for other laws)."""
    low, high = levels
    below, above = sympy.symbols("P_0 P_1", positive=True)
    conditions = (below + above - 1, above * sym.gap_high - below * sym.gap_low)
    masses = sympy.solve(conditions, [below, above])
    spread = masses[below] * sym.gap_low**2 + masses[above] * sym.gap_high**2
    gaps = {sym.gap_low: sym.a - low, sym.gap_high: high - sym.a}
    inside = sympy.factor(spread).subs(gaps)
    if low + high == 0:
        size = sympy.Abs(sym.a)
        pieces = [(sympy.expand(inside), size <= high), ((size - high) ** 2, True)]
    else:
        pieces = [((low - sym.a) ** 2, sym.a < low), ((sym.a - high) ** 2, sym.a > high), (inside, True)]
    equations = [
        *(sympy.Eq(symbol, mass.subs(gaps)) for symbol, mass in masses.items()),
        sympy.Eq(sym.V, unreachable + sym.alpha_2 * sym.teacher_average(sympy.Piecewise(*pieces))),
    ]
    reason = (
        "Inside the range two levels and their mean a determine both probabilities: the spread around the target "
        "depends neither on the temperature nor on where the threshold lies, so V is explicit, and the same at every "
        "learning rate and batch size. A target beyond the levels leaves its clipping error."
    )
    solution = _over_atoms(teacher, pieces, unreachable)
    if solution is not None:
        equations.append(sympy.Eq(sym.V, solution))
        reason += " The last line is its value for this teacher."
    return Step("two-level fixed point", tuple(equations), reason), solution


def _over_atoms(teacher: Law, pieces, unreachable) -> sympy.Expr | None:
    if isinstance(teacher, Constant):
        atoms = [(sym.wstar, sympy.S.One)]
    elif isinstance(teacher, TwoPoint):
        chance = sympy.nsimplify(teacher.probability, rational=True)
        atoms = [(sym.wstar, chance), (-sym.wstar, 1 - chance)]
    else:
        return None
    total = sympy.S.Zero
    for value, probability in atoms:
        target, square = sym.alpha_1 * value / sym.alpha_2, sym.wstar**2
        values = [
            (_sorted((unreachable + sym.alpha_2 * spread).subs({sym.a: target, sym.rho: square})), condition)
            for spread, condition in pieces
        ]
        total += probability * sympy.Piecewise(
            *((value, sympy.sympify(condition, strict=True).subs(sym.a, target)) for value, condition in values)
        )
    return total


def _sorted(expression) -> sympy.Expr:
    return sympy.collect(sympy.expand(expression), sym.wstar**2)
