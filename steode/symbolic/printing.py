"""LaTeX in the order a person would write it: rates and moments before the state, positive terms before negative."""

import sympy
from sympy.printing.latex import LatexPrinter

from steode.symbolic import symbols as sym

_LAST = (sym.dtau, sym.dB)
_FIRST = (sym.eta, sym.alpha_1, sym.alpha_2, sym.rho, sym.omega, sym.omega_x, sym.s, sym.V)


class _NotationPrinter(LatexPrinter):
    def _print_Mul(self, expr):
        if not expr.is_Mul:  # SymPy sends fractions 1/x here too
            return super()._print_Mul(expr)
        factors = sorted(expr.args, key=_rank)
        return super()._print_Mul(sympy.Mul(*factors, evaluate=False))

    def _print_Derivative(self, expr):
        text, operand = super()._print_Derivative(expr), self._print(expr.expr)
        if not expr.expr.is_Mul or not text.endswith(operand):
            return text
        return rf"{text[: -len(operand)]}\left[{operand}\right]"

    def _print_Add(self, expr, order=None):
        terms = sorted(expr.args, key=lambda term: term.could_extract_minus_sign())
        return super()._print_Add(sympy.Add(*terms, evaluate=False), order="none")

    def _print_Indexed(self, expr):
        # indices as they are written, j + 1 rather than 1 + j
        indices = ",".join(LatexPrinter().doprint(index) for index in expr.indices)
        return rf"{{{self._print(expr.base)}}}_{{{indices}}}"


def _rank(factor: sympy.Expr) -> tuple[int, str]:
    """Numbers, roots of numbers, the leading symbols in their order, other factors, differentials."""
    base = factor.as_base_exp()[0]
    if factor.is_number:
        return (0 if factor.is_Rational else 1), str(factor)
    if base in _FIRST:
        return 2 + _FIRST.index(base), ""
    if base in _LAST:
        return 102, ""
    # sums, functions and derivatives after plain symbols
    return (100 if base.is_Symbol or isinstance(base, sympy.Indexed) else 101), str(factor)


def latex(expression: sympy.Basic) -> str:
    """LaTeX of an expression or equation."""
    return _NotationPrinter({"mul_symbol": " ", "order": "none"}).doprint(expression)
