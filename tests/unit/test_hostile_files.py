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
    Empirical,
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
from steode.configuration import from_dict, load_toml, to_dict
from steode.errors import LARGEST, SMALLEST
from steode.laws import array_file
from steode.regression import RegressionModel
from steode.report.study import read_study
from steode.report.sweep_study import read_sweep
from steode.schedule import Schedule
from steode.simulate import simulate
from steode.spectrum import Eigenvalues

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
density_times = [0.5]
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
    "regression": (REGRESSION, regression.read_study, ["regression", "run"]),
    "binary_relu": (BINARY, binary_relu.read_study, ["coarse", "run"]),
    "classification": (CLASSES, classification.read_study, ["coarse", "run"]),
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
        command(
            "coarse", "run", canary / "bin.toml", "--set", f"vary={toml({'parameter': 'surrogate', 'values': [text]})}"
        )
        == 2
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


@pytest.fixture
def folders(tmp_path):
    """A specification's folder with weights below it, other weights beside it, and a link to those."""
    home, away = tmp_path / "home", tmp_path / "away"
    (home / "data").mkdir(parents=True)
    away.mkdir()
    np.save(home / "data" / "weights.npy", np.array([0.5, -1.0]))
    np.save(away / "weights.npy", np.array([2.0, 3.0]))
    (home / "link.npy").symlink_to(away / "weights.npy")
    (home / "inside.npy").symlink_to(home / "data" / "weights.npy")
    return home, away


MODELS = {
    "linear": ('[model]\nteacher = {{type = "Empirical", values = "{}"}}', read_study, lambda case: case.teacher),
    "spectrum": (
        '[model]\nteacher = {{type = "Constant", value = 1}}\nspectrum = {{type = "Eigenvalues", values_at = "{}"}}',
        read_study,
        lambda case: case.spectrum,
    ),
    "regression": (
        '[model]\nspectrum = [1.0, 2.0]\nstep_size = 0.1\nteacher = "{}"',
        regression.read_study,
        lambda case: case.teacher,
    ),
}


def models(study):
    return [case.model for case in study.cases] if isinstance(study.cases, tuple) else list(study.cases.values())


@pytest.mark.parametrize("name", MODELS)
def test_files_are_named_below_the_specification_only(folders, name):
    home, away = folders
    text, read, part = MODELS[name]
    path = home / "spec.toml"
    if name == "spectrum":
        np.save(home / "data" / "weights.npy", np.array([0.5, 1.0]))
    for inside in ("data/weights.npy", "./data/../data/weights.npy", "inside.npy", home / "data" / "weights.npy"):
        path.write_text(text.format(inside))
        (model,) = models(read(path))
        assert part(model).values[0] == 0.5
    for outside in ("../away/weights.npy", "link.npy", away / "weights.npy", "data/../../away/weights.npy"):
        path.write_text(text.format(outside))
        with pytest.raises(SpecificationError, match=r"a file below .*--allow-outside"):
            read(path)
        (model,) = models(read(path, allow_outside=True))
        assert part(model).values[0] == 2.0


def test_the_command_line_may_allow_more(folders, capsys):
    home, away = folders
    path = home / "spec.toml"
    path.write_text(f'[model]\nteacher = {{type = "Empirical", values = "{away}/weights.npy"}}\n')
    assert command("fixed-points", path) == 2
    assert "--allow-outside" in capsys.readouterr().err
    assert command("fixed-points", path, "--allow-outside") == 0


def test_the_axes_of_a_sweep_name_files_below_it_only(folders):
    home, _ = folders
    path = home / "spec.toml"
    text = (
        '[model]\nteacher = {{type = "Empirical", values = [1.0]}}\n[sweep]\n[sweep.axes]\n"teacher.values" = ["{}"]\n'
    )
    path.write_text(text.format("data/weights.npy"))
    study = read_sweep(path)
    assert sweep(study.model, study.axes)["eps_g"].size == 1
    path.write_text(text.format("../away/weights.npy"))
    with pytest.raises(SpecificationError, match="a file below"):
        read_sweep(path)
    assert read_sweep(path, allow_outside=True).axes


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 64


@pytest.mark.parametrize(
    "content",
    [
        header("(1000000000000,)"),
        header("(100000, 100000, 100000)"),
        header("(-1,)"),
        header("(2,)", "'|O'"),
        header("(2,)", "[('a', '|O')]"),
        header("(2,)", "__import__('os').system('touch canary')"),
        header("(2,)", "(" * 60),
        header("(1000,)"),
    ],
)
def test_arrays_are_no_larger_than_their_files_and_hold_no_objects(canary, content):
    path = canary / "weights.npy"
    path.write_bytes(content)
    with pytest.raises(SpecificationError, match=r"readable \.npy file") as caught:
        Empirical(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SpecificationError):
        Eigenvalues(path)


def test_arrays_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(array_file, "MOST_NUMBERS", 10)
    np.save(tmp_path / "weights.npy", np.ones(11))
    with pytest.raises(SpecificationError, match="at most 10"):
        Empirical(tmp_path / "weights.npy")


NUMBERS = {
    "teacher": lambda value: LinearModel(teacher=Constant(value)),
    "values": lambda value: Empirical([1.0, value]),
    "step_size": lambda value: RegressionModel(spectrum=[1.0], step_size=value),
    "regression noise": lambda value: RegressionModel(spectrum=[1.0], step_size=0.1, noise=value),
    "binary step": lambda value: binary_relu.BinaryReLUModel(rows=1, filter_size=2, step=value),
    "vote": lambda value: classification.ClassificationModel(vote=value),
    "expression": lambda value: Schedule(f"{value!r}*tau + 0.1"),
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_every_specification_bounds_its_numbers(make):
    with pytest.raises(SpecificationError, match=r"1e.50"):
        make(2 * LARGEST)


POSITIVE = {name: NUMBERS[name] for name in ("step_size", "regression noise", "binary step", "vote", "expression")}


@pytest.mark.parametrize("make", POSITIVE.values(), ids=POSITIVE)
def test_what_has_to_be_positive_is_no_smaller_than_the_bound(make):
    with pytest.raises(SpecificationError, match="1e-50"):
        make(SMALLEST / 2)


@pytest.mark.parametrize("rate", ["1e49*tau + 0.1", lambda tau: 1e300 * tau + 0.1])
def test_a_rate_that_gets_too_large_is_refused_before_anything_is_computed(rate):
    for verb in (lambda model: solve(model, 1.0), lambda model: simulate(model, 4, 1.0)):
        with pytest.raises(SpecificationError, match=r"up to 1e\+12"):
            verb(LinearModel(teacher=Constant(1.0), learning_rate=Schedule(rate)))


def test_a_model_comes_back_from_a_file_with_all_digits():
    model = LinearModel(teacher=Constant(1 / 3), learning_rate=Schedule("0.1 + tau"))
    assert from_dict(json.loads(json.dumps(to_dict(model)))) == model
