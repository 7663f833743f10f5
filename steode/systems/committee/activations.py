"""Activations of hidden units: names with closed Gaussian averages, and any expression with finite Gaussian moments."""

import functools

import sympy

from steode.errors import SpecificationError
from steode.parts.elementwise import X, Elementwise
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate, OutputSurrogate

KNOWN = {"erf": sympy.erf(X / sympy.sqrt(2)), "relu": sympy.Max(X, 0), "linear": X}
"""Name -> f(x)."""
ActivationExpression = Elementwise
FAR = (25.0, 400.0)
"""Where growth is looked at."""
SLOWER = 0.98
"""log|f|/x^2 has to fall to this part of itself between the two: |x|^p in the exponent passes for p < 1.99."""


def check_activation(given) -> str | Elementwise:
    """The name of a known activation, or a map of finite Gaussian moments.

    Raises `SpecificationError` for anything else; for the moments log(1 + |f(x)|)/x^2 has to fall far out, on both
    sides, so that E[f(h)^2] is finite whatever the variance of h.
    """
    if isinstance(given, str) and given in KNOWN:
        return given
    if isinstance(given, str | sympy.Expr):
        given = Elementwise(given)
    if not isinstance(given, Elementwise):
        known = ", ".join(f'"{name}"' for name in KNOWN)
        remedy = f'Use {known} or an expression such as "tanh(x)".'
        raise SpecificationError("activation", "a name or a continuous expression in x", given, remedy)
    for sign in (-1, 1):
        near, far = (_log_size(given, sign * point) / point**2 for point in FAR)
        if far > SLOWER * near and far > 1e-6:
            expected = "a function with finite Gaussian moments of every variance"
            remedy = "It has to grow slower than exp(c x^2) for every c > 0."
            raise SpecificationError("activation", expected, given.expression, remedy)
    return given


def expression(activation: str | Elementwise) -> sympy.Expr:
    """f as an expression in `X`."""
    return KNOWN[activation] if isinstance(activation, str) else activation.expression


@functools.lru_cache(maxsize=32)
def derivative(activation: str | Elementwise) -> sympy.Expr:
    """f' as an expression in `X`."""
    if activation == "linear":
        return sympy.S.One
    return DerivativeOf(Elementwise(expression(activation))).derivative


def surrogate_expression(activation: str | Elementwise, surrogate: OutputSurrogate | None) -> sympy.Expr:
    """What stands for f' in the backward pass, as an expression in `X`."""
    if surrogate is None:
        return derivative(activation)
    if isinstance(surrogate, IdentitySurrogate):
        return sympy.S.One
    if isinstance(surrogate, ClippedSurrogate):
        bound = sympy.Float(surrogate.bound)
        return sympy.Heaviside(bound - sympy.Abs(X), 0)
    return surrogate.derivative.xreplace({surrogate.proxy.variable: X})


def _log_size(activation: Elementwise, point: float) -> float:
    """log(1 + |f|), in arbitrary precision: exponentials far out exceed floating-point numbers."""
    value = sympy.Abs(activation.expression.subs(activation.variable, sympy.Float(point, 30))).evalf(30)
    return float(sympy.log(1 + value).evalf(30))
