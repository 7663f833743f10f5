"""How many weights flip along a direction of FOGZO, and what that makes of the measured slope."""

import sympy

from steode.parts.quantizers import Identity, StepFunction
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation
from steode.systems.linear.derivations.inputs import input_moment
from steode.systems.linear.derivations.motion import regularization
from steode.systems.linear.spec import LinearModel

SOURCE = "estimator of Yang and Aamodt (arXiv 2510.23926); limit derived here"
FLIPS = "flip counting; derived here"
E_ABS = sympy.Symbol(r"\left|e\right|", nonnegative=True)
SIGN = sympy.Symbol(r"\mathrm{sgn}(e)", real=True)
ZETA = sympy.Symbol(r"\zeta", real=True)
CHANGE = sympy.Symbol(r"\Delta h", real=True)
SQUARES = sympy.Symbol(r"{\textstyle\sum_b e_b^2}", positive=True)


def _direction() -> sympy.Expr:
    """sqrt(d) times an entry of a direction, as d grows; the sign of the residual squares to one."""
    return sym.s_dir * SIGN * sym.z / sympy.sqrt(sym.alpha_2) + sympy.sqrt(sym.c_u) * sym.u


def update_steps(model: LinearModel) -> list[Step]:
    """The update, and the size of the entries of a direction."""
    gradient = sympy.Symbol("g_{i}", real=True)
    norm = sympy.Symbol(r"\left|g\right|", positive=True)
    beta = sympy.Symbol("beta", nonnegative=True)
    loss = sympy.Function(r"\mathcal{L}")
    weights, direction = sympy.Symbol(r"\mathbf{w}"), sympy.Symbol(r"\mathbf{v}")
    slope = (loss(weights + sym.eps * direction) - loss(weights - sym.eps * direction)) / (2 * sym.eps)
    entry = sympy.sqrt(beta) * sym.s_dir * gradient / norm + sympy.sqrt(1 - beta) * sym.u
    mean = sympy.Symbol(r"\mathrm{mean}_{n}\left[G_n v_i\right]", real=True)
    share = sympy.Eq(beta, 1 - sym.c_u / sym.d, evaluate=False)
    scaled = sympy.Eq(sympy.sqrt(sym.d) * sym.v_dir, ZETA, evaluate=False)
    batched = " The loss is that of a batch; one sample is followed first." if model.batch_size > 1 else ""
    return [
        Step(
            "update",
            (
                sympy.Eq(sym.dw, -sym.eta * mean + regularization(model)),
                sympy.Eq(sym.G_dir, slope),
                sympy.Eq(sym.v_dir, entry),
                share,
            ),
            "The slope of the loss along a direction that leans on the straight-through gradient g, times that "
            f"direction, averaged over n directions, replaces g; s and u are drawn anew for each.{batched}",
            SOURCE,
        ),
        Step(
            "direction",
            (
                sympy.Eq(gradient, sym.e * sym.z / sympy.sqrt(sym.d)),
                sympy.Eq(norm, E_ABS * sympy.sqrt(sym.alpha_2)),
                scaled,
                sympy.Eq(ZETA, _direction()),
            ),
            "The squared norm of g is a mean over coordinates and has a limit. Every entry of a direction is therefore "
            "of order d^-1/2; beta itself tends to one.",
            FLIPS,
        ),
    ]


def estimate_steps(model: LinearModel) -> list[Step]:
    """From flips at the thresholds to the estimate that replaces the straight-through gradient."""
    return [*_flips(model), *_slope(model)]


