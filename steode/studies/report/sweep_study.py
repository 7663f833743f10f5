"""Sweeps described by a specification file.

[model]                                        # see steode.parts.configuration
learning_rate = 0.1
...
[sweep]
measure = "fixed_point"                        # or a list; other arguments of steode.sweep may follow, such as t_end
[sweep.axes]
"weight_quantizer.range, input_quantizer.range" = {start = 0.25, stop = 8.0, count = 61, spacing = "log"}
"learning_rate" = [0.05, 0.1, 0.2]
"""

import copy
import dataclasses
import importlib.resources
import pathlib
import tomllib

import numpy as np

from steode.errors import SpecificationError, check_finite, check_integer
from steode.parts.configuration import build, check_plain, load_toml, set_entry
from steode.parts.laws.array_file import Place
from steode.parts.study_file import check_known
from steode.studies.report.study import SWEEP, TABLES, as_table, keys_of_tables
from steode.systems.linear.spec import LinearModel

BUILT_IN = "phase_diagram"
SPACINGS = {"linear": np.linspace, "log": np.geomspace}
NAMES_OF_FILES = ("values", "values_at")
"""Entries that may name a .npy file, of `Empirical` and `Eigenvalues`."""
MOST_POINTS = 10**6
"""Values of one axis."""


@dataclasses.dataclass(frozen=True)
class SweepStudy:
    """A titled sweep: arguments of `steode.sweep`, where `settings` holds all but model and axes."""

    title: str
    model: LinearModel
    axes: dict[str, list]
    settings: dict


def read_sweep(path: pathlib.Path | None, changes: dict | None = None, *, allow_outside: bool = False) -> SweepStudy:
    """The sweep a file describes, or the built-in one without a file; arguments as for `study.read_study`.

    Raises `SpecificationError`, naming the key, for anything the file should not hold.
    """
    if path is None:
        text = (
            importlib.resources.files("steode.studies.report").joinpath(f"{BUILT_IN}.toml").read_text(encoding="utf-8")
        )
        document, folder = tomllib.loads(text), pathlib.Path()
    else:
        document, folder = load_toml(path), path.parent
    document, place = copy.deepcopy(document), Place(folder, allow_outside)
    for key, value in (changes or {}).items():
        set_entry(document, key, value)
    check_plain("file", document)
    keys = keys_of_tables()
    check_known("file.", document, TABLES, keys)
    for name, example in (("model", "teacher = ..."), ("sweep", 'measure = "fixed_point"')):
        if name not in document:
            raise SpecificationError("file", f"a table [{name}]", list(document), f"For example [{name}] {example}.")
    settings = as_table("sweep", document["sweep"])
    check_known("sweep.", settings, SWEEP, keys)
    axes = _axes("sweep.axes", as_table("sweep.axes", settings.pop("axes", {})))
    axes = {key: _located(f"sweep.axes[{key!r}]", key, values, place) for key, values in axes.items()}
    model = build("model", LinearModel, as_table("model", document["model"]), place)
    return SweepStudy(str(document.get("title", "")).strip(), model, axes, settings)


def _axes(where: str, table: dict, prefix: str = "") -> dict[str, list]:
    axes = {}
    for name, value in table.items():
        key = f"{prefix}{name}"
        if not isinstance(value, dict):
            axes[key] = value
        elif "start" in value or "stop" in value:
            axes[key] = _spaced(f"{where}[{key!r}]", value)
        else:
            # weight_quantizer.range without quotes is a table in a table
            axes |= _axes(where, value, f"{key}.")
    return axes


def _located(where: str, key: str, value: object, place: Place):
    """Values of an axis in which the paths of files are where the specification may name them."""
    if isinstance(value, str) and key.rpartition(".")[2] in NAMES_OF_FILES:
        return place.locate(where, value)
    if isinstance(value, list):
        return [_located(where, key, entry, place) for entry in value]
    if isinstance(value, dict):
        return {name: _located(where, name, entry, place) for name, entry in value.items()}
    return value


def _spaced(where: str, table: dict) -> list[float]:
    check_known(f"{where}.", table, ("start", "stop", "count", "spacing"))
    start, stop = (check_finite(f"{where}.{name}", table.get(name)) for name in ("start", "stop"))
    count = check_integer(f"{where}.count", table.get("count"), 2, MOST_POINTS)
    spacing = table.get("spacing", "linear")
    if not isinstance(spacing, str) or spacing not in SPACINGS:
        raise SpecificationError(f"{where}.spacing", "one of " + ", ".join(SPACINGS), spacing, 'Try "linear".')
    if spacing == "log" and min(start, stop) <= 0:
        raise SpecificationError(f"{where}.start", "numbers > 0 with log spacing", start, 'Use "linear" spacing.')
    return SPACINGS[spacing](start, stop, count).tolist()
