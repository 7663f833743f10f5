"""From one SGD step to the density equation: the limit of the linear system, computed step by step.

Every equation shown is the result of the computation above it: moments of one step are taken by exact expectation
rules, the limit by extracting the coefficient of 1/d, evolution equations by the Ito generator and its adjoint.
"""

import sympy

from steode.quantizers import EntrywiseMap, StepFunction
from steode.schedule import Schedule
from steode.stochastic import StochasticRounding
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.averages import GaussianSlope, GaussianSquare
from steode.symbolic.derivation import Derivation, Step
from steode.symbolic.expectation import expectation, fokker_planck, leading_order
from steode.symbolic.limit import Limit
from steode.symbolic.printing import latex
from steode.systems.linear import closures, schedules, stationary
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.stationary_density import log_slope
from steode.systems.linear.surrogates import ClippedSurrogate

ICHIKAWA = "setting as in Ichikawa, Kashiwamura, Sakata (arXiv 2510.10693); formula derived here"
STEIN = "Stein's lemma: E[x g(x)] = E[g'(x)] for x ~ N(0, 1)"
EXPLICIT_LEVELS = 16
"""Step functions with more levels than this are shown as sums over levels instead of being written out."""


def derive_linear(model: LinearModel) -> Limit:
    """Derive the high-dimensional limit of a `LinearModel`; see `steode.derive`."""
    maps = {sym.Q_w: (model.weight_quantizer, sym.omega), sym.Q_x: (model.input_quantizer, sym.omega_x)}
    setting = _setting(model)
    moments, input_moments = derive_input_moments(model.input_quantizer, maps)
    one_step, drift, diffusion = _one_step(model)
    order, residual_variance, order_parameters = derive_order_parameters()
    density = evolution(model, drift, diffusion)
    closure_steps, gaussian_closure, exact_moments = closures.derive_closures(
        model, drift, diffusion, residual_variance, maps
    )
    if isinstance(model.learning_rate, Schedule):
        steps = [*setting, *moments, *one_step, *order, *density, *closure_steps]
        steps, long_times = schedules.follow(model.learning_rate, steps), stationary.LongTimes([])
    else:
        long_times = stationary.derive_stationary(model, drift, diffusion, residual_variance, exact_moments, maps)
        steps = [*setting, *moments, *one_step, *order, *density, *closure_steps, *long_times.steps]
    return Limit(
        model=model,
        derivation=Derivation(tuple(steps)),
        drift=drift,
        diffusion=diffusion,
        order_parameters=order_parameters,
        residual_variance=residual_variance,
        observables={"eps_g": (sym.V - sym.sigma**2) / 2, "V": sym.V, "m": sym.m, "q": sym.q},
        input_moments=input_moments,
        gaussian_closure=gaussian_closure,
        exact_moments=exact_moments,
        stationary_log_slope=log_slope(drift.subs(sym.s, 1), diffusion.subs(sym.s, 1)),
        plateau_time=long_times.plateau_time,
        fixed_point_value=long_times.fixed_point_value,
        parameters=numbers_of(model),
        maps=maps,
    )


def numbers_of(model: LinearModel) -> dict[sympy.Symbol, float]:
    values = {sym.eta: model.learning_rate, sym.sigma: model.noise}
    if isinstance(model.learning_rate, Schedule):
        # a function has no formula: eta stays a symbol
        values |= {sym.eta: sym.eta if model.learning_rate.formula is None else model.learning_rate.formula}
    for quantizer, symbol in ((model.weight_quantizer, sym.omega), (model.input_quantizer, sym.omega_x)):
        if isinstance(quantizer, StepFunction) and quantizer.has_range:
            values[symbol] = quantizer.range
    if isinstance(model.surrogate, ClippedSurrogate):
        values[sym.bound] = model.surrogate.bound
    if model.weight_decay:
        values[sym.kappa] = model.weight_decay
    if model.batch_size > 1:
        values[sym.batch] = model.batch_size
    return values


def decay(model: LinearModel) -> sympy.Expr:
    """Change of a weight by weight decay in one step."""
    return -sym.eta * sym.kappa * sym.w / sym.d if model.weight_decay else sympy.S.Zero


def batch(model: LinearModel) -> sympy.Expr:
    return sym.batch if model.batch_size > 1 else sympy.S.One


def residual_parts() -> sympy.Expr:
    """Residual yhat - y as the part of one coordinate plus the independent rest r."""
    return (sym.Q * sym.z - sym.wstar * sym.x) / sympy.sqrt(sym.d) + sym.r


