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

import dataclasses
import pathlib

from steode.errors import LARGEST_SIZE, check_integer
from steode.parts import study_file
from steode.parts.configuration import build, plain
from steode.parts.laws import Constant
from steode.parts.laws.array_file import Place
from steode.parts.study_file import Study, toml_text
from steode.systems.regression.spec import RegressionModel

SYSTEM = "regression"


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
    """The specification as the text of a TOML file."""
    return toml_text(SYSTEM, to_dict(model))


def read_study(path: str | pathlib.Path, changes: dict | None = None, *, allow_outside: bool = False) -> Study:
    """The study a TOML file describes; `changes` maps dotted keys such as "model.step_size" to new values.

    Files that it names lie below its own folder, or anywhere with `allow_outside`. Raises `SpecificationError` for
    anything that does not make sense.
    """
    path = pathlib.Path(path)

    def from_table(table: dict) -> RegressionModel:
        return from_dict(table, path.parent, allow_outside=allow_outside)

    return study_file.read_study(SYSTEM, path, changes, RunSettings, from_table, RegressionModel)
