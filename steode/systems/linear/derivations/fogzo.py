"""The limit of FOGZO: flips at the thresholds turn a two-point slope into a number, the mean slope of the quantizer.

Directions lean on the straight-through gradient but for a share c/d, so every entry of the perturbation is of order
d^-1/2, and only weights that near to a threshold flip. Each flips an order-one jump; their joint effect on the output
obeys a law of large numbers, with the density of the latent weights at the thresholds in it. Everything else is the
derivation of the STE with another learning rate.
"""

import functools

import sympy

from steode.parts.quantizers import Identity, StepFunction
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.averages import GaussianSlope
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation, leading_order
from steode.symbolic.printing import latex
from steode.systems.linear.derivations.flip_counting import FLIPS, estimate_steps, update_steps
from steode.systems.linear.derivations.inputs import input_moment
from steode.systems.linear.derivations.motion import VARIANCE, Motion, batch, increment, mean_equation, regularization
from steode.systems.linear.derivations.output import Output
from steode.systems.linear.derivations.residual import Residual, moment_of_rest, residual_parts
from steode.systems.linear.derivations.stationary_density import density_step, potential
from steode.systems.linear.spec import LinearModel

NOISE = sympy.Symbol(r"\overline{s_{\pm} u}", real=True)


def flip_counting(model: LinearModel, residual: Residual, output: Output | None) -> Motion:
    """Follow the estimate of `FOGZO`: the straight-through gradient times the mean slope, with noise of its own."""
    one_step, drift, diffusion = _one_step(model)
    smooth = isinstance(model.weight_quantizer, Identity)
    residual_variance = sym.q - 2 * sym.m + sym.rho + sym.sigma**2
    averages_of_output = Output(
        steps=[],
        response=(sym.p_tau, -sym.p_tau),
        strength=residual_variance * _noise_factor(),
        loss=residual_variance,
        eps_g=(sym.V - sym.sigma**2) / 2,
        constants=(sym.c_u, sym.n_dir),
    )
    stationary = functools.partial(_stationary, model, drift)
    if model.weight_decay or smooth:
        stationary = _nothing
    return Motion(
        setting=update_steps(model),
        derived=[*estimate_steps(model), *one_step],
        drift=drift,
        diffusion=diffusion,
        # as in the general system, c_2 is left for the averages to give: they contain the mean slope
        strength=sym.c_2,
        output=averages_of_output,
        remarks=[_equivalence(model, drift, diffusion)],
        closing=[] if smooth else [_closing_slope()],
        stationary=stationary,
    )


def _nothing(slope) -> list[Step]:
    return []


def _noise_factor() -> sympy.Expr:
    return 1 + sym.c_u / sym.n_dir


def _one_step(model: LinearModel) -> tuple[list[Step], sympy.Expr, sympy.Expr]:
    estimate = sym.p_tau / sympy.sqrt(sym.d)
    groups = [((sym.x, sym.z), input_moment()), ((sym.r,), moment_of_rest)]
    gradient = -sym.eta * estimate * residual_parts() * sym.z
    mean_gradient = expectation(gradient, groups)
    straight = sympy.expand(expectation(sympy.expand(gradient**2), groups) - mean_gradient**2)
    # the random part: n independent signs average to a variance 1/n, and e^2 to V
    random = expectation(
        (sym.eta * estimate * sympy.sqrt(sym.alpha_2 * sym.c_u) * sym.r * NOISE) ** 2,
        [((sym.r,), moment_of_rest), ((NOISE,), lambda power: {0: 1, 1: 0, 2: 1 / sym.n_dir}[power])],
    )
    mean = mean_gradient + regularization(model)
    drift = leading_order(mean, sym.d)
    diffusion = sympy.factor((leading_order(straight, sym.d) + leading_order(random, sym.d)) / batch(model))
    diffusion = sympy.collect(diffusion, sym.V)
    target = sym.eta**2 * sym.p_tau**2 * sym.alpha_2 * sym.V * _noise_factor() / batch(model)
    if sympy.simplify(diffusion - target) != 0:
        raise AssertionError(f"the noise of the estimate does not factorize: {diffusion}")
    steps = [
        Step(
            "one-step mean",
            (mean_equation(mean),),
            "Expectation over the sample and the direction, monomial by monomial, with the residual e split into this "
            "coordinate's part and the rest r; the random part has mean zero.",
        ),
        Step(
            "one-step variance",
            (sympy.Eq(VARIANCE, target / sym.d + sympy.Order(sym.d ** sympy.Rational(-3, 2), (sym.d, sympy.oo))),),
            "The straight-through part and the random part are uncorrelated, and n directions average the second. The "
            "next order comes from the fluctuations of the flips."
            + (" A batch divides both by B." if model.batch_size > 1 else ""),
        ),
        Step(
            "stochastic differential equation",
            (sympy.Eq(sym.dw, increment(drift, target)),),
            "Mean and variance of order 1/d per step give, in rescaled time tau = step/d, a diffusion for each "
            "coordinate; coordinates interact through V and through p, which is a functional of the law.",
            "diffusion limit of Markov chains; derived here",
        ),
    ]
    return steps, drift, target


