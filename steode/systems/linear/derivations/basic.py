"""The argument in one piece, to read: one SGD step of the straight-through estimator to its high-dimensional limit.

Isotropic inputs, weights and inputs quantized, a linear output, one sample a step, a constant learning rate, nothing
else. No program runs through this file: `derivation` assembles the same equations for every option, and
`tests/theory/test_basic_reading.py` holds the two equal, term by term.
"""

import sympy

from steode.symbolic.symbols import M, S, V, alpha_1, alpha_2, d, eta, m, q, rho, sigma, w, wstar

x, z, r, Q = sympy.symbols("x z r Q", real=True)
GaussianMean, GaussianSlope = sympy.Function("E_Q"), sympy.Function("E_slope")  # E[Q(w)], E[Q'(w)] for w ~ N(M, S)


def average(expression: sympy.Expr) -> sympy.Expr:
    """E over x ~ N(0, 1), z = Q_x(x), and over r, independent of both with mean zero and variance V."""
    # Q_x is odd, so odd moments vanish; Stein's lemma turns E[x z] into a mean slope, which is all that alpha_1 is
    input_moments = {(0, 0): 1, (1, 1): alpha_1, (0, 2): alpha_2, (2, 0): 1}
    # fourth moments of a coordinate come with 1/d^2 and drop out of the limit
    fourth = sympy.Symbol("fourth")
    total = sympy.S.Zero
    for (i, j, k), coefficient in sympy.Poly(sympy.expand(expression), x, z, r).terms():
        if (i + j) % 2 == 0 and k % 2 == 0:
            total += coefficient * input_moments.get((i, j), fourth) * {0: 1, 2: V}[k]
    return total


def per_unit_time(expression: sympy.Expr) -> sympy.Expr:
    """The coefficient of 1/d: a unit of tau = step/d has d steps."""
    return sympy.simplify(sympy.limit(sympy.expand(d * expression), d, sympy.oo))


def basic_limit() -> dict[str, sympy.Expr]:
    """The equations of the limit by name, in the symbols of `steode.symbolic.symbols`."""
    # The residual yhat - y is this coordinate's part plus r, the rest of a sum over d coordinates and the label noise.
    residual = (Q * z - wstar * x) / sympy.sqrt(d) + r
    step = -eta / sympy.sqrt(d) * residual * z

    # Mean and variance of one step are of order 1/d. After tau d steps the weight has made a diffusion
    # dw = drift dtau + sqrt(diffusion) dB, and meets the other coordinates only through V.
    drift = per_unit_time(average(step))
    diffusion = per_unit_time(average(step**2))

    # r is a sum of many independent terms: V is an average of one coordinate's part over the law of (w*, w),
    # with m = E[alpha_1 w* Q], q = E[alpha_2 Q^2] and rho = E[w*^2].
    one = average((Q * z - wstar * x) ** 2)
    overlaps = {alpha_1 * wstar * Q: m, alpha_2 * Q**2: q, wstar**2: rho}
    residual_variance = sympy.expand(one).subs(overlaps) + sigma**2

    # The density of w given w* has the flux drift mu - (diffusion mu)'/2, and changes by minus its slope. A stationary
    # density has no flux, which gives its log-slope: exponential in every cell, where Q is constant.
    mu, image = sympy.Function("mu")(w), sympy.Function("Q")(w)
    flux = drift.subs(Q, image) * mu - sympy.diff(diffusion * mu, w) / 2
    log_slope = sympy.solve(drift - diffusion * sympy.Symbol("slope") / 2, sympy.Symbol("slope"))[0]

    # Zero mean drift in a stationary state: the quantized weight is right on average, at every learning rate. What is
    # left of V is the loss by the inputs and the spread of Q around its target, which flips between two levels.
    target = sympy.solve(drift, Q)[0]

    # A Gaussian law N(M, S) given w* closes the first two moments, with Stein's lemma E[(w - M) Q] = S E[Q'].
    mean_rate = drift.subs(Q, GaussianMean(M, S))
    variance_rate = 2 * sympy.diff(drift, Q) * S * GaussianSlope(M, S) + diffusion

    return {
        "drift": drift,
        "diffusion": diffusion,
        "residual_variance": residual_variance,
        "eps_g": (V - sigma**2) / 2,
        "rate of the density": -sympy.diff(flux, w),
        "stationary_log_slope": log_slope,
        "target": target,
        "rate of M": mean_rate,
        "rate of S": variance_rate,
    }
