"""Studies of the classification system from a file: data, figure, summary, and what an interruption leaves."""

import json

import numpy as np
import pytest
import typer
from matplotlib.figure import Figure

from steode import SpecificationError, classification
from steode.cli import classification as command_line
from steode.plot.classification import loss_curve, neurons, success

STUDY = """
system = "classification"
title = "Small"
[model]
classes = 2
batch = 8
[vary]
parameter = "surrogate"
values = ["relu", "identity"]
[run]
steps = 40
seeds = 2
test_samples = 64
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(STUDY)
    return path


def test_study_writes_data_figure_and_summary(spec, tmp_path, capsys):
    out = tmp_path / "out"
    command_line.run_file(spec, {"model.bits": 3, "run.key": 4}, out)
    text = capsys.readouterr().out
    assert "surrogate relu, 3 bits: admissible" in text
    assert "surrogate identity, 3 bits: not admissible" in text
    assert "note: class 0: the identity shifts its neurons together" in text
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary) == ["surrogate = relu", "surrogate = identity"]
    assert summary["surrogate = identity"]["success"] == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"surrogate=relu.nc", "surrogate=identity.nc", "outcomes.png", "summary.json"}
    runs = classification.ClassificationRuns.load(out / "surrogate=relu.nc")
    assert (runs.model.bits, runs.seeds, runs.steps[-1]) == (3, 2, 40)


def test_finished_cases_survive_an_interruption(spec, tmp_path, monkeypatch):
    out, simulate, calls = tmp_path / "out", classification.simulate, []

    def interrupted(model, steps, **options):
        calls.append(model.surrogate.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return simulate(model, steps, **options)

    monkeypatch.setattr(classification, "simulate", interrupted)
    with pytest.raises(typer.Exit):
        command_line.run_file(spec, {}, out)
    assert json.loads((out / "summary.json").read_text()).keys() == {"surrogate = relu"}
    command_line.run_file(spec, {}, out)
    assert calls == ["relu", "identity", "identity"]
    command_line.run_file(spec, {"run.seeds": 3}, out)
    assert calls[3:] == ["relu", "identity"]


def test_mistakes_are_explained(spec, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(SpecificationError, match="--out"):
        command_line.run_file(spec, {}, tmp_path / "taken")
    with pytest.raises(SpecificationError, match="bits"):
        command_line.run_file(spec, {"model.bits": 0}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert command_line._slug("surrogate = Heaviside(x)/(1 + x)") == "surrogate=Heaviside_x_1_+_x_"


def test_figures_show_what_they_are_given():
    model = classification.ClassificationModel(neurons_per_class=3, bits=3, batch=8)
    runs = classification.simulate(model, 10, seeds=2, test_samples=64)
    ax = Figure().subplots()
    assert loss_curve(runs, label="one", ax=ax) is ax
    np.testing.assert_allclose(ax.lines[0].get_ydata(), runs.loss.mean(axis=0))
    ax = success({"one": runs, "two": runs}, ax=Figure().subplots())
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "two"]
    with pytest.raises(SpecificationError, match="results"):
        success({})
    # a third of a right angle to both sides of the first own neuron
    ax = neurons(model, classification.trapped(model, "saturated"), 0, ax=Figure().subplots())
    sector = ax.patches[0]
    assert (sector.theta1, sector.theta2) == (pytest.approx(-30, abs=1e-3), pytest.approx(30, abs=1e-3))
    flat = model.replace(dimensions=(2, 1, 2))
    with pytest.raises(SpecificationError, match="plane"):
        neurons(flat, np.ones((9, 5)), 1)
