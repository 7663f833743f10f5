"""From one SGD step to the density equation: the limit of the linear system, computed step by step.

Every equation shown is the result of the computation above it: moments of one step are taken by exact expectation
rules, the limit by extracting the coefficient of 1/d, evolution equations by the Ito generator and its adjoint.

The parts of a model contribute to one derivation: inputs their moments (`inputs`), labels and output the residual as
one coordinate sees it (`residual`) and its averages (`output`), the update rule drift and diffusion (`motion`,
`momentum`, `fogzo`, `spsa`). `basic` has the argument for the model with none of the options in one piece, to read.
"""

import functools
import logging

import sympy

from steode.parts.quantizers import StepFunction
from steode.parts.range_rules import FixedRange, LearnedRange
from steode.parts.schedule import Schedule
from steode.parts.stochastic import CommonFactor, StochasticMap, StochasticRounding
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate
from steode.parts.update_rules import FOGZO, SPSA, STE, Adam, KineticMomentum, Momentum, SignSGD
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Derivation, Step
from steode.symbolic.expectation import expectation, fokker_planck
from steode.symbolic.limit import Limit
from steode.symbolic.printing import latex
from steode.systems.linear.derivations import closures, schedules, stationary
from steode.systems.linear.derivations.adam import adaptive_moments
from steode.systems.linear.derivations.fogzo import flip_counting
from steode.systems.linear.derivations.inputs import Maps, derive_input_moments, input_moment, input_variance
from steode.systems.linear.derivations.kinetic import mean_gradient
from steode.systems.linear.derivations.momentum import heavy_ball
from steode.systems.linear.derivations.motion import ICHIKAWA, Motion, straight_through
from steode.systems.linear.derivations.output import derive_output
from steode.systems.linear.derivations.ranges import moving_range
from steode.systems.linear.derivations.residual import general_residual, plain_residual
from steode.systems.linear.derivations.sign import sign_descent
from steode.systems.linear.derivations.spsa import smoothed_descent
from steode.systems.linear.derivations.stationary_density import log_slope
from steode.systems.linear.spec import LinearModel

LOG = logging.getLogger(__name__)
MOTIONS = {
    STE: straight_through,
    Momentum: heavy_ball,
    KineticMomentum: mean_gradient,
    SignSGD: sign_descent,
    Adam: adaptive_moments,
    FOGZO: flip_counting,
    SPSA: smoothed_descent,
}
"""Update rule -> what it contributes."""


def derive_linear(model: LinearModel) -> Limit:
    """Derive the high-dimensional limit of a `LinearModel`; see `steode.derive`."""
    LOG.info("deriving the limit")
    maps = maps_of(model)
    output = None if model.is_plain else derive_output(model)
    residual = plain_residual() if output is None else general_residual(model, output)
    motion = MOTIONS[type(model.update_rule)](model, residual, output)
    moments, input_moments = derive_input_moments(model, maps)
    order, residual_variance, order_parameters = _order_parameters(model)
    steps = [*motion.setting, *_stochastic_maps(maps), moments, *motion.derived, *order]
    steps += [] if motion.output is None else motion.output.steps
    strength = residual_variance if motion.strength == sym.V else sym.c_2
    closure = exact = None
    given = {sym.eta: model.learning_rate, sym.zeta: model.dampening}
    followed = {symbol: value for symbol, value in given.items() if isinstance(value, Schedule)}
    slope = sympy.S.NaN
    if not motion.smoothed:
        steps += [*(motion.evolution or _evolution(model, motion)), *motion.remarks]
        if isinstance(model.range_rule, FixedRange):
            moments, closure, exact = closures.derive_closures(model, motion.drift, motion.diffusion, strength, maps)
            if motion.closure is not None:
                moments, closure = motion.closure(maps)
            steps += [*moments, *motion.closing]
        else:
            steps += moving_range(model, motion)
        slope = log_slope(motion.drift.subs(sym.s, 1), motion.diffusion.subs(sym.s, 1))

    @functools.cache
    def long_times() -> stationary.LongTimes:
        changing = isinstance(model.surrogate, DerivativeOf) or not isinstance(model.range_rule, FixedRange)
        if followed or changing:
            return stationary.LongTimes([])  # nothing is stationary
        if motion.stationary is not None:
            return stationary.LongTimes(motion.stationary(slope))
        if motion.output is not None:
            second = order_parameters[sym.q] / sym.alpha_2
            return stationary.derive_self_consistency(model, motion.drift, motion.diffusion, second)
        if motion.smoothed:
            return stationary.LongTimes([])
        return stationary.derive_stationary(model, motion.drift, motion.diffusion, residual_variance, exact, maps)

    def finish(begun: tuple[Step, ...]) -> list[Step]:
        steps, set_up = [*begun, *long_times().steps], len(motion.setting)
        if motion.rate != sym.eta:
            steps = [*steps[:set_up], *(step.renamed({sym.eta: motion.rate}) for step in steps[set_up:])]
        if followed:
            steps = schedules.follow(followed, steps)
        return steps

    limit = Limit(
        model=model,
        derivation=Derivation(tuple(steps), finish),
        drift=motion.drift,
        diffusion=motion.diffusion,
        order_parameters=order_parameters,
        residual_variance=residual_variance if output is None else output.loss,
        observables={
            "eps_g": (sym.V - sym.sigma**2) / 2 if output is None else output.eps_g,
            "V": sym.V,
            "m": sym.m,
            "q": sym.q,
        },
        input_moments=input_moments,
        gaussian_closure=closure,
        exact_moments=exact if motion.closure is None else None,
        stationary_log_slope=slope,
        long_times=long_times,
        parameters=parameters_of(model, maps),
        maps=maps,
        output=motion.output,
        companion=motion.companion,
    )
    return limit if motion.rate == sym.eta else limit.at_rate(motion.rate)


