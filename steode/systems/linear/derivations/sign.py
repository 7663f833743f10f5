"""The limit of sign descent: the sign of a nearly normal gradient is linear in what one coordinate adds to it."""

import functools

import sympy

from steode.parts.quantizers import StepFunction
from steode.parts.stochastic import AdditiveNoise
from steode.parts.surrogates import ClippedSurrogate
from steode.symbolic import symbols as sym
from steode.symbolic.averages import StationarySpread
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation, leading_order
from steode.systems.linear.derivations.motion import (
    VARIANCE,
    Motion,
    batch,
    increment,
    mean_equation,
    regularization,
    said_of_regularization,
)
from steode.systems.linear.derivations.output import PLAIN_LOSS, Output, as_output
from steode.systems.linear.derivations.residual import Residual, plain_residual
from steode.systems.linear.derivations.stationary_density import density_step, potential
from steode.systems.linear.spec import LinearModel

SOURCE = "update as in Bernstein, Wang, Azizzadenesheli, Anandkumar (ICML 2018); its limit derived here"
NORM = sympy.Symbol("|z|", positive=True)
PRODUCT, ALONG = sympy.Symbol(r"(x \cdot z)", real=True), sympy.Dummy("along", real=True)
"""Norm of the batch's quantized inputs to one coordinate, their product with its inputs, and that over the norm."""


def sign_descent(model: LinearModel, residual: Residual, output: Output | None) -> Motion:
    """Follow `SignSGD`, where the residual of the other coordinates is normal."""
    mean_sign, given_inputs = _sign_given_inputs(model)
    step = -sym.eta / sympy.sqrt(sym.d) * sym.s
    groups = [((NORM,), {0: 1, 1: sym.beta_2}.get), ((ALONG,), {0: 1, 1: sym.beta_1}.get)]
    part = sympy.expand(step * mean_sign.subs(PRODUCT, ALONG * NORM))
    mean = sympy.factor(expectation(part, groups)) + regularization(model)
    drift, diffusion = leading_order(mean, sym.d), sym.eta**2 * sym.s**2 * sym.p_0
    response, strength = _as_output(drift, diffusion, batch(model))
    values = dict(zip((sym.c_h, sym.c_star, sym.c_2), (*response, strength), strict=True))
    derived = [
        given_inputs,
        _norms(batch(model)),
        Step(
            "one-step mean",
            (mean_equation(mean),),
            "Averaged over the inputs of the batch: beta_2 is the mean norm of the quantized inputs, beta_1 the mean "
            "part of x along them.",
        ),
        Step(
            "one-step variance",
            (sympy.Eq(VARIANCE, diffusion / sym.d + sympy.Order(1 / sym.d**2, (sym.d, sympy.oo))),),
            "The square of a sign is 1 unless all inputs of the batch are quantized to zero: the noise does not shrink "
            "with V.",
        ),
        Step(
            "stochastic differential equation",
            (sympy.Eq(sym.dw, increment(drift, diffusion)),),
            "Mean and variance of order 1/d per step give, in rescaled time tau = step/d, a diffusion for each "
            "coordinate; coordinates interact only through V.",
            SOURCE,
        ),
        as_output(response, strength),
    ]
    loss = PLAIN_LOSS if output is None else output.loss
    eps_g = (sym.V - sym.sigma**2) / 2 if output is None else output.eps_g
    return Motion(
        setting=_setting(model),
        derived=derived,
        drift=-sym.eta * sym.s * (sym.alpha_2 * sym.c_h * sym.Q + sym.alpha_1 * sym.c_star * sym.wstar)
        + sym.d * regularization(model),
        diffusion=sym.eta**2 * sym.s**2 * sym.alpha_2 * sym.c_2 / batch(model),
        strength=sym.c_2,
        output=Output(
            # a plain model has these equations among its order parameters
            steps=[] if output is None else [_loss(loss, eps_g)],
            response=response,
            strength=strength,
            loss=loss,
            eps_g=eps_g,
            constants=(sym.alpha_1, sym.alpha_2, sym.beta_1, sym.beta_2, sym.p_0, sym.batch),
        ),
        stationary=functools.partial(_stationary, model, values) if _is_closed(model) else None,
    )


def _is_closed(model: LinearModel) -> bool:
    """True if the fixed-point equation can be written in one spread."""
    return model.is_plain and not isinstance(model.surrogate, ClippedSurrogate)


def _setting(model: LinearModel) -> list[Step]:
    residual = plain_residual()
    gradient = residual.symbol * sym.z
    if model.batch_size > 1:
        gradient = sympy.Function(r"\mathrm{sum}_{B}")(gradient)
    update = -sym.eta / sympy.sqrt(sym.d) * sympy.Function(r"\mathrm{sign}")(sym.g_B) * sym.s + regularization(model)
    reason = "One step moves a latent weight by a fixed length against the sign of its gradient; sign(0) = 0."
    reason += said_of_regularization(model)
    return [
        Step("update", (sympy.Eq(sym.dw, update), sympy.Eq(sym.g_B, gradient)), reason, SOURCE),
        residual.definition,
    ]


