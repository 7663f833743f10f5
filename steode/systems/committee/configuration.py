"""Specifications of a committee machine as dictionaries and TOML files.

system = "committee"
[model]
hidden = 2
teacher_hidden = 2
activation = "erf"                   # "relu", "linear" or an expression in x
weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
init = {type = "Normal", std = 0.5}
alignment = 0.1                      # others: see CommitteeModel
[vary]                               # optional: one case for each value
parameter = "weight_quantizer.bits"
values = [2, 3, 4]
[run]
t_end = 80.0                         # others: see RunSettings
"""

import dataclasses
import pathlib

from steode.errors import SpecificationError, check_integer, check_positive
from steode.parts import study_file
from steode.parts.configuration import build, check_plain, parse_toml, plain
from steode.parts.laws.array_file import Place
from steode.parts.schedule import Schedule
from steode.parts.study_file import Study, toml_text
from steode.systems.committee.spec import CommitteeModel

SYSTEM = "committee"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a study is run; every field may stand in the [run] table of its file.

    t_end : last rescaled time tau.
    dim, seeds, key : input dimension, number and random key of the runs; seeds of at least 2.
    times : number of record times.
    method, tolerance : those of `solve`; none: its own choice.

    Raises `SpecificationError` for a value out of its domain.
    """

    t_end: float = 40.0
    dim: int = 500
    seeds: int = 4
    key: int = 0
    times: int = 81
    method: str | None = None
    tolerance: float | None = None

    def __post_init__(self):
        check_positive("run.t_end", self.t_end)
        for name, least, most in (("dim", 1, 10**6), ("seeds", 2, 10**4), ("key", 0, None), ("times", 2, 10**5)):
            check_integer(f"run.{name}", getattr(self, name), least, most)
        if self.method not in (None, "particles", "gaussian", "order parameters"):
            expected = '"particles", "gaussian" or "order parameters"'
            raise SpecificationError("run.method", expected, self.method, "Leave it out for the best one.")
        if self.tolerance is not None:
            check_positive("run.tolerance", self.tolerance)


def to_dict(model: CommitteeModel) -> dict:
    """The specification as plain numbers, strings, lists and dictionaries; `from_dict` inverts it."""
    table = plain(model)
    del table["type"]
    return table


def from_dict(table: dict, place: Place | None = None) -> CommitteeModel:
    """The model a dictionary describes. Raises `SpecificationError` for anything that does not make sense."""
    if not isinstance(table, dict):
        raise SpecificationError("model", "a table", table, "See steode.committee.CommitteeModel.")
    check_plain("model", table)
    rate = table.get("output_learning_rate")
    if isinstance(rate, str):
        table = table | {"output_learning_rate": Schedule(rate)}
    return build("model", CommitteeModel, table, Place(None, False) if place is None else place)


def to_toml(model: CommitteeModel) -> str:
    """The specification as the text of a TOML file."""
    return toml_text(SYSTEM, to_dict(model))


def from_toml(text: str) -> CommitteeModel:
    """The model that `to_toml` wrote."""
    return from_dict(parse_toml(text).get("model"))


def read_study(path: str | pathlib.Path, changes: dict | None = None) -> Study:
    """The study a TOML file describes; `changes` maps dotted keys such as "model.noise" to new values.

    Raises `SpecificationError` for anything that does not make sense.
    """
    return study_file.read_study(SYSTEM, pathlib.Path(path), changes, RunSettings, from_dict)
