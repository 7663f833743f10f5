"""What runs and particles take against dithering beside the model: checked, and written into their settings."""

import functools
from collections.abc import Callable

import numpy as np

from steode.bridge import check_values, entrywise_function
from steode.errors import LARGEST, SpecificationError
from steode.parts.configuration import from_plain, plain
from steode.parts.laws.array_file import Place
from steode.parts.quantizers import StepFunction
from steode.parts.range_rules import FixedRange
from steode.parts.remedies import Freezing, OscillationFreezing, RunningAverage
from steode.parts.schedule import Schedule
from steode.parts.update_rules import KineticMomentum
from steode.systems.linear.spec import LinearModel

REMEDIES = ("freezing", "average")
"""Their names, as arguments and in settings."""


def check_remedies(model: LinearModel, t_end: float, freezing, average) -> None:
    """Raise `SpecificationError` for freezing or averages that are none, or do not fit the model or the time."""
    if average is not None and not isinstance(average, RunningAverage):
        raise SpecificationError("average", "a RunningAverage or None", average, "RunningAverage(start=10.0).")
    if average is not None and average.start >= t_end:
        raise SpecificationError("average.start", f"a time before t_end = {t_end:g}", average.start, "It ends there.")
    if freezing is None:
        return
    if not isinstance(freezing, Freezing | OscillationFreezing):
        expected = "Freezing, OscillationFreezing or None"
        raise SpecificationError("freezing", expected, freezing, "For example Freezing(10.0, 50.0).")
    quantizer = model.weight_quantizer
    if isinstance(model.update_rule, KineticMomentum):
        raise SpecificationError("freezing", f"None with {model.update_rule}", freezing, "Freezing has no inertia.")
    if model.groups:
        raise SpecificationError("freezing", "None with groups", freezing, "Every group has levels of its own.")
    if not isinstance(quantizer, StepFunction):
        remedy = "Weights freeze on levels: quantize them by a step function."
        raise SpecificationError("freezing", f"None with {quantizer}", freezing, remedy)
    if not isinstance(model.range_rule, FixedRange):
        raise SpecificationError("freezing", f"None with {model.range_rule}", freezing, "Its levels move.")
    if not np.array_equal(quantizer(quantizer.levels), quantizer.levels):
        remedy = "A weight set to one of its levels would have another as its image."
        raise SpecificationError("freezing", f"None with {quantizer}", freezing, remedy)
    if isinstance(freezing, OscillationFreezing) and isinstance(freezing.threshold, Schedule):
        check_values("freezing.threshold", freezing.threshold, t_end, LARGEST, may_vanish=True)


@functools.lru_cache(maxsize=64)
def threshold_function(freezing: Freezing | OscillationFreezing) -> Callable | None:
    """The threshold of oscillations in time, one function for each, so that compiled programs are found again."""
    if isinstance(freezing, Freezing):
        return None
    given = freezing.threshold
    return entrywise_function(given) if isinstance(given, Schedule) else lambda time: given


def remedies_written(freezing, average) -> dict:
    """Those that are given, as plain tables by name."""
    given = zip(REMEDIES, (freezing, average), strict=True)
    return {name: plain(value) for name, value in given if value is not None}


def remedies_read(settings: dict) -> dict:
    """What `remedies_written` wrote into settings, as keyword arguments."""
    place = Place(None)
    return {name: from_plain(name, settings[name], place) for name in REMEDIES if name in settings}
