"""The limit of a mean of the gradients over a part of d steps: Langevin's equation, whose weights have inertia.

Its stationary law is that of the straight-through gradient times a Gaussian law of the mean gradient, at every
friction: the mean gradient is heated by the noise that drives it and cooled by its own forgetting, at the temperature
of the overdamped motion.
"""

import dataclasses

import sympy

from steode.parts.quantizers import StepFunction
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation
from steode.symbolic.limit import MomentEquations
from steode.systems.linear.derivations.motion import Motion, increment, straight_through
from steode.systems.linear.derivations.output import Output
from steode.systems.linear.derivations.residual import Residual
from steode.systems.linear.spec import LinearModel

GRADIENT, MEAN, NEXT = sympy.symbols(r"g \bar{g} \bar{g}^{+}", real=True)
LAW = sympy.Function("mu")(sym.tau, sym.w, sym.b)
SOURCE = "the stationary law of Langevin's equation is known (Kramers 1940); limit derived here"


def mean_gradient(model: LinearModel, residual: Residual, output: Output | None) -> Motion:
    """Follow the mean gradient of `KineticMomentum`; drift and diffusion are those of large friction."""
    plain = straight_through(model, residual, output)
    update, *others = plain.setting
    gradient = sympy.Eq(GRADIENT, sympy.expand(-update.equation[0].rhs * sympy.sqrt(sym.d) / sym.eta))
    kept = sympy.Eq(NEXT, MEAN + sym.friction / sym.d * (GRADIENT - MEAN))
    change = sympy.Eq(sym.dw, -sym.eta / sympy.sqrt(sym.d) * NEXT)
    terms = {"Weight decay": model.weight_decay, "Dampening": model.dampening}
    decays = "".join(f" {name} is part of the gradient." for name, strength in terms.items() if strength)
    setting = Step(
        "update",
        (gradient, *update.equation[1:], kept, change),
        f"{update.reason} The weight follows the mean of the gradients g over the last d/gamma steps.{decays}",
        update.reference,
    )
    force, noise = force_and_noise(plain.drift, plain.diffusion)
    return dataclasses.replace(
        plain,
        setting=[setting, *others],
        derived=[*residual.expansion, _gradient_moments(residual, force, noise), _langevin(force, noise)],
        evolution=[_density_equation(force, noise)],
        closure=lambda maps: _closure(model, force, noise, maps),
        closing=[_stationary_law(force, noise)],
    )


