"""What the averages of a model's output are of: its maps with their numbers, and the places where they are narrow."""

import math

import numpy as np

from steode import bridge
from steode.errors import UnsupportedError
from steode.parts.elementwise import Elementwise
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, OutputSurrogate
from steode.solvers.cuts import smooth_cuts
from steode.solvers.entrywise import Map
from steode.solvers.libraries import as_array, library
from steode.solvers.output import INNER_COUNT, GeneralOutput, inner_rule
from steode.systems.linear.derivations.output import Output
from steode.systems.linear.spec import LinearModel

LABEL_ACCURACY = 1e-3
"""Of the mean label given the student's pre-activation, in units of the largest."""


def numeric_output(model: LinearModel, output: Output) -> Map | GeneralOutput:
    """What the symbol f stands for in the averages of a model's output: its map, or the whole output."""
    if not output.needs_quadrature:
        return bridge.numeric_map(model.activation)
    surrogate, backward = model.activation_surrogate, None
    scale = max(_pre_activation(model, "teacher"), _pre_activation(model, "init"))
    if isinstance(model.teacher_activation, Elementwise):
        _check_teacher(model.teacher_activation, _pre_activation(model, "teacher"))
    cuts = [np.zeros(0)]
    if isinstance(model.activation, Elementwise):
        cuts.append(smooth_cuts(model.activation, scale))
    if isinstance(surrogate, DerivativeOf):
        backward = bridge.compile_expression(surrogate.derivative, (surrogate.proxy.variable,))
        cuts.append(smooth_cuts(surrogate, scale))
    return GeneralOutput(
        activation=bridge.numeric_map(model.activation),
        backward=backward,
        band=band_of(surrogate, {}),
        teacher_map=bridge.numeric_map(model.teacher_activation),
        label_map=bridge.numeric_map(model.label_quantizer),
        residual_map=bridge.numeric_map(model.residual_quantizer),
        cuts=np.unique(np.concatenate(cuts)),
    )


def _check_teacher(activation: Elementwise, scale: float) -> None:
    """Raise `UnsupportedError` if the averages of labels given the student's pre-activation would miss the map."""
    # not on the nodes' own lattice, where a step is averaged exactly
    means = scale * np.linspace(-2.0, 1.97, 38)[:, None]
    rules = inner_rule(INNER_COUNT), inner_rule(16 * INNER_COUNT)
    coarse, fine = (activation(means + scale * nodes) @ weights for nodes, weights in rules)
    if not np.all(np.abs(coarse - fine) <= LABEL_ACCURACY * np.abs(fine).max()):
        raise UnsupportedError(
            f"teacher_activation: {activation.expression} changes within a small part of {scale:.3g}, the standard "
            "deviation of its pre-activation, and the averages of the labels would miss it; write it as a step "
            "function with Levels, scale the teacher down, or simulate."
        )


def _pre_activation(model: LinearModel, weights: str) -> float:
    """Standard deviation of the sum of inputs times independent weights, those of a field."""
    parts = zip(model.shares, model.members, strict=True)
    square = sum(share * getattr(member, weights).second_moment for share, member in parts)
    return math.sqrt(model.spectrum.mean * square)


def band_of(surrogate: OutputSurrogate, parameters: dict) -> np.ndarray | None:
    """Ends of the band of a clipped surrogate, with the numbers in `parameters`; None for another."""
    if not isinstance(surrogate, ClippedSurrogate):
        return None
    bound = as_array(parameters.get("bound", surrogate.bound))
    lower = -bound if surrogate.lower is None else as_array(parameters.get("lower", surrogate.lower))
    return library(lower, bound).stack([lower, bound])
