"""Stationary points of the population loss in v and theta, and what a surrogate's flow does there."""

import dataclasses

import sympy
from sympy import pi

from steode.systems.binary_relu import symbols as sym


@dataclasses.dataclass(frozen=True)
class Landscape:
    """Where the loss is stationary, as formulas in m, S and N.

    For a given theta the best v is `share` v* + `offset` 1, and `overlap` its v.v*. Either theta is at an end of
    [0, pi] or v.v* = 0.

    Attributes
    ----------
    share, offset, overlap : as above, in kappa = 1 - 2 theta/pi.
    saddle_kappa, saddle_angle, saddle_loss : where v.v* = 0; a point of [0, pi] only if `condition` > 0.
    spurious_share, spurious_offset, spurious_overlap, spurious_loss : at theta = pi.
    condition : (m + 1) N/2 - S^2, which is > 0 if and only if theta = pi is a local minimum.
    leak : |E g|/|G_-| at theta = pi: a coarse gradient where the true one vanishes.
    saddle_leak : the same at the saddles, |v|^2.
    """

    share: sympy.Expr
    offset: sympy.Expr
    overlap: sympy.Expr
    saddle_kappa: sympy.Expr
    saddle_angle: sympy.Expr
    saddle_loss: sympy.Expr
    spurious_share: sympy.Expr
    spurious_offset: sympy.Expr
    spurious_overlap: sympy.Expr
    spurious_loss: sympy.Expr
    condition: sympy.Expr
    leak: sympy.Expr
    saddle_leak: sympy.Expr


def landscape(loss: sympy.Expr) -> Landscape:
    """Stationary points of the loss, by solving df/dv = 0 with v in the span of v* and 1."""
    share, offset = sympy.symbols("share offset", real=True)
    m, S, N, kappa = sym.m, sym.S, sym.N, sym.kappa
    family = {
        sym.a: share**2 * N + 2 * share * offset * S + offset**2 * m,
        sym.b: share * S + offset * m,
        sym.c: share * N + offset * S,
    }
    at_angle = loss.subs(family).subs(sym.theta, pi * (1 - kappa) / 2)
    # Lagrange's condition within the span is the one in all of R^m: the gradient lies in the span
    slopes = [sympy.diff(at_angle, share), sympy.diff(at_angle, offset)]
    best = sympy.solve(slopes, [share, offset], dict=True)[0]
    best = {symbol: sympy.factor(value) for symbol, value in best.items()}
    overlap = sympy.factor(family[sym.c].subs(best))
    value = sympy.factor(at_angle.subs(best))
    crossing = sympy.factor(sympy.solve(overlap, kappa)[0])
    square = sympy.factor(family[sym.a].subs(best))
    last = {kappa: -1}
    return Landscape(
        share=best[share],
        offset=best[offset],
        overlap=overlap,
        saddle_kappa=crossing,
        saddle_angle=sympy.factor(pi * (1 - crossing) / 2),
        saddle_loss=sympy.factor(value.subs(kappa, crossing)),
        spurious_share=best[share].subs(last),
        spurious_offset=sympy.factor(best[offset].subs(last)),
        spurious_overlap=sympy.factor(overlap.subs(last)),
        spurious_loss=sympy.factor(value.subs(last)),
        condition=(m + 1) * N / 2 - S**2,
        leak=sympy.factor((square + overlap).subs(last)),
        saddle_leak=sympy.factor(square.subs(kappa, crossing)),
    )
