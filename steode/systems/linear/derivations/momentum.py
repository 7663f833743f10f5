"""The limit of momentum: that of the straight-through gradient at the learning rate eta/(1 - beta).

A combination of weight and buffer moves by single gradients, exactly and at every d; it is less than d^-1/2 away from
the weight, so that neither the gradients nor averages over coordinates tell the two apart.
"""

import dataclasses

import sympy

from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.systems.linear.derivations.motion import Motion, straight_through
from steode.systems.linear.derivations.output import Output
from steode.systems.linear.derivations.residual import Residual
from steode.systems.linear.spec import LinearModel

GRADIENT, BUFFER, NEXT = sympy.symbols(r"g \bar{g} \bar{g}^{+}", real=True)
SOURCE = (
    "known for SGD without quantizers (Yuan, Ying, Sayed, JMLR 2016); here derived for the straight-through gradient"
)


def heavy_ball(model: LinearModel, residual: Residual, output: Output | None) -> Motion:
    """Follow the buffer of `Momentum`: the motion of the straight-through gradient, at another learning rate."""
    plain = straight_through(model, residual, output)
    update, *others = plain.setting
    # what one step subtracts, in units of eta/sqrt(d)
    gradient = sympy.Eq(GRADIENT, sympy.expand(-update.equation[0].rhs * sympy.sqrt(sym.d) / sym.eta))
    buffer = sym.beta * BUFFER + GRADIENT
    ahead = GRADIENT + sym.beta * NEXT if model.update_rule.nesterov else NEXT
    change = -sym.eta / sympy.sqrt(sym.d) * ahead
    terms = {"Weight decay": model.weight_decay, "Dampening": model.dampening}
    decays = "".join(f" {name} is part of the gradient." for name, strength in terms.items() if strength)
    collected = Step(
        "update",
        (gradient, *update.equation[1:], sympy.Eq(NEXT, buffer), sympy.Eq(sym.dw, change)),
        f"{update.reason} The buffer collects the gradients g and forgets them at the rate 1 - beta.{decays}",
        update.reference,
    )
    return dataclasses.replace(plain, setting=[collected, _single_gradients(change, buffer), *others], rate=sym.eta_eff)


def _single_gradients(change: sympy.Expr, buffer: sympy.Expr) -> Step:
    """The combination of weight and buffer that a step changes by its gradient alone."""
    share, combined = sympy.symbols(r"\gamma \tilde{w}", real=True)
    step = sympy.expand((change - share * (NEXT - BUFFER)).subs(NEXT, buffer))
    (weight,) = sympy.solve(step.coeff(BUFFER), share)
    rate = _fraction(-sympy.sqrt(sym.d) * step.coeff(GRADIENT).subs(share, weight))
    return Step(
        "effective learning rate",
        (
            sympy.Eq(combined, sym.w - _fraction(sympy.sqrt(sym.d) * weight) / sympy.sqrt(sym.d) * BUFFER),
            sympy.Eq(sympy.Symbol(r"\mathrm{d}\tilde{w}"), -sym.eta_eff / sympy.sqrt(sym.d) * GRADIENT),
            sympy.Eq(sym.eta_eff, rate),
        ),
        "This combination of the weight and the buffer moves by single gradients, exactly, and at the learning rate "
        "eta_eff. It differs from w by a sum of past gradients of order d^-1/2 that is independent of the sample of "
        "the step: its gradient has the same law to leading order, and so have the two. What follows is the "
        "limit of the straight-through gradient at the learning rate eta_eff.",
        SOURCE,
    )


def _fraction(value: sympy.Expr) -> sympy.Expr:
    """Over 1 - beta, where SymPy has beta - 1."""
    above, below = sympy.fraction(sympy.factor(value))
    return sympy.expand(-above) / sympy.expand(-below)
