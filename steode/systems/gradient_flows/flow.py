"""`gradient_flow`: from a loss to its flow, with conserved quantities and reductions that are checked, not believed.

A state is a symbol or a `MatrixSymbol`; the loss is a SymPy expression in the states, or in predictors that are. With
predictors f = phi(states) the chain rule keeps dloss/df as a function of f, so that one unit of an additive model
f = sum of phi over units, or one factor of a matrix product, is all that a derivation has to write down.
"""

import dataclasses

import sympy
from sympy.matrices.expressions.matexpr import MatrixExpr

from steode.errors import SpecificationError
from steode.symbolic.derivation import Derivation, Derived, Step


@dataclasses.dataclass(frozen=True)
class Reduction:
    """A closed system in fewer variables: `rates` of `variables`, which are `meanings` in the states."""

    variables: tuple
    meanings: tuple
    rates: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class GradientFlow(Derived):
    """The gradient flow of one loss.

    Attributes
    ----------
    state, rates : the states and their time derivatives, -dloss/dstate.
    conserved : name -> quantity in the states whose time derivative vanishes identically.
    reduction : a smaller closed system, or None.
    functions : name -> further expressions that were derived on the way and that solvers use.
    derivation : ordered steps with reasons.
    """

    state: tuple
    rates: tuple
    conserved: dict
    reduction: Reduction | None
    functions: dict
    derivation: Derivation

    def rate_of(self, quantity: sympy.Basic) -> sympy.Basic:
        """Time derivative of a scalar or matrix expression in the states, by the chain rule."""
        return _rate(quantity, dict(zip(self.state, self.rates, strict=True)))

    def keep(self, name: str, quantity: sympy.Basic, reason: str) -> "GradientFlow":
        """The flow with one more conserved quantity. Raises `SpecificationError` if its rate is not zero."""
        rate = _normal(self.rate_of(quantity))
        if not _vanishes(rate):
            raise SpecificationError(name, "a quantity that the flow conserves", rate, "This is its rate of change.")
        step = Step(f"conserved: {name}", (sympy.Eq(_dot(quantity), _zero(quantity), evaluate=False),), reason)
        return self._with(step, conserved=self.conserved | {name: quantity})

    def reduce(self, variables: tuple, meanings: tuple, rates: tuple, reason: str, inverse: dict | None = None):
        """The flow with a reduced system: each meaning's rate has to be the given one in the reduced variables.

        `inverse` maps states, or products of them, to the reduced variables where a simplification needs it. Raises
        `SpecificationError` for a rate that differs.
        """
        back = dict(zip(variables, meanings, strict=True))
        for variable, meaning, rate in zip(variables, meanings, rates, strict=True):
            difference = self.rate_of(meaning) - rate.subs(back)
            difference = _normal(difference.subs(inverse) if inverse else difference)
            if not _vanishes(difference):
                remedy = f"It differs from the flow's by {difference}."
                raise SpecificationError(str(variable), "the rate that follows from the flow", rate, remedy)
        lines = tuple(sympy.Eq(_dot(v), rate, evaluate=False) for v, rate in zip(variables, rates, strict=True))
        return self._with(Step("reduced system", lines, reason), reduction=Reduction(variables, meanings, rates))

    def explain(self, title: str, equation: tuple, reason: str, **functions) -> "GradientFlow":
        """The flow with one more step, and the named expressions it gave."""
        return self._with(Step(title, equation, reason), functions=self.functions | functions)

    def __repr__(self) -> str:
        return f"Gradient flow of {', '.join(map(str, self.state))}\n{self.derivation!r}"

    def _with(self, step: Step, **changes) -> "GradientFlow":
        return dataclasses.replace(self, derivation=Derivation((*self.derivation, step)), **changes)


