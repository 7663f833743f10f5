"""What quantized inputs contribute to the limit: two moments of a coordinate, for each eigenvalue."""

from collections.abc import Callable

import sympy

from steode.parts.quantizers import EntrywiseMap, StepFunction
from steode.parts.stochastic import StochasticRounding
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.averages import GaussianSlope, GaussianSquare
from steode.symbolic.derivation import Step
from steode.systems.linear.spec import LinearModel

STEIN = "Stein's lemma: E[x g(x)] = E[g'(x)] for x ~ N(0, 1)"
EXPLICIT_LEVELS = 16
"""Step functions with more levels than this are shown as sums over levels instead of being written out."""

Maps = dict[sympy.Symbol, tuple[EntrywiseMap, sympy.Expr]]
"""Symbol of each map -> (the map, the symbol of its range or noise variance)."""


def input_variance(model: LinearModel) -> sympy.Expr:
    """Variance of an input coordinate."""
    return sympy.S.One if model.spectrum.is_isotropic else sym.lam


def input_moment(variance: sympy.Expr = sympy.S.One) -> Callable[[int, int], sympy.Expr]:
    """(i, j) -> E[x^i z^j] for z = Q_x(x), Q_x odd, x of this variance."""

    def moment(x_power: int, z_power: int) -> sympy.Expr:
        if (x_power + z_power) % 2:
            return sympy.S.Zero
        known = {(0, 0): sympy.S.One, (2, 0): variance, (1, 1): sym.alpha_1, (0, 2): sym.alpha_2}
        # higher moments stay symbols: the limit must not depend on them, and it does not
        return known.get((x_power, z_power), sympy.Symbol(rf"\mathrm{{E}}[x^{{{x_power}}} z^{{{z_power}}}]", real=True))

    return moment


def derive_input_moments(model: LinearModel, maps: Maps) -> tuple[Step, dict[sympy.Symbol, sympy.Expr]]:
    """The step "input moments", and alpha_1 and alpha_2 as named Gaussian averages."""
    variance = input_variance(model)
    slope, square = GaussianSlope(sym.Q_x, 0, variance), GaussianSquare(sym.Q_x, 0, variance)
    definitions = (
        sympy.Eq(sym.alpha_1, sympy.Symbol(r"\mathrm{E}[x\,Q_x(x)]"), evaluate=False),
        sympy.Eq(sym.alpha_2, sympy.Symbol(r"\mathrm{E}[Q_x(x)^2]"), evaluate=False),
    )
    closed = (sympy.Eq(sym.alpha_1, variance * shown(slope, maps)), sympy.Eq(sym.alpha_2, shown(square, maps)))
    each, times = ("", "") if variance == 1 else (" for each eigenvalue lambda", " times the variance")
    reason = (
        f"The input enters through two numbers{each}: its correlation with the quantized input, which Stein's lemma "
        f"turns into the mean slope of the quantizer{times}, and the second moment of the quantized input."
    )
    named = {sym.alpha_1: variance * slope, sym.alpha_2: square}
    return Step("input moments", definitions + closed, reason, STEIN), named


def shown(average: sympy.Expr, maps: Maps) -> sympy.Expr:
    """The closed form of a named average, or a sum over levels where it would not fit a page."""
    quantizer, _ = maps[average.args[0]]
    if isinstance(quantizer, StochasticRounding) and len(quantizer.grid.unit_levels) > EXPLICIT_LEVELS:
        return average
    if isinstance(quantizer, StepFunction) and len(quantizer.unit_levels) > EXPLICIT_LEVELS:
        return averages.level_sum(average, len(quantizer.unit_levels))
    return sympy.expand(averages.explicit(average, maps))
