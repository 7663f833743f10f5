"""The table of what a sweep can compute; a line here adds a measure."""

import dataclasses

from steode.errors import ConvergenceError
from steode.studies.sweep.curves import CURVES
from steode.studies.sweep.source import Source, single
from steode.studies.sweep.stationary import FIXED_POINT, check_swept
from steode.systems.linear.fixed_points import fixed_points
from steode.systems.linear.optimal_range import check_parameter, optimal_range
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.stability import stability


@dataclasses.dataclass(frozen=True)
class Measure:
    """What may be asked of a sweep.

    variables : names in the dataset, the most important one first; `steode.studies.sweep.labels` describes them.
    source : where they come from; measures of one source are computed together.
    settings : names of the arguments of `sweep` that it takes; those in `required` have no default.
    """

    variables: tuple[str, ...]
    source: Source
    settings: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


TERMS = ("input_term", "dithering_term", "clipping_term", "decay_term", "noise_term")
OF_CURVES = ("t_end", "times", "method", "tolerance")


def _best_range(model: LinearModel, settings: dict) -> dict[str, float]:
    return {"best_range": optimal_range(model).range}


def _times(model: LinearModel, settings: dict) -> dict[str, float]:
    stabilities = map(stability, fixed_points(model))
    stable = next((found for found in stabilities if found.stable), None)
    if stable is None:
        raise ConvergenceError("sweep: no stable fixed point")
    return {"relaxation_time": stable.relaxation_time, "settling_time": stable.settling_time}


def _check_range(model: LinearModel, settings: dict) -> None:
    check_swept(model)
    check_parameter(model, "weight_range")


MEASURES = {
    "fixed_point": Measure(("eps_g", "V", *TERMS, "deviation"), FIXED_POINT),
    "optimal_range": Measure(("best_range",), single(_best_range, _check_range)),
    "stability": Measure(
        ("relaxation_time", "settling_time"), single(_times, lambda model, settings: check_swept(model))
    ),
    "plateau": Measure(("plateau_length",), CURVES, (*OF_CURVES, "plateau_tolerance"), ("t_end",)),
    "time_to_error": Measure(("time_to_error",), CURVES, (*OF_CURVES, "error"), ("t_end", "error")),
}
