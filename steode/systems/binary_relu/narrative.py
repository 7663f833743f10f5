"""The derivation as steps with reasons; every equation shown is a result of the computation or its definition."""

import sympy
from sympy import Eq, Integral, exp, oo, pi, sqrt

from steode.symbolic.derivation import Step
from steode.systems.binary_relu import symbols as sym
from steode.systems.binary_relu.averages import PlaneAverages
from steode.systems.binary_relu.coarse_gradient import CoarseGradient

SOURCE = "Yin, Lyu, Zhang, Osher, Qi, Xin (arXiv 1903.05662); derived here"
LOSS = sympy.Symbol("f")
ALONG, ACROSS = sympy.Symbol(r"\mathrm{E}g_{e}"), sympy.Symbol(r"\mathrm{E}g_{\perp}")
AVERAGES = ("G_0", "G_1", "G_e", "G_p")


def _symbol(text: str) -> sympy.Symbol:
    # braces keep SymPy from reading superscripts into the name
    return sympy.Symbol(f"{{{text}}}", commutative=False)


def _eq(left, right) -> Eq:
    return Eq(left, right, evaluate=False)


def steps(found: CoarseGradient, p_1: sympy.Expr, p_2: sympy.Expr) -> list[Step]:
    """All steps, in the order of the argument."""
    return [
        *_setting(),
        _gates(p_1, p_2),
        _loss(found),
        _gradient(found),
        _rows(found),
        *_averages(found.averages, found.surrogate),
        *_explicit(found),
        _correlation(found),
        _flow(found),
        *_landscape(found),
    ]


def _setting() -> list[Step]:
    update = _eq(
        _symbol("g"),
        _symbol(r"Z^\top\bigl(\mu'(Zw)\circ v\bigr)\,\bigl(v\cdot s(Zw) - v^*\cdot s(Zw^*)\bigr)"),
    )
    plane = [
        _eq(_symbol(r"z\cdot w"), sym.R * sym.x),
        _eq(_symbol(r"z\cdot w^*"), sym.x * sympy.cos(sym.theta) + sym.y * sympy.sin(sym.theta)),
        _eq(_symbol("(x, y)"), _symbol(r"(r\cos\phi,\ r\sin\phi)")),
    ]
    overlaps = [
        _eq(_symbol("(a, b, c)"), _symbol(r"(|v|^2,\ \mathbf{1}\cdot v,\ v\cdot v^*)")),
        _eq(_symbol("(S, N)"), _symbol(r"(\mathbf{1}\cdot v^*,\ |v^*|^2)")),
    ]
    return [
        Step(
            "coarse gradient",
            (update,),
            "The step s is 1 for positive arguments and else 0, so that its derivative vanishes. The coarse gradient "
            "of w has a surrogate mu' in its place; v has its true gradient.",
            SOURCE,
        ),
        Step(
            "plane",
            tuple(plane),
            "A row z of the input meets w and w* only through two coordinates: along w, with R the length of w, and "
            "across it towards w*. They are independent standard Gaussian numbers.",
        ),
        Step("overlaps", tuple(overlaps), "Rows are independent and alike, so that only these numbers of v enter."),
    ]


def _gates(p_1, p_2) -> Step:
    density = sym.r * exp(-(sym.r**2) / 2) / (2 * pi)
    half = Integral(density, (sym.r, 0, oo), (sym.phi, -pi / 2, pi / 2))
    both = Integral(density, (sym.r, 0, oo), (sym.phi, sym.theta - pi / 2, pi / 2))
    return Step(
        "gates",
        (_eq(sym.p_1, _eq(half, p_1)), _eq(sym.p_2, _eq(both, p_2))),
        "In polar coordinates a gate is a sector, and both gates together a smaller one: its share of the full turn.",
    )


