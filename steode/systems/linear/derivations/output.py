"""The output channel of the linear system: how the residual answers to the two pre-activations, and what the loss is.

The residual e = Q_o(f(h) - Q_l(f_*(h*) + sigma xi)) f'(h) enters the limit of one coordinate through three Gaussian
averages, for (h, h*) is Gaussian with covariance C = [[q, m], [m, rho]]:

    (c_h, c_*) = C^{-1} (E[e h], E[e h*]),    c_2 = E[e^2].
"""

import dataclasses

import sympy

from steode.errors import UnsupportedError
from steode.parts.elementwise import Elementwise
from steode.parts.quantizers import Identity
from steode.parts.stochastic import CommonFactor, StochasticMap
from steode.parts.surrogates import IdentitySurrogate
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.averages import GaussianSlope, GaussianSquare
from steode.symbolic.derivation import Step
from steode.symbolic.expectation import expectation
from steode.systems.linear.spec import LinearModel

STEIN = "Stein's lemma for two Gaussian variables: E[f(h) h*] = Cov(h, h*) E[f'(h)]"
COVARIANCE = sympy.Matrix([[sym.q, sym.m], [sym.m, sym.rho]])
LEAST_NOISE = 0.1
V_LABEL = sym.rho + sym.sigma**2
"""E[y^2] of a linear teacher's noisy labels."""


@dataclasses.dataclass(frozen=True)
class Output:
    """Averages of the output channel as expressions in m, q, rho and sigma, and for zeroth-order updates in p_tau.

    Attributes
    ----------
    steps : of the derivation.
    response : c_h and c_*.
    strength : c_2.
    loss : V = E[(f(h) - Q_l(y))^2].
    eps_g : generalization error.
    constants : symbols in response and strength beside m, q, rho, sigma, V and p_tau.
    """

    steps: list[Step]
    response: tuple[sympy.Expr, sympy.Expr]
    strength: sympy.Expr
    loss: sympy.Expr
    eps_g: sympy.Expr
    constants: tuple[sympy.Symbol, ...] = ()

    @property
    def needs_quadrature(self) -> bool:
        """True if the averages are integrals over both pre-activations."""
        return self.loss.has(averages.LossSquare)

    @property
    def is_linear(self) -> bool:
        """True if the residual answers like yhat - y on average: c_h = 1, c_* = -1."""
        return self.response == (1, -1)

    @property
    def needs_slope(self) -> bool:
        """True if the response is the mean slope of the weights' map, a functional of the law beyond m and q."""
        return sympy.sympify(self.response[0], strict=True).has(sym.p_tau)

    @property
    def is_of_loss(self) -> bool:
        """True if the response is a function of V alone."""
        return sympy.sympify(self.response[0], strict=True).has(sym.V)


PLAIN_LOSS = sym.q - 2 * sym.m + V_LABEL
"""V of a linear and deterministic output."""


def as_output(response: tuple, strength: sympy.Expr) -> Step:
    """The step that reads the motion of an update rule as that of the gradient behind an output."""
    values = zip((sym.c_h, sym.c_star, sym.c_2), (*response, strength), strict=True)
    return Step(
        "as an output",
        tuple(sympy.Eq(symbol, value) for symbol, value in values),
        "Term by term this is the equation of the gradient itself behind an output with these averages, in which the "
        "following is written.",
    )


def derive_output(model: LinearModel) -> Output:
    """The channel of a model, by the simplest way that holds.

    Raises `UnsupportedError` for combinations whose pre-activations are not Gaussian, or whose residual is not Gaussian
    where its map needs it.
    """
    _check(model)
    affine = averages.is_affine
    plain_teacher = isinstance(model.teacher_activation, Identity)
    passing = isinstance(model.activation_surrogate, IdentitySurrogate)
    if plain_teacher and passing and affine(model.label_quantizer) and affine(model.residual_quantizer):
        return _linear(model) if affine(model.activation) else _stein(model)
    return _general()


def _check(model: LinearModel) -> None:
    affine, common = averages.is_affine, []
    for name in ("weight_quantizer", "input_quantizer"):
        if isinstance(getattr(model, name), CommonFactor):
            common.append(name)
    if common and not (_is_linear(model)):
        raise UnsupportedError(
            f"{common[0]}: a factor common to the whole vector leaves the pre-activation a mixture of Gaussians, whose "
            "limit is derived for linear outputs only; use MultiplicativeNoise, or simulate."
        )
    rounded = not (affine(model.residual_quantizer) and affine(model.label_quantizer))
    if rounded and isinstance(model.teacher_activation, Elementwise) and model.noise < LEAST_NOISE:
        raise UnsupportedError(
            f"teacher_activation: labels that are a smooth map of h* meet a jump of label_quantizer or "
            f"residual_quantizer; without label noise of at least {LEAST_NOISE} the quadrature is not accurate. Raise "
            "noise, or simulate."
        )
    if not affine(model.residual_quantizer):
        random = [
            name
            for name, entry in (("activation", model.activation), ("label_quantizer", model.label_quantizer))
            if isinstance(entry, StochasticMap) and (name == "activation" or affine(entry))
        ]
        if random:
            raise UnsupportedError(
                f"residual_quantizer: with the stochastic {random[0]} the residual is not Gaussian, and the averages "
                "of this map are not derived; leave one of the two out, or simulate."
            )


def _is_linear(model: LinearModel) -> bool:
    maps = (model.activation, model.label_quantizer, model.residual_quantizer)
    plain = isinstance(model.teacher_activation, Identity) and isinstance(model.activation_surrogate, IdentitySurrogate)
    return plain and all(averages.is_affine(entry) for entry in maps)