def force_and_noise(drift: sympy.Expr, diffusion: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """d^(1/2) times the mean of a gradient, and its variance, from the drift and diffusion of its descent."""
    local = {sym.s: 1}
    return sympy.expand(-drift.subs(local) / sym.eta), sympy.simplify(diffusion.subs(local) / sym.eta**2)


def forward(density: sympy.Expr, force: sympy.Expr, noise: sympy.Expr) -> sympy.Expr:
    """Kramers' equation: the rate of change of a density of w and b."""
    flows = sym.eta * sym.b * density, sym.friction * (sym.b - force) * density
    return sympy.diff(flows[0], sym.w) + sympy.diff(
        flows[1] + sym.friction**2 * noise / 2 * sympy.diff(density, sym.b), sym.b
    )


def backward(function: sympy.Expr, force: sympy.Expr, noise: sympy.Expr) -> sympy.Expr:
    """Its adjoint: the mean rate of change of a function of w and b."""
    by_b = sympy.diff(function, sym.b)
    pulled = sym.friction * (force - sym.b) * by_b + sym.friction**2 * noise / 2 * sympy.diff(by_b, sym.b)
    return sympy.expand(pulled - sym.eta * sym.b * sympy.diff(function, sym.w))


def _gradient_moments(residual: Residual, force, noise) -> Step:
    mean, variance = (sympy.Symbol(rf"\mathrm{{{name}}}[g]") for name in ("E", "Var"))
    rest = sympy.Order(1 / sym.d, (sym.d, sympy.oo))
    return Step(
        "mean and variance of the gradient",
        (sympy.Eq(mean, sympy.factor(force) / sympy.sqrt(sym.d)), sympy.Eq(variance, noise + rest)),
        f"{residual.mean_reason} {residual.variance_reason}",
    )


def _langevin(force, noise) -> Step:
    moves = sympy.Mul(-sym.eta * sym.b, sym.dtau, evaluate=False)
    kicked = increment(sym.friction * (force - sym.b), sym.friction**2 * noise)
    return Step(
        "Langevin equation",
        (
            sympy.Eq(sym.b, sympy.sqrt(sym.d) * MEAN),
            sympy.Eq(sym.dw, moves),
            sympy.Eq(sympy.Symbol(r"\mathrm{d}b"), kicked),
        ),
        "Of d steps a mean gradient keeps fluctuations of order d^-1/2, as large as the mean of one gradient: times "
        "d^1/2 it has a limit, a diffusion, and the weight has no noise of its own. For large gamma b follows the "
        "force, and what is left is the equation of the straight-through gradient.",
        SOURCE,
    )


def _density_equation(force, noise) -> Step:
    local = {sym.Q: sympy.Function("Q_w")(sym.w)}
    flow = sym.friction * (sym.b - force.subs(local)) * LAW
    heat = sym.friction**2 * noise / 2
    right = sympy.Add(
        sympy.Derivative(sym.eta * sym.b * LAW, sym.w),
        sympy.Derivative(flow, sym.b),
        heat * sympy.Derivative(LAW, (sym.b, 2)),
        evaluate=False,
    )
    return Step(
        "density equation",
        (sympy.Eq(sympy.Derivative(LAW, sym.tau), right),),
        "The joint law of a weight and its mean gradient, given the teacher weight; both are zero flux at infinity.",
        SOURCE,
    )


def _stationary_law(force, noise) -> Step:
    """The operator of the density equation on the product law, over that law: what has to vanish."""
    slope, marginal = sympy.Symbol(r"(\log p)'"), sympy.Function("p")(sym.w)
    gaussian = sympy.exp(-(sym.b**2) / (sym.friction * noise)) / sympy.sqrt(sympy.pi * sym.friction * noise)
    product = marginal * gaussian
    left = sympy.expand(sympy.simplify(forward(product, force, noise) / product))
    left = sympy.factor(left.subs(sympy.Derivative(marginal, sym.w), slope * marginal))
    solution = sympy.factor(sympy.solve(left, slope)[0])
    return Step(
        "stationary law of weight and mean gradient",
        (
            sympy.Eq(sympy.Symbol(r"\mu_{\infty}"), product, evaluate=False),
            sympy.Eq(sympy.Derivative(sympy.log(marginal), sym.w), solution, evaluate=False),
        ),
        "The right-hand side of the density equation vanishes on a product of a law p of the weight and a Gaussian law "
        "of b exactly where the log-slope of p is this one: that of the straight-through gradient, at every friction. "
        "So V at rest is the same too, and what follows.",
        SOURCE,
    )


def _closure(model: LinearModel, force, noise, maps) -> tuple[list[Step], MomentEquations]:
    """The Gaussian closure: w and b normal together given the teacher weight."""
    affine = averages.is_affine(model.weight_quantizer)
    states = sym.M, sym.S, sym.M_b, sym.C_b, sym.S_b
    image, slope = averages.GaussianMean(sym.Q_w, sym.M, sym.S), averages.GaussianSlope(sym.Q_w, sym.M, sym.S)
    known = {
        (0, 0, 0): sympy.S.One,
        (1, 0, 0): sym.M,
        (0, 1, 0): sym.M_b,
        (2, 0, 0): sym.M**2 + sym.S,
        (1, 1, 0): sym.M * sym.M_b + sym.C_b,
        (0, 2, 0): sym.M_b**2 + sym.S_b,
        (0, 0, 1): image,
        (1, 0, 1): sym.M * image + sym.S * slope,
        (0, 1, 1): sym.M_b * image + sym.C_b * slope,
    }

    def rate(function):
        mean = expectation(backward(function, force, noise), [((sym.w, sym.b, sym.Q), lambda *powers: known[powers])])
        return averages.explicit(mean, maps) if affine else mean

    first = {sym.w: rate(sym.w), sym.b: rate(sym.b)}
    centers = {sym.w: sym.M, sym.b: sym.M_b}

    def central(one, other):
        return rate(one * other) - centers[one] * first[other] - centers[other] * first[one]

    second = central(sym.w, sym.w), central(sym.w, sym.b), central(sym.b, sym.b)
    rates = tuple(sympy.expand(value) for value in (first[sym.w], second[0], first[sym.b], *second[1:]))
    caveat = "It is exact here, because Q is affine."
    if not affine:
        poor = (
            "good until weights pile up at thresholds" if isinstance(model.weight_quantizer, StepFunction) else "close"
        )
        caveat = f"It is an approximation, {poor}."
    step = Step(
        "Gaussian closure",
        tuple(sympy.Eq(sympy.Derivative(state, sym.tau), value) for state, value in zip(states, rates, strict=True)),
        "Closing the hierarchy by a normal law of (w, b) given each teacher value, with means M and M_b, variances S "
        f"and S_b and covariance C_b, and Stein's lemma for the averages with Q. {caveat}",
    )
    return [step], MomentEquations(states, rates, exact=affine)
