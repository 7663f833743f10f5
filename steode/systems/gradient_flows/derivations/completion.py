"""Deep linear networks: balanced factors, the metric that depth puts on their product, and its volume."""

import functools

import sympy

from steode.systems.gradient_flows.flow import GradientFlow, gradient_flow

d = sympy.Symbol("d", positive=True, integer=True)
Z = sympy.MatrixSymbol("Z", d, d)
"""Gradient of the loss at the product W."""
N = sympy.Symbol("N", positive=True)
p, t = sympy.symbols("sigma_i sigma_j", positive=True)
SHOWN = 3
"""Depth at which balancedness is derived with matrices; a neighbor's balance involves two factors at any depth."""


@functools.cache
def derive_completion(depth: int) -> GradientFlow:
    """The flow of N = `depth` factors (0: infinitely many, time in units of N) on singular values and vectors."""
    if depth:
        metric = _geometric_sum(depth)
        pair, own = sympy.Abs(p ** (2 / N) - t ** (2 / N)), p ** (-(N - 1) / N) / sympy.sqrt(N)
        pair, own = pair.subs(N, depth), own.subs(N, depth)
    else:
        # x -> sinh(x)/x has a removable singularity: equal singular values
        h = sympy.log(p / t)
        near = sympy.Abs(h) < sympy.Rational(1, 100)
        metric = p * t * sympy.Piecewise((1 + h**2 / 6 + h**4 / 120, near), (sympy.sinh(h) / h, True))
        pair, own = 2 * sympy.Abs(h), 1 / p
    flow, mean, deep = _balanced(), *_means()
    lines = (
        sympy.Eq(sympy.Symbol("a_{ij}"), mean, evaluate=False),
        sympy.Eq(sympy.Symbol(r"\lim a_{ij}/N"), deep, evaluate=False),
    )
    flow = flow.explain(
        "metric",
        lines,
        "In the basis of singular vectors the product moves by minus the gradient times a_ij, entry by entry: each "
        "factor adds a product of powers, which is a geometric sum. The second line is its limit in units of N.",
        metric=metric,
    )
    element = sympy.Symbol(r"\prod_i v_i \prod_{i<j} v_{ij}")
    return flow.explain(
        "volume",
        (
            sympy.Eq(sympy.Symbol("dV"), element, evaluate=False),
            sympy.Eq(sympy.Symbol("v_i"), own, evaluate=False),
            sympy.Eq(sympy.Symbol("v_{ij}"), pair, evaluate=False),
        ),
        "The metric is diagonal, 1/a_ij; singular values and vectors add the differences of squares.",
        volume_pair=pair,
        volume_own=own,
    )


@functools.cache
def _balanced() -> GradientFlow:
    """The flow of three factors and the balance of neighbors."""
    factors = tuple(sympy.MatrixSymbol(f"W_{number}", d, d) for number in range(1, SHOWN + 1))
    flow = gradient_flow(
        sympy.Trace(Z.T * factors[2] * factors[1] * factors[0]),
        factors,
        reason="Three factors; dL = tr Z^T dW with Z the gradient at the product, so each factor sees its neighbors.",
    )
    for low, high in ((0, 1), (1, 2)):
        name = f"balance of factors {low + 1} and {high + 1}"
        kept = factors[high].T * factors[high] - factors[low] * factors[low].T
        flow = flow.keep(name, kept, "Neighbors see the same product from two sides.")
    return flow


def _geometric_sum(depth: int) -> sympy.Expr:
    """Balanced at zero, the factors share singular values sigma^{1/N}: each term of A is a product of powers."""
    powers = ((sympy.Rational(2 * (depth - k), depth), sympy.Rational(2 * (k - 1), depth)) for k in range(1, depth + 1))
    return sympy.Add(*(p**high * t**low for high, low in powers))


@functools.cache
def _means() -> tuple[sympy.Expr, sympy.Expr]:
    """a_ij as a quotient, checked at depths 2 to 5, and the limit of a_ij/N, checked at one pair."""
    mean, deep = (p**2 - t**2) / (p ** (2 / N) - t ** (2 / N)), (p**2 - t**2) / (2 * sympy.log(p / t))
    for depth in (2, 3, 4, 5):
        roots = {p: p**depth, t: t**depth}
        difference = (_geometric_sum(depth) - mean.subs(N, depth)).subs(roots, simultaneous=True)
        if sympy.cancel(sympy.powdenest(difference, force=True)) != 0:
            raise ArithmeticError(f"the geometric sum at depth {depth} is not the quotient")
    pair = {p: sympy.Integer(3), t: sympy.Integer(2)}
    if sympy.simplify(sympy.limit((mean / N).subs(pair), N, sympy.oo) - deep.subs(pair)) != 0:
        raise ArithmeticError("the limit of infinite depth is not the logarithmic mean")
    return mean, deep
