"""What the commands do with places that cannot be written, before they compute and when the disk fills up meanwhile."""

import json
import os
import re

import pytest
from full_disk import fill
from sweep_recorder import Recorder

from steode.cli import main
from steode.studies.report.folder import distinct_names
from steode.systems.linear.trajectory import Trajectory
from steode.systems.regression import read_study

SPECS = {
    "linear": """
[model]
teacher = {type = "Constant", value = 1.0}
weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
[vary]
parameter = "learning_rate"
values = [0.1, 0.2]
[run]
t_end = 1.0
dim = 20
seeds = 2
times = 3
method = "moments"
[sweep.axes]
learning_rate = [0.1, 0.2]
""",
    "regression": """
system = "regression"
[model]
step_size = 0.05
spectrum = {type = "PowerLaw", exponent = 1.5, count = 5}
[run]
steps = 10
""",
    "binary_relu": 'system = "binary_relu"\n[model]\nrows = 3\nfilter_size = 4\noutput_teacher = [1.0, -0.5, 2.0]\n',
    "classification": 'system = "classification"\n[model]\nclasses = 2\n[run]\nsteps = 10\n',
    "fogzo": """
system = "fogzo"
[model]
teacher = {type = "TwoPoint", value = 1.1}
weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
update_rule = {type = "FOGZO", c = 1.0, eps = 0.3, n = 2}
""",
}
FILES = {
    "derive": ("derive", "linear", "--out", ".md"),
    "solve": ("solve", "linear", "--out", ".nc"),
    "simulate": ("simulate", "linear", "--out", ".npz"),
    "checkpoint": ("simulate", "linear", "--checkpoint", ".npz"),
    "sweep": ("sweep", "linear", "--out", ".nc"),
    "sweep figure": ("sweep", "linear", "--figure", ".svg"),
    "fixed points figure": ("fixed-points", "linear", "--figure", ".png"),
}
"""Commands that write one file: command, specification, option, suffix."""
FOLDERS = {
    "run": ("run", "linear"),
    "regression": ("run", "regression"),
    "binary relu": ("run", "binary_relu"),
    "classification": ("run", "classification"),
    "fogzo": ("run", "fogzo"),
}


def command(*arguments) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return 0 if stop.code is None else stop.code
    return 0


@pytest.fixture
def specs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specs")
    for name, text in SPECS.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def refused(capsys) -> str:
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert re.match("steode: (--)?(out|figure|checkpoint): expected a", printed.err)
    return printed.err


@pytest.mark.parametrize("place", ["folder", "under a file", "system", "long name", "device"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_written_is_refused_before_any_work(name, place, specs, tmp_path, capsys):
    words, spec, option, suffix = FILES[name]
    (tmp_path / "file").write_text("")
    path = {
        "folder": tmp_path / f"folder{suffix}",
        "under a file": tmp_path / "file" / f"a{suffix}",
        "system": f"/proc/a{suffix}",
        "long name": tmp_path / f"{'a' * 250}{suffix}",
        "device": tmp_path / f"device{suffix}",
    }[place]
    if place == "folder":
        # of several cases each has a file of its own
        for stem in ("folder", "folder-learning_rate-0.1"):
            (tmp_path / f"{stem}{suffix}").mkdir()
    if place == "device":
        for stem in ("device", "device-learning_rate-0.1"):
            (tmp_path / f"{stem}{suffix}").symlink_to("/dev/full")
    before = sorted(os.listdir(tmp_path))
    assert command(words, specs / f"{spec}.toml", option, path) == 2
    refused(capsys)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/results", "a" * 300])
@pytest.mark.parametrize("name", FOLDERS)
def test_what_cannot_be_a_folder_is_refused_before_any_work(name, place, specs, tmp_path, capsys):
    words, spec = FOLDERS[name]
    (tmp_path / "file").write_text("mine")
    assert command(*words.split(), specs / f"{spec}.toml", "--out", tmp_path / place) == 2
    refused(capsys)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def full(tmp_path, monkeypatch):
    """A folder whose disk is full, and the temporary folder of the system, where there is room."""
    (tmp_path / "full").mkdir()
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))
    fill(monkeypatch, tmp_path / "full")
    return tmp_path / "full"


def kept(full, name: str):
    (found,) = (full.parent / "spare").glob(f"*/{name}")
    return found


@pytest.mark.parametrize("name", ["derive", "simulate", "sweep", "sweep figure"])
def test_a_result_for_which_there_is_no_room_is_kept_elsewhere(name, specs, full, capsys, monkeypatch):
    Recorder(monkeypatch)
    words, spec, option, suffix = FILES[name]
    path = full / f"result{suffix}"
    plain = ("--set", "vary.values=[0.1]", "--set", 'weight_quantizer={type="Identity"}')
    assert command(words, specs / f"{spec}.toml", *plain, option, path) == 1
    printed = capsys.readouterr()
    place = kept(full, f"result{suffix}")
    assert printed.err.strip().splitlines()[-1].endswith(f"What was computed is in {place}.")
    assert "No space left on device" in printed.err
    assert place.stat().st_size > 500
    assert os.listdir(full) == []
    if name == "simulate":
        assert Trajectory.load(place)["eps_g"].shape[0] == 2


def test_a_folder_that_fills_up_goes_on_elsewhere(specs, full, capsys):
    assert command("run", specs / "regression.toml", "--set", "run.seeds=0", "--out", full / "out") == 1
    printed = capsys.readouterr()
    summary = kept(full, "summary.json")
    assert "model" in json.loads(summary.read_text())
    assert {path.name for path in summary.parent.iterdir()} > {"model-exact.nc", "risk_raw.png", "risk_quantized.png"}
    first, last = printed.err.splitlines()[1], printed.err.splitlines()[-1]
    assert f"go to {summary.parent}" in first
    assert last.endswith(f"What was computed is in {summary.parent}.")


def test_every_case_has_a_file_of_its_own():
    assert distinct_names(["a", "b", "A", "a"]) == ["a", "b", "A-2", "a-3"]
    long = distinct_names(["τ" * 300, "τ" * 301])
    assert len(set(long)) == 2
    assert all(len(name.encode()) <= 130 for name in long)


def test_cases_of_one_type_are_told_apart(specs):
    kinds = ", ".join(f'{{type = "Uniform", bits = {bits}, range = 2.0}}' for bits in (2, 3))
    varied = f'[vary]\nparameter = "data_quantizer"\nvalues = [{kinds}]\n'
    (specs / "varied.toml").write_text(SPECS["regression"] + varied)
    assert len(read_study(specs / "varied.toml").cases) == 2


def test_result_and_checkpoint_are_two_files(specs, tmp_path, capsys):
    path = tmp_path / "a.npz"
    assert command("simulate", specs / "linear.toml", "--out", path, "--checkpoint", path) == 2
    assert "another file than --out" in refused(capsys)