def _linear(model: LinearModel) -> Output:
    """Unbiased maps of output, labels and residual: only second moments change."""
    factor = isinstance(model.input_quantizer, CommonFactor)
    g = sym.g if factor else sympy.S.One
    power = 1 + sym.nu_x if factor else sympy.S.One
    own = g**2 * sym.q / power
    prediction = averages.second_moment(model.activation, own, sym.nu_f)
    label = averages.second_moment(model.label_quantizer, V_LABEL, sym.nu_l)
    given_factor = prediction - 2 * g * sym.m + label
    squared = averages.second_moment(model.residual_quantizer, given_factor, sym.nu_o)
    groups = [((sym.g,), _factor_moment)]
    loss = expectation(given_factor, groups)
    weighted = expectation(g**2 * squared, groups)
    # a common factor weights m and q by moments of its own, without it the sum of variances is best left flat
    strength = sympy.collect(weighted, (sym.q, sym.m, sym.rho), sympy.factor) / power if factor else weighted
    eps_g = sympy.expand((expectation(prediction - 2 * g * sym.m, groups) + sym.rho) / 2)
    equations = [sympy.Eq(sym.c_h, 1), sympy.Eq(sym.c_star, -1), sympy.Eq(sym.V, loss)]
    equations += [sympy.Eq(sym.c_2, strength), sympy.Eq(sym.eps_g, eps_g)]
    reason = (
        "Output, labels and residual are right on average, so the residual answers like yhat - y. Its second moment "
        "collects the variance of each map in turn: of the output and the label inside V, of the residual after it."
    )
    if factor:
        reason += (
            " A factor g common to an input vector multiplies the student's pre-activation and the gradient alike: the "
            "square of the residual is weighted by g^2, with the Gaussian moments of g."
        )
    return Output(
        [Step("output averages", tuple(equations), reason)], (sympy.S.One, -sympy.S.One), strength, loss, eps_g
    )


def _factor_moment(power: int) -> sympy.Expr:
    """E[g^k] for g ~ N(1, nu_x)."""
    xi = sympy.Symbol("xi", real=True)
    polynomial = sympy.Poly(sympy.expand((1 + sympy.sqrt(sym.nu_x) * xi) ** power), xi)
    return sum(c * (sympy.factorial2(k - 1) if k % 2 == 0 else 0) for (k,), c in polynomial.terms())


def _stein(model: LinearModel) -> Output:
    """A map of the output with surrogate 1 and a linear teacher: closed forms by Stein's lemma."""
    slope, square = GaussianSlope(sym.f, 0, sym.q), GaussianSquare(sym.f, 0, sym.q)
    # e = f(h) - h* - noise: E[f h] = q E[f'], E[f h*] = m E[f'], E[h* h] = m, E[h*^2] = rho
    correlations = sympy.Matrix([sym.q * slope - sym.m, sym.m * slope - sym.rho])
    response = tuple(sympy.simplify(entry) for entry in COVARIANCE.LUsolve(correlations))
    label = averages.second_moment(model.label_quantizer, V_LABEL, sym.nu_l)
    loss = square - 2 * sym.m * slope + label
    strength = averages.second_moment(model.residual_quantizer, sym.V, sym.nu_o)
    eps_g = (square - 2 * sym.m * slope + sym.rho) / 2
    products = sympy.Matrix(sympy.symbols(r"\mathrm{E}[e\,h] \mathrm{E}[e\,h^{*}]"))
    steps = [
        Step(
            "output averages",
            (
                *(sympy.Eq(name, value) for name, value in zip(products, correlations, strict=True)),
                sympy.Eq(sym.c_h, response[0]),
                sympy.Eq(sym.c_star, response[1]),
            ),
            "The quantized output enters through its mean slope alone: Stein's lemma takes it out of both products, "
            "and the covariance of the pre-activations divides it into the responses.",
            STEIN,
        ),
        Step(
            "loss",
            (sympy.Eq(sym.V, loss), sympy.Eq(sym.c_2, strength), sympy.Eq(sym.eps_g, eps_g)),
            "The squared residual expanded, with the same lemma for the product of output and label.",
            STEIN,
        ),
    ]
    return Output(steps, response, strength.subs(sym.V, loss), loss, eps_g)


def _general() -> Output:
    """Any other output: the averages stay integrals over the two pre-activations."""
    arguments = (sym.f, sym.m, sym.q, sym.rho, sym.sigma)
    response = averages.StudentResponse(*arguments), averages.TeacherResponse(*arguments)
    strength, loss = averages.ResidualSquare(*arguments), averages.LossSquare(*arguments)
    eps_g = averages.ErrorSquare(*arguments) / 2
    matrix = sympy.Eq(sympy.Symbol("C"), COVARIANCE, evaluate=False)
    equations = (
        matrix,
        sympy.Eq(sym.c_h, response[0]),
        sympy.Eq(sym.c_star, response[1]),
        sympy.Eq(sym.c_2, strength),
        sympy.Eq(sym.V, loss),
        sympy.Eq(sym.eps_g, eps_g),
    )
    reason = (
        "Both pre-activations are sums over many coordinates, hence Gaussian with covariance C; the averages of the "
        "residual over them have no closed form for these maps and are integrated numerically. That these are the "
        "responses of E[e z] to first order is Stein's lemma for e as a function of (h, h*), jumps included."
    )
    return Output([Step("output averages", equations, reason, STEIN)], response, strength, loss, eps_g)
