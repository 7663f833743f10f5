"""Surrogate derivatives: what stands for the derivative of a map in the backward pass."""

import dataclasses

import sympy

from steode.elementwise import Elementwise
from steode.errors import SpecificationError, check_positive


@dataclasses.dataclass(frozen=True)
class IdentitySurrogate:
    """Surrogate derivative 1: the gradient passes the map unchanged."""


@dataclasses.dataclass(frozen=True)
class ClippedSurrogate:
    """Surrogate derivative s(u) = 1 for |u| < bound, 0 otherwise.

    For weights: those that reach the bound freeze there. Frozen weights have just crossed the bound, so a bound equal
    to a threshold (to 1e-9) freezes them at the outer level, and one slightly below at the inner level. Runs of finite
    dimension overshoot by O(d^-1/2) and cannot tell the two apart: `LinearModel` refuses a bound that nearly equals a
    threshold.

    Raises `SpecificationError` unless bound is positive and finite.
    """

    bound: float

    def __post_init__(self):
        object.__setattr__(self, "bound", check_positive("ClippedSurrogate.bound", self.bound))


@dataclasses.dataclass(frozen=True)
class DerivativeOf:
    """Surrogate derivative given as the derivative of a proxy, a continuous elementwise map.

    `DerivativeOf(tanh(x))` is the surrogate 1 - tanh(x)^2; with the activation itself as proxy it is the exact
    derivative. Raises `SpecificationError` for a proxy that `Elementwise` refuses.
    """

    proxy: Elementwise

    def __post_init__(self):
        if not isinstance(self.proxy, Elementwise):
            object.__setattr__(self, "proxy", Elementwise(self.proxy))

    @property
    def derivative(self) -> sympy.Expr:
        """The surrogate derivative in the proxy's variable."""
        return sympy.diff(self.proxy.expression, self.proxy.variable)


WeightSurrogate = IdentitySurrogate | ClippedSurrogate
OutputSurrogate = IdentitySurrogate | ClippedSurrogate | DerivativeOf


def check_surrogate(argument: str, value: object, kinds) -> None:
    """Raise `SpecificationError` unless `value` is one of the kinds of surrogate."""
    if not isinstance(value, kinds):
        remedy = "Use IdentitySurrogate() or ClippedSurrogate(bound=1.0)."
        raise SpecificationError(argument, "a surrogate derivative", value, remedy)
