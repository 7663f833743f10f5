"""Expressions in one variable, read from text: only known function names, so that nothing else can run."""

import difflib
import re
import tokenize

import sympy

from steode.errors import SpecificationError

_NAMES = ("tanh", "sinh", "cosh", "sin", "cos", "atan", "asinh", "erf", "exp", "log", "sqrt", "sign")
FUNCTIONS = {name: getattr(sympy, name) for name in (*_NAMES, "Max", "Min", "Abs", "pi")}
"""Names an expression may hold beside its variable."""

JUMPS = {"Heaviside": sympy.Heaviside, "Piecewise": sympy.Piecewise, "True": sympy.true}
"""Names, together with comparisons, of expressions that may jump."""


def parse_expression(where: str, text: str, variable: sympy.Symbol, *, jumps: bool = False) -> sympy.Expr:
    """The SymPy expression that `text` writes in the variable; `where` names it in errors.

    With `jumps`, Heaviside, Piecewise and comparisons are allowed too. Raises `SpecificationError` for any other name
    or character, and for what is not a real expression.
    """
    functions = FUNCTIONS | (JUMPS if jumps else {})
    allowed = [*functions, variable.name]
    # the e of 1e-3 belongs to its number
    for word in re.findall(r"(?<!\d)[A-Za-z_]\w*", text):
        if word not in allowed:
            raise SpecificationError(where, "functions among " + ", ".join(allowed), word, suggestion(word, allowed))
    try:
        if not re.fullmatch(r"[\w\s.,+*/()<>=&|-]+" if jumps else r"[\w\s.,+*/()-]+", text):
            raise SyntaxError("unexpected character")
        expression = sympy.parse_expr(text, local_dict=functions | {variable.name: variable})
        if not isinstance(expression, sympy.Expr) or expression.has(sympy.core.function.AppliedUndef):
            raise TypeError("not an expression")
    except (SyntaxError, tokenize.TokenError, TypeError, ValueError, AttributeError) as error:
        raise SpecificationError(where, f"an expression in {variable}", text, f"SymPy says: {error}") from None
    return expression


def suggestion(word: str, known: list[str]) -> str:
    """The remedy for an unknown word: the nearest known one."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else "Check the spelling."
