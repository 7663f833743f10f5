"""Specification files and results from strangers: nothing runs, nothing is read elsewhere, one line says why."""

import contextlib
import copy
import datetime
import json
import math
import os
import time
import tomllib

import numpy as np
import pytest

from steode import (
    Constant,
    LinearModel,
    SpecificationError,
    Trajectory,
    binary_relu,
    classification,
    regression,
    solve,
    sweep,
)
from steode.cli import main
from steode.parts.configuration import load_toml
from steode.studies.report.study import read_study
from steode.studies.report.sweep_study import read_sweep
from steode.systems.linear.configuration import from_dict

RUN = "__import__('os').system('touch canary')"
FULL_WIDTH = "x." + "".join(chr(ord(letter) + 0xFEE0) for letter in "subs") + "(x, tanh(x))"
EXPRESSIONS = [RUN, FULL_WIDTH, "10**10**10", "(" * 3000 + "x" + ")" * 3000, [RUN], {"type": RUN}]

LINEAR = """
[model]
learning_rate = 0.1
noise = 0.1
weight_quantizer = {type = "Uniform", bits = 2, range = 2.0, kind = "mid-rise"}
input_quantizer = {type = "Elementwise", expression = "tanh(x)"}
activation_surrogate = {type = "DerivativeOf", proxy = "tanh(x)"}
teacher = {type = "Discrete", values = [1.0, 2.0], probabilities = [0.5, 0.5]}
init = {type = "Normal", mean = 0.0, std = 1.0}
spectrum = {type = "PowerLaw", exponent = 1.0, count = 3}
residual_quantizer = {type = "StochasticRounding", grid = {type = "FloatFormat", exponent_bits = 3, mantissa_bits = 2}}
[vary]
parameter = "noise"
values = [0.1, 0.2]
[run]
t_end = 1.0
dim = 10
times = 3
method = "density"
snapshot_times = [0.5]
"""
SWEEP = """
[model]
teacher = {type = "Empirical", values = [1.0, 2.0]}
weight_quantizer = {type = "IntegerFormat", bits = 4, narrow = true, range_at = "largest"}
[sweep]
measure = ["plateau"]
t_end = 1.0
[sweep.axes]
noise = [0.1, 0.2]
"weight_quantizer.range" = {start = 0.25, stop = 8.0, count = 3, spacing = "log"}
"""
REGRESSION = """
system = "regression"
title = "t"
[model]
spectrum = {type = "Eigenvalues", values_at = [1.0, 0.5]}
teacher = [1.0, 2.0]
step_size = 0.05
data_quantizer = {type = "CommonFactor", noise_variance = 0.01}
[vary]
parameter = "data_quantizer.noise_variance"
values = [0.001, 0.01]
[run]
steps = 10
"""
BINARY = """
system = "binary_relu"
description = "d"
[model]
rows = 3
filter_size = 4
output_teacher = [1.0, -0.5, 2.0]
surrogate = "1/(1 + x**2)"
[run]
starts = 3
"""
CLASSES = """
system = "classification"
[model]
classes = 3
dimensions = [2, 2, 2]
bits = 2
surrogate = "relu"
radii = [1.0, 2.0]
[vary]
parameter = "bits"
values = [1, 2]
[run]
steps = 10
"""
READERS = {
    "linear": (LINEAR, read_study, ["derive"]),
    "sweep": (SWEEP, read_sweep, ["sweep"]),
    "regression": (REGRESSION, regression.read_study, ["run"]),
    "binary_relu": (BINARY, binary_relu.read_study, ["run"]),
    "classification": (CLASSES, classification.read_study, ["run"]),
}


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A folder in which a file named canary appears if a text runs."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "canary").exists()


def command(*arguments) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return 0 if stop.code is None else stop.code
    return 0


def toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return value.isoformat() if isinstance(value, datetime.date) else json.dumps(value)


def entries(table: dict, before: tuple = ()):
    for key, value in table.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from entries(value, (*before, key))


VALUES = [[1], {}, {"type": [1]}, "", "x", True, 10**12, -1, math.nan, 1e200, 1e-200, [[1.0], [2.0, 3.0]]]
VALUES += [datetime.date(2000, 1, 1), 5e-324, RUN, [RUN], {"type": "Elementwise", "expression": [RUN]}]


@pytest.mark.parametrize("name", READERS)
def test_any_entry_may_be_wrong(canary, name):
    text, read, _ = READERS[name]
    path = canary / "spec.toml"
    path.write_text(text)
    read(path)
    table = tomllib.loads(text)
    places = [(key, number, value) for key in entries(table) for number, value in enumerate(VALUES)]
    # every value meets many entries and every entry many values, in a third of the time of all
    for key, _, value in [place for order, place in enumerate(places) if (order + place[1]) % 3 == 0]:
        changed = inner = copy.deepcopy(table)
        for part in key[:-1]:
            inner = inner[part]
        inner[key[-1]] = value
        path.write_text("".join(f"{json.dumps(top)} = {toml(entry)}\n" for top, entry in changed.items()))
        with contextlib.suppress(SpecificationError):
            read(path)