def _flips(model: LinearModel) -> list[Step]:
    """The change of the output along a direction."""
    if isinstance(model.weight_quantizer, Identity):
        return [
            Step(
                "mean slope",
                (sympy.Eq(sym.p_tau, 1),),
                "Weights that are not quantized answer to a perturbation with slope one: the loss is differentiable.",
            ),
            _output_change(),
        ]
    distance = sympy.Symbol(r"\delta", positive=True)
    density = sympy.Symbol(r"\mu_{\tau}(T_j)", nonnegative=True)
    jump = sym.L[sym.j] - sym.L[sym.j - 1]
    reach = sym.eps * ZETA / sympy.sqrt(sym.d)
    # the density is constant over distances that vanish; for zeta > 0 the weights below the threshold flip upwards
    flipped = sympy.integrate(density, (distance, 0, reach))
    mean_change = jump * flipped
    square_change = jump**2 * flipped.subs(ZETA, sympy.Abs(ZETA))
    fluctuation = sympy.limit(square_change * sym.z**2, sym.d, sympy.oo)
    total = sympy.Sum(jump * sympy.Function(r"\mu_{\tau}")(sym.T[sym.j]), (sym.j, 1, sympy.Symbol("L") - 1))
    if not isinstance(model.weight_quantizer, StepFunction):
        total = sympy.Symbol(r"\mathrm{E}[Q_w'(w)]", nonnegative=True)
    return [
        Step(
            "flips at a threshold",
            (
                sympy.Eq(sympy.Symbol(r"\mathrm{E}[\Delta Q]"), mean_change),
                sympy.Eq(sympy.Symbol(r"\mathrm{E}[z^2 \Delta Q^2]"), square_change * sym.z**2),
                sympy.Eq(sympy.Symbol(r"\lim_{d\to\infty}\mathrm{E}[z^2 \Delta Q^2]"), fluctuation),
            ),
            "A perturbation of order d^-1/2 moves a weight across T_j if it is that near; the chance of it is the "
            "density of latent weights there times the distance, and Q changes by the jump. The mean square, of order "
            "d^-1/2, is what makes the change of the output fluctuate: it vanishes, so that change is a number.",
            FLIPS,
        ),
        Step(
            "mean slope",
            (sympy.Eq(sym.p_tau, total),),
            "Summed over the thresholds: the density of latent weights there, weighted by the jumps. It is the mean "
            "derivative of the quantizer, smoothed over any distance that vanishes.",
            FLIPS,
        ),
        _output_change(),
    ]


def _output_change() -> Step:
    groups = [((sym.x, sym.z), input_moment()), ((sym.u,), _moment_of_direction)]
    overlap = expectation(_direction() * sym.z, groups)
    definition = sympy.Symbol(r"\tfrac{1}{\sqrt d}\sum_i z_i \Delta Q_i")
    return Step(
        "change of the output",
        (
            sympy.Eq(CHANGE, definition),
            sympy.Eq(CHANGE, sym.eps * sym.p_tau * sympy.Symbol(r"\mathrm{E}[z \zeta]"), evaluate=False),
            sympy.Eq(CHANGE, sym.eps * sym.p_tau * overlap),
        ),
        "The output is a sum over d coordinates, each weighted by z: their mean counts. The random part of the "
        "direction has mean zero and drops out.",
        FLIPS,
    )


def _moment_of_direction(power: int) -> sympy.Expr:
    """Moments of u: mean zero, variance one."""
    known = {0: sympy.S.One, 1: sympy.S.Zero, 2: sympy.S.One}
    return known.get(power, sympy.Symbol(rf"\mathrm{{E}}[u^{{{power}}}]", real=True))


def _slope(model: LinearModel) -> list[Step]:
    residual = SIGN * E_ABS
    change = sym.eps * sym.p_tau * sympy.sqrt(sym.alpha_2) * sym.s_dir * SIGN
    slope = sympy.expand(((residual + change) ** 2 - (residual - change) ** 2) / (4 * sym.eps))
    slope = slope.subs(SIGN**2, 1)
    update = sympy.expand(slope * _direction() / sympy.sqrt(sym.d)).subs({sym.s_dir**2: 1})
    update = update.subs(SIGN * E_ABS, sym.e)
    left = sym.G_dir * sym.v_dir
    difference = ((sym.e + CHANGE) ** 2 - (sym.e - CHANGE) ** 2) / (4 * sym.eps)
    steps = [
        Step(
            "measured slope",
            (sympy.Eq(sym.G_dir, difference, evaluate=False), sympy.Eq(sym.G_dir, slope)),
            "The change of the output has the same size on both sides, and its length cancels: the slope is that of "
            "the straight-through gradient times p.",
            FLIPS,
        ),
        Step(
            "estimate",
            (sympy.Eq(left, sympy.factor(update)),),
            "The straight-through gradient times p, and noise of the size of the random part. A flip of the coordinate "
            "itself changes G in proportion to d^-1/2 with a chance of d^-1/2, and counts for nothing.",
            FLIPS,
        ),
    ]
    if model.batch_size > 1:
        return [*steps, _batch_step()]
    single = isinstance(model.weight_quantizer, StepFunction) and model.update_rule.n == 1
    return [*steps, _next_order()] if single else steps


