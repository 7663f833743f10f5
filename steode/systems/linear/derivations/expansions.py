"""The fixed point at small learning rates, and near exact recovery: expansions of the cell masses in theta."""

import functools

import sympy

from steode.symbolic import symbols as sym
from steode.symbolic.averages import StationarySpread
from steode.symbolic.derivation import Step
from steode.systems.linear.derivations.stationary_density import pulls_in

_U, _GAP = sympy.symbols("u g", positive=True)
FLOOR = sympy.Symbol(r"\lim_{\eta \to 0} V")


class Asymptotic(sympy.Eq):
    """Two sides whose ratio tends to one in the limit the step speaks of."""

    def __new__(cls, left, right):
        return sympy.Rel.__new__(cls, left, right)

    def _latex(self, printer):
        return rf"{printer.doprint(self.lhs)} \simeq {printer.doprint(self.rhs)}"


def _tail(gap) -> sympy.Expr:
    """Mass of an unbounded cell whose level is at this distance from the target, the density being 1 at its end."""
    return _mass(sympy.oo).xreplace({_GAP: gap})


@functools.lru_cache(maxsize=16)
def _mass(width) -> sympy.Expr:
    return sympy.integrate(sympy.exp(-2 * _GAP * _U / sym.theta), (_U, 0, width))


@functools.lru_cache(maxsize=16)
def floor(unreachable, pull, retained=sympy.S.One) -> Step:
    """The step "small-learning-rate floor"."""
    shift = pull * sym.T[sym.j + 1] if pull != 0 else sympy.S.Zero
    below, above = _tail(sym.gap_low), _tail(sym.gap_high)
    mass = below + above
    # Q - a on the two sides, at slopes gap_low and gap_high of the potential
    sides = {
        below: (sym.a - shift - sym.gap_low) / retained - sym.a,
        above: (sym.a - shift + sym.gap_high) / retained - sym.a,
    }
    bias = sympy.simplify(sum(weight * side for weight, side in sides.items()) / mass)
    variance = sympy.simplify(sum(weight * (side - bias) ** 2 for weight, side in sides.items()) / mass)
    low, high = retained * sym.level, retained * sym.next_level
    gaps = {sym.gap_low: sym.a - shift - low, sym.gap_high: high - sym.a + shift}
    spread = variance.subs(gaps) + bias**2
    equations = []
    if pull == 0:
        reason = (
            "As the learning rate vanishes the stationary density shrinks onto the threshold between the two levels "
            "around a (targets inside the range; beyond it the clipping error takes its place); the masses on its two "
            "sides, integrated as exponentials, leave a variance that does not vanish."
        )
    else:
        edges = sym.T[sym.j], sym.T[sym.j + 1]
        inside = sympy.And(edges[0] <= sym.balance, sym.balance <= edges[1])
        between = sympy.And(low < sym.a - shift, sym.a - shift < high)
        spread = sympy.Piecewise(((sym.level - sym.a) ** 2, inside), (spread, between))
        equations.append(sympy.Eq(sym.balance, (sym.a - low) / pull))
        source = pulls_in(pull)
        reason = (
            "As the learning rate vanishes the stationary density shrinks onto the minimum of its potential; j is the "
            "one index for which a condition holds. Either the balance of a cell lies inside the cell: Q is constant "
            f"there, and {source} leaves a bias. Or the drifts of two neighboring cells point at the threshold "
            "between them: the masses on its two sides, integrated as exponentials, leave a variance as well, which "
            "does not vanish."
        )
        if retained != 1:
            reason += (
                " Dampening stronger than alpha_2 gives the potential several minima: then the deepest one counts."
            )
    V = unreachable + sym.alpha_2 * sym.teacher_average(spread)
    return Step("small-learning-rate floor", (*equations, sympy.Eq(FLOOR, V)), reason)


@functools.lru_cache(maxsize=16)
def correction(count: int, theta) -> Step:
    """The step "small-learning-rate correction", for n = `count` levels and no weight decay."""
    layer = _around_a_level()
    on_level = sympy.limit(layer, sym.a, sym.level)
    gaps = {sym.gap_low: sym.L[sym.j] - sym.L[sym.j - 1], sym.gap_high: sym.L[sym.j + 1] - sym.L[sym.j]}
    gaps |= {sym.width: sym.T[sym.j + 1] - sym.T[sym.j]}
    at_level = sym.alpha_2 / sym.alpha_1 * sym.teacher_density(sym.alpha_2 * sym.L[sym.j] / sym.alpha_1)
    summand = sympy.factor(_layer_integral(layer)).subs(gaps) * at_level
    constant, summand = summand.as_independent(sym.j, as_Add=False)
    levels = constant * sym.alpha_2 * sympy.Sum(summand, (sym.j, 1, count - 2))
    spread = StationarySpread(sym.Q_w, sym.a, sym.theta)
    return Step(
        "small-learning-rate correction",
        (
            sympy.Eq(sym.theta, theta.subs(sym.V, FLOOR)),
            Asymptotic(spread - sym.gap_low * sym.gap_high, _beyond_two_cells()),
            Asymptotic(spread, layer),
            Asymptotic(spread, on_level),
            Asymptotic(sym.V - FLOOR, levels),
        ),
        "For a floor above zero. A target between two levels, at distances g_1 and g_2 from them, feels the cells "
        "beyond these two only through the density at their outer edges: the correction is smaller than any power of "
        "theta, and its smaller exponent dominates (an outermost cell has no edge, its W is infinite). A target within "
        "about theta/W of an inner level, whose cell has width W, feels three cells: the third line, and the fourth on "
        "the level itself. For a teacher law with a continuous density these layers dominate; integrated over the "
        "targets around every inner level they give the last line, of second order.",
    )


