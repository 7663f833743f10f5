"""The limit of a layer, derived from one step of its training, for a symbolic second moment of any small size.

Every equation is computed: moments of one step by expansion and Wick's theorem, the flux of the product law by
differentiation, clipped targets from the conditions of the constrained problem.
"""

import dataclasses
import functools
from collections.abc import Callable

import sympy

from steode.errors import check_integer
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Derivation, Derived
from steode.symbolic.expectation import expectation
from steode.symbolic.wick import wick
from steode.systems.layer import narrative
from steode.systems.layer.spec import LayerModel, check_model

SIZE = 2
"""Coordinates written out where nothing else is asked for."""


@dataclasses.dataclass(frozen=True, eq=False)
class LayerLimit(Derived):
    """The equations of one row with `size` coordinates written out.

    Attributes
    ----------
    derivation : the argument, step by step.
    target : a in terms of w* and the second moments, (size, 1).
    drift : of dw, (size, 1), in the quantized weights Q_i and the targets a_i.
    diffusion : matrix of the noise's covariance in a unit of tau, (size, size).
    V : residual variance in terms of Q and w*.
    potential : U_i(w_i), undetermined but for its derivative Q_i - a_i.
    law : the product law, not normalized.
    flux : probability flux of the product law, computed.
    fixed_point : V in terms of the spreads s_i of the weights.
    pushed : minus the drift's gradient at a coordinate that is clipped, and `compensated`, where the others are then.
    """

    derivation: Derivation
    size: int
    target: sympy.Matrix
    drift: sympy.Matrix
    diffusion: sympy.Matrix
    V: sympy.Expr
    potential: tuple[sympy.Expr, ...]
    law: sympy.Expr
    flux: sympy.Matrix
    fixed_point: sympy.Expr
    compensated: tuple[sympy.Expr, ...]
    pushed: sympy.Expr


def derive(model: LayerModel, size: int = SIZE) -> LayerLimit:
    """Derive the limit of a layer: its stochastic differential equation, stationary law, fixed point, clipping.

    The numbers of the model play no part, but whether it quantizes its inputs does. `size` is the number of coordinates
    that are written out, 2 or 3; the flux of the product law is computed to zero for a K of that size.

    Raises `SpecificationError` if `model` is not a LayerModel, or for another size.
    """
    check_model(model)
    return derive_for(model.quantizes_inputs, check_integer("size", size, 2, 3, "They are written out."))


@functools.lru_cache(maxsize=8)
def derive_for(quantized: bool, size: int) -> LayerLimit:
    """The derivation with or without quantized inputs."""
    letters = Letters(size, quantized)
    mean, residual = _one_step(letters)
    noise = _noise(letters)
    square = _square(letters, residual)
    target = letters.image.LUsolve(letters.cross * letters.teacher).applyfunc(sympy.factor)
    drift = -sym.eta * letters.image * (letters.Q - letters.a)
    diffusion = sym.eta**2 * sym.V / sym.batch * letters.image
    potential, law, flux = _detailed_balance(letters, drift, diffusion)
    fixed_point = _fixed_point(letters)
    compensated, pushed = _clipping(letters)
    found = LayerLimit(
        derivation=Derivation(()),
        size=size,
        target=target,
        drift=drift,
        diffusion=diffusion,
        V=square,
        potential=potential,
        law=law,
        flux=flux,
        fixed_point=fixed_point,
        compensated=compensated,
        pushed=pushed,
    )
    steps = narrative.steps(letters, mean, noise, found)
    return dataclasses.replace(found, derivation=Derivation(tuple(steps)))


class Letters:
    """Symbols of `size` coordinates: inputs, weights, and the matrices of second moments."""

    def __init__(self, size: int, quantized: bool):
        def column(name: str) -> sympy.Matrix:
            return sympy.Matrix([sympy.Symbol(f"{name}_{k + 1}", real=True) for k in range(size)])

        def matrix(name: str, symmetric: bool) -> sympy.Matrix:
            def entry(i, j):
                i, j = (min(i, j), max(i, j)) if symmetric else (i, j)
                return sympy.Symbol(f"{name}_{{{i + 1}{j + 1}}}", real=True)

            return sympy.Matrix(size, size, entry)

        self.size, self.quantized = size, quantized
        self.x, self.w, self.Q, self.a = (column(name) for name in ("x", "w", "Q", "a"))
        self.teacher = sympy.Matrix([sympy.Symbol(f"w^{{*}}_{{{k + 1}}}", real=True) for k in range(size)])
        self.plain = matrix("K", True)
        self.z = column("z") if quantized else self.x
        self.image = matrix("K^{(q)}", True) if quantized else self.plain
        self.cross = matrix("K^{(x)}", False) if quantized else self.plain
        self.spread = sympy.Matrix([sympy.Symbol(f"s_{k + 1}", nonnegative=True) for k in range(size)])

    def moment(self) -> list:
        """Groups for `expectation`: second moments of (z, x), and the noise xi."""
        if self.quantized:
            joint = sympy.Matrix(sympy.BlockMatrix([[self.image, self.cross], [self.cross.T, self.plain]]))
            variables = (*self.z, *self.x)
        else:
            joint, variables = self.plain, tuple(self.x)
        return [(variables, _second_moments(joint)), ((sym.xi,), _second_moments(sympy.eye(1)))]


