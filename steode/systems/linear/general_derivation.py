"""The limit of the linear system with a spectrum, stochastic maps, or maps of labels, output and residual.

The argument is that of `steode.systems.linear.derivation`, with two changes: an input coordinate has the variance
lambda, and the residual is any function of the two pre-activations, whose first-order response takes the place of
yhat - y.
"""

import sympy

from steode.quantizers import EntrywiseMap, Identity, StepFunction
from steode.schedule import Schedule
from steode.stochastic import CommonFactor, StochasticMap, StochasticRounding
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.averages import GaussianSlope, GaussianSquare
from steode.symbolic.derivation import Derivation, Step
from steode.symbolic.expectation import expectation, leading_order
from steode.symbolic.limit import Limit
from steode.systems.linear import closures, schedules, stationary
from steode.systems.linear.derivation import ICHIKAWA, STEIN, batch, decay, evolution, increment, shown
from steode.systems.linear.output import Output, derive_output
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.stationary_density import log_slope
from steode.systems.linear.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate

SPECTRAL = "drift and diffusion with alpha_1(lambda), alpha_2(lambda) derived here"


def derive_general(model: LinearModel) -> Limit:
    """Derive the limit of a `LinearModel` with any of its options; see `steode.derive`."""
    maps = _maps(model)
    output = derive_output(model)
    moments, input_moments = _input_moments(model, maps)
    one_step, drift, diffusion = _one_step(model, output)
    order, order_parameters = _order_parameters(model)
    steps = [*_setting(model), *_stochastic_maps(maps), *moments, *one_step, *order, *output.steps]
    steps += evolution(model, drift, diffusion)
    closure_steps, gaussian_closure, exact_moments = closures.derive_closures(model, drift, diffusion, sym.c_2, maps)
    steps += closure_steps
    slope = log_slope(drift.subs(sym.s, 1), diffusion.subs(sym.s, 1))
    if isinstance(model.learning_rate, Schedule):
        steps = schedules.follow(model.learning_rate, steps)
    elif isinstance(model.surrogate, IdentitySurrogate):
        steps += stationary.derive_self_consistency(model, drift, diffusion, order_parameters[sym.q] / sym.alpha_2)
    return Limit(
        model=model,
        derivation=Derivation(tuple(steps)),
        drift=drift,
        diffusion=diffusion,
        order_parameters=order_parameters,
        residual_variance=output.loss,
        observables={"eps_g": output.eps_g, "V": sym.V, "m": sym.m, "q": sym.q},
        input_moments=input_moments,
        gaussian_closure=gaussian_closure,
        exact_moments=exact_moments,
        stationary_log_slope=slope,
        plateau_time=None,
        fixed_point_value=None,
        parameters=_parameters(model, maps),
        maps=maps,
        output=output,
    )


def _maps(model: LinearModel) -> dict[sympy.Symbol, tuple[EntrywiseMap, sympy.Expr]]:
    """Symbol of each map -> (the map, the symbol of its range or noise variance)."""
    table = {
        sym.Q_w: (model.weight_quantizer, sym.omega, sym.nu_w),
        sym.Q_x: (model.input_quantizer, sym.omega_x, sym.nu_x),
        sym.f: (model.activation, sym.omega_f, sym.nu_f),
        sym.Q_l: (model.label_quantizer, sym.omega_l, sym.nu_l),
        sym.Q_o: (model.residual_quantizer, sym.omega_o, sym.nu_o),
    }
    return {
        symbol: (entry, noise if averages.is_affine(entry) else scale)
        for symbol, (entry, scale, noise) in table.items()
    }


def _parameters(model: LinearModel, maps) -> dict[sympy.Symbol, float]:
    values = {sym.eta: model.learning_rate, sym.sigma: model.noise}
    if isinstance(model.learning_rate, Schedule):
        values[sym.eta] = sym.eta if model.learning_rate.formula is None else model.learning_rate.formula
    for entry, symbol in maps.values():
        grid = entry.grid if isinstance(entry, StochasticRounding) else entry
        if isinstance(grid, StepFunction):
            values |= {symbol: grid.range} if grid.has_range else {}
        elif isinstance(entry, StochasticMap):
            values[symbol] = entry.noise_variance
    optional = {sym.kappa: model.weight_decay, sym.batch: model.batch_size if model.batch_size > 1 else 0}
    values |= {symbol: value for symbol, value in optional.items() if value}
    if isinstance(model.surrogate, ClippedSurrogate):
        values[sym.bound] = model.surrogate.bound
    return values


def _variance(model: LinearModel) -> sympy.Expr:
    """Variance of an input coordinate."""
    return sympy.S.One if model.spectrum.is_isotropic else sym.lam


def _applied(symbol: sympy.Symbol, entry: EntrywiseMap, argument: sympy.Expr) -> sympy.Expr:
    return argument if isinstance(entry, Identity) else sympy.Function(symbol.name)(argument)


