"""What is asked of a sweep, checked: its measures and the settings they take."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from steode.errors import SpecificationError, check_positive
from steode.parts.spelling import suggestion
from steode.studies.sweep.measures import MEASURES
from steode.studies.sweep.source import Source
from steode.systems.linear.solve import checked_times

METHODS = ("gaussian", "density")
DEFAULTS = {"method": "gaussian", "tolerance": 1e-4, "plateau_tolerance": 0.05}
TIMES = 401


@dataclasses.dataclass(frozen=True)
class Job:
    """Measures whose numbers come from one source. `name` is that of the first."""

    name: str
    source: Source
    variables: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Request:
    """The measures of a sweep and the settings they take, plain values by name."""

    measures: tuple[str, ...]
    settings: dict

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What is computed, in order: one job for each source."""
        names: dict[int, list[str]] = {}
        for name in self.measures:
            names.setdefault(id(MEASURES[name].source), []).append(name)
        return tuple(
            Job(group[0], MEASURES[group[0]].source, tuple(v for name in group for v in MEASURES[name].variables))
            for group in names.values()
        )


def read_request(measure: str | Iterable[str], given: dict) -> Request:
    """Check measures and settings; those given as None keep their defaults.

    Raises `SpecificationError` for an unknown or repeated measure, a setting that none of the measures takes, one that
    is missing, or a value out of its domain.
    """
    measures = _measures(measure)
    taken = {setting for name in measures for setting in MEASURES[name].settings}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in taken:
            takers = [other for other, entry in MEASURES.items() if name in entry.settings]
            remedy = f"Leave {name} out, or ask for a measure that takes it."
            raise SpecificationError("measure", "one of " + ", ".join(takers) + f" with {name}", measures, remedy)
    for name in measures:
        for setting in MEASURES[name].required:
            if setting not in given and not (setting == "t_end" and "times" in given):
                raise SpecificationError(setting, f"a number for the measure {name!r}", None, f"Give {setting}.")
    settings = {name: value for name, value in DEFAULTS.items() if name in taken} | given
    return Request(measures, _checked(settings))


def _measures(measure: object) -> tuple[str, ...]:
    known = list(MEASURES)
    if not isinstance(measure, str | Iterable):
        raise SpecificationError("measure", "one or several of " + ", ".join(known), measure, "Give a name.")
    measures = (measure,) if isinstance(measure, str) else tuple(measure)
    for name in measures:
        if name not in known:
            raise SpecificationError("measure", "one of " + ", ".join(known), name, suggestion(str(name), known))
    if not measures or len(set(measures)) < len(measures):
        raise SpecificationError("measure", "different measures, at least one", measures, "Name each once.")
    return measures


def _checked(settings: dict) -> dict:
    """The settings as plain values; `t_end` and the times become times."""
    checked = dict(settings)
    if settings.get("method", METHODS[0]) not in METHODS:
        remedy = "gaussian is the fast closure, density the exact limit."
        raise SpecificationError("method", "one of " + ", ".join(METHODS), settings["method"], remedy)
    for name in ("t_end", "tolerance", "error"):
        if name in settings:
            checked[name] = check_positive(name, settings[name])
    if "plateau_tolerance" in settings:
        band = checked["plateau_tolerance"] = check_positive("plateau_tolerance", settings["plateau_tolerance"])
        if band >= 0.25:
            raise SpecificationError("plateau_tolerance", "a number below 1/4", band, "0.05 is a good choice.")
    end = checked.pop("t_end", np.inf)
    if "times" in settings:
        checked["times"] = checked_times("times", settings["times"], end).tolist()
    elif np.isfinite(end):
        checked["times"] = np.linspace(0, end, TIMES).tolist()
    return checked
