"""A quantization range that moves: one more equation beside the law, and the law in units of the range."""

import sympy

from steode.parts.range_rules import LearnedRange
from steode.parts.update_rules import Momentum
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import fokker_planck, generator
from steode.symbolic.printing import latex
from steode.systems.linear.derivations.motion import Motion
from steode.systems.linear.spec import LinearModel

SOURCES = {
    "lsq": "gradient as in Esser et al. (ICLR 2020); limit derived here",
    "pact": "gradient as in Choi et al. (arXiv 1805.06085); limit derived here",
}
GRID = sympy.Function("g")


def moving_range(model: LinearModel, motion: Motion) -> list[Step]:
    """The steps about the range of the weights' quantizer, after the density equation."""
    equation = _learned(model, motion) if isinstance(model.range_rule, LearnedRange) else _following(model, motion)
    return [*equation, _in_units(motion)]


def _learned(model: LinearModel, motion: Motion) -> list[Step]:
    rule = model.range_rule
    inside = GRID(sym.unit_w) - sym.unit_w if rule.gradient == "lsq" else sympy.S.Zero
    definition = sympy.Eq(sym.by_range, sympy.Piecewise((inside, sym.between), (GRID(sym.unit_w), True)))
    # the mean of e z/sqrt(d) over a step is minus the drift over eta, for every coordinate
    pull = sympy.factor((motion.drift / -sym.eta).subs({sym.s: 1, sym.kappa: 0, sym.zeta: 0}))
    gradient = sympy.Symbol(rf"\mathrm{{E}}\left[{latex(sym.by_range * pull)}\right]")
    rate = -sym.eta_range * gradient
    if rule.sequential:
        slope = sympy.Symbol(r"\mathrm{E}\left[\partial l/\partial w\right]", real=True)
        rate += sym.eta_range * motion.diffusion.subs(sym.s, 1) / sym.eta * slope * _at_once(model)
    if rule.logarithmic:
        rate *= sym.omega**2
    noise = (
        "Every step multiplies the samples' residual by a sum over all coordinates, of order one, and the range moves "
        "by it at the rate eta_omega/d: its mean is the average over coordinates of l times what moves one of them, "
        "and its fluctuations, of order 1/d in every step, average out."
    )
    if rule.sequential:
        noise += (
            " Stepped after the weights, l is taken at weights that have moved by the same residual: their product "
            "adds the variance of a step times the mean slope of l, with the density at its jumps."
            + (" Of momentum only what the newest gradient does at once counts." if _at_once(model) != 1 else "")
        )
    if rule.logarithmic:
        noise += " Its logarithm moves by omega times the gradient, so the range by its square."
    return [
        Step(
            "gradient of the range",
            (sympy.Eq(sym.unit_w, sym.w / sym.omega), definition),
            "The derivative of Q(w) with respect to the range that the update takes, with g the grid of range one.",
            SOURCES[rule.gradient],
        ),
        Step("range", (sympy.Eq(sympy.Derivative(sym.omega, sym.tau), rate),), noise),
    ]


def _at_once(model: LinearModel) -> sympy.Expr:
    """The part of a gradient's effect on a weight that its own step has; see `Momentum.at_once`."""
    if not isinstance(model.update_rule, Momentum):
        return sympy.S.One
    return (1 - sym.beta) * (1 + sym.beta if model.update_rule.nesterov else 1)


def _following(model: LinearModel, motion: Motion) -> list[Step]:
    rule = model.range_rule
    if rule.percentile is not None:
        return _percentile(motion)
    power = sympy.Abs(sym.w) ** rule.power
    mean = sympy.Symbol(rf"\mathrm{{E}}\left[{latex(power)}\right]", positive=True)
    factor = sympy.Symbol("f_{\\omega}", positive=True)
    if rule.power == 2:
        change = generator(sym.w**2, sym.w, motion.drift.subs(sym.s, 1), motion.diffusion.subs(sym.s, 1))
    else:
        change = sympy.sign(sym.w) * motion.drift.subs(sym.s, 1) + motion.diffusion.subs(sym.s, 1) * sympy.DiracDelta(
            sym.w
        )
    moves = sympy.Eq(sympy.Derivative(mean, sym.tau), sympy.Symbol(rf"\mathrm{{E}}\left[{latex(change)}\right]"))
    return [
        Step(
            "range",
            (sympy.Eq(sym.omega, factor * mean ** sympy.Rational(1, rule.power)), moves),
            "The range is a functional of the law at every time; the generator says how its mean moves"
            + (", with the density at zero, where |w| has its kink." if rule.power == 1 else "."),
        )
    ]


def _percentile(motion: Motion) -> list[Step]:
    place, share = sympy.Symbol("q_p", positive=True), sympy.Symbol("p", positive=True)
    chance = sympy.Symbol(rf"\mathrm{{P}}\left(\lvert w \rvert \le {latex(place)}\right)", positive=True)
    density, flux = sym.mu(sym.tau, sym.w), sympy.Function("J")
    local = {sym.s: 1, sym.Q: sympy.Function("Q_w")(sym.w)}
    drift, diffusion = motion.drift.subs(local), motion.diffusion.subs(local)
    carried = drift * density - sympy.Derivative(diffusion * density / 2, sym.w)
    heights = density.subs(sym.w, place) + density.subs(sym.w, -place)
    moves = sympy.Eq(sympy.Derivative(place, sym.tau), (flux(place) - flux(-place)) / heights, evaluate=False)
    equations = (
        sympy.Eq(sym.omega, sympy.Symbol("f_{\\omega}", positive=True) * place),
        sympy.Eq(chance, share, evaluate=False),
        moves,
        sympy.Eq(flux(sym.w), sympy.Symbol(rf"\mathrm{{E}}_{{w^{{*}}}}\left[{latex(carried)}\right]"), evaluate=False),
    )
    reason = (
        "The range is a quantile of the law of |w| at every time. What flows through q and -q would change the "
        "probability between them, were they not to move: q moves by the flux over the density there, both averaged "
        "over the teacher weights."
    )
    return [Step("range", equations, reason)]


def _in_units(motion: Motion) -> Step:
    """Ito's formula for u = w/omega, which has a range that stands still."""
    local = {sym.s: 1, sym.Q: sym.omega * GRID(sym.unit_w), sym.w: sym.omega * sym.unit_w}
    stretch = sympy.Derivative(sympy.log(sym.omega), sym.tau)
    drift = motion.drift.subs(local) / sym.omega - sym.unit_w * stretch
    diffusion = motion.diffusion.subs(local) / sym.omega**2
    density = sym.mu(sym.tau, sym.unit_w)
    return Step(
        "density in units of the range",
        (sympy.Eq(sympy.Derivative(density, sym.tau), fokker_planck(density, sym.unit_w, drift, diffusion)),),
        "In u = w/omega thresholds and levels stand still, and every weight shrinks as the range grows; this equation "
        "and that of the range are solved together.",
    )
