"""Files of sweeps: whole at every moment, resumed where they stopped, never mixed up."""

import dataclasses
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray
from models import REFERENCE
from sweep_recorder import Recorder

from steode.cli import main
from steode.errors import SpecificationError
from steode.parts.laws import Normal
from steode.studies.report.sweep_study import read_sweep
from steode.studies.sweep import results, sweep
from steode.studies.sweep.measures import MEASURES

RATES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
AXES = {"learning_rate": RATES}

KILLED = """
import os, signal, sys
import pytest
sys.path.insert(0, {tests!r})
from models import REFERENCE
from sweep_recorder import Recorder
from steode import sweep

move, writes = os.replace, []

def dies_before_the_move(part, path):
    writes.append(path)
    if len(writes) < 3:
        return move(part, path)
    os.truncate(part, os.path.getsize(part) // 2)
    os.kill(os.getpid(), signal.SIGKILL)

Recorder(pytest.MonkeyPatch())
os.replace = dies_before_the_move
sweep(REFERENCE, {axes!r}, path={path!r}, chunk=2)
"""


@pytest.fixture
def recorder(monkeypatch):
    return Recorder(monkeypatch)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sweep.nc"


def asked(recorder: Recorder) -> list[float]:
    """Learning rates that were computed, in order; the last chunk is filled up with its last one."""
    return np.concatenate([[], *(call["learning_rate"] for call in recorder.calls)]).tolist()


def test_a_killed_sweep_goes_on_where_it_stopped(recorder, path):
    code = KILLED.format(tests=str(pathlib.Path(__file__).parents[1]), axes=AXES, path=str(path))
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(path.parent.iterdir())) == 2
    with xarray.open_dataset(path, engine="h5netcdf") as held:
        assert held["fixed_point_status"].values.tolist() == [results.CONVERGED] * 4 + [results.PENDING] * 3
        assert np.isfinite(held["eps_g"].values).tolist() == [True] * 4 + [False] * 3
        assert not held.attrs["complete"]
    resumed = sweep(REFERENCE, AXES, path=path, chunk=2)
    assert asked(recorder) == [0.5, 0.6, 0.7, 0.7]
    assert resumed.identical(sweep(REFERENCE, AXES))
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_sweep_returns_and_keeps_what_is_done(monkeypatch, path):
    Recorder(monkeypatch, stop_after=2)
    partial = sweep(REFERENCE, AXES, path=path, chunk=2)
    assert partial.attrs["complete"] is False
    assert np.isfinite(partial["eps_g"].values).tolist() == [True] * 4 + [False] * 3
    assert partial["converged"].values.tolist() == [True] * 4 + [False] * 3
    assert partial.attrs["unconverged"] == 0
    recorder = Recorder(monkeypatch)
    assert sweep(REFERENCE, AXES, path=path, chunk=2).identical(sweep(REFERENCE, AXES, chunk=2))
    assert asked(recorder)[:4] == [0.5, 0.6, 0.7, 0.7]


def test_a_finished_file_is_returned_at_once(recorder, path):
    axes = AXES | {"teacher": [Normal(std=0.5), Normal(std=2.0)], "weight_quantizer.range": [1.0, 1000.0]}
    first = sweep(REFERENCE, axes, path=path)
    assert first.attrs["unconverged"] == 2 * len(RATES)
    recorder.models.clear()
    again = sweep(REFERENCE, axes, path=path)
    assert recorder.models == []
    assert again.identical(first)
    with xarray.open_dataset(path, engine="h5netcdf") as held:
        xarray.testing.assert_equal(held, first)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": REFERENCE.replace(noise=0.5)}, r'specification {"noise": 0.5}.*The file has {"noise": 0.0}'),
        ({"axes": {"learning_rate": RATES[:6]}}, "axes"),
        ({"axes": {"noise": RATES}}, "axes"),
        ({"measure": "time_to_error", "t_end": 1.0, "error": 0.5}, "measures"),
        ({"version": "0.0.0"}, "version 0.0.0"),
    ],
)
def test_a_file_of_another_sweep_is_refused(recorder, path, monkeypatch, changed, message):
    Recorder(monkeypatch, stop_after=1)
    sweep(REFERENCE, AXES, path=path, chunk=2)
    held = path.read_bytes()
    if "version" in changed:
        monkeypatch.setattr(results, "__version__", changed.pop("version"))
    with pytest.raises(SpecificationError, match=f"path: expected a file of the same sweep, with {message}"):
        sweep(**({"model": REFERENCE, "axes": AXES, "path": path} | changed))
    assert path.read_bytes() == held


