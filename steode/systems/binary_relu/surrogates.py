"""Surrogate derivatives mu' of the binarized ReLU: three of the literature, and the user's own."""

import dataclasses
import itertools

import numpy as np
import sympy

from steode.errors import LARGEST, SpecificationError
from steode.parts.elementwise import evaluate

X = sympy.Symbol("x", real=True)
"""Variable of every surrogate derivative."""


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """A surrogate derivative mu' >= 0 that stands in the backward pass for the derivative of 1{x > 0}.

    Attributes
    ----------
    name : "identity", "relu", "clipped relu" or "own".
    derivative : mu' as an expression in `X`.
    """

    name: str
    derivative: sympy.Expr

    @property
    def is_one_sided(self) -> bool:
        """True if mu' vanishes for x < 0, on test points."""
        return not np.any(self(-np.geomspace(1e-6, 50, 400)))

    @property
    def kinks(self) -> tuple[float, ...]:
        """Points where mu' may jump or bend: boundaries of the pieces, and zeros inside Heaviside, sign and Abs."""
        expression = self.derivative.replace(sympy.Max, lambda *of: sympy.Max(*of).rewrite(sympy.Piecewise))
        expression = expression.replace(sympy.Min, lambda *of: sympy.Min(*of).rewrite(sympy.Piecewise))
        relations = (relation.lhs - relation.rhs for relation in expression.atoms(sympy.core.relational.Relational))
        jumps = (function.args[0] for function in expression.atoms(sympy.Heaviside, sympy.sign, sympy.Abs))
        found = set()
        for boundary in itertools.chain(relations, jumps):
            if boundary.has(X):
                roots = (complex(root) for root in sympy.solve(boundary, X))
                found |= {root.real for root in roots if abs(root.imag) < 1e-12}
        return tuple(sorted(found))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """mu'(x), in NumPy; shape of x."""
        return evaluate(self.derivative, X, np.asarray(x, float))


SURROGATES = {
    "identity": Surrogate("identity", sympy.Integer(1)),
    "relu": Surrogate("relu", sympy.Heaviside(X)),
    "clipped relu": Surrogate("clipped relu", sympy.Heaviside(X) - sympy.Heaviside(X - 1)),
}
"""mu' = 1; 1{x > 0}; 1{0 < x < 1}."""


def check_surrogate(given: object) -> Surrogate:
    """The surrogate of a name or an expression; raises `SpecificationError` unless mu' is real, finite and >= 0."""
    if isinstance(given, Surrogate):
        return given
    names = ", ".join(SURROGATES)
    if isinstance(given, str):
        if given not in SURROGATES:
            remedy = "Your own is given by its derivative, a SymPy expression."
            raise SpecificationError("surrogate", f"one of {names}", given, remedy)
        return SURROGATES[given]
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    expression = sympy.sympify(given, strict=True) if is_number else given
    if not isinstance(expression, sympy.Expr) or len(expression.free_symbols) > 1:
        expected = f"one of {names}, or mu' as a SymPy expression of one variable"
        raise SpecificationError("surrogate", expected, given, "For example 1/(1 + x**2).")
    expression = expression.xreplace({symbol: X for symbol in expression.free_symbols})
    own = Surrogate("own", expression)
    points = np.concatenate([-np.geomspace(1e-4, 30, 400)[::-1], np.geomspace(1e-4, 30, 400)])
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(own(points), complex)
    except (NameError, TypeError, AttributeError, KeyError):  # a function or number NumPy and SciPy do not know
        values = np.array(np.nan)
    if not np.all(np.abs(values) <= LARGEST) or np.any(values.imag):
        remedy = f"mu' must be defined for every real number but single points, and at most {LARGEST:g}."
        raise SpecificationError("surrogate", "a derivative with real finite values on [-30, 30]", expression, remedy)
    if np.any(values.real < 0):
        where = points[np.argmin(values.real)]
        received = f"mu'({where:.3g}) = {values.real.min():.3g}"
        remedy = "A surrogate that decreases turns descent into ascent; use one that never does."
        raise SpecificationError("surrogate", "a derivative mu' >= 0", received, remedy)
    if not np.any(values.real):
        raise SpecificationError("surrogate", "a derivative that is not zero everywhere", expression, "Nothing trains.")
    return own