def _equivalence(model: LinearModel, drift, diffusion) -> Step:
    """FOGZO as the STE with another learning rate and more noise: the coefficients compared term by term."""
    plain = {sym.p_tau: 1, sym.c_u: 0}
    rate, noise = sympy.symbols(r"\eta_{\mathrm{STE}} \mathrm{noise}", positive=True)
    ste = diffusion.subs(plain)
    equations = (
        sympy.Eq(rate, sym.eta * sym.p_tau),
        sympy.Eq(noise, sympy.factor(diffusion / ste.subs(sym.eta, sym.eta * sym.p_tau))),
    )
    return Step(
        "effective learning rate",
        equations,
        "Term by term this is the equation of the STE with the learning rate eta p, which changes with the law, and "
        "with its noise multiplied by 1 + c_u/n. Where no weight is near a threshold p is zero, and nothing moves."
        + (" Weight decay keeps the learning rate eta." if model.weight_decay else ""),
        FLIPS,
    )


def _closing_slope() -> Step:
    average = sympy.Function(r"\mathrm{E}_{w^{*}}")
    return Step(
        "mean slope in the Gaussian closure",
        (sympy.Eq(sym.p_tau, average(GaussianSlope(sym.Q_w, sym.M, sym.S))),),
        "The closure's law has the mean slope of a Gaussian, averaged over the teacher weights.",
    )


def _stationary(model: LinearModel, drift, slope) -> list[Step]:
    """The stationary law, the mean slope it implies, and the equation that closes both."""
    spread = averages.StationarySpread(sym.Q_w, sym.a, sym.theta)
    inside = r"\mathbb{1}_{Q_w(-\infty) < a < Q_w(\infty)}"
    mean = sympy.Symbol(rf"\mathrm{{E}}_{{w^{{*}}}}\left[{inside} {latex(spread)}\right]", nonnegative=True)
    theta = potential(slope).theta
    # integration by parts: E[Q'] = -E[Q dlog p/dw] with dlog p/dw = -2 (Q - a)/theta and E[Q - a] = 0
    mean_slope = 2 * mean / sym.theta
    return [
        density_step(drift.subs(sym.s, 1), slope, isinstance(model.weight_quantizer, StepFunction)),
        Step(
            "mean slope at stationarity",
            (sympy.Eq(sym.p_tau, mean_slope),),
            "Integration by parts of the stationary density, with the quantized weight right on average: what is left "
            "is the dithering of the weights whose target lies inside the range; others leave the thresholds.",
            FLIPS,
        ),
        Step(
            "temperature",
            (sympy.Eq(sym.theta**2, sym.theta * theta.subs(sym.p_tau, mean_slope)),),
            "The temperature of the density contains p, and p the temperature. Every law with p = 0 is stationary too: "
            "weights that stay away from the thresholds are frozen.",
            FLIPS,
        ),
    ]
