"""One neuron of a univariate ReLU network: its invariant, and the flow of what the function shows of it."""

import functools

import sympy

from steode.systems.gradient_flows.flow import GradientFlow, gradient_flow

a, b, c, x, y, f, rest, delta, r, theta = sympy.symbols("a b c x y f f_0 delta r theta", real=True)
m = sympy.Symbol("m", positive=True)
on = sympy.Symbol("1_{ax>b}", nonnegative=True)
"""1 where the sample is on the neuron's side of its knot, else 0: constant between the knot's crossings of samples."""


@functools.cache
def derive_univariate() -> GradientFlow:
    """The flow of (a, b, c) at one sample in units of the width, and of (r, theta) at given delta."""
    # [a x - b]_+ = on (a x - b), with on constant in a neighborhood of almost every state
    flow = gradient_flow(
        m * (f - y) ** 2 / 2,
        (a, b, c),
        {f: rest + c * on * (a * x - b) / m},
        "One neuron and one sample; f_0 is what the others predict, m counts time in units of the width. Samples add.",
    )
    flow = flow.keep("layers", c**2 - a**2 - b**2, "A neuron's output is homogeneous in either layer (on = 1 or 0).")
    inner = sympy.sqrt(a**2 + b**2)
    root = sympy.sqrt(delta**2 + 4 * r**2)
    unit = on * (x * sympy.cos(theta) - sympy.sin(theta))
    turn = on * (-x * sympy.sin(theta) - sympy.cos(theta))
    # c/|(a, b)| twice: neither form subtracts nearly equal numbers where it is used
    ratios = (2 * r / (root - delta), (root + delta) / (2 * r))
    for ratio in ratios:
        _check(flow, (c * inner, sympy.atan2(b, a)), ((y - f) * root * unit, (y - f) * ratio * turn))
    ratio = sympy.Piecewise((ratios[0], delta < 0), (ratios[1], True))
    rates = ((y - f) * root * unit, (y - f) * ratio * turn)
    return flow.explain(
        "reduced system",
        (
            sympy.Eq(sympy.Symbol(r"\frac{dr}{dt}"), rates[0], evaluate=False),
            sympy.Eq(sympy.Symbol(r"\frac{d\theta}{dt}"), rates[1], evaluate=False),
        ),
        "r = c |(a, b)| and the angle theta of (a, b) are all that f shows; with the invariant delta they close.",
        rates=rates,
        unit=r * unit,
        delta=c**2 - a**2 - b**2,
    )


def _check(flow: GradientFlow, meanings: tuple, rates: tuple) -> None:
    """The rates of r and theta in polar form: a = p cos, b = p sin, delta = c^2 - p^2, r = c p."""
    p = sympy.Symbol("p", positive=True)
    polar = {a: p * sympy.cos(theta), b: p * sympy.sin(theta)}
    for meaning, rate in zip(meanings, rates, strict=True):
        # (c^2 - p^2)^2 + 4 c^2 p^2 = (c^2 + p^2)^2
        found = sympy.simplify(flow.rate_of(meaning).subs(polar))
        given = sympy.simplify(rate.subs(sympy.sqrt(delta**2 + 4 * r**2), c**2 + p**2).subs(delta, c**2 - p**2))
        if sympy.simplify(found - given.subs(r, c * p)) != 0:
            raise ArithmeticError(f"the reduced rate {rate} is not that of the flow, {found}")
