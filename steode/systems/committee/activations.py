"""Activations of hidden units: names with closed Gaussian averages, and any expression with finite Gaussian moments."""

import functools

import numpy as np
import sympy

from steode.errors import SpecificationError
from steode.parts.elementwise import Elementwise, X, evaluate
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate, OutputSurrogate

KNOWN = {"erf": sympy.erf(X / sympy.sqrt(2)), "relu": sympy.Max(X, 0), "linear": X}
"""Name -> f(x)."""
ActivationExpression = Elementwise
FAR = (25.0, 400.0)
"""Where growth is looked at."""
WIDE, CELLS = 20.0, 8000
"""Where jumps of derivatives are looked for, and in how many cells."""
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
        low, high = map(sympy.Float, surrogate.band)
        return sympy.Heaviside(high - X, 0) * sympy.Heaviside(X - low, 0)
    return surrogate.derivative.xreplace({surrogate.proxy.variable: X})


@functools.lru_cache(maxsize=64)
def jumps(expression: sympy.Expr) -> tuple[float, ...]:
    """Where a function of `X` jumps, on [-WIDE, WIDE]: cells whose steeper half is halved until the jump is left."""
    low = np.linspace(-WIDE, WIDE, CELLS + 1)[:-1] + WIDE * 1e-7
    high = low + 2 * WIDE / CELLS
    with np.errstate(all="ignore"):
        values = [np.asarray(evaluate(expression, X, edge), float) for edge in (low, high)]
        steep = np.abs(values[1] - values[0]) > 1e-3 * (1 + np.abs(values[0]))
        low, high = low[steep], high[steep]
        for _ in range(50):
            middle = (low + high) / 2
            here, between, there = (np.asarray(evaluate(expression, X, edge), float) for edge in (low, middle, high))
            left = np.abs(between - here) > np.abs(there - between)
            low, high = np.where(left, low, middle), np.where(left, middle, high)
        here, there = (np.asarray(evaluate(expression, X, edge), float) for edge in (low, high))
    found = np.abs(there - here) > 1e-6 * (1 + np.abs(here))
    return tuple(np.round((low + high)[found] / 2, 12).tolist())


def _log_size(activation: Elementwise, point: float) -> float:
    """log(1 + |f|), in arbitrary precision: exponentials far out exceed floating-point numbers."""
    value = sympy.Abs(activation.expression.subs(activation.variable, sympy.Float(point, 30))).evalf(30)
    return float(sympy.log(1 + value).evalf(30))
