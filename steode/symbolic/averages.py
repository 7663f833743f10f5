"""Gaussian and stationary averages of an entrywise map, as named functions with explicit forms.

Unrolled over levels these averages are long; named, they print in one line, compile to one vectorized function each
(see `steode.bridge`), and still give their closed form in erf and exp on request through `explicit`.
"""

import sympy

from steode.parts.elementwise import Elementwise
from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.symbolic import symbols as sym
from steode.symbolic.stationary_law import stationary_spread


class _Average(sympy.Function):
    """An average of a function of Q(w); the first argument is the symbol of the map."""

    template = ""

    def _latex(self, printer, exp=None):
        text = self.template.format(*(printer.doprint(argument) for argument in self.args))
        return rf"\left({text}\right)^{{{exp}}}" if exp is not None else text


class GaussianMean(_Average):
    """GaussianMean(Q, M, S) = E[Q(w)], w ~ N(M, S)."""

    nargs = 3
    template = r"\mathrm{{E}}_{{{1},{2}}}\left[{0}\right]"


class GaussianSquare(_Average):
    """GaussianSquare(Q, M, S) = E[Q(w)^2], w ~ N(M, S)."""

    nargs = 3
    template = r"\mathrm{{E}}_{{{1},{2}}}\left[{0}^2\right]"


class GaussianSlope(_Average):
    """GaussianSlope(Q, M, S) = E[Q'(w)], w ~ N(M, S); by Stein's lemma Cov(w, Q(w)) = S E[Q'(w)]."""

    nargs = 3
    template = r"\mathrm{{E}}_{{{1},{2}}}\left[{0}'\right]"


class StationarySpread(_Average):
    """StationarySpread(Q, a, theta) = E[(Q(w) - a)^2] under the stationary density exp(-2 U(w)/theta), U' = Q - a.

    A fourth argument k, the pull of weight decay and dampening, and a fifth one r, what dampening retains, give
    U' = r Q - a + k w. Without them, a target on or beyond the last level of a step function has its weight there.
    """

    nargs = (3, 4, 5)

    def _latex(self, printer, exp=None):
        image, target, *others = (printer.doprint(argument) for argument in self.args)
        text = rf"\left\langle \left({image} - {target}\right)^2 \right\rangle_{{{','.join([target, *others])}}}"
        return rf"\left({text}\right)^{{{exp}}}" if exp is not None else text


def gaussian_tail() -> sympy.Expr:
    """P(w > T) for w ~ N(M, S); free symbols w (the threshold), M and S. A test integrates it, which takes longer."""
    return sympy.erfc(sympy.sqrt(2) * _standardized() / 2) / 2


def gaussian_point_mass() -> sympy.Expr:
    """E[delta(w - T)] for w ~ N(M, S); free symbols w (the threshold), M and S. A test integrates it."""
    return sym.normal_density(_standardized()) / sympy.sqrt(sym.S)


def _standardized() -> sympy.Expr:
    return (sym.w - sym.M) / sympy.sqrt(sym.S)


def exact_steps(quantizer: StepFunction, scale: sympy.Expr) -> tuple[list[sympy.Expr], list[sympy.Expr]]:
    """Levels and thresholds as exact multiples of the scale symbol (or numbers where the map has no range)."""
    unit = scale if quantizer.has_range else sympy.S.One

    def scaled(values):
        return [unit * sympy.Rational(value.numerator, value.denominator) for value in values]

    return scaled(quantizer.unit_levels), scaled(quantizer.unit_thresholds)


def explicit(expression: sympy.Expr, maps: dict[sympy.Symbol, tuple[EntrywiseMap, sympy.Expr]]) -> sympy.Expr:
    """Replace every named average by its closed form (or, for a smooth map, by an integral).

    Parameters
    ----------
    maps : symbol of a map -> (the map, its scale symbol).
    """

    def replacement(average):
        symbol, *arguments = average.args
        if isinstance(average, StationarySpread):
            return _stationary_form(*maps[symbol], *arguments)
        return _gaussian_form(type(average), *maps[symbol], *arguments)

    averages = expression.atoms(_Average)
    return expression.xreplace({average: replacement(average) for average in averages})


