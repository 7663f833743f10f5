"""Cell masses of the stationary law of a weight whose image is a step function: one integral a cell, joined by
continuity.
"""

import functools

import sympy

_U = sympy.Symbol("u", real=True)
_RATE = sympy.Symbol("rate", real=True, nonzero=True)
_START = sympy.Symbol("start", real=True)
_WIDTH, _STIFFNESS = sympy.symbols("width stiffness", positive=True)


def stationary_masses(levels, thresholds, a, theta, pull=sympy.S.Zero, retained=sympy.S.One) -> list[sympy.Expr]:
    """Unnormalized cell masses of exp(-2 U/theta), the density being continuous, and 1 at the first threshold.

    In cell j it is U' = retained L_j - a + pull w: exponential cells for pull = 0, and then levels[0] < a < levels[-1]
    is needed; truncated Gaussians, centered where U' = 0, for pull > 0.
    """
    levels = [retained * level for level in levels]
    edges = [-sympy.oo, *thresholds, sympy.oo]
    masses, height = [], sympy.S.Zero  # log of the density at the lower end of the cell
    for index, level in enumerate(levels):
        low, high = edges[index], edges[index + 1]
        if pull == 0:
            mass = _exponential_mass(a - level, theta, low, high)
        else:
            mass = _gaussian_mass((a - level) / pull, pull / theta, low, high, anchor=low if index else high)
        masses.append(sympy.exp(height) * mass)
        if 0 < index < len(levels) - 1:
            height = sympy.factor(height + sympy.integrate(2 * (a - level - pull * _U) / theta, (_U, low, high)))
    return masses


def stationary_spread(levels, thresholds, a, theta, pull=sympy.S.Zero, retained=sympy.S.One) -> sympy.Expr:
    """E[(Q - a)^2] under the law of `stationary_masses`; without pull, targets on or beyond the last levels have their
    weights there.
    """
    masses = stationary_masses(levels, thresholds, a, theta, pull, retained)
    squares = [(level - a) ** 2 for level in levels]
    spread = sum(mass * square for mass, square in zip(masses, squares, strict=True)) / sum(masses)
    if pull != 0:
        return spread
    return sympy.Piecewise((squares[0], a <= levels[0]), (squares[-1], a >= levels[-1]), (spread, True))


def _exponential_mass(gap, theta, low, high) -> sympy.Expr:
    """Mass of a cell of log-slope 2 gap/theta, the density being 1 at its lower end (the upper end, for the lowest)."""
    if low == -sympy.oo:
        return 1 / (2 * gap / theta)
    if high == sympy.oo:
        return 1 / (-2 * gap / theta)
    rate = sympy.factor(2 * gap / theta)
    steep = _exponential_integral().subs({_RATE: rate, _WIDTH: high - low}, simultaneous=True)
    return sympy.Piecewise((high - low, sympy.Eq(gap, 0)), (steep, True))


def _gaussian_mass(center, stiffness, low, high, anchor) -> sympy.Expr:
    """Mass of a cell with density exp(-stiffness [(w - center)^2 - (anchor - center)^2])."""
    whole, low_tail, high_tail = (
        _gaussian_tail().subs({_STIFFNESS: stiffness, _START: distance}, simultaneous=True)
        for distance in (-sympy.oo, sympy.Abs(low - center), sympy.Abs(high - center))
    )
    # tails beyond the two ends, so that nothing cancels in a cell far from the center
    inside = sympy.And(low < center, center < high)
    mass = sympy.Piecewise((whole - low_tail - high_tail, inside), (sympy.Abs(low_tail - high_tail), True))
    return sympy.exp(stiffness * (anchor - center) ** 2) * mass


@functools.lru_cache(maxsize=1)
def _exponential_integral() -> sympy.Expr:
    return sympy.factor(sympy.integrate(sympy.exp(_RATE * _U), (_U, 0, _WIDTH)))


@functools.lru_cache(maxsize=1)
def _gaussian_tail() -> sympy.Expr:
    integral = sympy.integrate(sympy.exp(-_STIFFNESS * _U**2), (_U, _START, sympy.oo))
    return sympy.factor(sympy.expand(integral.rewrite(sympy.erfc)))
