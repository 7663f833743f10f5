"""Specifications of quantized regression as dictionaries and TOML files.

system = "regression"
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

from steode.errors import LARGEST_SIZE, check_integer
from steode.parts.configuration import build, plain, set_entry
from steode.parts.laws import Constant
from steode.parts.laws.array_file import Place
from steode.parts.study_file import run_settings, study_table, titles, varied
from steode.systems.regression.spec import RegressionModel

TABLES = ("system", "title", "description", "model", "vary", "run")


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
        check_integer("run.seeds", self.seeds, 0, largest=LARGEST_SIZE)
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


def from_dict(table: dict, folder: str | pathlib.Path | None = ".", *, allow_outside: bool = False) -> RegressionModel:
    """The model a nested dictionary describes.

    Relative paths of .npy files in it start in `folder`, and lead nowhere else without `allow_outside`; with None it
    may name none. Raises `SpecificationError` for an unknown key or type, a missing argument, or a value the class
    refuses.
    """
    place = Place(None if folder is None else pathlib.Path(folder), allow_outside)
    return build("model", RegressionModel, table, place, ("spectrum", "teacher", "init"))


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


def read_study(path: str | pathlib.Path, changes: dict | None = None, *, allow_outside: bool = False) -> Study:
    """The study a TOML file describes; `changes` maps dotted keys such as "model.step_size" to new values.

    Files that it names lie below its own folder, or anywhere with `allow_outside`. Raises `SpecificationError` for
    anything that does not make sense.
    """
    path = pathlib.Path(path)
    table = study_table(path, changes, TABLES)
    settings = run_settings(RunSettings, table.get("run", {}), "steps = 1000")
    return Study(*titles(table, path.stem), _cases(table, path.parent, allow_outside), settings)


def _cases(table: dict, folder: pathlib.Path, allow_outside: bool) -> dict[str, RegressionModel]:
    model = table.get("model", {})
    if "vary" not in table or not isinstance(model, dict):
        return {"": from_dict(model, folder, allow_outside=allow_outside)}
    parameter, values = varied(table["vary"], 'parameter = "step_size" and values = [0.05, 0.1]')
    cases, name = {}, parameter.rpartition(".")[2]
    shown = [str(value.get("type", value) if isinstance(value, dict) else value) for value in values]
    # a type alone names a case unless another has it too
    shown = shown if len(set(shown)) == len(values) else [str(value) for value in values]
    for value, text in zip(values, shown, strict=True):
        changed = copy.deepcopy(model)
        set_entry(changed, parameter, value)
        cases[f"{name} = {text}"] = from_dict(changed, folder, allow_outside=allow_outside)
    return cases
