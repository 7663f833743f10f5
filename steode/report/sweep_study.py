"""Sweeps described by a specification file.

[model]                                        # see steode.configuration
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
import inspect
import pathlib
import tomllib

import numpy as np

from steode.configuration import load_toml, model_from_table, set_entry
from steode.errors import SpecificationError, check_finite, check_integer
from steode.report.study import TABLES, as_table, check_keys
from steode.sweep import sweep
from steode.systems.linear.spec import LinearModel

BUILT_IN = "phase_diagram"
SPACINGS = {"linear": np.linspace, "log": np.geomspace}
NOT_IN_FILES = ("model", "axes", "path", "progress")


@dataclasses.dataclass(frozen=True)
class SweepStudy:
    """A titled sweep: arguments of `steode.sweep`, where `settings` holds all but model and axes."""

    title: str
    model: LinearModel
    axes: dict[str, list]
    settings: dict


def read_sweep(path: pathlib.Path | None, changes: dict | None = None) -> SweepStudy:
    """The sweep a file describes, or the built-in one without a file; `changes` as for `study.read_study`.

    Raises `SpecificationError`, naming the key, for anything the file should not hold.
    """
    if path is None:
        text = importlib.resources.files("steode.report").joinpath(f"{BUILT_IN}.toml").read_text(encoding="utf-8")
        document, folder = tomllib.loads(text), pathlib.Path()
    else:
        document, folder = load_toml(path), path.parent
    document = copy.deepcopy(document)
    for key, value in (changes or {}).items():
        set_entry(document, key, value)
    check_keys("file", document, TABLES)
    for name, example in (("model", "teacher = ..."), ("sweep", 'measure = "fixed_point"')):
        if name not in document:
            raise SpecificationError("file", f"a table [{name}]", list(document), f"For example [{name}] {example}.")
    settings = as_table("sweep", document["sweep"])
    allowed = [name for name in inspect.signature(sweep).parameters if name not in NOT_IN_FILES]
    check_keys("sweep", settings, ["axes", *allowed])
    axes = _axes("sweep.axes", as_table("sweep.axes", settings.pop("axes", {})))
    model = model_from_table(as_table("model", document["model"]), folder)
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


def _spaced(where: str, table: dict) -> list[float]:
    check_keys(where, table, ["start", "stop", "count", "spacing"])
    start, stop = (check_finite(f"{where}.{name}", table.get(name)) for name in ("start", "stop"))
    count = check_integer(f"{where}.count", table.get("count"), 2)
    spacing = table.get("spacing", "linear")
    if spacing not in SPACINGS:
        raise SpecificationError(f"{where}.spacing", "one of " + ", ".join(SPACINGS), spacing, 'Try "linear".')
    if spacing == "log" and min(start, stop) <= 0:
        raise SpecificationError(f"{where}.start", "numbers > 0 with log spacing", start, 'Use "linear" spacing.')
    return SPACINGS[spacing](start, stop, count).tolist()