def _setting(model: LinearModel) -> list[Step]:
    residual = sympy.Eq(sympy.Symbol(r"\left(\hat y - y\right)"), residual_parts())
    gradient = residual.lhs * sym.z
    if model.batch_size > 1:
        gradient = sympy.Function(r"\mathrm{mean}_{B}")(gradient)
    update = -sym.eta / sympy.sqrt(sym.d) * gradient * sym.s + decay(model)
    clipped = isinstance(model.surrogate, ClippedSurrogate)
    surrogate = sympy.Piecewise((1, sympy.Abs(sym.w) < sym.bound), (0, True)) if clipped else sympy.S.One
    samples = "a batch of B fresh samples, whose gradients are averaged," if model.batch_size > 1 else "a fresh sample"
    return [
        Step(
            "update",
            (sympy.Eq(sym.dw, update), sympy.Eq(sym.s, surrogate)),
            f"One SGD step on {samples} changes the latent weight by the straight-through gradient: z = Q_x(x) is "
            "the quantized input coordinate and s the surrogate derivative."
            + (" Weight decay shrinks the latent weight." if model.weight_decay else ""),
            ICHIKAWA,
        ),
        Step(
            "residual",
            (residual,),
            "The residual splits into this coordinate's part, with Q = Q_w(w), and the rest r, which is independent "
            "of (x, z), has mean zero because Q_x is odd, and carries the label noise.",
        ),
    ]


def derive_input_moments(quantizer: EntrywiseMap, maps) -> tuple[list[Step], dict[sympy.Symbol, sympy.Expr]]:
    named = {sym.alpha_1: GaussianSlope(sym.Q_x, 0, 1), sym.alpha_2: GaussianSquare(sym.Q_x, 0, 1)}
    closed = tuple(sympy.Eq(symbol, shown(average, maps)) for symbol, average in named.items())
    definitions = (
        sympy.Eq(sym.alpha_1, sympy.Symbol(r"\mathrm{E}[x\,Q_x(x)]"), evaluate=False),
        sympy.Eq(sym.alpha_2, sympy.Symbol(r"\mathrm{E}[Q_x(x)^2]"), evaluate=False),
    )
    reason = (
        "The input enters through two numbers: its correlation with the quantized input, which Stein's lemma turns "
        "into the mean slope of the quantizer, and the second moment of the quantized input."
    )
    return [Step("input moments", definitions + closed, reason, STEIN)], named


def shown(average: sympy.Expr, maps) -> sympy.Expr:
    """The closed form of a named average, or a sum over levels where it would not fit a page."""
    quantizer, _ = maps[average.args[0]]
    if isinstance(quantizer, StochasticRounding) and len(quantizer.grid.unit_levels) > EXPLICIT_LEVELS:
        return average
    if isinstance(quantizer, StepFunction) and len(quantizer.unit_levels) > EXPLICIT_LEVELS:
        return averages.level_sum(average, len(quantizer.unit_levels))
    return sympy.expand(averages.explicit(average, maps))


def moment_of_input(x_power: int, z_power: int) -> sympy.Expr:
    """E[x^i z^j] for z = Q_x(x), Q_x odd."""
    if (x_power + z_power) % 2:
        return sympy.S.Zero
    known = {(0, 0): sympy.S.One, (2, 0): sympy.S.One, (1, 1): sym.alpha_1, (0, 2): sym.alpha_2}
    # higher moments stay symbols: the limit must not depend on them, and it does not
    return known.get((x_power, z_power), sympy.Symbol(rf"\mathrm{{E}}[x^{{{x_power}}} z^{{{z_power}}}]", real=True))


def moment_of_rest(power: int) -> sympy.Expr:
    """E[r^k] for k <= 2; r has mean zero and the variance V up to order 1/d."""
    correction = sympy.Symbol("v_1", real=True)
    return {0: sympy.S.One, 1: sympy.S.Zero, 2: sym.V - correction / sym.d}[power]


