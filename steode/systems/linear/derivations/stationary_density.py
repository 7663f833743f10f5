"""The stationary density of one weight given its teacher weight: its log-slope, its form in a cell, and cell masses."""

import functools
from typing import NamedTuple

import sympy

from steode.parts.quantizers import StepFunction
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.stationary_law import stationary_masses

WRITTEN_OUT = 4
"""Exponential cell masses are written out for step functions with at most this many levels."""


@functools.lru_cache(maxsize=16)
def log_slope(drift, diffusion) -> sympy.Expr:
    """d log p/dw at zero flux, in the target a: the flux is drift p - (diffusion p)'/2."""
    slope = (2 * drift - sympy.diff(diffusion, sym.w)) / diffusion
    # the drift is linear in w*
    at_target = sympy.expand(_by_gradient(drift).subs(sym.Q, sym.a))
    teacher = -at_target.subs(sym.wstar, 0) / at_target.coeff(sym.wstar)
    return sympy.factor(slope.subs(sym.wstar, teacher))


def target(drift) -> sympy.Expr:
    """The quantized weight at which the gradient vanishes: a in w*."""
    return sympy.solve(_by_gradient(drift), sym.Q)[0]


def _by_gradient(drift) -> sympy.Expr:
    """The drift without weight decay and dampening."""
    return drift.subs({sym.kappa: 0, sym.zeta: 0})


class Potential(NamedTuple):
    """U' = retained Q - a + pull w at the temperature theta: weight decay and dampening pull, dampening retains less.

    Without both of them `retained` is 1 and `pull` 0.
    """

    theta: sympy.Expr
    pull: sympy.Expr
    retained: sympy.Expr


@functools.lru_cache(maxsize=16)
def potential(slope) -> Potential:
    """The potential whose log-slope is -2 U'/theta."""
    theta = sympy.simplify(2 / sympy.diff(slope, sym.a))
    pull, retained = (sympy.simplify(-theta / 2 * sympy.diff(slope, symbol)) for symbol in (sym.w, sym.Q))
    return Potential(theta, pull, retained)


def pulls_in(expression) -> str:
    """What pulls the weights in an expression: weight decay, dampening, or both."""
    names = {sym.kappa: "weight decay", sym.zeta: "dampening"}
    return " and ".join(name for strength, name in names.items() if expression.has(strength))


@functools.lru_cache(maxsize=16)
def density_step(drift, slope, stepwise: bool) -> Step:
    """The step "stationary density"."""
    theta, pull, _ = potential(slope)
    equations = [
        sympy.Eq(sym.a, target(drift)),
        sympy.Eq(sympy.Derivative(sympy.log(sym.p(sym.w)), sym.w), slope),
        sympy.Eq(sym.theta, theta),
    ]
    forces = "the distance of the quantized weight from the target a"
    if pull != 0:
        forces += " and the pull of " + pulls_in(pull)
    reason = (
        f"At zero probability flux the log-slope of the density is set by {forces}, in units of a temperature theta"
    )
    if not stepwise:
        return Step("stationary density", tuple(equations), f"{reason}; the density is smooth.")
    density = _cell_density(_cell_slope(slope))
    shape = "exponential" if pull == 0 else "a truncated Gaussian, centered where the drift of the cell vanishes"
    reason += f". In the cell of L_j, above its lower threshold T_j, it is {shape}; it is continuous at the thresholds."
    return Step("stationary density", (*equations, *density), reason)


def cell_masses(quantizer: StepFunction, maps, slope) -> Step:
    """The step "cell masses": written out for few exponential cells, otherwise the mass of one cell."""
    theta, pull, _ = potential(slope)
    start = "Probability of each cell before normalization, integrating the density over the cell"
    if pull == 0 and len(quantizer.unit_levels) <= WRITTEN_OUT:
        masses = stationary_masses(*averages.exact_steps(quantizer, maps[sym.Q_w][1]), sym.a, sym.theta)
        equations = [sympy.Eq(sympy.Symbol(f"P_{index}"), mass) for index, mass in enumerate(masses)]
        reason = f"{start}, which is 1 at the lowest threshold; for targets strictly inside the range."
        return Step("cell masses", (sympy.Eq(sym.theta, theta), *equations), reason)
    *center, density = _cell_density(_cell_slope(slope))
    equations = [sympy.Eq(sym.theta, theta), *center, sympy.Eq(sympy.Symbol("P_{j}"), _cell_mass(slope))]
    reason = (
        f"{start} of L_j from T_j to the next threshold; the outermost cells extend to infinity. The density at the "
        "thresholds follows cell by cell from any value at the lowest one."
    )
    if pull == 0:
        reason += " A cell whose level is the target is flat; targets are strictly inside the range."
    return Step("cell masses", (*equations, density.subs(sym.w, sym.T[sym.j + 1])), reason)


@functools.lru_cache(maxsize=16)
def _cell_mass(slope) -> sympy.Expr:
    """Integral of the density over the cell of L_j."""
    u, low, high = sympy.symbols("u low high", real=True)
    rate = sympy.Symbol("rate", real=True, nonzero=True)
    stiffness = sympy.Symbol("stiffness", positive=True)
    start, end = sym.T[sym.j], sym.T[sym.j + 1]
    local = _cell_slope(slope)
    if sympy.diff(local, sym.w) == 0:
        mass = sympy.factor(sympy.integrate(sympy.exp(rate * u), (u, 0, high)))
        values = {rate: sympy.factor(local), high: end - start}
    else:
        mass = sympy.factor(sympy.integrate(sympy.exp(-stiffness * u**2), (u, low, high)))
        mass *= sympy.exp(stiffness * low**2)
        values = {stiffness: -sympy.diff(local, sym.w) / 2, low: start - sym.balance, high: end - sym.balance}
    return sym.p(start) * mass.subs(values, simultaneous=True)


def _cell_slope(slope) -> sympy.Expr:
    """The log-slope in the cell of L_j, at temperature theta."""
    _, pull, retained = potential(slope)
    return -2 * (retained * sym.level - sym.a + pull * sym.w) / sym.theta


def _cell_density(slope) -> list[sympy.Expr]:
    """p(w) in a cell in terms of its value at the lower threshold; for a Gaussian cell, its center first."""
    start = sym.T[sym.j]
    stiffness = -sympy.diff(slope, sym.w) / 2
    if stiffness == 0:
        exponent = sympy.factor(sympy.integrate(slope, (sym.w, start, sym.w)))
        return [sympy.Eq(sym.p(sym.w), sym.p(start) * sympy.exp(exponent))]
    center = sympy.factor(sympy.solve(slope, sym.w)[0])
    square = (sym.w - sym.balance) ** 2
    exponent = -stiffness * (square - square.subs(sym.w, start))
    return [sympy.Eq(sym.balance, center), sympy.Eq(sym.p(sym.w), sym.p(start) * sympy.exp(exponent))]
