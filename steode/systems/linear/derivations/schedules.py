"""The derivation under a learning rate that changes: eta = eta(tau) at every instant, and no stationary state."""

import dataclasses
from collections.abc import Sequence

import sympy

from steode.parts.schedule import Schedule
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Step


def follow(schedule: Schedule, steps: Sequence[Step]) -> list[Step]:
    """The steps with eta = eta(tau) stated in each that holds eta, and with a step that says why after the first."""
    rate = sympy.Function("eta")(sym.tau)
    current = sympy.Eq(sym.eta, rate)
    formula = () if schedule.formula is None else (sympy.Eq(rate, schedule.formula, evaluate=False),)
    reason = (
        "The learning rate is a function of rescaled time, the same for every coordinate and every sample: the moments "
        "of one step hold with its current value, and so does the limit, in which eta stands for eta(tau) throughout. "
        "What assumes a constant rate is left out: the stationary law, the fixed point, small learning rates and the "
        "time of a plateau."
    )
    stated = Step("learning-rate schedule", formula or (current,), reason)
    shown = [
        dataclasses.replace(step, equation=(*step.equation, current)) if _holds_rate(step) else step for step in steps
    ]
    return [shown[0], stated, *shown[1:]]


def _holds_rate(step: Step) -> bool:
    return any(r"\eta" in line.replace(r"\beta", "").replace(r"\theta", "") for line in step.lines)