def _one_step(model: LinearModel) -> tuple[list[Step], sympy.Expr, sympy.Expr]:
    step = -sym.eta / sympy.sqrt(sym.d) * residual_parts() * sym.z * sym.s
    groups = [((sym.x, sym.z), moment_of_input), ((sym.r,), moment_of_rest)]
    sample_mean = expectation(step, groups)
    second = expectation(sympy.expand(step**2), groups)
    mean = sample_mean + decay(model)
    drift = leading_order(mean, sym.d)
    diffusion = leading_order((second - sample_mean**2) / batch(model), sym.d)
    mean_step, variance_step = sympy.symbols(r"\mathrm{E}[\mathrm{d}w] \mathrm{Var}[\mathrm{d}w]")
    steps = [
        Step(
            "one-step mean",
            (sympy.Eq(mean_step, sympy.factor(mean)),),
            "Expectation over the sample, monomial by monomial; it is exact at every d, since r has mean zero.",
        ),
        Step(
            "one-step variance",
            (sympy.Eq(variance_step, diffusion / sym.d + sympy.Order(1 / sym.d**2, (sym.d, sympy.oo))),),
            "The variance computed the same way; fourth moments of (x, z) and the correction v_1/d of E[r^2] enter "
            "only at order 1/d^2."
            + (" Averaging B independent samples divides it by B." if model.batch_size > 1 else ""),
        ),
        Step(
            "stochastic differential equation",
            (sympy.Eq(sym.dw, increment(drift, diffusion)),),
            "Mean and variance of order 1/d per step give, in rescaled time tau = step/d, a diffusion for each "
            "coordinate; coordinates interact only through V.",
            "diffusion limit of Markov chains; derived here",
        ),
    ]
    return steps, drift, diffusion


def increment(drift: sympy.Expr, diffusion: sympy.Expr) -> sympy.Expr:
    """drift dtau + sqrt(diffusion) dB, left as written: SymPy would sort the differentials into the coefficients."""
    terms = [
        sympy.Mul(coefficient, differential, evaluate=False)
        for coefficient, differential in ((drift, sym.dtau), (sympy.sqrt(diffusion), sym.dB))
    ]
    return sympy.Add(*terms, evaluate=False)


def derive_order_parameters() -> tuple[list[Step], sympy.Expr, dict[sympy.Symbol, sympy.Expr]]:
    one_coordinate = expectation((sym.Q * sym.z - sym.wstar * sym.x) ** 2, [((sym.x, sym.z), moment_of_input)])
    integrands = {sym.m: sym.alpha_1 * sym.wstar * sym.Q, sym.q: sym.alpha_2 * sym.Q**2, sym.rho: sym.wstar**2}
    residual_variance = one_coordinate + sym.sigma**2
    for symbol, integrand in integrands.items():
        residual_variance = residual_variance.subs(integrand, symbol)
    means = {
        symbol: sympy.Symbol(rf"\mathrm{{E}}\left[{latex(integrand)}\right]")
        for symbol, integrand in integrands.items()
    }
    steps = [
        Step(
            "order parameters",
            (*(sympy.Eq(symbol, mean) for symbol, mean in means.items()), sympy.Eq(sym.V, residual_variance)),
            "The residual is a sum of independent mean-zero terms, so its variance is the average of one coordinate's "
            "variance over (w*, w) plus the label noise.",
        ),
        Step(
            "generalization error",
            (sympy.Eq(sym.eps_g, (sym.V - sym.sigma**2) / 2),),
            "Half the mean squared prediction error on a fresh noiseless label.",
            ICHIKAWA,
        ),
    ]
    return steps, residual_variance, integrands


def evolution(model: LinearModel, drift: sympy.Expr, diffusion: sympy.Expr) -> list[Step]:
    density = sym.mu(sym.tau, sym.w)
    image = sympy.Function("Q_w")(sym.w)
    surrogate = sympy.Function("s")(sym.w) if isinstance(model.surrogate, ClippedSurrogate) else sympy.S.One
    local = {sym.Q: image, sym.s: surrogate}
    right = fokker_planck(density, sym.w, drift.subs(local), diffusion.subs(local))
    steps = [
        Step(
            "density equation",
            (sympy.Eq(sympy.Derivative(density, sym.tau), right),),
            "The law of a latent weight given its teacher weight obeys the Fokker-Planck equation, the adjoint of the "
            "diffusion's generator; it is nonlinear because V is an average over that law.",
            ICHIKAWA,
        )
    ]
    if isinstance(model.surrogate, ClippedSurrogate):
        density_at = [sympy.Eq(density.subs(sym.w, end), 0) for end in (-sym.bound, sym.bound)]
        steps.append(
            Step(
                "absorption at the clipping bound",
                tuple(density_at),
                "Where s = 0 nothing moves: weights that reach the bound freeze there, so the density vanishes at the "
                "ends of the band and its outflow collects in atoms; weights that start outside stay where they are.",
            )
        )
    return steps
