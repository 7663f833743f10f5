"""steode run on the binarized ReLU: figures, data, summary, and what an interruption leaves."""

import json

import numpy as np
import pytest
import typer

from steode import ConvergenceError, DivergenceError, binary_relu
from steode.cli import app
from steode.cli import binary_relu as command_line

STUDY = """
system = "binary_relu"
title = "Small"
[model]
rows = 3
filter_size = 3
output_teacher = [1.0, -0.5, 2.0]
step = 0.1
[vary]
parameter = "surrogate"
values = ["relu", "identity"]
[run]
t_end = 8.0
starts = 6
length = 3.0
seeds = 2
batch = 32
records = 20
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(STUDY)
    return path


def command(*arguments) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


def test_run_writes_figures_data_and_a_summary(spec, capsys):
    out = spec.parent / "out"
    command("run", spec, "--out", out)
    text = capsys.readouterr().out
    assert "spurious minimum at theta = 3.14159, f = 0.78125: stable" in text
    assert "spurious minimum at theta = 3.14159, f = 0.78125: no rest, |E g| = 0.623347" in text
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary) == ["surrogate = relu", "surrogate = identity"]
    for number, (label, about) in enumerate(summary.items(), start=1):
        assert [point["kind"] for point in about["stationary points"]] == [
            "global minimum",
            "saddle",
            "spurious minimum",
        ]
        assert sum(about["flow ends"].values()) == 6
        slug = f"{number}-{label.replace(' = ', '-')}"
        flow, descent, runs = (binary_relu.load(out / f"{slug}-{kind}.nc") for kind in ("flow", "descent", "runs"))
        assert flow.model == descent.model == runs.model
        assert runs.theta.shape == (2, 6, 21)
        np.testing.assert_allclose(flow.times, descent.times)
        compared = binary_relu.compare(flow, descent)
        assert about["distance by step"]["largest"] == pytest.approx(compared.largest_deviation)
        measured = binary_relu.compare(descent, runs).largest_z
        assert about["largest z"] == pytest.approx(measured)
    assert {path.name for path in out.iterdir()} > {"losses.png", "ends.png"}


def test_interruption_leaves_what_is_finished(spec, monkeypatch):
    case = command_line._case

    def second_is_interrupted(model, settings, finished):
        if model.surrogate.name == "identity":
            raise KeyboardInterrupt
        return case(model, settings, finished)

    monkeypatch.setattr(command_line, "_case", second_is_interrupted)
    with pytest.raises(typer.Exit):
        command_line.run_file(spec, {}, spec.parent / "out")
    written = {path.name for path in (spec.parent / "out").iterdir()}
    kinds = ("flow", "descent", "runs")
    assert written == {"summary.json", *(f"1-surrogate-relu-{kind}.nc" for kind in kinds)}
    assert list(json.loads((spec.parent / "out" / "summary.json").read_text())) == ["surrogate = relu"]
    # what is finished is read, not computed again
    computed = []
    for name in ("solve", "descend", "simulate"):
        verb = getattr(binary_relu, name)
        monkeypatch.setattr(
            binary_relu,
            name,
            lambda model, *given, verb=verb, **options: (
                computed.append((verb.__name__, model.surrogate.name)) or verb(model, *given, **options)
            ),
        )
    monkeypatch.setattr(command_line, "_case", case)
    command_line.run_file(spec, {}, spec.parent / "out")
    assert computed == [("solve", "identity"), ("descend", "identity"), ("simulate", "identity")]
    first = json.loads((spec.parent / "out" / "summary.json").read_text())
    command_line.run_file(spec, {"run.key": 1, "vary.values": ["relu"]}, spec.parent / "out")
    assert ("simulate", "relu") in computed
    assert list(first) == ["surrogate = relu", "surrogate = identity"]


def test_what_fails_is_noted_and_the_rest_goes_on(spec, capsys, monkeypatch):
    def fails(*arguments, **options):
        raise ConvergenceError("solve: no")

    def diverges(*arguments, **options):
        raise DivergenceError("the filter w", 3, 0, 3)

    monkeypatch.setattr(binary_relu, "solve", fails)
    monkeypatch.setattr(binary_relu, "simulate", diverges)
    command_line.run_file(spec, {"vary.values": ["relu"]}, spec.parent / "out")
    text = capsys.readouterr().out
    assert "note: solve: no" in text
    assert "diverged" in text
    written = {path.name for path in (spec.parent / "out").iterdir()}
    assert written == {"summary.json", "surrogate-relu-descent.nc", "losses.png", "ends.png"}