def maps_of(model: LinearModel) -> Maps:
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


def parameters_of(model: LinearModel, maps: Maps) -> dict[sympy.Symbol, float]:
    """Value of every hyperparameter symbol of a model; of eta the formula in tau where there is a schedule."""
    values = {sym.eta: model.learning_rate, sym.sigma: model.noise, sym.zeta: model.dampening}
    for symbol, value in values.items():
        if isinstance(value, Schedule):
            # a function has no formula: the symbol stays
            values[symbol] = symbol if value.formula is None else value.formula
    if not model.dampening:
        del values[sym.zeta]
    for entry, symbol in maps.values():
        grid = entry.grid if isinstance(entry, StochasticRounding) else entry
        if isinstance(grid, StepFunction):
            values |= {symbol: grid.range} if grid.has_range else {}
        elif isinstance(entry, StochasticMap):
            values[symbol] = entry.noise_variance
    optional = {sym.kappa: model.weight_decay, sym.batch: model.batch_size if model.batch_size > 1 else 0}
    values |= {symbol: value for symbol, value in optional.items() if value}
    if isinstance(model.surrogate, ClippedSurrogate):
        bounds = {sym.bound: model.surrogate.bound, sym.lower: model.surrogate.lower}
        values |= {symbol: value for symbol, value in bounds.items() if value is not None}
    if isinstance(model.range_rule, LearnedRange):
        values[sym.eta_range] = model.range_rule.rate
    rule = model.update_rule
    if isinstance(rule, Momentum):
        values |= {sym.beta: rule.beta, sym.eta_eff: values[sym.eta] / (1 - rule.beta)}
    elif isinstance(rule, KineticMomentum):
        values |= {sym.friction: rule.friction}
    elif isinstance(rule, Adam) and rule.second_moment_rate is not None:
        values |= {sym.c_v: rule.second_moment_rate}
    elif isinstance(rule, FOGZO):
        values |= {sym.c_u: rule.c, sym.n_dir: rule.n}
    elif isinstance(rule, SPSA):
        values |= {sym.nu: rule.ratio, sym.eps: rule.eps}
    return values


def _stochastic_maps(maps: Maps) -> list[Step]:
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


def _order_parameters(model: LinearModel) -> tuple[list[Step], sympy.Expr, dict[sympy.Symbol, sympy.Expr]]:
    """Steps, V of a plain model in the order parameters, and the integrands of these."""
    variance, stochastic = input_variance(model), isinstance(model.weight_quantizer, StochasticMap)
    integrands = {
        sym.m: sym.alpha_1 * sym.wstar * sym.Q,
        sym.q: sym.alpha_2 * (sym.Q**2 + sym.v if stochastic else sym.Q**2),
        sym.rho: variance * sym.wstar**2,
    }
    definitions = tuple(
        sympy.Eq(symbol, sympy.Symbol(rf"\mathrm{{E}}\left[{latex(integrand)}\right]"))
        for symbol, integrand in integrands.items()
    )
    one_coordinate = expectation((sym.Q * sym.z - sym.wstar * sym.x) ** 2, [((sym.x, sym.z), input_moment(variance))])
    residual_variance = one_coordinate + sym.sigma**2
    for symbol, integrand in integrands.items():
        residual_variance = residual_variance.subs(integrand, symbol)
    if model.is_plain:
        reason = (
            "The residual is a sum of independent mean-zero terms, so its variance is the average of one coordinate's "
            "variance over (w*, w) plus the label noise."
        )
        error = "Half the mean squared prediction error on a fresh noiseless label."
        steps = [
            Step("order parameters", (*definitions, sympy.Eq(sym.V, residual_variance)), reason),
            Step("generalization error", (sympy.Eq(sym.eps_g, (sym.V - sym.sigma**2) / 2),), error, ICHIKAWA),
        ]
        return steps, residual_variance, integrands
    law = "(w*, w)" if model.spectrum.is_isotropic else "(w*, lambda, w)"
    noise = " A stochastic weight adds its variance v to the self overlap." if stochastic else ""
    reason = (
        "The pre-activations are sums of independent mean-zero terms: their covariances are averages of one "
        f"coordinate's over {law}.{noise}"
    )
    return [Step("order parameters", definitions, reason)], residual_variance, integrands


def _evolution(model: LinearModel, motion: Motion) -> list[Step]:
    density = sym.mu(sym.tau, sym.w)
    image = sympy.Function("Q_w")(sym.w)
    constant = isinstance(model.surrogate, IdentitySurrogate)
    surrogate = sympy.S.One if constant else sympy.Function("s")(sym.w)
    local = {sym.Q: image, sym.s: surrogate}
    right = fokker_planck(density, sym.w, motion.drift.subs(local), motion.diffusion.subs(local))
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
        lower = -sym.bound if model.surrogate.lower is None else sym.lower
        density_at = [sympy.Eq(density.subs(sym.w, end), 0) for end in (lower, sym.bound)]
        steps.append(
            Step(
                "absorption at the clipping bound",
                tuple(density_at),
                "Where s = 0 nothing moves: weights that reach a bound freeze there, so the density vanishes at the "
                "ends of the band and its outflow collects in atoms; weights that start outside stay where they are.",
            )
        )
    return steps
