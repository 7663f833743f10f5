"""Measures of the fixed point."""

from collections.abc import Callable

import numpy as np

from steode.studies.sweep.source import FLAG, Source, Values
from steode.systems.linear.fixed_point_function import FixedPointFunction, fixed_point_function, without_quantizers
from steode.systems.linear.properties import require
from steode.systems.linear.spec import LinearModel

CONTINUOUS = frozenset(
    {"learning_rate", "noise", "weight_range", "input_range", "weight_decay", "batch_size", "teacher_scale"}
)
"""Parameters that one fixed-point function serves."""


def _prepare(model: LinearModel, settings: dict) -> Callable[[Values], Values]:
    function = fixed_point_function(model)
    unquantized = fixed_point_function(without_quantizers(model))

    def evaluate(parameters: Values) -> Values:
        found, bare = (_known(each, parameters) for each in (function, unquantized))
        # a model that diverges without quantizers is infinitely worse there
        return found | {"deviation": found["eps_g"] - np.where(bare[FLAG], bare["eps_g"], np.inf)}

    return evaluate


def _known(function: FixedPointFunction, parameters: Values) -> Values:
    """The function at those parameters that it has; one value, to broadcast, if it has none of them."""
    known = {name: values for name, values in parameters.items() if name in function.parameters}
    return function.many(known or {"learning_rate": np.array([function.parameters["learning_rate"]])})


def check_swept(model: LinearModel) -> None:
    """Raise `UnsupportedError` where a fixed point is no function of the parameters that a sweep can follow."""
    require(model, "sweep of fixed points")


FIXED_POINT = Source(_prepare, lambda settings: CONTINUOUS, lambda model, settings: check_swept(model))
