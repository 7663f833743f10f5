"""What the derivation of the binarized ReLU leads to."""

import dataclasses

import sympy

from steode.symbolic.derivation import Derivation, Derived
from steode.systems.binary_relu.averages import PlaneAverages
from steode.systems.binary_relu.landscape import Landscape


@dataclasses.dataclass(frozen=True, eq=False)
class CoarseGradient(Derived):
    """What is derived, in `steode.systems.binary_relu.symbols`.

    Vectors in the space of w have two components: along e = w/|w|, and across it, along the part of w* orthogonal to e.

    Attributes
    ----------
    surrogate : name of mu'.
    derivation : ordered steps with reasons.
    loss, loss_at_zero : population loss E(y - y*)^2/2, and its value at w = 0.
    output_gradient : df/dv_i, which the coarse gradient leaves as it is.
    filter_gradient : df/dw: its component across w, the only one.
    along, across : components of the expected coarse gradient E g, in G_0, G_1, G_e and G_p.
    correlation : <E g, df/dw>, in G_p.
    flow : rates of v_i, R and theta under v' = -df/dv, w' = -E g.
    averages : G_0, G_1, G_e and G_p in closed form; None for the user's own surrogate.
    landscape : stationary points of the loss.
    """

    surrogate: str
    derivation: Derivation
    loss: sympy.Expr
    loss_at_zero: sympy.Expr
    output_gradient: sympy.Expr
    filter_gradient: sympy.Expr
    along: sympy.Expr
    across: sympy.Expr
    correlation: sympy.Expr
    flow: tuple[sympy.Expr, sympy.Expr, sympy.Expr]
    averages: PlaneAverages | None
    landscape: Landscape

    def explicit(self, expression: sympy.Expr) -> sympy.Expr:
        """The expression with the averages of this surrogate in closed form, where there is one."""
        return expression.subs(self.averages.substitution) if self.averages else expression

    def __repr__(self) -> str:
        return f"Coarse gradient of a binarized ReLU, surrogate {self.surrogate}\n{self.derivation!r}"