def test_settings_of_another_sweep_are_refused(path, monkeypatch):
    Recorder(monkeypatch)
    monkeypatch.setitem(
        MEASURES, "plateau", dataclasses.replace(MEASURES["plateau"], source=MEASURES["fixed_point"].source)
    )
    sweep(REFERENCE, AXES, "plateau", path=path, times=[0.0, 1.0])
    with pytest.raises(SpecificationError, match=r'settings {"plateau_tolerance": 0.1}'):
        sweep(REFERENCE, AXES, "plateau", path=path, times=[0.0, 1.0], plateau_tolerance=0.1)


@pytest.mark.parametrize("content", [b"", b"notes of somebody", None])
def test_other_files_are_left_alone(recorder, path, content):
    if content is None:
        xarray.Dataset({"a": 1.0}).to_netcdf(path, engine="h5netcdf")
    else:
        path.write_bytes(content)
    held = path.read_bytes()
    with pytest.raises(SpecificationError, match="a file written by sweep, or a new one"):
        sweep(REFERENCE, AXES, path=path)
    assert path.read_bytes() == held


SPEC = """
title = "A small sweep"
[model]
teacher = {type = "Constant", value = 1.0}
weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
[sweep.axes]
weight_quantizer.range = {start = 1.0, stop = 4.0, count = 3, spacing = "log"}
learning_rate = [0.1, 0.2]
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SPEC)
    return path


def command(*arguments) -> int:
    try:
        main(["sweep", *(str(argument) for argument in arguments)])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_command_prints_the_optimum_and_writes_files(recorder, spec, tmp_path, capsys):
    out, figure = tmp_path / "small.nc", tmp_path / "small.svg"
    assert command(spec, "--out", out, "--figure", figure) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table == [
        ["learning_rate", "best", "range", "eps_g"],
        ["0.1", "1", "10.1"],
        ["0.2", "1", "10.2"],
    ]
    with xarray.open_dataset(out, engine="h5netcdf") as held:
        assert np.allclose(held["range"], [1, 2, 4])
    assert "<svg" in figure.read_text()


def test_command_prints_all_values_of_one_axis(recorder, spec, capsys):
    spec.write_text(SPEC.replace("learning_rate = [0.1, 0.2]", ""))
    assert command(spec, "--set", "learning_rate=0.5") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()][1:] == [
        ["1", "10"],
        ["2", "20"],
        ["4", "40"],
    ]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (("[sweep.axes]", "[sweep]\ncolor = 1\n[sweep.axes]"), (), "sweep.color"),
        (("count = 3", "count = 1"), (), "count"),
        (("start = 1.0", "start = 0.0"), (), "log spacing"),
        (("[sweep.axes]", "[other]"), (), "file.other"),
        (("", ""), ("--figure", "a.nc"), "--figure"),
        (("", ""), ("--variable", "V"), "--variable: expected one of eps_g"),
        (("", ""), ("--measure", "plateau"), "t_end"),
        (
            ("learning_rate =", "noise = [0.1]\nweight_decay = [0.0]\nlearning_rate ="),
            ("--figure", "a.svg"),
            "one to three axes",
        ),
    ],
)
def test_command_explains_what_it_refuses(recorder, spec, capsys, change, arguments, message):
    spec.write_text(SPEC.replace(*change) if change[0] else SPEC)
    assert command(spec, *arguments) == 2
    assert message in capsys.readouterr().err
    assert recorder.models == []


def test_interrupted_command_says_so(spec, monkeypatch, tmp_path, capsys):
    Recorder(monkeypatch, stop_after=0)
    assert command(spec, "--out", tmp_path / "small.nc") == 130
    assert "The same command goes on from there" in capsys.readouterr().err


def test_built_in_sweep_is_read():
    study = read_sweep(None)
    assert len(study.axes) == 2
    assert study.settings == {"measure": "fixed_point"}