def _gaussian_form(kind: type, entrywise_map: EntrywiseMap, scale: sympy.Expr, mean, variance) -> sympy.Expr:
    if isinstance(entrywise_map, StepFunction):
        return _gaussian_step_average(kind, *exact_steps(entrywise_map, scale), mean, variance)
    if isinstance(entrywise_map, StochasticRounding):
        return _gaussian_rounding_average(kind, exact_steps(entrywise_map.grid, scale)[0], mean, variance)
    if is_affine(entrywise_map):
        square = second_moment(entrywise_map, mean**2 + variance, scale)
        return {GaussianMean: mean, GaussianSquare: square, GaussianSlope: sympy.S.One}[kind]
    function = _expression(entrywise_map)
    integrand = {GaussianMean: function, GaussianSquare: function**2, GaussianSlope: sympy.diff(function, sym.w)}[kind]
    return _gaussian_integral(integrand, mean, variance)


def is_affine(entrywise_map: EntrywiseMap) -> bool:
    """True if E[Q(u)] = u for every u, and E[Q(u)^2] is affine in u^2."""
    return isinstance(entrywise_map, Identity | AdditiveNoise | MultiplicativeNoise | CommonFactor)


def second_moment(entrywise_map: EntrywiseMap, square: sympy.Expr, noise_variance: sympy.Expr) -> sympy.Expr:
    """E[Q(u)^2] of an affine map, given E[u^2] and the symbol of its noise variance."""
    if isinstance(entrywise_map, AdditiveNoise):
        return square + noise_variance
    return square if isinstance(entrywise_map, Identity) else square * (1 + noise_variance)


def conditional_variance(entrywise_map: EntrywiseMap, u: sympy.Expr, scale: sympy.Expr) -> sympy.Expr:
    """Var Q(u) given u of a stochastic map; L_j and L_{j+1} are the levels around u of stochastic rounding."""
    if isinstance(entrywise_map, StochasticRounding):
        return (u - sym.level) * (sym.next_level - u)
    return sympy.expand(second_moment(entrywise_map, u**2, scale) - u**2)


def _gaussian_rounding_average(kind, levels, mean, variance):
    # E[Q] is w clipped to the range, E[Q^2] interpolates the squares of the levels: sums of (w - L)_+
    def above(level):
        return gaussian_tail().subs({sym.w: level, sym.M: mean, sym.S: variance}, simultaneous=True)

    def excess(level):
        mass = gaussian_point_mass().subs({sym.w: level, sym.M: mean, sym.S: variance}, simultaneous=True)
        return (mean - level) * above(level) + variance * mass

    if kind is GaussianSlope:
        return above(levels[0]) - above(levels[-1])
    if kind is GaussianMean:
        return levels[0] + excess(levels[0]) - excess(levels[-1])
    total = levels[0] ** 2
    for low, high in zip(levels[:-1], levels[1:], strict=True):
        total += (low + high) * (excess(low) - excess(high))
    return total


def _expression(entrywise_map: Identity | Elementwise) -> sympy.Expr:
    if isinstance(entrywise_map, Identity):
        return sym.w
    return entrywise_map.expression.subs(entrywise_map.variable, sym.w)


def _gaussian_step_average(kind, levels, thresholds, mean, variance):
    # Q = L_0 + sum of jumps times indicators w > T_j, so every average is linear in tails or point masses
    power = 2 if kind is GaussianSquare else 1
    template = gaussian_point_mass() if kind is GaussianSlope else gaussian_tail()
    # a number may be Python's
    mean, variance = (sympy.sympify(value, strict=True) for value in (mean, variance))
    total = sympy.S.Zero if kind is GaussianSlope else levels[0] ** power
    for low, high, threshold in zip(levels[:-1], levels[1:], thresholds, strict=True):
        factor = template.xreplace({sym.w: threshold, sym.M: mean, sym.S: variance})
        total += (high**power - low**power) * factor
    return total


