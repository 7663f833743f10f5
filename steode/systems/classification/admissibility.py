"""Is a surrogate one with which training can be expected to succeed, and if not, why?

The class asked about: mu' = 0 for x <= 0, and delta <= mu' <= G with delta > 0 for x > 0, so that its integral mu, the
proxy of the staircase, is monotone. Bounds are found in SymPy piece by piece where every piece is monotone, and else on
a grid of points.
"""

import contextlib
import dataclasses
import functools
import math

import numpy as np
import sympy

from steode.errors import SpecificationError, check_integer, check_positive
from steode.systems.binary_relu.surrogates import Surrogate, X
from steode.systems.classification.surrogates import at_bits, check_surrogate

GRID = 4001
REACHES = 4
"""Default range of pre-activations in units of the highest level: beyond it a neuron has long been saturated."""
P = sympy.Symbol("p", positive=True)


@dataclasses.dataclass(frozen=True)
class SurrogateReport:
    """What is known about mu'.

    Attributes
    ----------
    name : of the surrogate.
    derivative : mu' in x, with the number of bits put in.
    bits : of the quantized ReLU.
    reach : pre-activations h are looked at up to here.
    zero_below : True if mu' = 0 for all x < 0.
    lower : delta, the infimum of mu' over 0 < x <= reach.
    lower_everywhere : the infimum over all x > 0.
    upper : G, the supremum over x > 0.
    symbolic : True if the bounds come from SymPy, False if from a grid of points.
    """

    name: str
    derivative: sympy.Expr
    bits: int
    reach: float
    zero_below: bool
    lower: float
    lower_everywhere: float
    upper: float
    symbolic: bool

    @property
    def admissible(self) -> bool:
        """Zero below zero, and bounded from both sides on 0 < x <= reach."""
        return self.zero_below and self.lower > 0 and math.isfinite(self.upper)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, one sentence for each condition."""
        top = 2**self.bits - 1
        zero = (
            "zero for x < 0: a neuron learns only from samples on which it is on"
            if self.zero_below
            else "not zero for x < 0: neurons are moved by samples on which they are off"
        )
        if self.lower > 0:
            low = f"at least delta = {self.lower:.4g} on 0 < x <= {self.reach:g}"
        else:
            low = f"no lower bound on 0 < x <= {self.reach:g}: a neuron can be on and get no coarse gradient"
        if self.lower > 0 and self.lower_everywhere <= 0:
            low += f"; no lower bound beyond (levels end at {top}), where neurons get slow"
        high = f"at most G = {self.upper:.4g}" if math.isfinite(self.upper) else "unbounded"
        how = "the proxy int_0^x mu' never decreases, for mu' >= 0"
        return zero, low, high, how

    def __repr__(self) -> str:
        verdict = "admissible" if self.admissible else "not admissible"
        how = "" if self.symbolic else " (bounds on a grid of points)"
        head = f"Surrogate {self.name}, {self.bits} bits: {verdict}{how}"
        return "\n".join([head, *(f"  {reason}" for reason in self.reasons)])


def surrogate_report(surrogate: Surrogate | str | sympy.Expr, bits: int, reach: float | None = None) -> SurrogateReport:
    """Whether a surrogate of the quantized ReLU is zero for x <= 0 and bounded from both sides for x > 0.

    Nothing is forbidden by the answer; only a negative mu' is refused.

    Parameters
    ----------
    surrogate : a name in `SURROGATES`, a text in x, or a SymPy expression of one variable.
    bits : b >= 1; the highest level is q = 2^b - 1.
    reach : largest pre-activation looked at, > 0; None: 4 q.

    Raises
    ------
    SpecificationError
        If an argument makes no sense, or mu' is negative somewhere.
    """
    bits = check_integer("bits", bits, 1, 24)
    reach = REACHES * (2**bits - 1) if reach is None else reach
    return _report(at_bits(check_surrogate(surrogate), bits), bits, check_positive("reach", reach))


@functools.lru_cache(maxsize=64)
def _report(surrogate: Surrogate, bits: int, reach: float) -> SurrogateReport:
    try:
        kinks = surrogate.kinks
    except NotImplementedError:
        remedy = "Write the jump as a comparison of x with a number."
        raise SpecificationError("surrogate", "jumps that SymPy can find", surrogate.derivative, remedy) from None
    above = [0.0, *(kink for kink in kinks if kink > 0), math.inf]
    below = [-math.inf, *(kink for kink in kinks if kink < 0), 0.0]
    pieces = list(zip(above[:-1], above[1:], strict=True))
    bounds = [_bounds(surrogate, low, high) for low, high in pieces]
    near = [_bounds(surrogate, low, min(high, reach)) for low, high in pieces if low < reach]
    left = [_piece(surrogate.derivative, low, high) for low, high in zip(below[:-1], below[1:], strict=True)]
    lowest = min(low for low, _, _ in bounds)
    if lowest < 0:
        remedy = "A surrogate that decreases turns descent into ascent; use one that never does."
        raise SpecificationError("surrogate", "a derivative mu' >= 0", f"an infimum of {lowest:.4g} for x > 0", remedy)
    return SurrogateReport(
        name=surrogate.name,
        derivative=surrogate.derivative,
        bits=bits,
        reach=reach,
        zero_below=all(sympy.simplify(piece) == 0 for piece in left),
        lower=min(low for low, _, _ in near),
        lower_everywhere=lowest,
        upper=max(high for _, high, _ in bounds),
        symbolic=all(exact for _, _, exact in bounds),
    )


def _piece(expression: sympy.Expr, low: float, high: float) -> sympy.Expr:
    """The expression between two neighboring kinks, free of jumps."""
    inside = sympy.Float(_inside(low, high))
    for kind in (sympy.Max, sympy.Min):
        expression = expression.replace(kind, lambda *of, kind=kind: kind(*of).rewrite(sympy.Piecewise))

    def chosen(*branches):
        return next(value for value, condition in branches if condition.subs(X, inside) == sympy.true)

    def sign(argument):
        return sympy.sign(argument.subs(X, inside))

    expression = expression.replace(sympy.Piecewise, chosen)
    expression = expression.replace(sympy.Heaviside, lambda argument, *_: (1 + sign(argument)) / 2)
    expression = expression.replace(sympy.Abs, lambda argument: sign(argument) * argument)
    return sympy.nsimplify(expression.replace(sympy.sign, sign))


def _inside(low: float, high: float) -> float:
    if math.isinf(low):
        return high - 1
    return low + 1 if math.isinf(high) else (low + high) / 2


def _bounds(surrogate: Surrogate, low: float, high: float) -> tuple[float, float, bool]:
    """Infimum and supremum of mu' on low < x < high, and whether SymPy found them."""
    piece = _piece(surrogate.derivative, low, high).subs(X, P)
    slope = sympy.simplify(sympy.diff(piece, P))
    if slope.is_nonnegative or slope.is_nonpositive:
        with contextlib.suppress(NotImplementedError):  # a limit SymPy cannot find
            ends = [sympy.limit(piece, P, sympy.nsimplify(low), "+")]
            ends.append(sympy.limit(piece, P, sympy.oo if math.isinf(high) else sympy.nsimplify(high), "-"))
            values = [float(end) for end in ends if end.is_extended_real]
            if len(values) == 2:
                return min(values), max(values), True
    last = high if math.isfinite(high) else max(1e4, 1e3 * low)
    points = low + (last - low) * np.linspace(0, 1, GRID + 1)[1:] ** 3
    values = surrogate(points)
    return float(values.min()), float(values.max()), False
