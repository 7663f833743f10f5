"""What the derivation of quantized regression leads to."""

import dataclasses

import sympy

from steode.symbolic.derivation import Derivation, Derived
from steode.systems.regression.one_step import Kinds


@dataclasses.dataclass(frozen=True, eq=False)
class RiskRecursion(Derived):
    """The recursion of the second moments and what is read off it, in `steode.systems.regression.symbols`.

    u_i(t+1) = decay u_i,    m_i(t+1) = square m_i + linear u_i + coupling T + constant,    T = sum_j F_j,
    F_j = sum_square m_j + sum_linear u_j + sum_constant (written in coordinate i).

    Attributes
    ----------
    kinds : of the quantizers.
    derivation : ordered steps with reasons.
    input_square, best : E[z^2] in lambda and epsilon_d, and w^q in w^*.
    decay, square, linear, coupling, constant, sum_square, sum_linear, sum_constant : as above.
    secular : summand, over coordinates, of the secular function: training is stable where its sum is below 1.
    pole : step size at which 1 - square vanishes; the secular function grows from 0 to infinity before the least.
    average : next c, q and U of the averaged iterate, in that order, with g for `decay`.
    raw, quantized : coefficients of (m, u, 1) in one coordinate's part of the risk against w^* on raw inputs,
        E[(x.w - x.w^*)^2]/2, and on quantized inputs, E[(z.w - x.w^*)^2]/2.
    """

    kinds: Kinds
    derivation: Derivation
    input_square: sympy.Expr
    best: sympy.Expr
    decay: sympy.Expr
    square: sympy.Expr
    linear: sympy.Expr
    coupling: sympy.Expr
    constant: sympy.Expr
    sum_square: sympy.Expr
    sum_linear: sympy.Expr
    sum_constant: sympy.Expr
    secular: sympy.Expr
    pole: sympy.Expr
    average: tuple[sympy.Expr, ...]
    raw: tuple[sympy.Expr, ...]
    quantized: tuple[sympy.Expr, ...]

    def __repr__(self) -> str:
        return f"Risk recursion for quantizers {', '.join(self.kinds)}\n{self.derivation!r}"
