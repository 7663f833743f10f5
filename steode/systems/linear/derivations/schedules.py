"""The derivation under rates that change: eta = eta(tau) at every instant, and no stationary state."""

import dataclasses
from collections.abc import Sequence

import sympy

from steode.parts.schedule import Schedule
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step

NAMES = {sym.eta: "learning rate", sym.zeta: "dampening"}


def follow(schedules: dict[sympy.Symbol, Schedule], steps: Sequence[Step]) -> list[Step]:
    """The steps with eta = eta(tau) stated in each that holds eta, and with a step that says why after the first.

    `schedules` has the symbols of what changes, the learning rate and the dampening.
    """
    stated = [_statement(symbol, schedule) for symbol, schedule in schedules.items()]
    for symbol in schedules:
        steps = [
            dataclasses.replace(step, equation=(*step.equation, _current(symbol))) if _holds(step, symbol) else step
            for step in steps
        ]
    return [steps[0], *stated, *steps[1:]]


def _current(symbol: sympy.Symbol) -> sympy.Eq:
    return sympy.Eq(symbol, sympy.Function(symbol.name)(sym.tau))


def _statement(symbol: sympy.Symbol, schedule: Schedule) -> Step:
    name, current = NAMES[symbol], _current(symbol)
    formula = () if schedule.formula is None else (sympy.Eq(current.rhs, schedule.formula, evaluate=False),)
    reason = (
        f"The {name} is a function of rescaled time, the same for every coordinate and every sample: the moments of "
        f"one step hold with its current value, and so does the limit, in which {symbol} stands for {symbol}(tau) "
        "throughout. What assumes a constant rate is left out: the stationary law, the fixed point, small learning "
        "rates and the time of a plateau."
    )
    return Step(f"{name.replace(' ', '-')} schedule", formula or (current,), reason)


def _holds(step: Step, symbol: sympy.Symbol) -> bool:
    return any(sympy.latex(symbol) in line for line in step.lines)
