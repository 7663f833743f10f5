"""The limit of plain SPSA with n = nu d directions a step: descent on a smoothed loss, and the noise of the directions.

A direction perturbs every weight by order one. The slope along it is a product D e of two sums over coordinates, one
odd and one even in the direction, which are uncorrelated and jointly Gaussian given it: its variance is of order one,
while the mean of its product with one entry is of order 1/d. With n directions in proportion to d the two balance.
"""

import sympy

from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation, leading_order
from steode.systems.linear.derivations.inputs import input_moment
from steode.systems.linear.derivations.motion import Motion, batch, increment, mean_equation, regularization
from steode.systems.linear.derivations.output import Output
from steode.systems.linear.derivations.residual import Residual
from steode.systems.linear.spec import LinearModel

SOURCE = "two-point estimate of Spall (1992); limit derived here"
PARITY = "parity of the directions; derived here"
REST_SLOPE = sympy.Symbol("D_r", real=True)
ERROR, SLOPE = sympy.Symbol(r"\bar{e}", real=True), sympy.Symbol("D", real=True)


def smoothed_descent(model: LinearModel, residual: Residual, output: Output | None) -> Motion:
    """Follow the estimate of `SPSA`: descent on a smoothed loss."""
    drift, mean_step = _mean(model)
    diffusion, variance_steps = _variance(model)
    equation = Step(
        "stochastic differential equation",
        (sympy.Eq(sym.dw, increment(drift, diffusion)),),
        "Mean and variance of order 1/d per step give a diffusion for each coordinate. Many directions leave gradient "
        "descent on a smoothed loss; few add a noise that does not shrink where the gradient does.",
        "diffusion limit of Markov chains; derived here",
    )
    derived = [mean_step, *variance_steps, *_smoothing(), equation]
    return Motion(_setting(model), derived, drift, diffusion, sym.V, smoothed=True)


def _setting(model: LinearModel) -> list[Step]:
    image = sympy.Function("Q_w")
    up, down = image(sym.w + sym.eps * sym.u), image(sym.w - sym.eps * sym.u)
    mean = sympy.Symbol(r"\mathrm{mean}_{n}\left[G_n u\right]", real=True)
    factored = ((ERROR + sym.eps * SLOPE) ** 2 - (ERROR - sym.eps * SLOPE) ** 2) / (4 * sym.eps)
    rest = sympy.sqrt(sym.d)
    return [
        Step(
            "update",
            (
                sympy.Eq(sym.dw, -sym.eta * mean + regularization(model)),
                sympy.Eq(sym.a_dir, (up - down) / (2 * sym.eps)),
                sympy.Eq(sym.m_dir, (up + down) / 2),
            ),
            "The slope of the loss along a random direction u, times that direction, averaged over n = nu d of them. A "
            "weight enters by the difference and the mean of its two quantized values: one odd, one even in u.",
            SOURCE,
        ),
        Step(
            "slope",
            (
                sympy.Eq(sym.G_dir, sympy.expand(factored)),
                sympy.Eq(SLOPE, REST_SLOPE + sym.a_dir * sym.z / rest),
                sympy.Eq(ERROR, sym.r + (sym.m_dir * sym.z - sym.wstar * sym.x) / rest),
            ),
            "The difference of two squares: D is the slope of the output, and the other factor the mean residual. Each "
            "splits into the part of one coordinate and the rest.",
            PARITY,
        ),
    ]


def _direction_moment(u_power: int, a_power: int, m_power: int) -> sympy.Expr:
    """E[u^i a^j m^k] over the law of u: zero unless even in u."""
    if (u_power + a_power) % 2:
        return sympy.S.Zero
    known = {(0, 0, 0): sympy.S.One, (1, 1, 0): sym.S_1, (1, 1, 1): sym.S_2, (2, 0, 0): sympy.S.One}
    name = "".join(
        f"{symbol}^{{{power}}}" for symbol, power in zip("uam", (u_power, a_power, m_power), strict=True) if power
    )
    return known.get((u_power, a_power, m_power), sympy.Symbol(rf"\mathrm{{E}}[{name}]", real=True))


def _rest_moment(slope_power: int, residual_power: int) -> sympy.Expr:
    """Moments of the two sums over the other coordinates: Gaussian, uncorrelated by parity, so independent."""
    if slope_power % 2 or residual_power % 2:
        return sympy.S.Zero
    known = {0: sympy.S.One, 2: sym.alpha_2 * sym.D_2}, {0: sympy.S.One, 2: sym.V_u}
    return known[0][slope_power] * known[1][residual_power]


