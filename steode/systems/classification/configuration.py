"""Specifications of the classification system as dictionaries and TOML files.

system = "classification"
[model]
classes = 3
dimensions = 2                       # one number for all classes, or a list
neurons_per_class = 6
bits = 2
surrogate = "relu"                   # or an expression in x, such as "Heaviside(x)/(1 + x**2)"
[vary]                               # optional: one case for each value
parameter = "surrogate"
values = ["relu", "clipped relu"]
[run]
steps = 1000                         # others: see RunSettings
"""

import dataclasses
import pathlib

from steode.errors import LARGEST_INTEGER, LARGEST_SIZE, SpecificationError, check_integer
from steode.parts import study_file
from steode.parts.configuration import check_plain, parse_toml
from steode.parts.expression import write_expression
from steode.parts.study_file import Study, check_known, toml_text
from steode.systems.classification.spec import ClassificationModel

SYSTEM = "classification"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a study is run; every field may stand in the [run] table of its file.

    steps : number of steps.
    seeds, key : number of runs and their random key.
    test_samples : fresh samples for each record.

    Raises `SpecificationError` for a value out of its domain.
    """

    steps: int = 2000
    seeds: int = 20
    key: int = 0
    test_samples: int = 2000

    def __post_init__(self):
        for name, least in (("steps", 1), ("seeds", 1), ("key", 0), ("test_samples", 1)):
            largest = LARGEST_INTEGER if name == "key" else 2**31 - 1 if name == "steps" else LARGEST_SIZE
            check_integer(f"run.{name}", getattr(self, name), least, largest=largest)


def to_dict(model: ClassificationModel) -> dict:
    """The specification as plain numbers, strings and lists; `from_dict` inverts it."""
    table = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    surrogate = model.surrogate
    table["surrogate"] = write_expression(surrogate.derivative) if surrogate.name == "own" else surrogate.name
    return {name: list(value) if isinstance(value, tuple) else value for name, value in table.items()}


def from_dict(table: dict) -> ClassificationModel:
    """The model a dictionary describes.

    Raises `SpecificationError` for an unknown key, or a value that `ClassificationModel` refuses.
    """
    known = [field.name for field in dataclasses.fields(ClassificationModel)]
    if not isinstance(table, dict):
        raise SpecificationError("model", "a table", table, "See steode.systems.classification.ClassificationModel.")
    check_plain("model", table)
    check_known("model.", table, tuple(known))
    return ClassificationModel(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    )


def to_toml(model: ClassificationModel) -> str:
    """The specification as the text of a TOML file."""
    return toml_text(SYSTEM, to_dict(model))


def from_toml(text: str) -> ClassificationModel:
    """The model that `to_toml` wrote."""
    return from_dict(parse_toml(text).get("model"))


def read_study(path: str | pathlib.Path, changes: dict | None = None) -> Study:
    """The study a TOML file describes; `changes` maps dotted keys such as "model.step" to new values.

    Raises `SpecificationError` for anything that does not make sense.
    """
    return study_file.read_study(SYSTEM, pathlib.Path(path), changes, RunSettings, from_dict, ClassificationModel)