def _setting(model: LinearModel) -> list[Step]:
    gradient = sym.e * sym.z
    if model.batch_size > 1:
        gradient = sympy.Function(r"\mathrm{mean}_{B}")(gradient)
    update = -sym.eta / sympy.sqrt(sym.d) * gradient * sym.s + decay(model)
    clipped = isinstance(model.surrogate, ClippedSurrogate)
    surrogate = sympy.Piecewise((1, sympy.Abs(sym.w) < sym.bound), (0, True)) if clipped else sympy.S.One
    label = _applied(sym.f_star, model.teacher_activation, sym.h_star) + sym.sigma * sym.xi
    residual = _applied(sym.f, model.activation, sym.h) - _applied(sym.Q_l, model.label_quantizer, label)
    residual = _applied(sym.Q_o, model.residual_quantizer, residual) * _backward(model)
    products = (r"Q_w(w) \cdot Q_x(x)/\sqrt{d}", r"w^{*} \cdot x/\sqrt{d}")
    spread = "" if model.spectrum.is_isotropic else " Input coordinates have variances lambda, the spectrum."
    return [
        Step(
            "update",
            (sympy.Eq(sym.dw, update), sympy.Eq(sym.s, surrogate)),
            "One SGD step changes the latent weight by the straight-through gradient: z = Q_x(x) is the quantized "
            f"input coordinate, e the backpropagated residual and s the surrogate derivative.{spread}",
            ICHIKAWA,
        ),
        Step(
            "output",
            (
                sympy.Eq(sym.h, sympy.Symbol(products[0])),
                sympy.Eq(sym.h_star, sympy.Symbol(products[1])),
                sympy.Eq(sym.e, residual),
            ),
            "Student and teacher see the sample through their pre-activations; the residual is a function of the two "
            "and of the label noise.",
        ),
    ]


def _backward(model: LinearModel) -> sympy.Expr:
    """What stands for the derivative of the output's map."""
    surrogate = model.activation_surrogate
    if isinstance(surrogate, DerivativeOf):
        return surrogate.derivative.subs(surrogate.proxy.variable, sym.h)
    if isinstance(surrogate, ClippedSurrogate):
        bound = sympy.Float(surrogate.bound)
        return sympy.Piecewise((1, sympy.Abs(sym.h) < bound), (0, True))
    return sympy.S.One


def _stochastic_maps(maps) -> list[Step]:
    u, equations = sympy.Symbol("u", real=True), []
    for symbol, (entry, scale) in maps.items():
        if isinstance(entry, StochasticMap):
            name = symbol.name
            mean = sympy.Symbol(rf"\mathrm{{E}}[{name}(u)]")
            variance = sympy.Symbol(rf"\mathrm{{Var}}[{name}(u)]")
            image = u if not isinstance(entry, StochasticRounding) else sympy.Function(r"\mathrm{clip}")(u)
            equations += [
                sympy.Eq(mean, image),
                sympy.Eq(variance, averages.conditional_variance(entry, u, scale), evaluate=False),
            ]
    if not equations:
        return []
    rounding = any(isinstance(entry, StochasticRounding) for entry, _ in maps.values())
    reason = "Maps that are drawn at random in every step enter through their mean and variance given the argument."
    if rounding:
        reason += " Stochastic rounding is unbiased between its levels and saturates at the outermost ones."
    if any(isinstance(entry, CommonFactor) for entry, _ in maps.values()):
        reason += " A common factor gives every entry this variance, and all entries err together."
    return [Step("stochastic maps", tuple(equations), reason)]


def _input_moments(model: LinearModel, maps) -> tuple[list[Step], dict[sympy.Symbol, sympy.Expr]]:
    variance = _variance(model)
    named = {
        sym.alpha_1: variance * GaussianSlope(sym.Q_x, 0, variance),
        sym.alpha_2: GaussianSquare(sym.Q_x, 0, variance),
    }
    definitions = (
        sympy.Eq(sym.alpha_1, sympy.Symbol(r"\mathrm{E}[x\,Q_x(x)]"), evaluate=False),
        sympy.Eq(sym.alpha_2, sympy.Symbol(r"\mathrm{E}[Q_x(x)^2]"), evaluate=False),
    )
    entry, _ = maps[sym.Q_x]
    closed = {
        symbol: sympy.expand(averages.explicit(average, maps)) if averages.is_affine(entry) else _closed(average, maps)
        for symbol, average in named.items()
    }
    equations = definitions + tuple(sympy.Eq(symbol, value) for symbol, value in closed.items())
    reason = (
        "The input enters through two numbers"
        + ("" if variance == 1 else " for each eigenvalue lambda")
        + ": its correlation with the quantized input, which Stein's lemma turns into the mean slope of the quantizer "
        "times the variance, and the second moment of the quantized input."
    )
    return [Step("input moments", equations, reason, STEIN)], named


def _closed(average, maps) -> sympy.Expr:
    named = next(iter(average.atoms(GaussianSlope, GaussianSquare)))
    return average / named * shown(named, maps)


