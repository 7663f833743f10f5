"""Learning rates and strengths that change during training: functions of rescaled time."""

import dataclasses
import functools
from collections.abc import Callable

import sympy

from steode.errors import SpecificationError, UnsupportedError
from steode.parts.expression import parse_expression

TAU = sympy.Symbol("tau", nonnegative=True)
"""The variable of every schedule, rescaled time: the symbol tau of the derivations."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A learning rate, or a dampening, that is a function of rescaled time tau = step/d: step k of a run uses eta(k/d).

    In the limit eta(tau) takes the place of eta at every instant: one step changes it by order 1/d only. It must be
    positive (a dampening: not negative) and finite on [0, t_end], which `solve` and `simulate` check on a grid of
    times; the first step is step 0. It need not be
    continuous, but each jump costs the solvers of the limit small steps around it.

    Parameters
    ----------
    expression : text in `tau`, such as "0.5/(1 + tau/10)" or "Piecewise((0.5, tau < 20), (0.05, True))", with the
        functions of `Elementwise` in specification files, Heaviside and comparisons; or any function of one number
        that JAX can trace, such as `lambda tau: 0.5 * jnp.exp(-tau / 10)` or a library's schedule composed with the
        step count. A model with such a function is solved, simulated and compared like any other, but not written to
        a file. Two schedules are equal if their texts are, or if they hold the same function object.

    Raises
    ------
    SpecificationError
        If a text is not an expression in `tau`, or the argument is neither text nor a hashable function.
    """

    expression: str | Callable

    def __post_init__(self):
        if isinstance(self.expression, str):
            object.__setattr__(self, "expression", " ".join(self.expression.split()))
            _parse(self.expression)
        elif not callable(self.expression) or isinstance(self.expression, sympy.Basic | type):
            remedy = 'For example Schedule("0.5/(1 + tau/10)") or Schedule(lambda tau: 0.5 * jnp.exp(-tau)).'
            raise SpecificationError("Schedule.expression", "text or a function", self.expression, remedy)
        elif not _is_hashable(self.expression):
            remedy = "Wrap it: Schedule(lambda tau: function(tau))."
            raise SpecificationError("Schedule.expression", "a hashable function", self.expression, remedy)

    @property
    def formula(self) -> sympy.Expr | None:
        """The expression in SymPy, in the symbol tau; None for a function."""
        return _parse(self.expression) if isinstance(self.expression, str) else None

    def __str__(self) -> str:
        if isinstance(self.expression, str):
            return self.expression
        return f"function {getattr(self.expression, '__qualname__', type(self.expression).__qualname__)}"


def check_writable(specification: dict) -> None:
    """Raise `UnsupportedError` if a specification, as nested dictionaries, holds a function: no file can."""
    for name, value in specification.items():
        if isinstance(value, dict) and callable(value.get("expression")):
            raise UnsupportedError(
                f"{name}: a schedule given by a Python function cannot be written to a file; write it as an "
                'expression, such as Schedule("0.5/(1 + tau/10)").'
            )


@functools.lru_cache(maxsize=64)
def _parse(text: str) -> sympy.Expr:
    return parse_expression("Schedule.expression", text, TAU)


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
