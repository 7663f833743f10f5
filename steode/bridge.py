"""The only module that imports both SymPy and JAX: it turns a `Limit` into compiled equations.

One table says which JAX function stands for which SymPy function; a function that is not in it is an error that names
it.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import sympy

from steode.errors import SPAN, SpecificationError, UnsupportedError
from steode.parts.elementwise import Elementwise
from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction
from steode.parts.schedule import TAU, Schedule
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.solvers.entrywise import IdentityMap, Map, SmoothMap, StepMap
from steode.solvers.equations import Equations
from steode.solvers.random_maps import NoisyMap, RoundingMap
from steode.solvers.smoothed_descent import Dynamics
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.limit import Limit


def arctangent(x):
    """The inverse tangent, by the inverse sine of arguments up to 1/sqrt(2).

    `jnp.arctan` of an array is off by more than 1 in CPU programs compiled for 512-bit vectors, as the simulation's are
    (seen with jax 0.10.2); `tests/unit/test_compiled_functions.py` holds all functions of the table to NumPy there.
    """
    large = jnp.abs(x) > 1
    ratio = jnp.where(large, 1 / jnp.where(large, x, 1), x)
    small = jnp.arcsin(ratio / jnp.sqrt(1 + ratio**2))
    return jnp.where(large, jnp.copysign(np.pi / 2, x) - small, small)


TABLE = {
    averages.GaussianMean: lambda entrywise_map, mean, variance: entrywise_map.gaussian_mean(mean, variance),
    averages.GaussianSquare: lambda entrywise_map, mean, variance: entrywise_map.gaussian_square(mean, variance),
    averages.GaussianSlope: lambda entrywise_map, mean, variance: entrywise_map.gaussian_slope(mean, variance),
    averages.StudentResponse: lambda output, *overlaps: output.averages(*overlaps).student_response,
    averages.TeacherResponse: lambda output, *overlaps: output.averages(*overlaps).teacher_response,
    averages.ResidualSquare: lambda output, *overlaps: output.averages(*overlaps).residual_square,
    averages.LossSquare: lambda output, *overlaps: output.averages(*overlaps).loss_square,
    averages.ErrorSquare: lambda output, *overlaps: output.averages(*overlaps).error_square,
    sympy.erf: jax.scipy.special.erf,
    sympy.erfc: jax.scipy.special.erfc,
    sympy.erfinv: jax.scipy.special.erfinv,
    sympy.exp: jnp.exp,
    sympy.log: jnp.log,
    sympy.sin: jnp.sin,
    sympy.cos: jnp.cos,
    sympy.tan: jnp.tan,
    sympy.atan: arctangent,
    sympy.asin: jnp.arcsin,
    sympy.sinh: jnp.sinh,
    sympy.cosh: jnp.cosh,
    sympy.tanh: jnp.tanh,
    sympy.asinh: jnp.arcsinh,
    sympy.Abs: jnp.abs,
    sympy.sign: jnp.sign,
    sympy.Heaviside: jnp.heaviside,
    sympy.Max: lambda *values: functools.reduce(jnp.maximum, values),
    sympy.Min: lambda *values: functools.reduce(jnp.minimum, values),
    sympy.Piecewise: None,  # printed as nested `select`, no function of its own
}
"""SymPy function -> JAX function."""


SCHEDULE_TIMES = 2001
"""Equally spaced times at which a learning-rate schedule is checked."""


@functools.lru_cache(maxsize=256)
def compile_expression(expression: sympy.Expr, arguments: tuple[sympy.Symbol, ...]) -> Callable:
    """A JAX function of the arguments, in order, that evaluates the expression.

    The same expression gives the same function object, so that compiled programs are found again.
    Raises `UnsupportedError` naming any function outside the table and any symbol that is not an argument.
    """
    unknown = sorted(str(f.func) for f in expression.atoms(sympy.Function) if type(f) not in TABLE)
    if unknown:
        known = ", ".join(sorted(function.__name__ for function in TABLE))
        raise UnsupportedError(f"no JAX function for {', '.join(unknown)}; the bridge knows {known}")
    free = sorted(map(str, expression.free_symbols - set(arguments)))
    if free:
        raise UnsupportedError(f"cannot compile {expression}: no value for {', '.join(free)}")
    functions = {function.__name__: image for function, image in TABLE.items() if image is not None}
    # JAX holds an integer in 32 bits where it computes in single precision
    large = {number for number in expression.atoms(sympy.Integer) if abs(number) >= 2**31}
    expression = expression.xreplace({number: sympy.Float(number) for number in large})
    return sympy.lambdify(arguments, expression, modules=[functions, "jax"], cse=True)


def entrywise_function(given: Elementwise | Schedule) -> Callable:
    """The expression of a map or of a learning-rate schedule as a JAX function of one array."""
    if isinstance(given, Schedule):
        return given.expression if given.formula is None else compile_expression(given.formula, (TAU,))
    return compile_expression(given.expression, (given.variable,))


def check_schedules(model, t_end: float, largest: float = SPAN) -> None:
    """Raise `SpecificationError` unless learning rate and dampening are what they have to be on [0, t_end].

    A learning rate is positive and at most `largest`, a dampening not negative and at most 1e12.
    """
    check_learning_rate(model.learning_rate, t_end, largest)
    if isinstance(model.dampening, Schedule):
        check_values("dampening", model.dampening, t_end, SPAN, may_vanish=True)


def check_learning_rate(learning_rate: float | Schedule, t_end: float, largest: float = SPAN) -> None:
    """Raise `SpecificationError` for a rate above `largest`, in a schedule at SCHEDULE_TIMES times of [0, t_end].

    A schedule has to be positive at these times too, as the constants of a model are.
    """
    if isinstance(learning_rate, Schedule):
        check_values("learning_rate", learning_rate, t_end, largest)
    elif learning_rate > largest:
        remedy = "With the usual inputs, training without quantizers diverges beyond 2."
        raise SpecificationError("learning_rate", f"a rate up to {largest:g}", learning_rate, remedy)


def check_values(name: str, schedule: Schedule, t_end: float, largest: float, may_vanish: bool = False) -> None:
    """Raise `SpecificationError` unless a schedule is positive, or 0 if it may vanish, and at most `largest`."""
    times, remedy = np.linspace(0, t_end, SCHEDULE_TIMES), "It has to be one real number, written with jax.numpy."
    with jax.enable_x64(True):
        try:
            function = entrywise_function(schedule)
            values = np.asarray(jax.vmap(function)(jnp.asarray(times)))
        except (TypeError, ValueError, AttributeError) as error:
            expected = "a function of time that JAX can trace"
            raise SpecificationError(name, expected, schedule, f"{remedy} JAX says: {error}") from None
    if values.shape != times.shape or np.iscomplexobj(values):
        received = f"values of shape {values.shape[1:]} and type {values.dtype}"
        raise SpecificationError(name, "one real number at each time", received, remedy)
    wrong = np.flatnonzero(~((values >= 0 if may_vanish else values > 0) & (values <= largest)))
    if wrong.size:
        received = f"{values[wrong[0]]:g} at tau = {times[wrong[0]]:g}"
        remedy = f"Change the schedule {schedule}, or stop before that time."
        sign = ">=" if may_vanish else ">"
        expected = f"a rate {sign} 0 for tau from 0 to {t_end:g}" + (
            f", up to {largest:g}" if np.max(values) > largest else ""
        )
        raise SpecificationError(name, expected, received, remedy)


def numeric_map(entrywise_map: EntrywiseMap, scale=None) -> Map:
    """The map with arrays of NumPy's; `scale` replaces the quantization range of a step function (it may be traced)."""
    if isinstance(entrywise_map, Identity):
        return IdentityMap()
    if isinstance(entrywise_map, AdditiveNoise):
        return NoisyMap(added=np.asarray(entrywise_map.noise_variance), factor=np.asarray(0.0))
    if isinstance(entrywise_map, MultiplicativeNoise | CommonFactor):
        return NoisyMap(added=np.asarray(0.0), factor=np.asarray(entrywise_map.noise_variance))
    if isinstance(entrywise_map, StochasticRounding):
        return RoundingMap(levels=numeric_map(entrywise_map.grid, scale).levels)
    if isinstance(entrywise_map, StepFunction):
        unit = entrywise_map.scale if scale is None else scale
        units = [
            np.array([float(value) for value in values])
            for values in (entrywise_map.unit_levels, entrywise_map.unit_thresholds)
        ]
        return StepMap(levels=unit * units[0], thresholds=unit * units[1])
    return SmoothMap(function=entrywise_function(entrywise_map), limits=entrywise_map.limits)