def gradient_flow(
    loss: sympy.Expr, state: tuple, predictors: dict | None = None, reason: str = "Chain rule."
) -> GradientFlow:
    """Derive the flow dstate/dt = -dloss/dstate.

    Parameters
    ----------
    loss : a scalar SymPy expression in the states, or in the predictors; a scalar of matrices is a `Trace`.
    state : symbols, scalar or `MatrixSymbol`, that are trained.
    predictors : {f: expression in the states}; dloss/df stays a function of f.
    reason : one sentence for the derivation.

    Raises
    ------
    SpecificationError
        If the loss depends on no state.
    """
    used = predictors or {}
    rates = tuple(_slope(loss, used, one) for one in state)
    if all(_vanishes(rate) for rate in rates):
        raise SpecificationError("loss", "an expression in the states or predictors", loss, "Nothing would move.")
    setting = (*(sympy.Eq(f, phi, evaluate=False) for f, phi in used.items()), sympy.Eq(sympy.Symbol("L"), loss))
    steps = (
        Step("loss", setting, "What is trained, through what it predicts."),
        Step(
            "gradient flow",
            tuple(sympy.Eq(_dot(s), r, evaluate=False) for s, r in zip(state, rates, strict=True)),
            reason,
        ),
    )
    return GradientFlow(tuple(state), rates, {}, None, {}, Derivation(steps))


def _slope(loss, predictors: dict, state):
    total = -_gradient(loss, state)
    for f, phi in predictors.items():
        outer = _gradient(loss, f)
        # d tr(outer^T phi) is the chain rule for a matrix predictor
        total -= _gradient(sympy.Trace(outer.T * phi), state) if isinstance(f, MatrixExpr) else outer * phi.diff(state)
    return _normal(total)


def _gradient(scalar, state):
    """Derivative by a symbol; by a matrix of a linear combination of traces, which SymPy takes one by one only."""
    if not isinstance(state, MatrixExpr):
        return sympy.diff(scalar, state)
    total = sympy.ZeroMatrix(*state.shape)
    for term in sympy.Add.make_args(scalar):
        factor, trace = term.as_independent(sympy.Trace)
        total += factor * trace.diff(state)
    return total


def _rate(quantity, rates: dict):
    if isinstance(quantity, sympy.MatMul):
        args = quantity.args
        terms = []
        for place, factor in enumerate(args):
            moved = _rate(factor, rates)
            if not _vanishes(moved):
                terms.append(sympy.MatMul(*args[:place], moved, *args[place + 1 :]))
        return sympy.MatAdd(*terms) if terms else sympy.ZeroMatrix(*quantity.shape)
    if isinstance(quantity, sympy.MatAdd):
        return sympy.MatAdd(*(_rate(term, rates) for term in quantity.args))
    if isinstance(quantity, sympy.Transpose):
        return _rate(quantity.arg, rates).T
    if isinstance(quantity, sympy.Trace):
        return sympy.Trace(_rate(quantity.arg, rates))
    if isinstance(quantity, sympy.MatrixSymbol):
        return rates.get(quantity, sympy.ZeroMatrix(*quantity.shape))
    if isinstance(quantity, MatrixExpr):
        raise SpecificationError("quantity", "sums, products, transposes and traces of states", quantity, "Rewrite it.")
    moving = ((one, rate) for one, rate in rates.items() if not isinstance(one, MatrixExpr))
    return sum((sympy.diff(quantity, one) * rate for one, rate in moving), start=sympy.S.Zero)


def _normal(expression):
    if isinstance(expression, MatrixExpr | sympy.Trace):
        return expression.doit().expand().doit()
    return sympy.simplify(expression)


def _vanishes(expression) -> bool:
    return expression == 0 or getattr(expression, "is_ZeroMatrix", False)


def _zero(quantity):
    return sympy.ZeroMatrix(*quantity.shape) if isinstance(quantity, MatrixExpr) else sympy.S.Zero


def _dot(quantity):
    """A symbol, or expression, with its time derivative written as LaTeX would."""
    if isinstance(quantity, sympy.Symbol):
        return sympy.Symbol(rf"\frac{{d{quantity.name}}}{{dt}}")
    if isinstance(quantity, sympy.MatrixSymbol):
        return sympy.MatrixSymbol(rf"\frac{{d{quantity.name}}}{{dt}}", *quantity.shape)
    text = rf"\frac{{d}}{{dt}}\left({sympy.latex(quantity)}\right)"
    return sympy.MatrixSymbol(text, *quantity.shape) if isinstance(quantity, MatrixExpr) else sympy.Symbol(text)