@functools.lru_cache(maxsize=1)
def _beyond_two_cells() -> sympy.Expr:
    """Leading change of E[(Q - a)^2] by the outer edges of the two cells around a."""
    sides = [
        (sym.gap_low, sym.width_low, sym.jump_low, sympy.Symbol("E_1")),
        (sym.gap_high, sym.width_high, sym.jump_high, sympy.Symbol("E_2")),
    ]
    mass = second = sympy.S.Zero
    for gap, width, jump, edge in sides:
        # the density at the outer edge is the small quantity; to its first order the cell beyond is unbounded
        inner = _mass(sym.width).xreplace({_GAP: gap, sym.width: width})
        inner = sympy.expand(inner).subs(_edge(gap, width), edge)
        outer = edge * _tail(gap + jump)
        mass += inner + outer
        second += inner * gap**2 + outer * (gap + jump) ** 2
    nothing = {edge: 0 for *_, edge in sides}
    return sympy.Add(
        *(
            sympy.factor(sympy.diff(second / mass, edge).subs(nothing)) * _edge(gap, width)
            for gap, width, _, edge in sides
        )
    )


def _edge(gap, width) -> sympy.Expr:
    return sympy.exp(-2 * gap * width / sym.theta)


@functools.lru_cache(maxsize=1)
def _around_a_level() -> sympy.Expr:
    """E[(Q - a)^2] for a within order theta of L_j, to first order in theta."""
    offset = sympy.Symbol("x", real=True, nonzero=True)  # (a - L_j) W/theta
    rate = offset / sym.width  # half the log-slope in the cell of L_j
    u = sympy.Symbol("u", real=True)
    center = sympy.integrate(sympy.exp(2 * rate * u), (u, -sym.width / 2, sym.width / 2))
    below, above = _tail(sym.gap_low) * sympy.exp(-offset), _tail(sym.gap_high) * sympy.exp(offset)
    second = below * sym.gap_low**2 + above * sym.gap_high**2 + center * (rate * sym.theta) ** 2
    first_order = sympy.limit(second / (below + center + above) / sym.theta, sym.theta, 0)
    return sym.theta * sympy.simplify(first_order).subs(offset, (sym.a - sym.level) * sym.width / sym.theta)


@functools.lru_cache(maxsize=1)
def _layer_integral(layer) -> sympy.Expr:
    """Integral over a of the layer's spread minus the floor there."""
    x = sympy.Symbol("x", positive=True)
    k = sympy.Symbol("k", positive=True, integer=True)
    total = sympy.S.Zero
    for sign, gap in ((1, sym.gap_high), (-1, sym.gap_low)):
        at = sym.level + sign * x * sym.theta / sym.width
        excess = sympy.simplify(layer.subs(sym.a, at) - gap * x * sym.theta / sym.width)
        # a multiple of x/(exp(2 x) - 1), integrated term by term as a geometric series
        factor = sympy.simplify((excess * (sympy.exp(2 * x) - 1) / x).rewrite(sympy.exp))
        term = sympy.integrate(x * sympy.exp(-2 * k * x), (x, 0, sympy.oo))
        total += factor * sym.theta / sym.width * sympy.summation(term, (k, 1, sympy.oo))
    return total


@functools.lru_cache(maxsize=16)
def exact_recovery(theta) -> Step:
    """The step "exact recovery", for exact inputs, no weight decay and at least three levels."""
    below, above = (_tail(gap).subs(sym.theta, theta) for gap in (sym.gap_low, sym.gap_high))
    outside = below * sym.gap_low**2 + above * sym.gap_high**2
    variance = sympy.factor(sym.alpha_2 * outside / (sym.width + below + above))
    slope = sympy.factor(sympy.limit(sympy.diff(variance, sym.V), sym.V, 0))
    nearest = {sym.gap_low: sym.Delta, sym.gap_high: sym.Delta, sym.width: sym.Delta, sym.alpha_2: 1}
    uniform = sympy.factor(variance.subs(nearest))
    (limit,) = sympy.solve(sympy.Eq(slope.subs(nearest), 1), sym.eta)
    v = sympy.Symbol("v", nonnegative=True)  # V itself is declared positive, which hides the root 0
    roots = sympy.solve(sympy.Eq(v, uniform.subs(sym.V, v)), v)
    return Step(
        "exact recovery",
        (
            sympy.Eq(sym.V, variance),
            sympy.Eq(sympy.Symbol(r"\left.\mathrm{d}V/\mathrm{d}V\right|_{V=0}"), slope),
            sympy.Eq(sym.V, uniform),
            *(sympy.Eq(sym.V, sympy.factor(root), evaluate=False) for root in roots),
        ),
        "Inputs exact, no label noise, w* on an interior level whose cell of width W is flat: the tails in the two "
        "neighboring cells, at distances g_1 and g_2 in level, give this equation for small V. V = 0 is a fixed point, "
        "stable while the slope there is below 1; with nearest rounding on a uniform grid that is "
        f"eta < {limit}, and beyond it a second root appears.",
    )
