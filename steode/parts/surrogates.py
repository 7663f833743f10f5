"""Surrogate derivatives: what stands for the derivative of a map in the backward pass."""

import dataclasses
import functools

import numpy as np
import sympy

from steode.errors import SpecificationError, check_finite, check_positive
from steode.parts.elementwise import Elementwise, evaluate

MASS = sympy.Symbol("m", real=True)
"""Stands for a point mass while its factor is looked at."""
REMEDY = "Write the proxy with Max, Min, Abs or Piecewise, for example Max(x, 0) for x*Heaviside(x)."


@dataclasses.dataclass(frozen=True)
class IdentitySurrogate:
    """Surrogate derivative 1: the gradient passes the map unchanged."""


@dataclasses.dataclass(frozen=True)
class ClippedSurrogate:
    """Surrogate derivative s(u) = 1 for |u| < bound, or for lower < u < bound, and 0 otherwise.

    Two bounds are those of a grid with more codes on one side: two's complement passes the gradient of weights that
    round to its codes, half a step beyond the outermost ones (see `toolkit_grid`).

    For weights: those that reach a bound freeze there. Frozen weights have just crossed the bound, so a bound equal
    to a threshold (to 1e-9) freezes them at the outer level, and one slightly below at the inner level. Runs of finite
    dimension overshoot by O(d^-1/2) and cannot tell the two apart: `LinearModel` refuses a bound that nearly equals a
    threshold.

    Parameters
    ----------
    bound : upper end of the band, > 0.
    lower : its lower end, <= 0; None: -bound.

    Raises
    ------
    SpecificationError
        If a bound is out of its domain or not finite.
    """

    bound: float
    lower: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "bound", check_positive("ClippedSurrogate.bound", self.bound))
        if self.lower is not None:
            lower, remedy = check_finite("ClippedSurrogate.lower", self.lower), "None is -bound."
            if lower > 0:
                raise SpecificationError("ClippedSurrogate.lower", "a number <= 0", self.lower, remedy)
            object.__setattr__(self, "lower", lower)

    @property
    def band(self) -> tuple[float, float]:
        """Its two ends, between which it is 1."""
        return (-self.bound if self.lower is None else self.lower), self.bound

    def indicator(self, variable: sympy.Symbol, lower, bound) -> sympy.Expr:
        """The surrogate derivative in a variable, with symbols or numbers for its bounds."""
        inside = sympy.Abs(variable) < bound
        if self.lower is not None:
            inside = sympy.And(lower < variable, variable < bound)
        return sympy.Piecewise((1, inside), (0, True))


@dataclasses.dataclass(frozen=True)
class DerivativeOf:
    """Surrogate derivative given as the derivative of a proxy, a continuous elementwise map.

    `DerivativeOf(tanh(x))` is the surrogate 1 - tanh(x)^2; with the activation itself as proxy it is the exact
    derivative. For weights it must be positive everywhere. Raises `SpecificationError` for a proxy that `Elementwise`
    refuses, or whose derivative holds a point mass that cannot be shown to have the weight zero.
    """

    proxy: Elementwise

    def __post_init__(self):
        if not isinstance(self.proxy, Elementwise):
            object.__setattr__(self, "proxy", Elementwise(self.proxy))
        _derivative(self.proxy)  # raises where there is none

    @property
    def derivative(self) -> sympy.Expr:
        """The surrogate derivative in the proxy's variable."""
        return _derivative(self.proxy)

    def __call__(self, x):
        """Its values, of the shape of x."""
        return evaluate(self.derivative, self.proxy.variable, x)


@functools.lru_cache(maxsize=64)
def _derivative(proxy: Elementwise) -> sympy.Expr:
    """The derivative without the point masses of weight zero that SymPy keeps: x DiracDelta(x) is nothing.

    A factor that jumps, such as Heaviside(x) or sign(x), is differentiated to a point mass. With g(x) the argument of
    DiracDelta and c(x) its factor, the mass at a zero r of g is c(r)/|g'(r)|; a continuous proxy has none in all.
    """
    x = proxy.variable
    derivative = sympy.diff(proxy.expression, x)
    deltas = sorted(derivative.atoms(sympy.DiracDelta), key=sympy.default_sort_key)
    masses: dict[float, np.ndarray] = {}
    for delta in deltas:
        factor, slope = sympy.diff(derivative.subs(delta, MASS), MASS), sympy.diff(delta.args[0], x)
        for root in _real_roots(proxy, delta.args[0]):
            # both sides, for the factor may jump there; what is left at these distances is of their order
            sides = root + 1e-12 * (1 + abs(root)) * np.array([-1.0, 1.0])
            weight = sympy.lambdify(x, factor / sympy.Abs(slope), modules=["scipy", "numpy"])
            with np.errstate(all="ignore"):
                masses[root] = masses.get(root, 0) + np.broadcast_to(weight(sides), 2)
    for root, mass in masses.items():
        if not np.all(np.abs(mass) < 1e-9):
            received = f"a point mass of {np.abs(mass).max():.3g} at {root:.6g} in the derivative of {proxy.expression}"
            raise SpecificationError("DerivativeOf.proxy", "a proxy without jumps", received, REMEDY)
    return derivative.xreplace(dict.fromkeys(deltas, sympy.S.Zero))


def _real_roots(proxy: Elementwise, argument: sympy.Expr) -> list[float]:
    """Where the argument of a Heaviside or sign of the proxy is zero."""
    try:
        roots = [complex(root) for root in sympy.solve(argument, proxy.variable)]
    except (NotImplementedError, TypeError):
        received = f"one that jumps where {argument} is zero"
        raise SpecificationError("DerivativeOf.proxy", "places SymPy can find", received, REMEDY) from None
    return [round(root.real, 12) for root in roots if abs(root.imag) < 1e-12]


WeightSurrogate = IdentitySurrogate | ClippedSurrogate | DerivativeOf
OutputSurrogate = IdentitySurrogate | ClippedSurrogate | DerivativeOf


def check_surrogate(argument: str, value: object, kinds) -> None:
    """Raise `SpecificationError` unless `value` is one of the kinds of surrogate."""
    if not isinstance(value, kinds):
        remedy = "Use IdentitySurrogate(), ClippedSurrogate(bound=1.0) or DerivativeOf(Elementwise('tanh(x)'))."
        raise SpecificationError(argument, "a surrogate derivative", value, remedy)
