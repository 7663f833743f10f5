"""Gaussian averages over one row of the input, by integration in the plane of w and w*.

A row z has coordinates x along w and y across it, towards w*: z.w = R x and z.w* = x cos(theta) + y sin(theta). In
polar coordinates both gates are sectors, and what is left of the surrogate is one radial integral. With the clipped
ReLU that integral depends on the angle; there strips of constant x give the closed form.
"""

import dataclasses
import functools

import sympy
from sympy import Integral, cos, cot, erf, exp, oo, pi, sin, sqrt

from steode.systems.binary_relu import symbols as sym


@dataclasses.dataclass(frozen=True)
class PlaneAverages:
    """The four averages of a surrogate as functions of R and theta.

    G_0 = E[x mu'(R x)], G_1 = E[x mu'(R x) 1{x > 0}], and with the teacher's gate z.w* > 0 the two components of
    E[z mu'(z.w) 1{z.w* > 0}], G_e along w and G_p across it. `radial` is the radial integral at the angle phi, and
    `angular` what it leaves of G_e and G_p, evaluated or not.
    """

    G_0: sympy.Expr
    G_1: sympy.Expr
    G_e: sympy.Expr
    G_p: sympy.Expr
    radial: sympy.Expr
    angular: tuple[sympy.Expr, sympy.Expr]

    @property
    def substitution(self) -> dict[sympy.Symbol, sympy.Expr]:
        """Symbol of each average -> its closed form."""
        return {getattr(sym, name): getattr(self, name) for name in ("G_0", "G_1", "G_e", "G_p")}


def gates() -> tuple[sympy.Expr, sympy.Expr]:
    """P(z.w > 0) and P(z.w > 0, z.w* > 0): sectors of the standard Gaussian in the plane."""
    density = sym.r * exp(-(sym.r**2) / 2) / (2 * pi)
    mass = sympy.integrate(density, (sym.r, 0, oo))
    half = sympy.integrate(mass, (sym.phi, -pi / 2, pi / 2))
    both = sympy.integrate(mass, (sym.phi, sym.theta - pi / 2, pi / 2))
    return sympy.factor(half), sympy.factor(both)


@functools.lru_cache(maxsize=1)
def plane_averages() -> dict[str, PlaneAverages]:
    """Name of each surrogate with a closed form -> its averages."""
    theta = sym.theta
    whole, on, teacher = (-pi, pi), (-pi / 2, pi / 2), (theta - pi / 2, theta + pi / 2)
    both = (theta - pi / 2, pi / 2)
    return {
        "identity": _polar(whole, on, teacher),
        "relu": _polar(on, on, both),
        "clipped relu": _clipped(both),
    }


def _polar(all_on, student, teacher) -> PlaneAverages:
    """mu' = 1 inside a sector: the radial integral is one number, the angular ones are elementary."""
    radial = sympy.integrate(sym.r**2 * exp(-(sym.r**2) / 2), (sym.r, 0, oo))
    radial = sympy.simplify(radial)

    def average(direction, sector):
        return sympy.simplify(sympy.integrate(direction * radial, (sym.phi, *sector)) / (2 * pi))

    along, across = cos(sym.phi), sin(sym.phi)
    G_e, G_p = average(along, teacher), average(across, teacher)
    return PlaneAverages(average(along, all_on), average(along, student), G_e, G_p, radial, (G_e, G_p))


def _clipped(both) -> PlaneAverages:
    """mu' = 1 for 0 < x < 1/R: the literature's integral over the angle, and a closed form from strips."""
    x, y, theta = sym.x, sym.y, sym.theta
    edge = sympy.Symbol("X", positive=True)
    radial = sympy.integrate(sym.r**2 * exp(-(sym.r**2) / 2), (sym.r, 0, edge)).subs(edge, 1 / (sym.R * cos(sym.phi)))
    angular = tuple(Integral(direction(sym.phi) * radial, (sym.phi, *both)) / (2 * pi) for direction in (cos, sin))
    # in the strip at x the teacher's gate leaves y > -x cot(theta): a share of the mass, and a mean of y
    density = exp(-(x**2) / 2) / sqrt(2 * pi)
    share = (1 + erf(x * cot(theta) / sqrt(2))) / 2
    mean = -sympy.integrate(y * exp(-(y**2) / 2), y).subs(y, -x * cot(theta)) / sqrt(2 * pi)
    width = sympy.Symbol("k", positive=True)  # 1/sin(theta): both Gaussian factors together
    joined = sympy.powsimp((mean * density).subs(cot(theta), sqrt(width**2 - 1)))
    across = sympy.integrate(joined, (x, 0, edge)).subs(width, 1 / sin(theta))
    # by parts: x density is minus the slope of the density, and the slope of the share is cot(theta) times a density
    along = (density * share).subs(x, 0) - (density * share).subs(x, edge) + cot(theta) * across
    plain = density.subs(x, 0) - density.subs(x, edge)
    ratio = {edge: 1 / sym.R, cot(theta): cos(theta) / sin(theta)}
    return PlaneAverages(*(value.subs(ratio) for value in (plain, plain, along, across)), radial, angular)
