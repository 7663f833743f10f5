"""Deep linear networks: balanced factors, the metric that depth puts on their product, and its volume."""

import functools

import sympy

from steode.systems.gradient_flows.flow import GradientFlow, gradient_flow

d = sympy.Symbol("d", positive=True, integer=True)
Z = sympy.MatrixSymbol("Z", d, d)
"""Gradient of the loss at the product W."""
N = sympy.Symbol("N", positive=True)
p, t = sympy.symbols("sigma_i sigma_j", positive=True)
k = sympy.Symbol("k", integer=True)
SHOWN = 3
"""Depth at which balancedness is derived with matrices; a neighbor's balance involves two factors at any depth."""


@functools.cache
def derive_completion(depth: int) -> GradientFlow:
    """The flow of N = `depth` factors (0: infinitely many, time in units of N) on singular values and vectors."""
    factors = sympy.symbols(f"W_1:{SHOWN + 1}")
    factors = tuple(sympy.MatrixSymbol(one.name, d, d) for one in factors)
    product = factors[2] * factors[1] * factors[0]
    flow = gradient_flow(
        sympy.Trace(Z.T * product),
        factors,
        reason="Three factors; dL = tr Z^T dW with Z the gradient at the product, so each factor sees its neighbors.",
    )
    for low, high in ((0, 1), (1, 2)):
        name = f"balance of factors {low + 1} and {high + 1}"
        kept = factors[high].T * factors[high] - factors[low] * factors[low].T
        flow = flow.keep(name, kept, "Neighbors see the same product from two sides.")
    return _on_singular_values(flow, depth)


def _on_singular_values(flow: GradientFlow, depth: int) -> GradientFlow:
    """Balanced at zero, the factors share singular values sigma^{1/N}: each term of A is a product of powers."""
    mean = (p**2 - t**2) / (p ** (2 / N) - t ** (2 / N))
    for some in (2, 3, 4, 5):
        # the geometric sum behind the quotient
        total = sum(p ** sympy.Rational(2 * (some - j), some) * t ** sympy.Rational(2 * (j - 1), some) for j in range(1, some + 1))
        roots = {p: p**some, t: t**some}
        if sympy.cancel(sympy.powdenest((total - mean.subs(N, some)).subs(roots, simultaneous=True), force=True)) != 0:
            raise ArithmeticError(f"the geometric sum at depth {some} is not the quotient")
    deep = (p**2 - t**2) / (2 * sympy.log(p / t))
    # sigma = e^{log sigma}: the limit is one of exponentials
    limit = sympy.limit((mean / N).subs({p: sympy.Integer(3), t: sympy.Integer(2)}), N, sympy.oo)
    if sympy.simplify(limit - deep.subs({p: 3, t: 2})) != 0:
        raise ArithmeticError("the limit of infinite depth is not the logarithmic mean")
    volume = sympy.Abs(p ** (2 / N) - t ** (2 / N)), p ** (-(N - 1) / N) / sympy.sqrt(N)
    if depth:
        finite = sum(p ** sympy.Rational(2 * (depth - j), depth) * t ** sympy.Rational(2 * (j - 1), depth) for j in range(1, depth + 1))
        pair, own = (value.subs(N, depth) for value in volume)
    else:
        # x -> sinh(x)/x has a removable singularity: equal singular values
        h = sympy.log(p / t)
        near = sympy.Abs(h) < sympy.Rational(1, 100)
        finite = p * t * sympy.Piecewise((1 + h**2 / 6 + h**4 / 120, near), (sympy.sinh(h) / h, True))
        pair, own = 2 * sympy.Abs(sympy.log(p / t)), 1 / p
    return flow.explain(
        "metric",
        (sympy.Eq(sympy.Symbol("a_{ij}"), mean, evaluate=False), sympy.Eq(sympy.Symbol(r"\lim a_{ij}/N"), deep, evaluate=False)),
        "dW/dt = -U (a o U^T Z V) V^T: A sums (W W^T)^((N-k)/N) Z (W^T W)^((k-1)/N) over k, a geometric sum in the basis "
        "of singular vectors; the second line is its limit in units of N.",
        metric=finite,
        volume_pair=pair,
        volume_own=own,
    )
