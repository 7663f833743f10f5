"""Long times of the linear system: what a stationary state must satisfy, and the steps that follow from it."""

import dataclasses
import functools
from collections.abc import Sequence

import sympy

from steode.parts.quantizers import Identity, StepFunction
from steode.parts.surrogates import ClippedSurrogate
from steode.parts.update_rules import KineticMomentum
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.averages import StationarySpread
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation, generator
from steode.symbolic.limit import MomentEquations
from steode.systems.linear.derivations import expansions, solved
from steode.systems.linear.derivations.crossing import derive_plateau
from steode.systems.linear.derivations.stationary_density import (
    cell_masses,
    density_step,
    log_slope,
    potential,
    pulls_in,
)
from steode.systems.linear.spec import LinearModel

MEAN = sympy.Symbol(r"\mathrm{E}\left[Q \mid w^{*}\right]", real=True)
VARIANCE = sympy.Symbol(r"\mathrm{Var}\left[Q \mid w^{*}\right]", nonnegative=True)


@dataclasses.dataclass(frozen=True)
class LongTimes:
    """What `derive_stationary` finds.

    Attributes
    ----------
    steps : steps of the derivation.
    plateau_time : time for a weight at w, level L_j, to reach the threshold T_j; None unless weights are quantized.
    fixed_point_value : V at the fixed point where it has a closed form, else None.
    """

    steps: Sequence[Step]
    plateau_time: sympy.Expr | None = None
    fixed_point_value: sympy.Expr | None = None


def derive_stationary(
    model: LinearModel, drift, diffusion, residual_variance, exact_moments: MomentEquations | None, maps
) -> LongTimes:
    """The steps about long times, for every combination of maps, surrogate, weight decay and batch size."""
    quantizer, exact_inputs = model.weight_quantizer, isinstance(model.input_quantizer, Identity)
    plateau, time = _plateau(model, drift)
    if isinstance(model.surrogate, ClippedSurrogate):
        return LongTimes([_no_universal_state()], time)
    drift, diffusion = drift.subs(sym.s, 1), diffusion.subs(sym.s, 1)
    if isinstance(quantizer, Identity):
        steps, solution = solved.affine_fixed_point(exact_moments, residual_variance, exact_inputs)
        return LongTimes(steps, None, solution)
    stepwise = isinstance(quantizer, StepFunction)
    slope = log_slope(drift, diffusion)
    theta, pull, retained = potential(slope)
    equation, unreachable = _fixed_point(residual_variance, theta, pull, retained)
    steps = [density_step(drift, slope, stepwise), _mean_image(drift, diffusion, stepwise), equation]
    if not stepwise:
        return LongTimes(steps)
    levels, solution = averages.exact_steps(quantizer, maps[sym.Q_w][1])[0], None
    steps.append(cell_masses(quantizer, maps, slope))
    if pull == 0 and len(levels) == 2:
        step, solution = solved.two_level_fixed_point(model.teacher, levels, unreachable)
        steps.append(step)
    steps += [_beyond_the_range(drift), expansions.floor(unreachable, pull, retained)]
    if pull == 0 and len(levels) > 2:
        steps.append(expansions.correction(len(levels), theta))
        if exact_inputs:
            steps.append(expansions.exact_recovery(theta))
    return LongTimes([*steps, *plateau], time, solution)


def derive_self_consistency(model: LinearModel, drift, diffusion, second) -> LongTimes:
    """The steps about stationary states of a model with any output: the density, and the equations that close it.

    `second` is E[Q_w(w)^2] given w.
    """
    stepwise = isinstance(model.weight_quantizer, StepFunction)
    plateau, time = _plateau(model, drift)
    if isinstance(model.surrogate, ClippedSurrogate):
        return LongTimes([_no_universal_state()], time)
    drift, diffusion = drift.subs(sym.s, 1), diffusion.subs(sym.s, 1)
    law = density_step(drift, log_slope(drift, diffusion), stepwise)
    weight = sympy.Symbol(r"\left\langle Q \right\rangle", real=True)
    square = sympy.Symbol(rf"\left\langle {sympy.latex(second)} \right\rangle", nonnegative=True)
    equations = (
        sympy.Eq(sym.m, sympy.Symbol(rf"\mathrm{{E}}\left[{sympy.latex(sym.alpha_1 * sym.wstar * weight)}\right]")),
        sympy.Eq(sym.q, sympy.Symbol(rf"\mathrm{{E}}\left[{sympy.latex(sym.alpha_2 * square)}\right]")),
    )
    reason = (
        "In a stationary state the output averages c_h, c_*, c_2 set the density of every weight, and the averages of "
        "that density, in angle brackets, give m and q and so the output averages back."
    )
    steps = [law, _mean_image(drift, diffusion, stepwise), Step("self-consistency", equations, reason)]
    return LongTimes([*steps, *plateau], time)