def _next_order() -> Step:
    """The leading effect of finite d: variances of what the flips do to the slope and to the mean residual."""
    reach = sym.eps * sympy.Abs(ZETA) / sympy.sqrt(sym.d)
    jump, height, distance = sym.L[sym.j] - sym.L[sym.j - 1], sympy.Function(r"\mu_{\tau}")(sym.T[sym.j]), sympy.Dummy()
    # on either side of a threshold one of the two perturbed weights flips: Q_+ - Q_- is the jump, and of
    # (Q_+ + Q_-)/2 - Q half of it, with signs that make the two uncorrelated
    near = sympy.integrate(1, (distance, -reach, reach))
    weight = sympy.Symbol(r"\mathrm{E}\left[z^2 \left|\zeta\right|\right]", positive=True)
    total = sympy.Sum(jump**2 * height, (sym.j, 1, sympy.Symbol("L") - 1))
    slope = (near / (4 * sym.eps**2)).subs(sympy.Abs(ZETA), weight) * total
    residual = (near / 4).subs(sympy.Abs(ZETA), weight) * total
    relative = slope / (sym.alpha_2 * sym.p_tau**2) + residual / sym.V
    return Step(
        "next order",
        (
            sympy.Eq(sympy.Symbol(r"\mathrm{Var}[D]"), slope),
            sympy.Eq(sympy.Symbol(r"\mathrm{Var}[\bar e]"), residual),
            sympy.Eq(sympy.Symbol(r"\frac{\delta V}{V}"), relative),
        ),
        "G is the slope D of the output times the mean residual of the two sides. At finite d the flips make both "
        "fluctuate, which acts like a larger V: runs approach the limit like d^-1/2, soonest for perturbations of the "
        "length at which the two terms are equal.",
        FLIPS,
    )


def _batch_step() -> Step:
    """The slope for a batch, whose residuals enter by the sum of their squares."""
    residual = sympy.Symbol("e_b", real=True)
    change = sym.eps * sym.p_tau * sym.s_dir * residual * sympy.sqrt(sym.alpha_2 / SQUARES)
    one = sympy.expand(((residual + change) ** 2 - (residual - change) ** 2) / (4 * sym.eps * sym.batch))
    slope = sympy.simplify(one.subs(residual**2, SQUARES))
    direction = sympy.Symbol(r"\zeta", real=True)
    mean = sympy.Symbol(r"{\textstyle\sum_b e_b z_b}", real=True)
    gradient = sym.s_dir * mean / sympy.sqrt(sym.alpha_2 * SQUARES)
    entry = gradient + sympy.sqrt(sym.c_u) * sym.u
    update = sympy.expand(sympy.expand(slope * entry).subs(sym.s_dir**2, 1)) / sympy.sqrt(sym.d)
    return Step(
        "batch",
        (
            sympy.Eq(direction, entry),
            sympy.Eq(sym.G_dir, slope),
            sympy.Eq(sym.G_dir * sym.v_dir, sympy.expand(update)),
        ),
        "Gradients of different samples are orthogonal as d grows, so the norm of their mean is a sum of squares; each "
        "sample's output changes in proportion to its residual. The sum of squares has mean B V.",
        FLIPS,
    )
