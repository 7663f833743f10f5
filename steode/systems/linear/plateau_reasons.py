"""Why a curve has no plateau: what can be said from the curve itself, and from the model that made it."""

import numpy as np

from steode.parts.laws import ContinuousLaw
from steode.parts.quantizers import StepFunction
from steode.systems.linear.trajectory import Trajectory

WIDE = 1 / 3
"""Standard deviation of the initial weights, in widths of their cell, from which many of them lie near a threshold."""
FLAT = 0.1
"""Last part of the time within which a curve that stays in one band may be on a plateau that has not ended."""


def why_none(trajectory: Trajectory, times: np.ndarray, unit_values: np.ndarray, tolerance: float) -> str:
    """One or two sentences for a curve, scaled to [0, 1], on which the rule finds no plateau."""
    late = unit_values[times >= times[-1] - FLAT * (times[-1] - times[0])]
    reasons = []
    if np.ptp(late) <= 2 * tolerance and late.min() > 4 * tolerance:
        reasons.append("the curve is flat at its end, but a plateau is followed by a drop: make t_end larger")
    reasons += _of_the_model(trajectory)
    if not reasons:
        reasons.append("nowhere is it slow between two stretches that are `contrast` times faster")
    return "; ".join(reasons)


def _of_the_model(trajectory: Trajectory) -> list[str]:
    try:
        model = trajectory.model
    except (AttributeError, KeyError, TypeError, ValueError):
        # of another system, or saved without its specification
        return []
    quantizer = model.weight_quantizer
    if not isinstance(quantizer, StepFunction):
        return ["the weights are not quantized by a step function, so that they have no threshold to wait for"]
    thresholds, init, teacher = quantizer.thresholds, model.init, model.teacher
    reasons = []
    distance = float(np.abs(thresholds - init.mean).min())
    step = float(np.diff(quantizer.levels).min())
    if distance <= 1e-9 * step:
        reasons.append(
            f"the initial weights lie on the threshold {init.mean:g} on average and cross it from the first moment on "
            '(kind = "mid-tread" has a level at zero instead)'
        )
    elif init.variance**0.5 > WIDE * step:
        reasons.append(
            f"the initial weights (standard deviation {init.variance**0.5:.3g}) are spread over cells of width "
            f"{step:.3g}"
        )
    if isinstance(teacher, ContinuousLaw) or teacher.variance > 0:
        reasons.append("the targets are spread, and each weight crosses at its own time")
    if distance > 1e-9 * step:
        reasons.append("steode.plateau_estimate has the time at which the middle of the weights crosses")
    return reasons