def _plateau(model: LinearModel, drift) -> tuple[list[Step], sympy.Expr | None]:
    """The step about the time in a cell; none without cells, or where weights have inertia."""
    if not isinstance(model.weight_quantizer, StepFunction) or isinstance(model.update_rule, KineticMomentum):
        return [], None
    step, time = derive_plateau(drift)
    return [step], time


def _no_universal_state() -> Step:
    return Step(
        "stationary state",
        (sympy.Eq(sympy.Derivative(sym.mu(sym.tau, sym.w), sym.tau), 0),),
        "With absorbing atoms every law supported where s = 0 is stationary: the state reached depends on the initial "
        "law and is found by solving the density equation.",
    )


@functools.lru_cache(maxsize=16)
def _mean_image(drift, diffusion, stepwise: bool) -> Step:
    mean_weight = sympy.Symbol(r"\mathrm{E}\left[w \mid w^{*}\right]", real=True)
    rate = generator(sym.w, sym.w, drift, diffusion).subs({sym.Q: MEAN, sym.w: mean_weight})
    rate = sympy.expand(rate / sym.eta)
    start = "The mean of w is constant in a stationary state, so the mean drift vanishes: "
    if rate.has(mean_weight):
        driving = rate.subs({MEAN: 0, mean_weight: 0})
        reason = (
            f"{start}the pull of {pulls_in(rate)} and the quantized weight together balance the teacher on average."
        )
        return Step("mean quantized weight", (sympy.Eq(driving - rate, driving),), reason)
    ends = "the lowest and the highest level" if stepwise else "the limits of Q at minus and plus infinity"
    reason = (
        f"{start}quantized weights are right on average, at every learning rate, whenever the target lies strictly "
        f"between {ends}."
    )
    return Step("mean quantized weight", (sympy.Eq(MEAN, sympy.solve(rate, MEAN)[0]),), reason)


@functools.lru_cache(maxsize=16)
def _fixed_point(residual_variance, theta, pull, retained) -> tuple[Step, sympy.Expr]:
    """The step, and the part of V that no law of the weights removes."""
    # with w* = alpha_2 a/alpha_1 the square in V is completed around the target
    overlaps = {sym.q: sym.alpha_2 * sym.Q**2, sym.m: sym.alpha_2 * sym.a * sym.Q}
    rest = sympy.expand(residual_variance.subs(overlaps) - sym.alpha_2 * (sym.Q - sym.a) ** 2)
    unreachable = sympy.collect(rest.subs(sym.a**2, (sym.alpha_1 / sym.alpha_2) ** 2 * sym.rho), sym.rho)
    spread = StationarySpread(sym.Q_w, sym.a, theta, *([pull] * (pull != 0)), *([retained] * (retained != 1)))
    moments = {0: sympy.S.One, 1: MEAN, 2: VARIANCE + MEAN**2}
    second = expectation((sym.Q - sym.a) ** 2, [((sym.Q,), moments.get)])
    bias = sympy.factor(second - VARIANCE)
    error = (unreachable - sym.sigma**2) / 2 + sym.alpha_2 * (sym.teacher_average(VARIANCE)) / 2
    if pull == 0:
        last = "the squared bias, which is zero for a target inside the range and the clipping error beyond it"
    else:
        last = f"the squared bias that {pulls_in(pull)} and clipping leave"
    step = Step(
        "fixed-point equation",
        (
            sympy.Eq(sym.V, unreachable + sym.alpha_2 * sym.teacher_average(spread)),
            sympy.Eq(sym.eps_g, error + sym.alpha_2 * sym.teacher_average(bias) / 2),
        ),
        "Completing the square around the target in the definition of V, with the average over the stationary law at "
        "its temperature, leaves one scalar equation. The error is the loss by quantized inputs, plus the dithering of "
        f"the weights around their mean, plus {last}.",
    )
    return step, unreachable


@functools.lru_cache(maxsize=16)
def _beyond_the_range(drift) -> Step:
    speed = sympy.factor(drift.subs(sym.Q, sym.level))
    clipping = sympy.Eq(
        sympy.Symbol(r"\varepsilon_{\mathrm{clip}}"), sym.alpha_2 * (sym.a - sym.level) ** 2 / 2, evaluate=False
    )
    if speed.has(sym.w):
        balance = sympy.Eq(sym.balance, sympy.factor(sympy.solve(speed, sym.w)[0]))
        reason = (
            f"With {pulls_in(speed)} nothing escapes: it grows with w, and for a target beyond the outermost level L_j "
            "the latent weight settles around the balance of the first line. If that lies well inside the outermost "
            "cell, Q stays at L_j, which leaves this error."
        )
        return Step("escape and clipping error", (balance, clipping), reason)
    reason = (
        "A target beyond the outermost level L_j is never reached: Q stays there, the latent weight escapes at a "
        "constant speed, and this term replaces the dithering term."
    )
    return Step(
        "escape and clipping error", (sympy.Eq(sympy.Symbol(r"\mathrm{d}w/\mathrm{d}\tau"), speed), clipping), reason
    )
