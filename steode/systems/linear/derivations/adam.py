"""The limit of Adam: the straight-through gradient at a learning rate that its own mean square sets."""

import dataclasses

import sympy

from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.limit import Companion
from steode.systems.linear.derivations.motion import Motion, batch, increment, regularization, straight_through
from steode.systems.linear.derivations.output import PLAIN_LOSS, Output, as_output
from steode.systems.linear.derivations.residual import Residual
from steode.systems.linear.spec import LinearModel

SOURCE = "update as in Kingma and Ba (ICLR 2015), with the weight decay of Loshchilov and Hutter (ICLR 2019); limit "
SOURCE += "derived here"
MEAN, SQUARE, NEXT = sympy.symbols(r"\hat{m} \hat{v} v^{+}", real=True)
SMALL, BEFORE = sympy.symbols(r"\beta_{2} v", real=True)


def adaptive_moments(model: LinearModel, residual: Residual, output: Output | None) -> Motion:
    """Follow `Adam`: drift and diffusion of the gradient, divided by the root of its mean square and by that itself."""
    plain = straight_through(model.replace(weight_decay=0.0, dampening=0.0), residual, output)
    update, *others = plain.setting
    gradient = sympy.expand(-update.equation[0].rhs * sympy.sqrt(sym.d) / (sym.eta * sym.s))
    # the mean square of one entry, to leading order: what the diffusion has, without the rate and the surrogate
    square = sympy.simplify(plain.diffusion / (sym.eta * sym.s) ** 2)
    drift = plain.drift / sympy.sqrt(sym.v_g) + sym.d * regularization(model)
    diffusion = plain.diffusion / sym.v_g
    correction = 1 - sympy.exp(-sym.c_v * sym.tau)
    rate = sym.c_v / correction * (square - sym.v_g)
    followed = model.update_rule.second_moment_rate is not None
    steps = [
        *plain.derived[:-1],
        _mean_square(square, rate if followed else None),
        Step(
            "stochastic differential equation of Adam",
            (sympy.Eq(sym.dw, increment(drift, diffusion)),),
            "Every step is divided by the root of the mean square of the gradient, the same for all coordinates, so "
            "the drift is divided by that root and the variance by its square. The mean over past gradients forgets "
            "within steps in which nothing of this moves, and changes neither.",
            SOURCE,
        ),
    ]
    base = _base(output)
    value = sym.v_g if followed else square.subs(plain.strength, base.strength)
    root, samples = sympy.sqrt(value), batch(model)
    response = tuple(sympy.sympify(entry, strict=True) / root for entry in base.response)
    strength = base.strength / value
    companion = None
    if followed:
        # in the divided strength, which the equations are given
        companion = Companion(sym.v_g, rate.subs(plain.strength, sym.c_2 * sym.v_g), start=sym.alpha_2 / samples)
    return Motion(
        setting=[_setting(model, update, gradient), *others],
        derived=steps,
        drift=-sym.eta * sym.s * (sym.alpha_2 * sym.c_h * sym.Q + sym.alpha_1 * sym.c_star * sym.wstar)
        + sym.d * regularization(model),
        diffusion=sym.eta**2 * sym.s**2 * sym.alpha_2 * sym.c_2 / samples,
        strength=sym.c_2,
        output=dataclasses.replace(
            base,
            steps=[*base.steps, as_output(response, strength)],
            response=response,
            strength=strength,
            constants=(sym.alpha_2, sym.batch, *([sym.v_g] if followed else [])),
        ),
        companion=companion,
    )


def _base(output: Output | None) -> Output:
    """The output whose gradient is followed; of a plain model in V, which says all."""
    if output is None:
        return Output([], (sympy.S.One, -sympy.S.One), sym.V, PLAIN_LOSS, (sym.V - sym.sigma**2) / 2)
    if not output.is_linear:
        return output
    # where V says all it is what the equations for long times are about
    of_loss = sympy.simplify(output.strength.subs(sym.m, sympy.solve(output.loss - sym.V, sym.m)[0]))
    return output if of_loss.has(sym.q) else dataclasses.replace(output, strength=of_loss)


def _setting(model: LinearModel, update: Step, gradient: sympy.Expr) -> Step:
    change = -sym.eta / sympy.sqrt(sym.d) * MEAN / sympy.sqrt(SQUARE) * sym.s + regularization(model)
    pulls = " Weight decay and dampening act on the weights themselves." if change.has(sym.kappa, sym.zeta) else ""
    return Step(
        "update",
        (sympy.Eq(sym.g_i, gradient), *update.equation[1:], sympy.Eq(sym.dw, change)),
        "One step moves a latent weight by the mean of its past gradients over the root of the mean of their squares, "
        f"both corrected for their start at zero.{pulls}",
        SOURCE,
    )


def _mean_square(square: sympy.Expr, rate: sympy.Expr | None) -> Step:
    forgets = sympy.Eq(NEXT, SMALL * BEFORE + (1 - SMALL) * sym.g_i**2)
    if rate is None:
        return Step(
            "mean square of the gradient",
            (forgets, sympy.Eq(sym.v_g, square)),
            "The mean over many steps is the expectation, to leading order the same for every coordinate; its memory "
            "is shorter than any time in which the right-hand side moves.",
        )
    return Step(
        "mean square of the gradient",
        (forgets, sympy.Eq(SMALL, 1 - sym.c_v / sym.d), sympy.Eq(sympy.Derivative(sym.v_g, sym.tau), rate)),
        "Over the d/c_v steps that the mean remembers its fluctuations average out, and it follows the expectation of "
        "the squared gradient, to leading order the same for every coordinate; the correction for the start divides "
        "by 1 - exp(-c_v tau), and at the start v_g is the expectation itself.",
    )
