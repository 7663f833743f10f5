"""Long times of the linear system: stationary density, fixed-point equation, small-learning-rate floor, and the
plateau.
"""

import sympy

from steode.quantizers import Identity, StepFunction
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.averages import StationarySquare
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import generator
from steode.symbolic.limit import MomentEquations
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

WRITTEN_OUT = 4
"""Cell masses are written out for step functions with at most this many levels."""


def derive_stationary(
    model: LinearModel, drift, diffusion, residual_variance, exact_moments: MomentEquations | None, maps
) -> tuple[list[Step], sympy.Expr | None]:
    """Steps, and the plateau time of a weight at w with level L_j and threshold T_j (None unless weights are
    quantized).
    """
    if isinstance(model.surrogate, ClippedSurrogate):
        time = _plateau_time(drift)[1] if isinstance(model.weight_quantizer, StepFunction) else None
        return [_no_universal_state()], time
    drift, diffusion = drift.subs(sym.s, 1), diffusion.subs(sym.s, 1)
    quantizer = model.weight_quantizer
    if isinstance(quantizer, Identity):
        return [_affine_fixed_point(exact_moments, residual_variance)], None
    stepwise = isinstance(quantizer, StepFunction)
    steps = [
        _stationary_density(drift, diffusion, stepwise),
        _mean_image(drift, diffusion),
        _fixed_point(residual_variance),
    ]
    if not stepwise:
        return steps, None
    if len(quantizer.unit_levels) <= WRITTEN_OUT:
        steps.append(_cell_masses(quantizer, maps))
    steps += [_escape(drift), _floor(residual_variance)]
    if isinstance(model.input_quantizer, Identity):
        steps.append(_exact_recovery())
    plateau, time = _plateau_time(drift)
    return [*steps, plateau], time


def _no_universal_state() -> Step:
    return Step(
        "stationary state",
        (sympy.Eq(sympy.Derivative(sym.mu(sym.tau, sym.w), sym.tau), 0),),
        "With absorbing atoms every law supported where s = 0 is stationary: the state reached depends on the initial "
        "law and is found by solving the density equation.",
    )


def _affine_fixed_point(exact: MomentEquations, residual_variance) -> Step:
    solution = sympy.solve(exact.rates, exact.states, dict=True)[0]
    variance = residual_variance.subs({sym.m: sym.alpha_1 * sym.A, sym.q: sym.alpha_2 * sym.C}).subs(solution)
    jacobian = sympy.Matrix(exact.rates).jacobian(sympy.Matrix(exact.states))
    eigenvalues = sorted((sympy.factor(value) for value in jacobian.eigenvals()), key=sympy.count_ops)
    names = sympy.symbols(f"lambda_1:{len(eigenvalues) + 1}")
    return Step(
        "fixed point",
        (
            sympy.Eq(sym.A, sympy.factor(solution[sym.A])),
            sympy.Eq(sym.V, sympy.factor(variance)),
            *(sympy.Eq(name, value) for name, value in zip(names, eigenvalues, strict=True)),
        ),
        "The moment equations are linear, so the fixed point and the eigenvalues of the relaxation are explicit; it "
        "is stable while the second eigenvalue is negative, that is for eta < 2/alpha_2.",
    )


def log_slope(drift, diffusion) -> sympy.Expr:
    """d log p/dw at zero flux, in a = alpha_1 w*/alpha_2: the flux is drift p - (diffusion p)'/2."""
    density = sympy.Function("p")(sym.w)
    flux = drift * density - sympy.diff(diffusion * density, sym.w) / 2
    slope = sympy.solve(flux, sympy.diff(density, sym.w))[0] / density
    return sympy.factor(sympy.simplify(slope.subs(sym.wstar, sym.a * sym.alpha_2 / sym.alpha_1)))


def _stationary_density(drift, diffusion, stepwise: bool) -> Step:
    density = sympy.Function("p")(sym.w)
    slope = log_slope(drift, diffusion)
    target = sympy.Eq(sym.a, sym.alpha_1 * sym.wstar / sym.alpha_2)
    shape = "it is exponential in each cell and continuous at the thresholds" if stepwise else "it is smooth"
    return Step(
        "stationary density",
        (target, sympy.Eq(sympy.Derivative(sympy.log(density), sym.w), slope)),
        "At zero probability flux the log-slope of the density is set by the distance of the quantized weight from the "
        f"target a; {shape}.",
    )


def _mean_image(drift, diffusion) -> Step:
    rate = generator(sym.w, sym.w, drift, diffusion)
    image = sympy.solve(rate, sym.Q)[0]
    mean = sympy.Symbol(r"\mathrm{E}\left[Q \mid w^{*}\right]")
    return Step(
        "mean quantized weight",
        (sympy.Eq(mean, image),),
        "The mean of w is constant in a stationary state, so the mean drift vanishes: quantized weights are right on "
        "average, at every learning rate, whenever the target lies strictly between the extreme values of Q.",
    )


def _fixed_point(residual_variance) -> Step:
    square = StationarySquare(sym.Q_w, sym.a, sym.eta * sym.V)
    average = sympy.Function(r"\mathrm{E}_{w^{*}}")
    right = residual_variance.subs(
        {sym.q: sym.alpha_2 * average(square), sym.m: sym.alpha_1**2 * sym.rho / sym.alpha_2}
    )
    input_term = sym.rho * (1 - sym.alpha_1**2 / sym.alpha_2) / 2
    image = sympy.Symbol(r"\mathrm{Var}\left[Q \mid w^{*}\right]")
    decomposition = input_term + sym.alpha_2 * average(image) / 2
    return Step(
        "fixed-point equation",
        (sympy.Eq(sym.V, sympy.expand(right)), sympy.Eq(sym.eps_g, decomposition)),
        "Inserting the stationary averages into the definition of V leaves one scalar equation (targets inside the "
        "range); the error is the loss by quantized inputs plus the dithering of the weights around their mean.",
    )