@functools.lru_cache(maxsize=64)
def compile_limit(limit: Limit) -> Equations:
    """Compile every equation of a limit that the solvers use."""
    general = limit.output is not None
    # the slot of V holds c_2 where the output is not linear
    strength = sym.c_2 if general else sym.V
    training = (limit.rate, sym.kappa, sym.zeta, sym.batch, sym.c_h, sym.c_star)
    overlaps = (sym.f, sym.m, sym.q, sym.rho, sym.sigma)
    noises = {symbol: value for symbol, value in limit.parameters.items() if symbol in sym.NOISE_VARIANCES}
    one_coordinate = (*training, sym.alpha_1, sym.alpha_2, sym.wstar)
    order = dict(limit.order_parameters)
    drift, diffusion, slope = limit.drift.subs(sym.s, 1), limit.diffusion.subs(sym.s, 1), limit.stationary_log_slope
    closure_rates = () if limit.gaussian_closure is None else limit.gaussian_closure.rates
    moment_rates = () if limit.exact_moments is None else limit.exact_moments.rates
    if general and limit.output.needs_slope:
        # the mean slope takes the place of the response, and the strength that of V and the random directions
        own = {sym.p_tau: sym.c_h, sym.V: sym.c_2 * limit.output.loss / limit.output.strength}
        drift, diffusion, slope = (sympy.simplify(value.subs(own)) for value in (drift, diffusion, slope))
        closure_rates, moment_rates = (
            tuple(sympy.simplify(rate.subs(own)) for rate in rates) for rates in (closure_rates, moment_rates)
        )
    closure = moments = None
    if limit.gaussian_closure is not None:
        states = limit.gaussian_closure.states
        arguments = (*one_coordinate, strength, sym.Q_w, *states, *([sym.friction] if sym.M_b in states else []))
        closure = _compile_all(closure_rates, arguments)
    if limit.exact_moments is not None:
        teacher_square = sym.rho_w if general else sym.rho
        arguments = (*training, sym.alpha_1, sym.alpha_2, teacher_square, sym.sigma, strength, sym.A, sym.C)
        moments = _compile_all(moment_rates, arguments)
    force = force_of_loss = strength_of_gap = companion_rate = companion_start = None
    constants = limit.output.constants if general else ()
    if general:
        if limit.output.is_linear:
            strength_of_gap = _of_gap(limit.output.strength.subs(noises))
        expressions = tuple(value.subs(noises) for value in (*limit.output.response, limit.output.strength))
        loss = limit.output.loss.subs(noises)
        if limit.output.is_of_loss:
            force_of_loss = _compile_all(expressions, (sym.V, *constants))
            strength_of_gap = _of_gap(loss)
        expressions = tuple(value.subs(sym.V, loss) for value in expressions)
        force = _compile_all(expressions, (*overlaps, sym.p_tau, *constants))
    if limit.companion is not None:
        given = (sym.tau, sym.c_v, sym.c_h, sym.c_star, sym.c_2, *constants)
        companion_rate = compile_expression(limit.companion.rate, given)
        companion_start = compile_expression(limit.companion.start, constants)
    return Equations(
        drift=compile_expression(drift, (*one_coordinate, sym.Q, sym.w)),
        diffusion=compile_expression(diffusion, (*training, sym.alpha_2, strength)),
        teacher_overlap=compile_expression(order[sym.m], (sym.alpha_1, sym.wstar, sym.Q)),
        self_overlap=compile_expression(order[sym.q].subs(sym.v, 0).subs(sym.Q**2, sym.C), (sym.alpha_2, sym.C)),
        residual_variance=compile_expression(limit.residual_variance.subs(noises), overlaps),
        force=force,
        force_of_loss=force_of_loss,
        constants=tuple(symbol.name for symbol in constants),
        companion_rate=companion_rate,
        companion_start=companion_start,
        needs_slope=general and limit.output.needs_slope,
        strength_of_gap=strength_of_gap,
        observables=tuple(
            (name, compile_expression(expression.subs(noises), (sym.V, *overlaps)))
            for name, expression in limit.observables.items()
        ),
        correlation=compile_expression(limit.input_moments[sym.alpha_1], (sym.Q_x, sym.lam)),
        mean_square=compile_expression(limit.input_moments[sym.alpha_2], (sym.Q_x, sym.lam)),
        log_slope=compile_expression(slope, (*training, sym.alpha_2, strength, sym.a, sym.Q, sym.w)),
        closure=closure,
        moments=moments,
    )


