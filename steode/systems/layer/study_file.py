"""Studies of a layer from TOML files, with its arrays in files beside them.

system = "layer"
[model]
weights = "weights.npy"             # (rows, d)
activations = "inputs.npz:x"        # (n, d): an array of an .npz or .safetensors file by its name; or
                                    # second_moment, (d, d)
bits = 3
range = "mean square"               # others: see LayerModel
learning_rate = 0.1
[vary]                              # optional: one case for each value
parameter = "bits"
values = [2, 3, 4]
[run]
steps = 20000                       # others: see RunSettings
"""

import dataclasses
import pathlib

import numpy as np

from steode import store
from steode.errors import SpecificationError, check_integer, check_path
from steode.parts import study_file
from steode.parts.configuration import build
from steode.parts.laws.array_file import Place, load_array
from steode.parts.study_file import Study
from steode.systems.layer.safetensors_file import load_tensor
from steode.systems.layer.spec import LayerModel

SYSTEM = "layer"
ARRAYS = ("weights", "activations", "second_moment", "initial", "range")
"""Fields that may name a file; a range may be a rule as well."""
SUFFIXES = (".npy", ".npz", ".safetensors")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a study is run; every field may stand in the [run] table of its file.

    steps : SGD steps that advice is for.
    rows : rows of the layer that are trained.
    seeds, key : number of runs of each kind, at least 2, and their random key.

    Raises `SpecificationError` for a value out of its domain.
    """

    steps: int = 10_000
    rows: int = 16
    seeds: int = 2
    key: int = 0

    def __post_init__(self):
        for name, least in (("steps", 1), ("rows", 1), ("seeds", 2), ("key", 0)):
            check_integer(f"run.{name}", getattr(self, name), least)


def read_study(path: str | pathlib.Path, changes: dict | None = None, *, allow_outside: bool = False) -> Study:
    """The study a TOML file describes; `changes` maps dotted keys such as "model.bits" to new values.

    Files that it names lie below its own folder, or anywhere with `allow_outside`; they are .npy files, or arrays of
    .npz and .safetensors files as "file.npz:name". Raises `SpecificationError` for anything that does not make sense.
    """
    path = check_path("path", path)
    place = Place(path.parent, allow_outside)

    def from_table(table: dict) -> LayerModel:
        if not isinstance(table, dict):
            raise SpecificationError("model", "a table", table, 'For example [model] and weights = "weights.npy".')
        loaded = {key: _array(f"model.{key}", value, place) if key in ARRAYS else value for key, value in table.items()}
        return build("model", LayerModel, loaded, place)

    return study_file.read_study(SYSTEM, path, changes, RunSettings, from_table, LayerModel)


def _array(argument: str, value, place: Place):
    """What a file holds, where the value names one; anything else is left to the specification."""
    if not isinstance(value, str):
        return np.array(value) if isinstance(value, list) else value
    name, _, entry = value.partition(":")
    suffix = pathlib.PurePath(name).suffix
    if suffix not in SUFFIXES:
        if argument == "model.range":
            return value
        remedy = 'For example "weights.npy", or "layer.npz:weights".'
        raise SpecificationError(argument, "a file name ending in " + " or ".join(SUFFIXES), value, remedy)
    path = pathlib.Path(place.locate(argument, name))
    if suffix == ".npy":
        return load_array(argument, path)
    if suffix == ".safetensors":
        return load_tensor(argument, path, entry)
    arrays = store.read_npz(argument, path, "a readable .npz file", sealed=False)
    if not entry and len(arrays) == 1:
        return next(iter(arrays.values()))
    if entry not in arrays:
        remedy = f'Name one: "{name}:{next(iter(arrays), "x")}".'
        raise SpecificationError(argument, "one of " + ", ".join(arrays), value, remedy)
    return arrays[entry]