def _gaussian_integral(integrand, mean, variance):
    u = sympy.Symbol("u", real=True)
    integrand = integrand.subs(sym.w, mean + sympy.sqrt(variance) * u)
    if integrand.is_polynomial(u):
        return sympy.integrate(sympy.expand(integrand) * sym.normal_density(u), (u, -sympy.oo, sympy.oo))
    return sympy.Integral(integrand * sym.normal_density(u), (u, -sympy.oo, sympy.oo))


def _stationary_form(entrywise_map: EntrywiseMap, scale: sympy.Expr, a, theta, *pulls) -> sympy.Expr:
    if isinstance(entrywise_map, StepFunction):
        return stationary_spread(*exact_steps(entrywise_map, scale), a, theta, *pulls)
    return _stationary_integral(_expression(entrywise_map), a, theta, *pulls)


def _stationary_integral(function, a, theta, pull=sympy.S.Zero, retained=sympy.S.One):
    v = sympy.Symbol("v", real=True)
    potential = sympy.Integral(retained * function.subs(sym.w, v) - a + pull * v, (v, 0, sym.w))
    weight = sympy.exp(-2 * potential / theta)
    line = (sym.w, -sympy.oo, sympy.oo)
    return sympy.Integral((function - a) ** 2 * weight, line) / sympy.Integral(weight, line)


def level_sum(average: sympy.Expr, count: int) -> sympy.Expr:
    """The explicit form of a Gaussian average of a step function with many levels, as a sum over its n = `count`
    levels.
    """
    kind, (_, mean, variance) = type(average), average.args
    j, levels = sym.j, sym.L
    power = 2 if kind is GaussianSquare else 1
    template = gaussian_point_mass() if kind is GaussianSlope else gaussian_tail()
    # a number may be Python's
    mean, variance = (sympy.sympify(value, strict=True) for value in (mean, variance))
    factor = template.subs({sym.w: sym.T[j], sym.M: mean, sym.S: variance}, simultaneous=True)
    start = sympy.S.Zero if kind is GaussianSlope else levels[0] ** power
    return start + sympy.Sum((levels[j] ** power - levels[j - 1] ** power) * factor, (j, 1, count - 1))


class OutputAverage(sympy.Function):
    """A Gaussian average over both pre-activations: Cov(h, h^*) = m, Var h = q, Var h^* = rho, label noise sigma.

    The first argument is the symbol of the output, the others are m, q, rho and sigma; evaluated by quadrature.
    """

    nargs = 5
    template = ""

    def _latex(self, printer, exp=None):
        return rf"\left({self.template}\right)^{{{exp}}}" if exp is not None else self.template


class StudentResponse(OutputAverage):
    """The first entry of C^{-1} (E[e h], E[e h^*]), C the covariance of (h, h^*)."""

    template = r"\left[C^{-1}\,\mathrm{E}\left(e h,\ e h^{*}\right)\right]_1"


class TeacherResponse(OutputAverage):
    """The second entry of C^{-1} (E[e h], E[e h^*])."""

    template = r"\left[C^{-1}\,\mathrm{E}\left(e h,\ e h^{*}\right)\right]_2"


class ResidualSquare(OutputAverage):
    """E[e^2]."""

    template = r"\mathrm{E}\left[e^2\right]"


class LossSquare(OutputAverage):
    """E[(f(h) - Q_l(y))^2]."""

    template = r"\mathrm{E}\left[(f(h) - Q_l(y))^2\right]"


class ErrorSquare(OutputAverage):
    """E[(f(h) - f_*(h^*))^2]."""

    template = r"\mathrm{E}\left[(f(h) - f_{*}(h^{*}))^2\right]"