def _second_moments(matrix: sympy.Matrix) -> Callable[..., sympy.Expr]:
    """E of products of two variables, whatever their law; of one variable alone it is not asked, nor of three."""

    def moment(*exponents: int) -> sympy.Expr:
        factors = [number for number, power in enumerate(exponents) for _ in range(power)]
        if not factors:
            return sympy.S.One
        if len(factors) == 1:
            # label noise has no mean; everything else comes in pairs
            return sympy.S.Zero
        if len(factors) > 2:
            raise ValueError(f"a moment of order {len(factors)} is not known")
        return matrix[factors[0], factors[1]]

    return moment


def _one_step(letters: Letters) -> tuple[sympy.Matrix, sympy.Expr]:
    """Mean of d times one step, and the residual of one sample; d stands for the number of all coordinates."""
    products = zip(letters.Q, letters.z, letters.teacher, letters.x, strict=True)
    residual = sum(q * z - t * x for q, z, t, x in products) / sympy.sqrt(sym.d) - sym.sigma * sym.xi
    steps = [-(sym.eta / sympy.sqrt(sym.d)) * residual * z for z in letters.z]
    mean = sympy.Matrix([sym.d * expectation(step, letters.moment()) for step in steps])
    return mean.applyfunc(sympy.expand), residual


def _square(letters: Letters, residual: sympy.Expr) -> sympy.Expr:
    """E of the squared residual."""
    return expectation(residual**2, letters.moment())


def _noise(letters: Letters) -> sympy.Matrix:
    """Covariance of a step times d, to leading order: the residual is a sum of many terms, Gaussian with the inputs."""
    size = letters.size
    g = sympy.Matrix([sympy.Symbol(f"g_{k + 1}", real=True) for k in range(size)]) / sympy.sqrt(sym.d)
    joint = sympy.Matrix(sympy.BlockMatrix([[sympy.Matrix([[sym.V]]), g.T], [g, letters.image]]))
    moment = wick(joint)

    def entry(i, j):
        powers = [2, *((k == i) + (k == j) for k in range(size))]
        whole = moment(*powers) - moment(1, *(int(k == i) for k in range(size))) * moment(
            1, *(int(k == j) for k in range(size))
        )
        return sympy.limit(sym.eta**2 / sym.batch * whole, sym.d, sympy.oo)

    return sympy.Matrix(size, size, entry)


def _detailed_balance(letters: Letters, drift: sympy.Matrix, diffusion: sympy.Matrix):
    """Potentials, the product law, and its flux: drift times law minus half the divergence of diffusion times law."""
    names = [sympy.Function(f"U_{k + 1}") for k in range(letters.size)]
    potential = tuple(name(w) for name, w in zip(names, letters.w, strict=True))
    law = sympy.exp(-2 * sym.batch / (sym.eta * sym.V) * sum(potential))
    # inside a cell Q is the potential's derivative plus the target
    slopes = {q: sympy.diff(u, w) + a for q, u, w, a in zip(letters.Q, potential, letters.w, letters.a, strict=True)}
    gradient = sympy.Matrix([sympy.diff(law, w) for w in letters.w])
    flux = (drift.subs(slopes) * law - diffusion * gradient / 2).applyfunc(sympy.simplify)
    return potential, law, flux


def _fixed_point(letters: Letters) -> sympy.Expr:
    """V under the product law: offsets from the targets have mean zero and are independent."""
    offsets = sympy.Matrix([sympy.Symbol(f"delta_{k + 1}", real=True) for k in range(letters.size)])
    groups = [
        ((offset,), lambda power, s=s: (sympy.S.One, sympy.S.Zero, s)[power])
        for offset, s in zip(offsets, letters.spread, strict=True)
    ]
    average = expectation((offsets.T * letters.image * offsets)[0], groups) / sym.d
    left = (letters.teacher.T * letters.plain * letters.teacher - letters.a.T * letters.image * letters.a)[0] / sym.d
    left = left if letters.quantized else sympy.S.Zero
    return sym.sigma**2 + left + average


def _clipping(letters: Letters) -> tuple[tuple[sympy.Expr, ...], sympy.Expr]:
    """The first coordinate held at the end omega of the range: where the others rest, and the drift of the first."""
    held = sympy.Matrix([sym.omega, *letters.Q[1:]])
    form = ((held - letters.a).T * letters.image * (held - letters.a))[0] / 2
    free = list(letters.Q[1:])
    solution = sympy.solve([sympy.diff(form, q) for q in free], free, dict=True)[0]
    rest = tuple(sympy.factor(solution[q]) for q in free)
    drift = -sym.eta * (letters.image * (held - letters.a))[0]
    return rest, sympy.factor(drift.subs(dict(zip(free, rest, strict=True))))
