"""Specifications of quantized regression as dictionaries and TOML files.

[model]
spectrum = {type = "PowerLaw", exponent = 2.0, count = 200}
teacher = 1.0                        # one number for all, a list, or the path of a .npy file
step_size = 0.05
noise = 1.0
data_quantizer = {type = "AdditiveNoise", noise_variance = 0.01}
[vary]                               # optional: one case for each value
parameter = "data_quantizer.noise_variance"
values = [0.001, 0.01]
[run]
steps = 1000                         # others: see RunSettings
"""

import copy
import dataclasses
import json
import pathlib

from steode.configuration import from_plain, plain, set_entry
from steode.errors import SpecificationError, check_integer
from steode.expression import suggestion
from steode.laws import Constant
from steode.study_file import run_settings, study_table, varied
from steode.systems.regression.spec import RegressionModel

TABLES = ("title", "description", "model", "vary", "run")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a study is run; every field may stand in the [run] table of its file.

    steps : number of SGD steps.
    seeds, key : number of simulated runs and their random key; 0 seeds simulate nothing.

    Raises `SpecificationError` for a value out of its domain.
    """

    steps: int = 1000
    seeds: int = 100
    key: int = 0

    def __post_init__(self):
        check_integer("run.steps", self.steps, 1)
        check_integer("run.seeds", self.seeds, 0)
        check_integer("run.key", self.key, 0)


@dataclasses.dataclass(frozen=True)
class Study:
    """One specification file: `cases` maps labels to models, with one empty label where nothing is varied."""

    title: str
    description: str
    cases: dict[str, RegressionModel]
    settings: RunSettings


def to_dict(model: RegressionModel) -> dict:
    """The specification as nested dictionaries of plain numbers, strings and lists; `from_dict` inverts it."""
    table = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        table[field.name] = value.value if isinstance(value, Constant) else plain(value)
    return table


def from_dict(table: dict, folder: str | pathlib.Path = ".") -> RegressionModel:
    """The model a nested dictionary describes; relative paths of .npy files in it start in `folder`.

    Raises `SpecificationError` for an unknown key or type, a missing argument, or a value the class refuses.
    """
    known = [field.name for field in dataclasses.fields(RegressionModel)]
    arguments = {}
    if not isinstance(table, dict):
        raise SpecificationError("model", "a table", table, "See steode.regression.RegressionModel.")
    for key, value in table.items():
        if key not in known:
            raise SpecificationError(f"model.{key}", "one of " + ", ".join(known), key, suggestion(key, known))
        arguments[key] = from_plain(f"model.{key}", _located(value, pathlib.Path(folder)))
    try:
        return RegressionModel(**arguments)
    except TypeError as error:
        # a required argument is missing: every other mistake is a SpecificationError already
        raise SpecificationError("model", "the arguments of RegressionModel", table, f"{error}.") from None


def _located(value, folder: pathlib.Path):
    """A value with the paths of .npy files in it made relative to where the program runs."""
    if isinstance(value, str) and value.endswith(".npy"):
        return str(folder / value)
    if isinstance(value, dict):
        return {key: _located(entry, folder) for key, entry in value.items()}
    return value


def to_toml(model: RegressionModel) -> str:
    """The specification as the text of a TOML file with the table [model]."""
    return "[model]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in to_dict(model).items())


def _toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # numbers, strings and booleans are written alike in JSON and TOML
    return json.dumps(value)


def read_study(path: str | pathlib.Path, changes: dict | None = None) -> Study:
    """The study a TOML file describes; `changes` maps dotted keys such as "model.step_size" to new values.

    Raises `SpecificationError` for anything that does not make sense.
    """
    path = pathlib.Path(path)
    table = study_table(path, changes, TABLES)
    settings = run_settings(RunSettings, table.get("run", {}), "steps = 1000")
    title = table.get("title", path.stem)
    return Study(title, table.get("description", "").strip(), _cases(table, path.parent), settings)


def _cases(table: dict, folder: pathlib.Path) -> dict[str, RegressionModel]:
    model = table.get("model", {})
    if "vary" not in table:
        return {"": from_dict(model, folder)}
    parameter, values = varied(table["vary"], 'parameter = "step_size" and values = [0.05, 0.1]')
    cases, name = {}, parameter.rpartition(".")[2]
    shown = [str(value.get("type", value) if isinstance(value, dict) else value) for value in values]
    # a type alone names a case unless another has it too
    shown = shown if len(set(shown)) == len(values) else [str(value) for value in values]
    for value, text in zip(values, shown, strict=True):
        changed = copy.deepcopy(model)
        set_entry(changed, parameter, value)
        cases[f"{name} = {text}"] = from_dict(changed, folder)
    return cases
