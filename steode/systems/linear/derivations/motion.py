"""How the latent weights of the linear system move: what an update rule contributes to the derivation."""

import dataclasses
from collections.abc import Callable

import sympy

from steode.parts.surrogates import ClippedSurrogate, DerivativeOf
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation, leading_order
from steode.symbolic.limit import Companion
from steode.systems.linear.derivations.inputs import input_moment, input_variance
from steode.systems.linear.derivations.output import Output
from steode.systems.linear.derivations.residual import Residual
from steode.systems.linear.spec import LinearModel

ICHIKAWA = "setting as in Ichikawa, Kashiwamura, Sakata (arXiv 2510.10693); formula derived here"


@dataclasses.dataclass(frozen=True)
class Motion:
    """Drift and diffusion of one coordinate under an update rule, and the steps that lead there.

    Attributes
    ----------
    setting : steps that define the update.
    derived : steps from the update to the stochastic differential equation, after the input moments.
    drift, diffusion : coefficients of the equation.
    strength : the symbol in the diffusion that stands for the mean square of the residual, V or c_2.
    output : the averages that drive the weights; None: 1, -1 and V.
    remarks : steps after the density equation.
    closing : steps after the closures.
    stationary : (slope of the log density) -> steps about stationary states; None: those of the straight-through
        gradient.
    smoothed : True if drift and diffusion depend on the weight by more than Q(w), so that nothing further is derived.
    rate : what stands for the learning rate eta in all that follows from the setting.
    companion : a number that moves beside the law of the weights, if there is one.
    evolution : steps about the law of the weights; None: the density equation of drift and diffusion.
    closure : maps -> steps of the Gaussian closure and its equations; None: that of drift and diffusion.
    """

    setting: list[Step]
    derived: list[Step]
    drift: sympy.Expr
    diffusion: sympy.Expr
    strength: sympy.Symbol
    output: Output | None = None
    remarks: list[Step] = dataclasses.field(default_factory=list)
    closing: list[Step] = dataclasses.field(default_factory=list)
    stationary: Callable[[sympy.Expr], list[Step]] | None = None
    smoothed: bool = False
    rate: sympy.Symbol = sym.eta
    companion: Companion | None = None
    evolution: list[Step] | None = None
    closure: Callable | None = None


def straight_through(model: LinearModel, residual: Residual, output: Output | None) -> Motion:
    """Follow the straight-through gradient: both moments of one step, and their leading order."""
    derived, drift, diffusion = _one_step(model, residual)
    return Motion(_setting(model, residual), derived, drift, diffusion, residual.strength, output)


def _setting(model: LinearModel, residual: Residual) -> list[Step]:
    gradient = residual.symbol * sym.z
    if model.batch_size > 1:
        gradient = sympy.Function(r"\mathrm{mean}_{B}")(gradient)
    update = -sym.eta / sympy.sqrt(sym.d) * gradient * sym.s + regularization(model)
    surrogate = sympy.S.One
    if isinstance(model.surrogate, ClippedSurrogate):
        surrogate = model.surrogate.indicator(sym.w, sym.lower, sym.bound)
    if isinstance(model.surrogate, DerivativeOf):
        surrogate = model.surrogate.derivative.subs(model.surrogate.proxy.variable, sym.w)
    samples = "a batch of B fresh samples, whose gradients are averaged," if model.batch_size > 1 else "a fresh sample"
    backward = ", e the backpropagated residual and s" if residual.symbol == sym.e else " and s"
    reason = (
        f"One SGD step on {samples} changes the latent weight by the straight-through gradient: z = Q_x(x) is the "
        f"quantized input coordinate{backward} the surrogate derivative."
    )
    reason += said_of_regularization(model)
    if not model.spectrum.is_isotropic:
        reason += " Input coordinates have variances lambda, the spectrum."
    equations = (sympy.Eq(sym.dw, update), sympy.Eq(sym.s, surrogate))
    return [Step("update", equations, reason, ICHIKAWA), residual.definition]


def _one_step(model: LinearModel, residual: Residual) -> tuple[list[Step], sympy.Expr, sympy.Expr]:
    step = -sym.eta / sympy.sqrt(sym.d) * residual.expression * sym.z * sym.s
    groups = [((sym.x, sym.z), input_moment(input_variance(model))), *residual.groups]
    sample_mean = expectation(step, groups)
    second = expectation(sympy.expand(step**2), groups)
    mean = sample_mean + regularization(model)
    drift = leading_order(mean, sym.d)
    diffusion = leading_order((second - sample_mean**2) / batch(model), sym.d)
    if residual.response:
        mean, drift = (sympy.factor(value.subs(residual.response)) for value in (mean, drift))
    averaged = " Averaging B independent samples divides it by B." if model.batch_size > 1 else ""
    steps = [
        *residual.expansion,
        Step("one-step mean", (mean_equation(mean),), residual.mean_reason),
        Step(
            "one-step variance",
            (sympy.Eq(VARIANCE, diffusion / sym.d + sympy.Order(1 / sym.d**2, (sym.d, sympy.oo))),),
            residual.variance_reason + averaged,
        ),
        Step(
            "stochastic differential equation",
            (sympy.Eq(sym.dw, increment(drift, diffusion)),),
            "Mean and variance of order 1/d per step give, in rescaled time tau = step/d, a diffusion for each "
            f"coordinate; coordinates interact only through {residual.interaction}.",
            residual.source,
        ),
    ]
    return steps, drift, diffusion


VARIANCE = sympy.Symbol(r"\mathrm{Var}[\mathrm{d}w]")


def mean_equation(mean: sympy.Expr) -> sympy.Eq:
    """E[dw] of one step."""
    return sympy.Eq(sympy.Symbol(r"\mathrm{E}[\mathrm{d}w]"), sympy.factor(mean))


def regularization(model: LinearModel) -> sympy.Expr:
    """Change of a weight by weight decay and dampening in one step."""
    pull = sym.kappa * sym.w if model.weight_decay else sympy.S.Zero
    if model.dampening:
        pull += sym.zeta * (sym.w - sym.Q)
    return -sym.eta * pull / sym.d


def said_of_regularization(model: LinearModel) -> str:
    """A sentence for each of the two."""
    said = " Weight decay shrinks the latent weight." if model.weight_decay else ""
    return said + (" Dampening pulls it toward its quantized value." if model.dampening else "")


def batch(model: LinearModel) -> sympy.Expr:
    """The batch size, 1 where it does not show."""
    return sym.batch if model.batch_size > 1 else sympy.S.One


def increment(drift: sympy.Expr, diffusion: sympy.Expr) -> sympy.Expr:
    """drift dtau + sqrt(diffusion) dB, left as written: SymPy would sort the differentials into the coefficients."""
    terms = [
        sympy.Mul(coefficient, differential, evaluate=False)
        for coefficient, differential in ((drift, sym.dtau), (sympy.sqrt(diffusion), sym.dB))
    ]
    return sympy.Add(*terms, evaluate=False)
