"""One step of quantized SGD for linear regression, written out, and its moments by Wick's theorem.

Coordinate i is the one looked at; j and k stand for any two others. What happens within one sample is averaged first,
given the draws that all samples of a batch share (the quantized weights, and common factors of labels, activations and
gradients); those are averaged last.
"""

import dataclasses

import sympy

from steode.errors import UnsupportedError
from steode.parts.quantizers import EntrywiseMap, Identity
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise
from steode.symbolic.expectation import Group, expectation
from steode.symbolic.wick import gaussian
from steode.systems.regression import symbols as sym
from steode.systems.regression.spec import ROLES

KINDS = {Identity: "none", AdditiveNoise: "additive", MultiplicativeNoise: "multiplicative", CommonFactor: "common"}

LETTERS = {"data": "d", "label": "l", "parameter": "p", "activation": "a", "gradient": "o"}

Kinds = tuple[str, ...]
"""The kind of each quantizer, in the order of ROLES."""


def kinds_of(quantizers: dict[str, EntrywiseMap]) -> Kinds:
    """The kinds of a model's quantizers. Raises `UnsupportedError` for one that has no exact recursion."""
    for role, quantizer in quantizers.items():
        if type(quantizer) not in KINDS:
            raise UnsupportedError(
                f"{role}_quantizer: {quantizer} is no noise model, so that second moments do not close; give "
                "AdditiveNoise or MultiplicativeNoise with its mean square error, or simulate it as it is."
            )
    return tuple(KINDS[type(quantizers[role])] for role in ROLES)


@dataclasses.dataclass(frozen=True)
class OneStep:
    """The random quantities of one step, as polynomials in Gaussian symbols.

    `inputs` and `images`: x_c and z_c = Q_d(x_c) of each coordinate c. `parts`: what coordinate c contributes to the
    residual r = Q_o(Q_l(y) - Q_a(h)), which is linear in the coordinates; `rest` is the residual without any. Their
    symbols are drawn for every sample by itself (`sample`) or once for the batch (`shared`).
    """

    kinds: Kinds
    inputs: dict[str, sympy.Symbol]
    images: dict[str, sympy.Expr]
    parts: dict[str, sympy.Expr]
    rest: sympy.Expr
    sample: tuple[Group, ...]
    shared: tuple[Group, ...]

    def within_sample(self, expression: sympy.Expr) -> sympy.Expr:
        """E over one sample, given what the batch shares."""
        return expectation(expression, self._used(expression, self.sample))

    def over_shared(self, expression: sympy.Expr) -> sympy.Expr:
        """E over what the batch shares."""
        return expectation(expression, self._used(expression, self.shared))

    def average(self, expression: sympy.Expr) -> sympy.Expr:
        """E over all that is drawn in a step; a function of the weights before it."""
        return expectation(expression, self._used(expression, (*self.sample, *self.shared)))

    @staticmethod
    def _used(expression, groups):
        free = sympy.sympify(expression, strict=True).free_symbols
        # `expectation` needs at least one variable; an unused one changes nothing
        return [group for group in groups if free & set(group[0])] or [groups[0]]


def one_step(kinds: Kinds) -> OneStep:
    """Write a step down for quantizers of these kinds."""
    kind = dict(zip(ROLES, kinds, strict=True))
    sample: list[Group] = []
    shared: list[Group] = []

    def draw(name: str, variance, groups: list[Group]) -> sympy.Symbol:
        symbol = sympy.Symbol(name, real=True)
        if all(symbol not in known for known, _ in groups):
            groups.append(gaussian(symbol, variance))
        return symbol

    def quantized(role: str, value, entry: str, own: list[Group], common: list[Group]):
        """Q(value): noise of the entry's own is drawn in `own`, a common factor in `common`."""
        variance = sym.EPSILON[role]
        if kind[role] == "none":
            return value
        if kind[role] == "additive":
            return value + draw(f"e^{{({LETTERS[role]})}}{entry}", variance, own)
        if kind[role] == "multiplicative":
            return (1 + draw(f"e^{{({LETTERS[role]})}}{entry}", variance, own)) * value
        return (1 + draw(f"e^{{({LETTERS[role]})}}", variance, common)) * value

    inputs = {c: draw(f"x_{c}", sym.lam[c], sample) for c in sym.COORDINATES}
    images = {c: quantized("data", inputs[c], f"_{c}", sample, sample) for c in sym.COORDINATES}
    weights = {c: quantized("parameter", sym.weight[c], f"_{c}", shared, shared) for c in sym.COORDINATES}
    xi = draw("xi", sympy.S.One, sample)

    def residual(coordinates: tuple[str, ...]) -> sympy.Expr:
        label = sum((inputs[c] * sym.teacher[c] for c in coordinates), sym.sigma * xi)
        prediction = sum((images[c] * weights[c] for c in coordinates), sympy.S.Zero)
        label = quantized("label", label, "", sample, shared)
        prediction = quantized("activation", prediction, "", sample, shared)
        return quantized("gradient", label - prediction, "", sample, shared)

    rest = residual(())
    parts = {c: sympy.expand(residual((c,)) - rest) for c in sym.COORDINATES}
    shared = shared or [gaussian(sympy.Symbol("e_shared", real=True), sympy.S.One)]
    return OneStep(kinds, inputs, images, parts, sympy.expand(rest), tuple(sample), tuple(shared))


@dataclasses.dataclass(frozen=True)
class StepMoments:
    """Averages over one step given the weights before it, as functions of those weights.

    gradient : E[r z_i] over the step.
    own : E[(r_i + r_0)^2 z_i^2], of coordinate i and the noise.
    other : E[r_j^2 z_i^2], of one other coordinate.
    pair : E[r_b r_c z_bi z_ci] of two samples b != c of a batch.
    mixed : averages that couple different coordinates; all zero, or the second moments would not close.
    """

    input_square: sympy.Expr
    input_overlap: sympy.Expr
    gradient: sympy.Expr
    own: sympy.Expr
    other: sympy.Expr
    pair: sympy.Expr
    mixed: tuple[sympy.Expr, ...]


def step_moments(step: OneStep) -> StepMoments:
    """Take the averages, each monomial by Wick's theorem."""
    z, parts = step.images["i"], step.parts
    given = step.within_sample(parts["i"] * z)
    mixed = (
        step.average(parts["j"] * z),
        step.average(step.rest * z),
        step.average(parts["i"] * parts["j"] * z**2),
        step.average(parts["j"] * parts["k"] * z**2),
        step.average(parts["j"] * step.rest * z**2),
    )
    return StepMoments(
        input_square=step.average(z**2),
        input_overlap=step.average(step.inputs["i"] * z),
        gradient=step.over_shared(given),
        own=step.average(sympy.expand(parts["i"] + step.rest) ** 2 * z**2),
        other=step.average(parts["j"] ** 2 * z**2),
        pair=step.over_shared(given**2),
        mixed=mixed,
    )
