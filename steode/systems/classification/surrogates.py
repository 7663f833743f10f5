"""Surrogate derivatives mu' of the quantized ReLU: five of the literature, and the user's own.

The literature's depend on the number of bits through q = 2^b - 1, the highest level.
"""

import functools

import sympy

from steode.errors import SpecificationError
from steode.parts.expression import parse_expression
from steode.systems.binary_relu.surrogates import Surrogate, X
from steode.systems.binary_relu.surrogates import check_surrogate as check_derivative

TOP = sympy.Symbol("q", positive=True)
"""Highest level 2^b - 1 of the quantized ReLU."""


def _above_zero(value: sympy.Expr, below: sympy.Expr | None = None) -> sympy.Expr:
    """`value` for 0 < x, up to `below` if given, and else exactly 0, at x = 0 too."""
    inside = X > 0 if below is None else sympy.And(X > 0, below > X)
    return sympy.Piecewise((value, inside), (0, True))


SURROGATES = {
    "identity": Surrogate("identity", sympy.Integer(1)),
    "relu": Surrogate("relu", _above_zero(sympy.Integer(1))),
    "clipped relu": Surrogate("clipped relu", _above_zero(sympy.Integer(1), TOP)),
    "exponential tail": Surrogate("exponential tail", _above_zero(sympy.exp(-X / TOP))),
    "logarithmic tail": Surrogate("logarithmic tail", _above_zero(1 / (1 + X / TOP))),
}
"""mu' = 1; for x > 0 and else zero: 1, 1 up to q, exp(-x/q), 1/(1 + x/q)."""


def check_surrogate(given: object) -> Surrogate:
    """The surrogate of a name, a text such as "1/(1 + x**2)", or an expression; q stays a symbol.

    Raises `SpecificationError` unless mu' is real, finite and >= 0.
    """
    if isinstance(given, Surrogate):
        # another system's surrogate of the same name is another function
        known = given == SURROGATES.get(given.name)
        return given if known else check_derivative(given.derivative)
    if isinstance(given, str):
        if given in SURROGATES:
            return SURROGATES[given]
        if "x" not in given.replace("exp", "").replace("Max", ""):
            remedy = "Your own is given by its derivative, an expression in x."
            raise SpecificationError("surrogate", "one of " + ", ".join(SURROGATES), given, remedy)
        given = parse_expression("surrogate", given, X)
    return check_derivative(given)


@functools.lru_cache(maxsize=64)
def at_bits(surrogate: Surrogate, bits: int) -> Surrogate:
    """The surrogate with the number 2^bits - 1 in place of q."""
    return Surrogate(surrogate.name, surrogate.derivative.subs(TOP, 2**bits - 1))
