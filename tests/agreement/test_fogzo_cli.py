"""steode run with FOGZO: figures, data, summary, and what an interruption leaves."""

import json

import numpy as np
import pytest

from steode import STE, Trajectory, compare
from steode.cli import app, fogzo

STUDY = """
system = "fogzo"
title = "Small"
[model]
learning_rate = 0.3
teacher = {type = "TwoPoint", value = 1.1}
init = {type = "Normal", std = 1.0}
weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
noise = 0.2
update_rule = {type = "FOGZO", c = 1.0, eps = 0.3, n = 2}
[vary]
parameter = "update_rule.c"
values = [1.0, 2.0]
[run]
t_end = 1.0
times = 11
dim = 400
seeds = 2
tolerance = 1e-2
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
    assert "fixed point of FOGZO: eps_g" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary) == ["update_rule.c = 1", "update_rule.c = 2"]
    for number in (1, 2):
        about = summary[f"update_rule.c = {number}"]
        own, other, runs = (Trajectory.load(out / f"c-{number}-{name}.nc") for name in ("fogzo", "ste", "runs"))
        assert own.model.update_rule.c == number
        assert other.model == own.model.replace(update_rule=STE())
        # a step costs 2n + 2 = 6 passes and 2
        np.testing.assert_allclose(other.times, 3 * own.times)
        assert about["equal passes"]["passes"] == 6.0
        assert about["equal passes"]["ste"] == other["eps_g"][-1]
        assert about["equal passes"]["last slope"] == own["mean_slope"][-1]
        assert about["largest z"] == pytest.approx(compare(own, runs).largest_z)
        assert about["fixed points fogzo"][0]["mean_slope"] > 0
        assert (out / f"c-{number}-fogzo.png").stat().st_size > 10_000


def test_interruption_leaves_what_is_finished(spec, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("steode.simulate", interrupted)
    with pytest.raises(fogzo.typer.Exit):
        fogzo.run_file(spec, {"run.t_end": 0.5}, spec.parent / "out")
    written = {path.name for path in (spec.parent / "out").iterdir()}
    assert written == {"summary.json", "c-1-fogzo.nc", "c-1-ste.nc"}
    summary = json.loads((spec.parent / "out" / "summary.json").read_text())
    assert "equal passes" in summary["update_rule.c = 1"]


def test_what_does_not_exist_is_noted_and_the_rest_goes_on(spec, capsys):
    changes = ["--set", "weight_decay=0.1", "--set", "vary.values=[1.0]", "--seeds", 0, "--t-end", 0.5]
    command("run", spec, "--out", spec.parent / "out", *changes)
    assert (
        "note: fogzo: fixed_points: needs a mean slope known from the stationary law, and with weight decay"
        in capsys.readouterr().out
    )
    written = {path.name for path in (spec.parent / "out").iterdir()}
    assert written == {"summary.json", "c-1-fogzo.nc", "c-1-ste.nc", "c-1-fogzo.png"}
