"""Loss, gradient and coarse gradient of two linear layers with a binarized ReLU, and the flow they make.

Everything depends on w through R = |w| and the angle theta, and on v through |v|^2, 1.v and v.v*. What a surrogate
changes is four numbers, Gaussian averages in the plane of w and w*: closed forms for three surrogates, integrals for
the user's own.
"""

import dataclasses
import functools

import sympy

from steode.symbolic.derivation import Derivation
from steode.systems.binary_relu import narrative
from steode.systems.binary_relu import symbols as sym
from steode.systems.binary_relu.averages import gates, plane_averages
from steode.systems.binary_relu.coarse_gradient import CoarseGradient
from steode.systems.binary_relu.landscape import landscape
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model


def derive_binary_relu(model: BinaryReLUModel) -> CoarseGradient:
    """Derive loss, gradients, flow and landscape of a `BinaryReLUModel`; its numbers play no part.

    Raises `SpecificationError` if `model` is none.
    """
    check_model(model)
    return derive_for(model.surrogate.name)


@functools.lru_cache(maxsize=8)
def derive_for(surrogate: str) -> CoarseGradient:
    """The derivation for "identity", "relu", "clipped relu" or "own"."""
    p_1, p_2 = gates()
    loss = _loss(p_1, p_2)
    gradient = _gradient(p_1, p_2)
    # theta falls when w turns towards w*: d theta/dw = -(unit vector across w)/R
    filter_gradient = sympy.diff(loss, sym.theta) * (-1 / sym.R)
    along, across = _coarse(p_1)
    found = CoarseGradient(
        surrogate=surrogate,
        derivation=Derivation(()),
        loss=loss,
        loss_at_zero=_loss_at_zero(p_1),
        output_gradient=gradient,
        filter_gradient=filter_gradient,
        along=along,
        across=across,
        correlation=across * filter_gradient,
        flow=(-gradient, -along, across / sym.R),
        averages=plane_averages().get(surrogate),
        landscape=landscape(loss),
    )
    return dataclasses.replace(found, derivation=Derivation(tuple(narrative.steps(found, p_1, p_2))))


def _loss(p_1, p_2) -> sympy.Expr:
    """Half the mean square of sum_i (v_i s_i - v*_i s*_i): rows are independent, so joint gates need i = j."""
    same = p_1 * sym.a + p_1 * sym.N - 2 * p_2 * sym.c
    # sums over i != j are products of sums less the terms i = j
    others = (sym.b**2 - sym.a) + (sym.S**2 - sym.N) - 2 * (sym.b * sym.S - sym.c)
    return sympy.expand((same + p_1**2 * others) / 2)


def _loss_at_zero(p_1) -> sympy.Expr:
    """At w = 0 every unit is off, and the output is 0."""
    return sympy.factor((p_1 * sym.N + p_1**2 * (sym.S**2 - sym.N)) / 2)


def _gradient(p_1, p_2) -> sympy.Expr:
    """df/dv_i = E[s_i (y - y*)]."""
    same = p_1 * sym.v - p_2 * sym.v_star
    others = p_1**2 * ((sym.b - sym.v) - (sym.S - sym.v_star))
    return sympy.expand(same + others)


def _coarse(p_1) -> tuple[sympy.Expr, sympy.Expr]:
    """Components of E g = sum_i v_i E[z_i mu'(z_i.w) sum_j (v_j s_j - v*_j s*_j)] along and across w."""
    others = p_1 * sym.G_0 * ((sym.b**2 - sym.a) - (sym.b * sym.S - sym.c))
    return sym.a * sym.G_1 - sym.c * sym.G_e + others, -sym.c * sym.G_p