def _loss(found: CoarseGradient) -> Step:
    return Step(
        "population loss",
        (_eq(LOSS, found.loss), _eq(sympy.Symbol("f(w{=}0)"), found.loss_at_zero)),
        "Half the mean square of the difference of outputs. Pairs of different rows contribute the product of two "
        "probabilities, a row with itself the joint one. The length of w does not enter; at zero every unit is off.",
        SOURCE,
    )


def _gradient(found: CoarseGradient) -> Step:
    return Step(
        "true gradient",
        (
            _eq(_symbol(r"\frac{\partial f}{\partial v_i}"), found.output_gradient),
            _eq(_symbol(r"\left(\frac{\partial f}{\partial w}\right)_{e}"), sympy.Integer(0)),
            _eq(_symbol(r"\left(\frac{\partial f}{\partial w}\right)_{\perp}"), found.filter_gradient),
        ),
        "The loss depends on w through the angle alone, and the angle falls at rate 1/R where w moves across itself "
        "towards w*.",
        SOURCE,
    )


def _rows(found: CoarseGradient) -> Step:
    gate = {"G_0": r"x\,\mu'(Rx)", "G_1": r"x\,\mu'(Rx)\,1_{x>0}"}
    gate |= {name: rf"{letter}\,\mu'(Rx)\,1_{{z\cdot w^*>0}}" for name, letter in (("G_e", "x"), ("G_p", "y"))}
    means = [_eq(getattr(sym, name), _symbol(rf"\mathrm{{E}}[{text}]")) for name, text in gate.items()]
    return Step(
        "expected coarse gradient",
        (*means, _eq(ALONG, found.along), _eq(ACROSS, found.across)),
        "Row by row: the row's own unit gives the averages with a gate, every other unit its probability 1/2 times the "
        "average without one. What is odd across w vanishes unless the teacher's gate is there.",
    )


def _averages(averages: PlaneAverages | None, surrogate: str) -> list[Step]:
    if averages is None:
        return _general_averages()
    radial = _eq(
        Integral(sym.r**2 * sym.derivative(sym.R * sym.r * sympy.cos(sym.phi)) * exp(-(sym.r**2) / 2), (sym.r, 0, oo)),
        averages.radial,
    )
    inside = "" if surrogate == "identity" else " within a right angle of w, and nothing beyond"
    angular = tuple(
        _eq(getattr(sym, name), value) for name, value in zip(("G_e", "G_p"), averages.angular, strict=True)
    )
    found = [
        Step("radial integral", (radial,), f"The surrogate {surrogate} leaves one integral over the radius{inside}."),
        Step("angular integrals", angular, "Over the sector where the teacher's gate and the surrogate are both on."),
    ]
    reason = "All four averages in closed form."
    if surrogate == "clipped relu":
        reason = (
            "The angular integrals are those of the literature. In strips of constant x the teacher's gate leaves a "
            "share of the mass that is an error function of x, and by parts both integrals become error functions."
        )
    closed = tuple(_eq(symbol, value) for symbol, value in averages.substitution.items())
    return [*found, Step("averages of the surrogate", closed, reason)]


def _explicit(found: CoarseGradient) -> list[Step]:
    if found.averages is None or found.surrogate == "clipped relu":
        return []
    along, across = (sympy.factor(found.explicit(value)) for value in (found.along, found.across))
    return [
        Step(
            "coarse gradient of this surrogate",
            (_eq(ALONG, along), _eq(ACROSS, across)),
            f"The averages of the surrogate {found.surrogate} put into the expected coarse gradient.",
            SOURCE,
        )
    ]