def _sign_given_inputs(model: LinearModel) -> tuple[sympy.Expr, Step]:
    """E[sign(g_B) | x, z] to leading order, and the step that finds it."""
    noise = sym.nu_o if isinstance(model.residual_quantizer, AdditiveNoise) else 0
    small, part, spread = sympy.symbols(r"\epsilon \delta v_g", positive=True)
    center, variance = sym.Q * NORM**2 - sym.wstar * PRODUCT, (sym.V + noise) * NORM**2
    # E sign(y) = erf(mean/sqrt(2 variance)) for y normal; the part of one coordinate is of order d^-1/2
    exact = sympy.erf(small * part / sympy.sqrt(2 * spread))
    leading = sympy.diff(exact, small).subs(small, 0) / sympy.sqrt(sym.d)
    found = sympy.expand(leading.subs({part: center, spread: variance}))
    mean = sympy.Symbol(r"\mathrm{E}\left[\mathrm{sign}(g_B)\,|\,x, z\right]", real=True)
    law = sympy.Symbol(r"{g_B}\,|\,x, z", real=True)
    normal = sympy.Function(r"\mathcal{N}")(center / sympy.sqrt(sym.d), variance)
    step = Step(
        "sign given the inputs",
        (sympy.Eq(law, normal, evaluate=False), sympy.Eq(mean, sympy.factor(found))),
        "Given the inputs of one coordinate its gradient is normal: a sum over the batch of independent residuals r of "
        "variance V, each times z, and the coordinate's own part of order d^-1/2. The mean sign of a normal variable "
        "is erf(mean/sqrt(2 variance)), here to leading order.",
    )
    return found, step


def _norms(samples: sympy.Expr) -> Step:
    """The averages over a batch as integrals over one variable, from the representations of |z| and 1/|z|."""
    u, t = sympy.Symbol("u", positive=True), sympy.Symbol("t", positive=True)
    norm = sympy.integrate((1 - sympy.exp(-(u**2) * t**2)) / u**2, (u, 0, sympy.oo))
    inverse = sympy.integrate(sympy.exp(-(u**2) * t**2), (u, 0, sympy.oo))
    of_norm, of_inverse = sympy.simplify(t / norm), sympy.simplify(1 / t / inverse)
    one, both = sympy.Function("M")(u**2), sympy.Function("N")(u**2)
    line = (u, 0, sympy.oo)
    square = sympy.Function(r"\mathrm{E}")(sympy.exp(-(u**2) * sym.z**2))
    product = sympy.Function(r"\mathrm{E}")(sym.x * sym.z * sympy.exp(-(u**2) * sym.z**2))
    return Step(
        "norms of the inputs",
        (
            sympy.Eq(one, square),
            sympy.Eq(both, product),
            sympy.Eq(sym.beta_2, of_norm * sympy.Integral((1 - one**samples) / u**2, line)),
            sympy.Eq(sym.beta_1, of_inverse * samples * sympy.Integral(both * one ** (samples - 1), line)),
            sympy.Eq(sym.p_0, 1 - sympy.Symbol(r"\mathrm{P}(z = 0)") ** samples),
        ),
        "The norm of the B quantized inputs and its inverse are integrals over exp(-u^2 |z|^2), whose average over a "
        "batch is a product over its samples.",
    )


def _as_output(drift: sympy.Expr, diffusion: sympy.Expr, samples: sympy.Expr) -> tuple[tuple, sympy.Expr]:
    """c_h, c_* and c_2 of the output whose gradient moves the weights in the same way."""
    linear = sympy.expand(drift / (-sym.eta * sym.s))
    response = (linear.coeff(sym.Q) / sym.alpha_2, linear.coeff(sym.wstar) / sym.alpha_1)
    return response, diffusion * samples / (sym.eta**2 * sym.s**2 * sym.alpha_2)


def _loss(loss: sympy.Expr, eps_g: sympy.Expr) -> Step:
    return Step(
        "loss",
        (sympy.Eq(sym.V, loss), sympy.Eq(sym.eps_g, eps_g)),
        "Random maps of weights, inputs, output and labels add their variances to the squared residual.",
    )


def _stationary(model: LinearModel, values: dict, slope: sympy.Expr) -> list[Step]:
    """The stationary law and the equation that closes it."""
    slope = sympy.simplify(slope.subs(values))
    drift = -(sym.beta_2 * sym.Q - sym.beta_1 * sym.wstar)
    theta, pull, _ = potential(slope)
    stepwise = isinstance(model.weight_quantizer, StepFunction)
    density = density_step(drift, slope, stepwise)
    if pull != 0:
        return [density]
    spread = StationarySpread(sym.Q_w, sym.a, theta)
    moments = {0: sympy.S.One, 1: sym.a, 2: sym.a**2 + spread}
    gap = expectation(
        sympy.expand(sym.alpha_2 * sym.Q**2 - 2 * sym.alpha_1 * sym.wstar * sym.Q), [((sym.Q,), moments.get)]
    )
    lost = sympy.expand(gap - sym.alpha_2 * spread).subs(sym.a, sym.beta_1 / sym.beta_2 * sym.wstar)
    lost = sympy.collect(sympy.expand(lost).subs(sym.wstar**2, sym.rho) + sym.rho, sym.rho)
    equation = sympy.Eq(sym.V, lost + sym.sigma**2 + sym.alpha_2 * sym.teacher_average(spread))
    return [
        density,
        Step(
            "fixed-point equation",
            (equation,),
            "With the quantized weight on average on its target a, inside the range, V is the label noise, what "
            "quantized inputs and this target lose, and the dithering, whose temperature contains V.",
        ),
    ]
