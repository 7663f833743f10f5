"""Continuous entrywise maps given by a SymPy expression."""

import dataclasses
import functools

import numpy as np
import sympy

from steode.errors import LARGEST, SpecificationError
from steode.parts.expression import parse_expression
from steode.parts.quantizers import EntrywiseMap

X = sympy.Symbol("x", real=True)
"""Variable of every elementwise map."""


@dataclasses.dataclass(frozen=True)
class Elementwise(EntrywiseMap):
    """Any elementwise SymPy expression in one real variable, for example `Elementwise(sympy.tanh(x))`.

    A text, such as "tanh(2*x)", is read by `steode.parts.expression`, which never evaluates it. Raises
    `SpecificationError` if the expression has no variable or more than one, is not real and finite on a grid of test
    points, jumps (see `Levels`), or is affine (see `Identity`).
    """

    expression: sympy.Expr

    def __post_init__(self):
        expression = self.expression
        if isinstance(expression, str):
            expression = parse_expression("Elementwise.expression", expression, X, any_name=True)
        symbols = expression.free_symbols if isinstance(expression, sympy.Expr) else ()
        if len(symbols) != 1:
            remedy = "Write the map as an expression of one symbol, for example tanh(x)."
            raise SpecificationError("Elementwise.expression", "one free symbol", self.expression, remedy)
        # one real variable inside steode, whatever assumptions the user's symbol had
        expression = expression.xreplace({next(iter(symbols)): X})
        object.__setattr__(self, "expression", expression)
        try:
            with np.errstate(all="ignore"):
                values = np.asarray(self(np.linspace(-6, 6, 49) + 0.01), dtype=complex)
        except (NameError, TypeError, AttributeError):
            values = np.array(np.nan)  # a function NumPy and SciPy do not know
        if not np.all(np.abs(values) <= LARGEST) or np.any(values.imag):
            remedy = f"The map must be defined for every real number; values there are at most {LARGEST:g}."
            raise SpecificationError("Elementwise.expression", "real finite values on [-6, 6]", expression, remedy)
        if self._jumps():
            remedy = "Write it as a step function with Levels, so that its jumps are exact."
            raise SpecificationError("Elementwise.expression", "a continuous map", expression, remedy)
        if expression.is_polynomial(self.variable) and sympy.degree(expression, self.variable) < 2:
            remedy = (
                "Use Identity() and put the factor into the learning rate and the laws: its limit is known exactly."
            )
            raise SpecificationError("Elementwise.expression", "a map that is not affine", expression, remedy)

    def _jumps(self) -> bool:
        """True if the steepest piece of the graph stays as high when it is made ever narrower."""
        points = np.linspace(-6, 6, 4801) + 1e-4
        with np.errstate(all="ignore"):
            steepest = np.abs(np.diff(self(points))).argmax()
        low, high = points[steepest], points[steepest + 1]
        for _ in range(40):
            middle = (low + high) / 2
            left_is_steeper = abs(self(middle) - self(low)) > abs(self(high) - self(middle))
            low, high = (low, middle) if left_is_steeper else (middle, high)
        return abs(self(high) - self(low)) > 1e-6 * (1 + abs(self(low)))

    @property
    def variable(self) -> sympy.Symbol:
        """The expression's only free symbol."""
        return next(iter(self.expression.free_symbols))

    @property
    def is_odd(self) -> bool:
        x = self.variable
        # SymPy may fail to simplify a Piecewise expression, and takes long for others: first points in general position
        points = np.random.default_rng(0).uniform(0, 8, 200)
        with np.errstate(all="ignore"):
            here, there = self(points), -self(-points)
        if np.allclose(here, there, rtol=1e-12, atol=1e-12):
            return True
        # where rounding errors may have hidden it
        may_be = np.allclose(here, there, rtol=1e-4, atol=1e-4, equal_nan=True)
        return may_be and sympy.simplify(self.expression + self.expression.subs(x, -x)) == 0

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of the map at minus and plus infinity; NaN where there is none."""
        return _limits(self.variable, self.expression)

    @property
    def is_nondecreasing(self) -> bool:
        """True if no value is below the one before it, on 20,001 points of [-1000, 1000] that are dense around 0."""
        points = np.sinh(np.linspace(-7.6, 7.6, 20001))
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.diff(self(points))  # NaN between two infinite values
        return bool(np.all((steps >= -1e-12) | np.isnan(steps)))

    def __call__(self, x):
        return evaluate(self.expression, self.variable, x)


def evaluate(expression: sympy.Expr, variable: sympy.Symbol, x: np.ndarray) -> np.ndarray:
    """Values of an expression of one variable, in NumPy; shape of x."""
    return np.broadcast_to(_numpy_function(variable, expression)(np.asarray(x)), np.shape(x))


@functools.lru_cache(maxsize=64)
def _limits(variable: sympy.Symbol, expression: sympy.Expr) -> tuple[float, float]:
    ends = []
    for sign in (-1, 1):
        try:
            value = sympy.limit(expression, variable, sign * sympy.oo)
            ends.append(float(value) if value.is_extended_real else np.nan)
        except (TypeError, ValueError, NotImplementedError):
            # SymPy has no limits of Min and Max: constant far out, or growing without bound
            with np.errstate(over="ignore", invalid="ignore"):
                far = _numpy_function(variable, expression)(sign * np.array([1e6, 1e9, 1e12]))
                steps = np.diff(far)
            unbounded = np.inf * np.sign(steps[0]) if steps[0] * steps[1] > 0 else np.nan
            # a value may have overflowed: then there are no steps between infinite ones
            ends.append(float(far[-1] if np.isinf(far[-1]) or not steps.any() else unbounded))
    return ends[0], ends[1]


@functools.lru_cache(maxsize=64)
def _numpy_function(variable: sympy.Symbol, expression: sympy.Expr):
    return sympy.lambdify(variable, expression, modules=["scipy", "numpy"])
