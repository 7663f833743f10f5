"""Studies: what one specification file asks to be derived, solved, simulated and compared.

system = "linear"                              # optional; "fogzo" for `steode run` at equal passes
title = "..."                                  # optional, with a description
[model]                                        # see steode.parts.configuration
learning_rate = 0.1
teacher = {type = "Constant", value = 1.0}
[vary]                                         # optional: one case for each value
parameter = "weight_quantizer.range"
values = [2.0, 3.0, 4.0]
[run]                                          # optional: see RunSettings
t_end = 100.0
"""

import copy
import dataclasses
import importlib.resources
import pathlib
import tomllib

import numpy as np

from steode.errors import LARGEST_SIZE, SpecificationError, check_integer, check_nonnegative, check_positive
from steode.parts.configuration import build, check_plain, from_plain, load_toml, set_entry
from steode.parts.laws.array_file import Place
from steode.parts.remedies import Freezing, OscillationFreezing, RunningAverage
from steode.parts.study_file import check_known, fields_of
from steode.parts.update_rules import SPSA
from steode.systems.linear.remedy_checks import REMEDIES, check_remedies
from steode.systems.linear.solve import METHODS
from steode.systems.linear.spec import LinearModel

BUILT_IN = ("reference", "plateau")
"""Names of the studies that come with steode and are run when no file is given."""

TABLES = ("system", "title", "description", "model", "vary", "run", "sweep")
"""What a specification file may hold; one file serves every command, and each reads what it needs."""
SWEEP = ("axes", "measure", "t_end", "times", "method", "tolerance", "error", "plateau_tolerance", "chunk")
"""What [sweep] may hold: the axes, and arguments of `steode.sweep`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a study is run; every field may stand in the [run] table of its file.

    t_end : last rescaled time tau.
    dim, seeds, key : input dimension, number of runs and random key of the simulation.
    times : number of equally spaced times at which observables are recorded, besides `table_times`.
    method, tolerance : of `solve`.
    snapshot_times : times at which the law of the weights is drawn (method "density" only).
    table_times : times listed in tables.
    plateau_tolerance : of the plateau rule.
    freezing, average : of `solve` and `simulate`; the method is then "particles".

    Raises `SpecificationError` for a value out of its domain.
    """

    t_end: float = 100.0
    dim: int = 1000
    seeds: int = 8
    key: int = 0
    times: int = 201
    method: str = "density"
    tolerance: float = 1e-4
    snapshot_times: tuple[float, ...] = ()
    table_times: tuple[float, ...] = ()
    plateau_tolerance: float = 0.05
    freezing: Freezing | OscillationFreezing | None = None
    average: RunningAverage | None = None

    def __post_init__(self):
        object.__setattr__(self, "t_end", check_positive("run.t_end", self.t_end))
        check_integer("run.dim", self.dim, 1)
        check_integer("run.seeds", self.seeds, 1, largest=LARGEST_SIZE)
        check_integer("run.key", self.key, 0)
        check_integer("run.times", self.times, 3, largest=LARGEST_SIZE)
        if self.method not in METHODS:
            raise SpecificationError("run.method", "one of " + ", ".join(METHODS), self.method, 'Try "density".')
        check_positive("run.tolerance", self.tolerance)
        check_positive("run.plateau_tolerance", self.plateau_tolerance)
        for name in ("snapshot_times", "table_times"):
            object.__setattr__(self, name, _times(f"run.{name}", getattr(self, name), self.t_end))
        if not self.table_times:
            object.__setattr__(self, "table_times", tuple(self.t_end * share for share in (0.05, 0.1, 0.25, 0.5, 1.0)))

    @property
    def remedies(self) -> dict:
        """Freezing and average as arguments of `solve` and `simulate`."""
        return {name: getattr(self, name) for name in REMEDIES}


def _times(argument: str, values, t_end: float) -> tuple[float, ...]:
    """Increasing times; those beyond t_end are left out, so that a shorter run of the same file is possible."""
    if not isinstance(values, list | tuple):
        raise SpecificationError(argument, "a list of times", values, "For example [1.0, 10.0].")
    numbers = tuple(check_nonnegative(argument, value) for value in values)
    if list(numbers) != sorted(set(numbers)):
        raise SpecificationError(argument, "increasing times", values, "Sort them and remove repetitions.")
    return tuple(number for number in numbers if number <= t_end)


@dataclasses.dataclass(frozen=True)
class Case:
    """One model of a study.

    `label` and `slug` (for file names) say which, `value` is the varied parameter's; empty and None if nothing varies.
    """

    label: str
    slug: str
    value: float | None
    model: LinearModel


@dataclasses.dataclass(frozen=True)
class Study:
    """A titled list of cases that are run alike. `name` is a word usable as a folder name."""

    name: str
    title: str
    description: str
    parameter: str | None
    cases: tuple[Case, ...]
    settings: RunSettings