def _one_step(model: LinearModel, output: Output) -> tuple[list[Step], sympy.Expr, sympy.Expr]:
    """The residual to first order in one coordinate's part of the pre-activations, whose factors are independent."""
    expansion = sym.e_0 + (sym.e_h * sym.Q * sym.z + sym.e_star * sym.wstar * sym.x) / sympy.sqrt(sym.d)
    step = -sym.eta / sympy.sqrt(sym.d) * expansion * sym.z * sym.s
    groups = [((sym.x, sym.z), _input_moment), ((sym.Q,), _weight_moment), ((sym.e_0, sym.e_h, sym.e_star), _response)]
    sample_mean = expectation(step, groups)
    second = expectation(sympy.expand(step**2), groups)
    mean = sample_mean + decay(model)
    drift = leading_order(mean, sym.d)
    diffusion = leading_order((second - sample_mean**2) / batch(model), sym.d)
    if output.is_linear:
        response = {sym.c_h: output.response[0], sym.c_star: output.response[1]}
        mean, drift = (sympy.factor(value.subs(response)) for value in (mean, drift))
    mean_step, variance_step = sympy.symbols(r"\mathrm{E}[\mathrm{d}w] \mathrm{Var}[\mathrm{d}w]")
    common = isinstance(model.input_quantizer, CommonFactor)
    weighted = " c_2 weights the squared residual by the square of the common input factor." if common else ""
    steps = [
        Step(
            "residual to first order",
            (sympy.Eq(sym.e, expansion),),
            "One coordinate moves both pre-activations by terms of order d^-1/2; e_0 and its derivatives e_h, e_* "
            "belong to the other coordinates and are independent of (x, z). Where e jumps, averages over the "
            "pre-activations make sense of the derivatives.",
        ),
        Step(
            "one-step mean",
            (sympy.Eq(mean_step, sympy.factor(mean)),),
            "Expectation over the sample, monomial by monomial: c_h and c_* are the mean responses E[e_h] and E[e_*]. "
            "A nonzero E[e] drops out because Q_x is odd.",
        ),
        Step(
            "one-step variance",
            (sympy.Eq(variance_step, diffusion / sym.d + sympy.Order(1 / sym.d**2, (sym.d, sympy.oo))),),
            f"To leading order the residual is independent of one input coordinate, and c_2 = E[e^2].{weighted}"
            + (" Averaging B samples divides the variance by B." if model.batch_size > 1 else ""),
        ),
        Step(
            "stochastic differential equation",
            (sympy.Eq(sym.dw, increment(drift, diffusion)),),
            "Mean and variance of order 1/d per step give, in rescaled time tau = step/d, a diffusion for each "
            "coordinate; coordinates interact only through the averages of the output.",
            SPECTRAL,
        ),
    ]
    return steps, drift, diffusion


def _input_moment(x_power: int, z_power: int) -> sympy.Expr:
    """E[x^i z^j]; only the first moments of the limit are known, the others must drop out."""
    if (x_power + z_power) % 2:
        return sympy.S.Zero
    known = {(0, 0): sympy.S.One, (1, 1): sym.alpha_1, (0, 2): sym.alpha_2}
    return known.get((x_power, z_power), sympy.Symbol(rf"\mathrm{{E}}[x^{{{x_power}}} z^{{{z_power}}}]", real=True))


def _weight_moment(power: int) -> sympy.Expr:
    """Moments of the quantized weight of this step, whose mean given w is Q."""
    known = {0: sympy.S.One, 1: sym.Q}
    return known.get(power, sympy.Symbol(rf"\mathrm{{E}}[Q^{{{power}}}]", real=True))


def _response(*powers: int) -> sympy.Expr:
    known = {(0, 0, 0): sympy.S.One, (0, 1, 0): sym.c_h, (0, 0, 1): sym.c_star, (2, 0, 0): sym.c_2}
    name = "".join(f"e_{index}^{{{power}}}" for index, power in zip(("0", "h", "*"), powers, strict=True) if power)
    return known.get(powers, sympy.Symbol(rf"\mathrm{{E}}[{name}]", real=True))


def _order_parameters(model: LinearModel) -> tuple[list[Step], dict[sympy.Symbol, sympy.Expr]]:
    second = sym.Q**2 + sym.v if isinstance(model.weight_quantizer, StochasticMap) else sym.Q**2
    integrands = {
        sym.m: sym.alpha_1 * sym.wstar * sym.Q,
        sym.q: sym.alpha_2 * second,
        sym.rho: _variance(model) * sym.wstar**2,
    }
    equations = tuple(
        sympy.Eq(symbol, sympy.Symbol(rf"\mathrm{{E}}\left[{sympy.latex(integrand)}\right]"))
        for symbol, integrand in integrands.items()
    )
    law = "(w*, w)" if model.spectrum.is_isotropic else "(w*, lambda, w)"
    noise = " A stochastic weight adds its variance v to the self overlap." if second != sym.Q**2 else ""
    reason = (
        "The pre-activations are sums of independent mean-zero terms: their covariances are averages of one "
        f"coordinate's over {law}.{noise}"
    )
    return [Step("order parameters", equations, reason)], integrands
