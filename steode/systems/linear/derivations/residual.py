"""How one coordinate enters the residual: exactly where the output is linear, to first order for any other.

Either way the residual becomes a polynomial in the coordinate's x and z, whose coefficients belong to the other
coordinates and are independent of (x, z); one expectation rule then gives both moments of a step.
"""

import dataclasses
from collections.abc import Callable

import sympy

from steode.parts.quantizers import EntrywiseMap, Identity
from steode.parts.stochastic import CommonFactor
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.systems.linear.derivations.output import Output
from steode.systems.linear.spec import LinearModel


@dataclasses.dataclass(frozen=True)
class Residual:
    """The residual as seen by one coordinate.

    Attributes
    ----------
    symbol : stands for it in the update.
    definition : step that says what it is.
    expression : the polynomial in x and z.
    groups : independent symbols in it, and their moments, for `steode.symbolic.expectation.expectation`.
    strength : the symbol of its mean square to leading order, V or c_2.
    response : values of its mean responses where they are known.
    expansion : steps between the definition and the moments.
    mean_reason, variance_reason, interaction, source : text of the steps about one SGD step.
    """

    symbol: sympy.Symbol
    definition: Step
    expression: sympy.Expr
    groups: list[tuple[tuple[sympy.Symbol, ...], Callable]]
    strength: sympy.Symbol
    response: dict[sympy.Symbol, sympy.Expr]
    expansion: list[Step]
    mean_reason: str
    variance_reason: str
    interaction: str
    source: str


def residual_parts() -> sympy.Expr:
    """yhat - y as the part of one coordinate plus the independent rest r."""
    return (sym.Q * sym.z - sym.wstar * sym.x) / sympy.sqrt(sym.d) + sym.r


def moment_of_rest(power: int) -> sympy.Expr:
    """E[r^k] for k <= 2; r has mean zero and the variance V up to order 1/d."""
    correction = sympy.Symbol("v_1", real=True)
    return {0: sympy.S.One, 1: sympy.S.Zero, 2: sym.V - correction / sym.d}[power]


def plain_residual() -> Residual:
    """yhat - y: linear in the coordinate's part, which is taken out of it exactly."""
    symbol = sympy.Symbol(r"\left(\hat y - y\right)")
    definition = Step(
        "residual",
        (sympy.Eq(symbol, residual_parts()),),
        "The residual splits into this coordinate's part, with Q = Q_w(w), and the rest r, which is independent "
        "of (x, z), has mean zero because Q_x is odd, and carries the label noise.",
    )
    return Residual(
        symbol=symbol,
        definition=definition,
        expression=residual_parts(),
        groups=[((sym.r,), moment_of_rest)],
        strength=sym.V,
        response={},
        expansion=[],
        mean_reason="Expectation over the sample, monomial by monomial; it is exact at every d, since r has mean zero.",
        variance_reason="The variance computed the same way; fourth moments of (x, z) and the correction v_1/d of "
        "E[r^2] enter only at order 1/d^2.",
        interaction="V",
        source="diffusion limit of Markov chains; derived here",
    )


def general_residual(model: LinearModel, output: Output) -> Residual:
    """Any function of the two pre-activations: its response to the coordinate's part of them."""
    expansion = sym.e_0 + (sym.e_h * sym.Q * sym.z + sym.e_star * sym.wstar * sym.x) / sympy.sqrt(sym.d)
    label = _applied(sym.f_star, model.teacher_activation, sym.h_star) + sym.sigma * sym.xi
    residual = _applied(sym.f, model.activation, sym.h) - _applied(sym.Q_l, model.label_quantizer, label)
    residual = _applied(sym.Q_o, model.residual_quantizer, residual) * _backward(model)
    definition = Step(
        "output",
        (
            sympy.Eq(sym.h, sympy.Symbol(r"Q_w(w) \cdot Q_x(x)/\sqrt{d}")),
            sympy.Eq(sym.h_star, sympy.Symbol(r"w^{*} \cdot x/\sqrt{d}")),
            sympy.Eq(sym.e, residual),
        ),
        "Student and teacher see the sample through their pre-activations; the residual is a function of the two and "
        "of the label noise.",
    )
    to_first_order = Step(
        "residual to first order",
        (sympy.Eq(sym.e, expansion),),
        "One coordinate moves both pre-activations by terms of order d^-1/2; e_0 and its derivatives e_h, e_* belong "
        "to the other coordinates and are independent of (x, z). Where e jumps, averages over the pre-activations make "
        "sense of the derivatives.",
    )
    common = isinstance(model.input_quantizer, CommonFactor)
    weighted = " c_2 weights the squared residual by the square of the common input factor." if common else ""
    return Residual(
        symbol=sym.e,
        definition=definition,
        expression=expansion,
        groups=[((sym.Q,), _weight_moment), ((sym.e_0, sym.e_h, sym.e_star), _response)],
        strength=sym.c_2,
        response=dict(zip((sym.c_h, sym.c_star), output.response, strict=True)) if output.is_linear else {},
        expansion=[to_first_order],
        mean_reason="Expectation over the sample, monomial by monomial: c_h and c_* are the mean responses E[e_h] and "
        "E[e_*]. A nonzero E[e] drops out because Q_x is odd.",
        variance_reason="To leading order the residual is independent of one input coordinate, and c_2 = E[e^2]."
        + weighted,
        interaction="the averages of the output",
        source="drift and diffusion with alpha_1(lambda), alpha_2(lambda) derived here",
    )


def _applied(symbol: sympy.Symbol, entry: EntrywiseMap, argument: sympy.Expr) -> sympy.Expr:
    return argument if isinstance(entry, Identity) else sympy.Function(symbol.name)(argument)


def _backward(model: LinearModel) -> sympy.Expr:
    """What stands for the derivative of the output's map."""
    surrogate = model.activation_surrogate
    if isinstance(surrogate, DerivativeOf):
        return surrogate.derivative.subs(surrogate.proxy.variable, sym.h)
    if isinstance(surrogate, ClippedSurrogate):
        return surrogate.indicator(sym.h, *map(sympy.Float, surrogate.band))
    return sympy.S.One


def _weight_moment(power: int) -> sympy.Expr:
    """Moments of the quantized weight of this step, whose mean given w is Q."""
    known = {0: sympy.S.One, 1: sym.Q}
    return known.get(power, sympy.Symbol(rf"\mathrm{{E}}[Q^{{{power}}}]", real=True))


def _response(*powers: int) -> sympy.Expr:
    known = {(0, 0, 0): sympy.S.One, (0, 1, 0): sym.c_h, (0, 0, 1): sym.c_star, (2, 0, 0): sym.c_2}
    name = "".join(f"e_{index}^{{{power}}}" for index, power in zip(("0", "h", "*"), powers, strict=True) if power)
    return known.get(powers, sympy.Symbol(rf"\mathrm{{E}}[{name}]", real=True))