BROKEN = {
    "long integer": "a = " + "9" * 5000,
    "long hexadecimal": "a = 0x" + "f" * 100_000,
    "nested": "a = " + "[" * 10**5 + "]" * 10**5,
    "nested a little": "a = " + "[" * 40 + "]" * 40,
    "nested tables": "a = " + "{a = " * 10**4 + "1" + "}" * 10**4,
    "long key": ".".join("a" * 10**5) + " = 1",
    "long quoted key": " . ".join(['"a b"'] * 10**5) + " = 1",
    "long header": "[" + ".".join("a" * 10**5) + "]",
    "key of a line": json.dumps("a\nb" * 10**4) + " = 1",
    "type": "[model]\nteacher = {type = [1]}",
    "not UTF-8": b"\xff\xfe",
    "zeros": b"a = 1\0",
    "too large": b"#" * (10**7 + 1),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", READERS)
def test_files_that_are_no_specification_are_refused_in_one_line(canary, capsys, name, content):
    path = canary / "spec.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    begin = time.process_time()
    assert command(*READERS[name][2], path) == 2
    assert time.process_time() - begin < 2
    message = capsys.readouterr().err
    assert message.startswith("steode: ")
    assert message.count("\n") == 1
    assert len(message) < 1500


def test_a_device_is_no_specification(tmp_path):
    with pytest.raises(SpecificationError, match="no regular file"):
        load_toml("/dev/zero" if os.path.exists("/dev/zero") else tmp_path)
    with pytest.raises(SpecificationError, match="no regular file"):
        load_toml(tmp_path)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_no_door_evaluates_an_expression(canary, capsys, text):
    table = {"teacher": {"type": "Constant", "value": 1.0}}
    for change in (
        {"weight_quantizer": {"type": "Elementwise", "expression": text}},
        {"activation_surrogate": {"type": "DerivativeOf", "proxy": text}},
        {"learning_rate": {"type": "Schedule", "expression": text}},
        {"activation": [text]},
    ):
        with pytest.raises(SpecificationError):
            from_dict(table | change)
    model = {"rows": 1, "filter_size": 2, "surrogate": text}
    for refuse in (
        lambda: binary_relu.from_dict(model),
        lambda: classification.from_dict({"surrogate": text}),
        lambda: regression.from_dict({"spectrum": [1.0], "step_size": 0.1, "teacher": text}),
        lambda: sweep(
            LinearModel(teacher=Constant(1.0)), {"activation_surrogate": [{"type": "DerivativeOf", "proxy": text}]}
        ),
    ):
        with pytest.raises(SpecificationError):
            refuse()
    proxy = toml({"type": "DerivativeOf", "proxy": text})
    assert command("derive", "--set", f"activation_surrogate={proxy}") == 2
    (canary / "bin.toml").write_text(BINARY)
    assert (
        command("run", canary / "bin.toml", "--set", f"vary={toml({'parameter': 'surrogate', 'values': [text]})}") == 2
    )
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize("suffix", ["nc", "npz"])
def test_a_saved_result_evaluates_and_reads_nothing(canary, suffix):
    path = solve(LinearModel(teacher=Constant(1.0)), 1.0, method="moments").save(canary / f"limit.{suffix}")
    np.save(canary / "secret.npy", np.ones(3))
    wrong = [
        {"activation_surrogate": {"type": "DerivativeOf", "proxy": RUN}},
        {"activation_surrogate": {"type": [RUN]}},
    ]
    for change in [*wrong, {"teacher": {"type": "Empirical", "values": "secret.npy"}}]:
        loaded = Trajectory.load(path)
        specification = loaded.provenance.specification | change
        provenance = json.dumps(vars_of(loaded.provenance) | {"specification": specification})
        changed = canary / f"changed.{suffix}"
        if suffix == "nc":
            loaded.to_xarray().assign_attrs(provenance=provenance).to_netcdf(changed, engine="h5netcdf")
        else:
            with np.load(path, allow_pickle=False) as file:
                np.savez(changed, **(dict(file) | {"provenance": provenance}))
        with pytest.raises(SpecificationError):
            _ = Trajectory.load(changed).model


def test_nested_provenance_is_refused(tmp_path):
    np.savez(tmp_path / "nested.npz", time=np.ones(1), provenance="[" * 10**5 + "]" * 10**5)
    with pytest.raises(SpecificationError):
        Trajectory.load(tmp_path / "nested.npz")


def vars_of(provenance) -> dict:
    names = ("kind", "method", "specification", "settings", "version", "device")
    return {name: getattr(provenance, name) for name in names}