def built_in_studies(changes: dict | None = None, *, allow_outside: bool = False) -> list[Study]:
    """The studies of `steode run` without a file; arguments as for `read_study`, paths start in the working folder."""
    folder = importlib.resources.files("steode.studies.report")
    texts = [(name, folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")) for name in BUILT_IN]
    place = Place(pathlib.Path(), allow_outside)
    return [_study(name, tomllib.loads(text), place, changes) for name, text in texts]


def read_study(path: pathlib.Path, changes: dict | None = None, *, allow_outside: bool = False) -> Study:
    """Read and validate a specification file.

    `changes` maps dotted keys to values that replace the file's, for example {"run.dim": 500,
    "model.weight_quantizer.range": 3.0}. Files that it names lie below its own folder, or anywhere with
    `allow_outside`.

    Raises `SpecificationError`, naming the key and the nearest known one, for anything the file should not hold.
    """
    return _study(path.stem, load_toml(path), Place(path.parent, allow_outside), changes)


def keys_of_tables() -> dict[str, tuple[str, ...]]:
    """What each table of a file may hold."""
    return {"model": fields_of(LinearModel), "run": fields_of(RunSettings), "sweep": SWEEP}


def record_times(settings: RunSettings) -> np.ndarray:
    """`settings.times` equally spaced times and those of the table, on whole steps: limit and simulation share them."""
    times = np.union1d(np.linspace(0, settings.t_end, settings.times), settings.table_times)
    return np.unique(np.floor(times * settings.dim + 1e-6)) / settings.dim


def nearest(held: np.ndarray, times: tuple[float, ...]) -> np.ndarray:
    """Indices of the times in `held` nearest to each of `times`, each once."""
    return np.unique([np.abs(held - time).argmin() for time in times])


def _study(name: str, document: dict, place: Place, changes: dict | None) -> Study:
    document = copy.deepcopy(document)
    for key, value in (changes or {}).items():
        if key.startswith("run."):
            document.setdefault("run", {})
        set_entry(document, key, value)
    check_plain("file", document)
    keys = keys_of_tables()
    check_known("file.", document, TABLES, keys)
    if "model" not in document:
        raise SpecificationError(
            "file", "a table [model]", list(document), 'For example teacher = {type = "Constant", ...}.'
        )
    if document.get("system", "linear") not in ("linear", "fogzo"):
        remedy = "This command takes the linear system; steode run takes every system."
        raise SpecificationError("system", '"linear" or "fogzo"', document["system"], remedy)
    parameter, values = _vary(document.get("vary"))
    cases = []
    for value in values:
        table = copy.deepcopy(as_table("model", document["model"]))
        if parameter is not None:
            set_entry(table, parameter, value)
        check_known("model.", table, keys["model"], keys)
        label, slug = "", ""
        if parameter is not None:
            label, slug = f"{parameter} = {value:g}", f"{parameter.rpartition('.')[2]}-{value:g}"
        cases.append(Case(label, slug, value, build("model", LinearModel, table, place)))
    settings = as_table("run", document.get("run", {}))
    check_known("run.", settings, keys["run"], keys)
    settings |= {name: from_plain(f"run.{name}", settings[name], place) for name in REMEDIES if name in settings}
    if isinstance(cases[0].model.update_rule, SPSA) or any(name in settings for name in REMEDIES):
        settings.setdefault("method", "particles")
    title, description = (str(document.get(key, "")).strip() for key in ("title", "description"))
    settings = RunSettings(**settings)
    for case in cases:
        check_remedies(case.model, settings.t_end, **settings.remedies)
    return Study(name, title or name, description, parameter, tuple(cases), settings)


def _vary(table) -> tuple[str | None, list]:
    if table is None:
        return None, [None]
    check_known("vary.", as_table("vary", table), ("parameter", "values"), keys_of_tables())
    parameter, values = table.get("parameter"), table.get("values")
    if not isinstance(parameter, str) or not parameter:
        raise SpecificationError(
            "vary.parameter", "a key of [model]", parameter, 'For example "weight_quantizer.range".'
        )
    if not isinstance(values, list) or not values:
        raise SpecificationError("vary.values", "a list of numbers", values, "For example [2.0, 3.0, 4.0].")
    if len({f"{_number('vary.values', value):g}" for value in values}) < len(values):
        raise SpecificationError("vary.values", "different numbers", values, "Remove repetitions.")
    return parameter, values


def _number(argument: str, value):
    """`value` itself if it is a number; an integer stays one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecificationError(argument, "numbers", value, "Only numbers can be varied.")
    return value


def as_table(where: str, value) -> dict:
    """A copy of an entry of a file that has to be a table."""
    if not isinstance(value, dict):
        raise SpecificationError(where, "a table", value, f"Write [{where}] on a line of its own.")
    return dict(value)