def _cell_masses(quantizer: StepFunction, maps) -> Step:
    levels, thresholds = averages.exact_steps(quantizer, maps[sym.Q_w][1])
    masses = averages.stationary_masses(levels, thresholds, sym.a, sym.theta)
    equations = [sympy.Eq(sympy.Symbol(f"P_{index}"), mass) for index, mass in enumerate(masses)]
    return Step(
        "cell masses",
        (sympy.Eq(sym.theta, sym.eta * sym.V), *equations),
        "Probability of each cell before normalization, integrating the exponential over the cell with the density "
        "equal to 1 at the lowest threshold.",
    )


def _escape(drift) -> Step:
    speed = sympy.factor(drift.subs(sym.Q, sym.omega))
    clipping = sym.alpha_2 * (sympy.Abs(sym.a) - sym.omega) ** 2 / 2
    return Step(
        "escape and clipping error",
        (
            sympy.Eq(sympy.Symbol(r"\mathrm{d}w/\mathrm{d}\tau"), speed),
            sympy.Eq(sympy.Symbol(r"\varepsilon_{\mathrm{clip}}"), clipping),
        ),
        "A target beyond the outermost level (written omega) is never reached: Q saturates there, the latent weight "
        "escapes at a constant speed, and this term replaces the dithering term.",
    )


def _floor(residual_variance) -> Step:
    u = sympy.Symbol("u", positive=True)
    gap_low, gap_high = sympy.symbols("g_1 g_2", positive=True)  # a - L_j and L_{j+1} - a

    def side(gap):
        return sympy.integrate(sympy.exp(-2 * gap * u / sym.theta), (u, 0, sympy.oo))

    below, above = side(gap_low), side(gap_high)
    second_moment = sympy.simplify((below * gap_low**2 + above * gap_high**2) / (below + above))
    dithering = second_moment.subs({gap_low: sym.a - sym.level, gap_high: sym.next_level - sym.a})
    input_term = sym.rho * (1 - sym.alpha_1**2 / sym.alpha_2)
    floor = sympy.Symbol(r"\lim_{\eta \to 0} V")
    average = sympy.Function(r"\mathrm{E}_{w^{*}}")
    return Step(
        "small-learning-rate floor",
        (sympy.Eq(floor, input_term + sym.alpha_2 * average(dithering) + sym.sigma**2),),
        "As the learning rate vanishes the stationary density shrinks onto the threshold between the two levels "
        "around a (targets inside the range; beyond it the clipping error takes its place); the masses on its two "
        "sides, integrated as exponentials, leave a variance that does not vanish.",
    )


def _exact_recovery() -> Step:
    gap_low, gap_high, width = sympy.symbols("g_1 g_2 W", positive=True)
    u = sympy.Symbol("u", positive=True)
    theta = sym.eta * sym.V

    def tail(gap):
        return sympy.integrate(sympy.exp(-2 * gap * u / theta), (u, 0, sympy.oo))

    outside = tail(gap_low) * gap_low**2 + tail(gap_high) * gap_high**2
    variance = sympy.factor(sym.alpha_2 * outside / (width + tail(gap_low) + tail(gap_high)))
    slope = sympy.limit(sympy.diff(variance, sym.V), sym.V, 0)
    uniform = sympy.factor(variance.subs({gap_low: sym.Delta, gap_high: sym.Delta, width: sym.Delta, sym.alpha_2: 1}))
    v = sympy.Symbol("v", nonnegative=True)  # V itself is declared positive, which hides the root 0
    roots = sympy.solve(sympy.Eq(v, uniform.subs(sym.V, v)), v)
    return Step(
        "exact recovery",
        (
            sympy.Eq(sym.V, variance),
            sympy.Eq(sympy.Symbol(r"\left.\mathrm{d}V/\mathrm{d}V\right|_{V=0}"), slope),
            sympy.Eq(sym.V, uniform),
            *(sympy.Eq(sym.V, sympy.factor(root), evaluate=False) for root in roots),
        ),
        "Inputs exact, no label noise, w* on an interior level whose cell of width W is flat: the tails in the two "
        "neighboring cells, at distances g_1 and g_2 in level, give this equation for small V. V = 0 is a fixed "
        "point, stable while the slope there is below 1; with nearest rounding on a uniform grid that is eta < 1, and "
        "beyond it a second root appears.",
    )


def _plateau_time(drift) -> tuple[Step, sympy.Expr]:
    speed = drift.subs({sym.s: 1, sym.Q: sym.level})
    position = sympy.Function("w")(sym.tau)
    path = sympy.dsolve(sympy.Eq(position.diff(sym.tau), speed), position, ics={position.subs(sym.tau, 0): sym.w}).rhs
    time = sympy.factor(sympy.solve(sympy.Eq(path, sym.threshold), sym.tau)[0])
    centered = {sym.level: 0, sym.w: 0, sym.threshold: sym.Delta / 2}
    length = sympy.Symbol(r"\tau_{\mathrm{plateau}}")
    step = Step(
        "plateau",
        (sympy.Eq(length, time), sympy.Eq(sympy.Symbol(r"\tau_{\mathrm{plateau}}(w_0 = 0)"), time.subs(centered))),
        "Inside one cell the drift is constant and Q does not change, so neither does the error: it stays flat until "
        "the narrow cloud of weights has traveled to the next threshold; the second form is the cell around a level "
        "at zero.",
    )
    return step, time