def _general_averages() -> list[Step]:
    t, u = sym.t, sympy.Symbol("u", positive=True)
    density = exp(-(t**2) / 2) / sqrt(2 * pi)
    weighted = sym.derivative(sym.R * t * sympy.sin(u)) * density
    zero = Integral(t * sym.derivative(sym.R * t) * density, (t, -oo, oo))
    one = Integral(t * sym.derivative(sym.R * t) * density, (t, 0, oo))
    across = sympy.sin(sym.theta) / sqrt(2 * pi) * Integral(weighted.subs(u, sym.theta), (t, -oo, oo))
    slope = -sympy.sin(u) / sqrt(2 * pi) * Integral(t**2 * weighted, (t, -oo, oo))
    along = sym.G_1 + Integral(slope, (u, 0, sym.theta))
    return [
        Step(
            "averages of the surrogate",
            (_eq(sym.G_0, zero), _eq(sym.G_1, one), _eq(sym.G_p, across), _eq(sym.G_e, along)),
            "No closed form is looked for. Across w, integrating by parts leaves the boundary of the teacher's gate, a "
            "line through the origin; turning that line, from the angle 0 on, gives the average along w.",
        )
    ]


def _correlation(found: CoarseGradient) -> Step:
    return Step(
        "correlation",
        (
            _eq(_symbol(r"\left\langle \mathrm{E}g, \frac{\partial f}{\partial w}\right\rangle"), found.correlation),
            _eq(sym.G_p, _symbol(r"\frac{\sin\theta}{\sqrt{2\pi}}\,\mathrm{E}_t\,\mu'(R\,t\sin\theta) \ge 0")),
        ),
        "Only the components across w meet. The second line, with a standard Gaussian number t, holds for every "
        "surrogate, by parts across w: with mu' nowhere negative the coarse gradient never points uphill.",
    )


def _flow(found: CoarseGradient) -> Step:
    rates = (_symbol(r"\dot v_i"), _symbol(r"\dot R"), _symbol(r"\dot\theta"))
    return Step(
        "flow",
        tuple(_eq(rate, value) for rate, value in zip(rates, found.flow, strict=True)),
        "Small steps: time is the number of steps times their size. Moving w along itself changes R, moving it across "
        "changes the angle; the system closes. Along it the loss falls at the rate of the squared gradient in v plus "
        "the correlation, whatever the surrogate.",
    )


def _landscape(found: CoarseGradient) -> list[Step]:
    land = found.landscape
    best = land.share * sym.v_star + land.offset
    spurious = land.spurious_share * sym.v_star + land.spurious_offset
    norm = sympy.Symbol(r"\lvert\mathrm{E}g\rvert")
    return [
        Step(
            "best output weights",
            (_eq(sym.kappa, 1 - 2 * sym.theta / pi), _eq(sym.v, best), _eq(sym.c, land.overlap)),
            "Where the gradient in v vanishes. The angle rests where the overlap c does, or at an end: at theta = 0 "
            "this is v = v*, the global minimum.",
            SOURCE,
        ),
        Step(
            "saddles",
            (_eq(sym.theta, land.saddle_angle), _eq(LOSS, land.saddle_loss)),
            "Where the overlap c vanishes. There is such an angle only under the condition of the next step.",
            SOURCE,
        ),
        Step(
            "spurious minima",
            (
                _eq(sym.v, spurious),
                _eq(sym.c, land.spurious_overlap),
                _eq(LOSS, land.spurious_loss),
                sympy.StrictGreaterThan(land.condition, 0),
            ),
            "The other end of the angle, where w points against w*. The loss rises with every small turn of w if c is "
            "negative, which is the condition of the last line; else this point is a saddle.",
            SOURCE,
        ),
        Step(
            "coarse gradient at the stationary points",
            (
                _eq(sym.G_minus, _symbol(r"\mathrm{E}[x\,\mu'(Rx)\,1_{x<0}]")),
                _eq(norm, sympy.Abs(sym.G_minus) * land.leak),
                _eq(norm, sympy.Abs(sym.G_minus) * land.saddle_leak),
            ),
            "At the spurious minimum and at the saddles the true gradient vanishes; the coarse one does so only if "
            "mu' is zero for negative arguments. Else it points along w and shortens it. At the global minimum it "
            "vanishes for every surrogate.",
        ),
    ]