def _of_gap(value: sympy.Expr) -> Callable:
    """A function of m, q, rho and sigma in terms of G = q - 2m + rho, q, rho and sigma."""
    # m leaves the sum, so that a small distance of the pre-activations is not a difference of large overlaps
    by_gap = value.subs(sym.m, (sym.q + sym.rho - sym.gap) / 2)
    return compile_expression(sympy.expand(by_gap), (sym.gap, sym.q, sym.rho, sym.sigma))


@functools.lru_cache(maxsize=64)
def compile_descent(limit: Limit) -> Dynamics:
    """Compile drift and diffusion of plain SPSA."""
    drift = (sym.eta, sym.kappa, sym.alpha_1, sym.alpha_2, sym.wstar, sym.S_1, sym.S_2, sym.w)
    diffusion = (sym.eta, sym.batch, sym.alpha_2, sym.S_1, sym.V_s, sym.V_u, sym.D_2, sym.nu)
    return Dynamics(compile_expression(limit.drift, drift), compile_expression(limit.diffusion, diffusion))


@functools.lru_cache(maxsize=64)
def _compile_all(expressions: tuple[sympy.Expr, ...], arguments: tuple[sympy.Symbol, ...]) -> Callable:
    functions = [compile_expression(expression, arguments) for expression in expressions]
    return lambda *values: tuple(function(*values) for function in functions)