def _parts() -> tuple[sympy.Expr, list]:
    """G u of one coordinate, and the groups of independent symbols in it."""
    rest = sympy.sqrt(sym.d)
    slope = REST_SLOPE + sym.a_dir * sym.z / rest
    error = sym.r + (sym.m_dir * sym.z - sym.wstar * sym.x) / rest
    groups = [
        ((sym.x, sym.z), input_moment()),
        ((sym.u, sym.a_dir, sym.m_dir), _direction_moment),
        ((REST_SLOPE, sym.r), _rest_moment),
    ]
    return slope * error * sym.u, groups


def _mean(model: LinearModel) -> tuple[sympy.Expr, Step]:
    product, groups = _parts()
    mean = -sym.eta * expectation(product, groups) + regularization(model)
    step = Step(
        "one-step mean",
        (mean_equation(mean),),
        "Expectation over the sample and the direction. Only the coordinate's own part of both factors survives, at "
        "order 1/d.",
        PARITY,
    )
    return leading_order(mean, sym.d), step


def _variance(model: LinearModel) -> tuple[sympy.Expr, list[Step]]:
    product, groups = _parts()
    # one direction: the leading order of the second moment does not vanish, and n = nu d of them divide it
    second = expectation(sympy.expand(product**2), groups)
    small = sympy.Symbol("epsilon_d", positive=True)
    one = sympy.limit(second.subs(sym.d, 1 / small**2), small, 0)
    directions = sym.eta**2 * one / (sym.nu * sym.d)
    # all directions of one sample share its gradient: averaged over u, at the smoothed weights of the others
    shared = sym.S_1 * sym.z / sympy.sqrt(sym.d) * sym.r
    residual = [((sym.x, sym.z), input_moment()), ((sym.r,), lambda power: {0: 1, 1: 0, 2: sym.V_s}[power])]
    sample = sym.eta**2 * expectation(shared**2, residual)
    diffusion = (leading_order(sample, sym.d) + leading_order(directions, sym.d)) / batch(model)
    steps = [
        Step(
            "noise of the directions",
            (
                sympy.Eq(sympy.Symbol(r"\mathrm{E}[G_n^2 u^2]"), one),
                sympy.Eq(sympy.Symbol(r"\mathrm{Var}_u[\mathrm{d}w]"), directions),
            ),
            "One direction is noise of order one: the slope has the variance of the whole output, whatever the "
            "coordinate. Averaged over n = nu d directions it is of order 1/d, as the mean."
            + (" A batch divides it by B." if model.batch_size > 1 else ""),
            PARITY,
        ),
        Step(
            "noise of the sample",
            (sympy.Eq(sympy.Symbol(r"\mathrm{Var}_x[\mathrm{d}w]"), sample),),
            "What all directions of a step share: the gradient of the sample's smoothed loss."
            + (" A batch divides it by B." if model.batch_size > 1 else ""),
            PARITY,
        ),
    ]
    return sympy.collect(sympy.expand(diffusion), sym.alpha_2), steps


def _smoothing() -> list[Step]:
    def average(text: str) -> sympy.Symbol:
        return sympy.Symbol(rf"\mathrm{{E}}\left[{text}\right]", real=True)

    target = -2 * sym.alpha_1 * average(r"w^{*} \bar{Q}") + sym.rho + sym.sigma**2
    return [
        Step(
            "averages over a direction",
            (
                sympy.Eq(sym.Q_mean, average(r"Q_w(w + \epsilon u) \mid w")),
                sympy.Eq(sym.S_1, average(r"u\, Q_w(w + \epsilon u) \mid w") / sym.eps),
                sympy.Eq(sym.S_2, average(r"u\, Q_w(w + \epsilon u)^2 \mid w") / (2 * sym.eps)),
                sympy.Eq(sym.D_2, average("a_u^2")),
            ),
            "By symmetry of the law of u. S_1 and S_2 are slopes of the quantizer and of half its square, smoothed by "
            "the zero-bias law of u; the last average is also over the law of w.",
            PARITY,
        ),
        Step(
            "residuals",
            (
                sympy.Eq(sym.V_s, sym.alpha_2 * average(r"\bar{Q}^2") + target),
                sympy.Eq(sym.V_u, sym.alpha_2 * average("m_u^2") + target),
            ),
            "Mean squared residuals of the smoothed weights, and of the mean of the two perturbed ones; averages are "
            "over the law of (w*, w) and u.",
            PARITY,
        ),
    ]
