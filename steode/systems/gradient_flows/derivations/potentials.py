"""Linear predictors whose coefficients are functions of potentials: diagonal networks, the combined parametrization.

f(x) = x.beta, and each coefficient is h(parameters of its own coordinate). With q = sum_n x_n nu_n and
d nu_n/dt = -dloss/df_n the parameters are explicit functions of q, so that N potentials are the whole flow.
"""

import functools

import sympy

from steode.systems.gradient_flows.flow import GradientFlow, gradient_flow

u, w = sympy.symbols("u w", positive=True)
v, q, rest, x, f, y = sympy.symbols("v q f_0 x f y", real=True)
alpha = sympy.Symbol("alpha", positive=True)
strength = sympy.Symbol("lambda", nonnegative=True)
n = sympy.Symbol("n", positive=True)
mu, size = sympy.symbols("mu s", positive=True)


@functools.cache
def derive_diagonal(depth: int) -> GradientFlow:
    """The flow of beta = u^D - w^D under exp(-f), one coordinate, D = `depth`."""
    D = sympy.Integer(depth)
    flow = gradient_flow(
        sympy.exp(-f),
        (u, w),
        {f: rest + x * (u**D - w**D)},
        "One coordinate and one sample; f_0 is what the other coordinates predict. Samples add.",
    )
    if depth == 2:
        kept, at = u * w, {u: alpha * sympy.exp(2 * q), w: alpha * sympy.exp(-2 * q)}
    else:
        kept, power = u ** (2 - D) + w ** (2 - D), D * (D - 2)
        at = {one: (alpha ** (2 - D) - sign * power * q) ** (1 / (2 - D)) for one, sign in ((u, 1), (w, -1))}
    flow = flow.keep("the two signs", kept, "u and w see the same force with opposite signs.")
    flow = _with_potentials(flow, at, u**D - w**D)
    if depth > 2:
        return flow
    objective = margin_entropy()
    return flow.explain(
        "what its direction minimizes",
        (
            sympy.Eq(sympy.Symbol(r"{Q_\mu}"), objective, evaluate=False),
            sympy.Eq(sympy.Symbol(r"{Q_\mu'}"), sympy.simplify(objective.diff(size)), evaluate=False),
        ),
        "At margin gamma and mu = alpha^2/gamma, beta/gamma has the slope 4 q: stationarity with "
        "multipliers 4 nu holds at all times, and complementary slackness as the margins become equal.",
    )


@functools.cache
def derive_sparse(linear: int) -> GradientFlow:
    """The flow of beta = linear v + lambda (w^2 - u^2) under least squares, one coordinate."""
    beta = linear * v + strength * (w**2 - u**2)
    flow = gradient_flow(
        (f - y) ** 2 / (2 * n),
        (v, w, u),
        {f: rest + x * beta},
        "One coordinate and one of n samples; f_0 is what the other coordinates predict. Samples add.",
    )
    flow = flow.keep("the two signs", w * u, "w and u see the same force with opposite signs.")
    if linear:
        reason = "w grows at a rate proportional to itself and to the rate of v: v never moves without w."
        flow = flow.keep("v and w", w * sympy.exp(-2 * strength * v), reason)
    growth = 2 * strength * q
    at = {v: linear * q, w: alpha * sympy.exp(growth), u: alpha * sympy.exp(-growth)}
    flow = _with_potentials(flow, at, beta)
    h, h_slope = flow.functions["coefficient"], flow.functions["coefficient_slope"]
    if not linear:
        return flow
    # for large |beta| the exponential term carries it: the price of one more unit of beta is q at that beta
    price = sympy.asinh(size / (2 * strength * alpha**2)) / (4 * strength)
    lines = (sympy.Eq(sympy.Symbol("beta"), h, evaluate=False), sympy.Eq(sympy.Symbol(r"\Phi'"), price, evaluate=False))
    return flow.explain(
        "what it minimizes",
        lines,
        "At zero loss beta minimizes a sum of Phi(beta_i), whose slope is the inverse of beta(q), among "
        "interpolators: a square while the exponentials are small; then its slope is nearly constant (second line).",
        price=price,
        curvature_at_zero=1 / h_slope.subs(q, 0),
    )


def _with_potentials(flow: GradientFlow, at: dict, beta: sympy.Expr) -> GradientFlow:
    """Check that the states at potential q follow the flow, dq = x dnu, and add beta as a function of q."""
    force = -_loss_slope(flow, beta)
    for state, rate in zip(flow.state, flow.rates, strict=True):
        # dq/dt = x dnu/dt at one sample
        difference = sympy.simplify((at[state].diff(q) * x * force - rate).subs(at))
        if difference != 0:
            raise ArithmeticError(f"{state} as a function of its potential misses the flow by {difference}")
    # v, where there is one, is left out of the sum of exponentials, which is a hyperbolic sine
    linear = at.get(v, 0)
    h = sympy.simplify(beta.subs(at) - linear) + linear
    lines = (
        sympy.Eq(sympy.Symbol(r"\frac{d\nu_n}{dt}"), force, evaluate=False),
        sympy.Eq(q, sympy.Symbol(r"{\sum_n x_n \nu_n}"), evaluate=False),
        sympy.Eq(sympy.Symbol("beta"), h, evaluate=False),
    )
    reason = "Every rate is x times the slope of the loss times a function of the state alone, so it integrates in q."
    return flow.explain("potentials", lines, reason, coefficient=h, coefficient_slope=h.diff(q), force=force)


def _loss_slope(flow: GradientFlow, beta: sympy.Expr) -> sympy.Expr:
    """dloss/df as it stands in the derived rates."""
    state = flow.state[-1]
    return sympy.simplify(-flow.rates[-1] / (x * sympy.diff(beta, state)))


def margin_entropy() -> sympy.Expr:
    """Q_mu(s) for D = 2, whose slope is the potential: mu q(s/mu) with q(z) = 2 - sqrt(4 + z^2) + z asinh(z/2)."""
    z = size / mu
    return mu * (2 - sympy.sqrt(4 + z**2) + z * sympy.asinh(z / 2))
