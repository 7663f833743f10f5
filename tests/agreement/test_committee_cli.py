"""A committee machine from a file: what is written, and what is refused before anything is."""

import json

import pytest

from steode import SpecificationError
from steode.cli import app
from steode.systems.committee import CommitteeTrajectory

pytestmark = pytest.mark.representative

FILE = """
system = "committee"
title = "Small"
[model]
alignment = 0.3
noise = 0.1
[vary]
parameter = "learning_rate"
values = [0.2, 0.4]
[run]
t_end = 3.0
dim = 60
seeds = 3
times = 7
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(FILE)
    return path


def command(*arguments) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


def test_a_study_writes_limits_runs_figure_and_summary(spec, tmp_path, capsys):
    out = tmp_path / "out"
    command("run", spec, "--out", out, "--set", "model.hidden=3", "--seeds", "2")
    assert "largest |z|" in capsys.readouterr().out
    cases = json.loads((out / "summary.json").read_text())["cases"]
    assert set(cases) == {"learning_rate = 0.2", "learning_rate = 0.4"}
    runs = CommitteeTrajectory.load(out / "runs-learning_rate-0.2.nc")
    assert runs["teacher_overlap"].shape == (2, 7, 3, 2)
    assert runs.model.hidden == 3
    assert runs.mean("eps_g").tolist() == pytest.approx(cases["learning_rate = 0.2"]["runs"])
    names = {path.name for path in out.iterdir()}
    assert {"summary.txt", "derivation.md", "error.png", "error.svg", "limit-learning_rate-0.4.nc"} <= names


@pytest.mark.parametrize(
    ("entry", "argument"),
    [("model.hidden=0", "hidden"), ("run.method=density", "run.method"), ("run.times=1", "run.times")],
)
def test_mistakes_are_explained_before_anything_is_written(spec, tmp_path, entry, argument):
    with pytest.raises(SpecificationError) as caught:
        command("run", spec, "--out", tmp_path / "out", "--set", entry)
    assert caught.value.argument == argument
    assert not (tmp_path / "out").exists()
