"""steode run on quantized regression, and its figures."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from steode import SpecificationError, regression
from steode.cli import main
from steode.parts.spectrum import PowerLaw
from steode.plot.regression import regression_risk

pytestmark = pytest.mark.representative

STUDY = """
system = "regression"
title = "Small"
[model]
spectrum = {type = "PowerLaw", exponent = 2.0, count = 6}
step_size = 0.1
data_quantizer = {type = "AdditiveNoise", noise_variance = 0.01}
[vary]
parameter = "step_size"
values = [0.1, 100.0]
[run]
steps = 300
seeds = 2
"""


def command(*arguments) -> int:
    """Run the command in this process; its exit status."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return 0 if stop.code is None else stop.code
    return 0


def test_run_writes_figures_data_and_a_summary(tmp_path, capsys):
    (tmp_path / "spec.toml").write_text(STUDY)
    assert command("run", tmp_path / "spec.toml", "--out", tmp_path / "out") == 0
    text = capsys.readouterr().out
    assert "stable" in text
    assert "UNSTABLE" in text
    assert "reconstructed from public summaries" in text
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["step_size = 0.1"]["stable"]
    assert not summary["step_size = 100.0"]["stable"]
    assert "diverged" in summary["step_size = 100.0"]["notes"][0]
    assert summary["step_size = 100.0"]["exact"]["raw_last"] == "inf"
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written >= {"risk_raw.png", "risk_quantized.png", "step_size-0.1-exact.nc", "step_size-0.1-runs.nc"}


def test_rounding_is_simulated_only(tmp_path, capsys):
    change = 'data_quantizer={type = "Uniform", bits = 4, range = 3.0}'
    (tmp_path / "spec.toml").write_text(STUDY.partition("[vary]")[0])
    arguments = ("--out", tmp_path / "out", "--steps", 20, "--seeds", 2, "--set", change)
    assert command("run", tmp_path / "spec.toml", *arguments) == 0
    assert "no noise model" in capsys.readouterr().out
    assert not (tmp_path / "out" / "model-exact.nc").exists()
    assert (tmp_path / "out" / "model-runs.nc").exists()


def test_mistakes_are_explained(tmp_path, capsys):
    (tmp_path / "spec.toml").write_text(STUDY.replace("6}", "0}"))
    assert command("run", tmp_path / "spec.toml", "--out", tmp_path / "out") == 2
    assert "PowerLaw.count" in capsys.readouterr().err
    assert command("run", tmp_path / "none.toml") == 2
    (tmp_path / "taken").write_text("")
    (tmp_path / "spec.toml").write_text(STUDY)
    assert command("run", tmp_path / "spec.toml", "--out", tmp_path / "taken") == 2


def test_figure_shows_line_points_and_bound():
    model = regression.RegressionModel(spectrum=PowerLaw(2.0, 6), step_size=0.1)
    exact, runs = regression.risk(model, 50), regression.simulate(model, 50, seeds=2)
    ax = Figure().subplots()
    limits = tuple(regression.bounds(model, steps) for steps in (1, 50))
    assert regression_risk(exact, runs, limits, label="model", ax=ax) is ax
    curve, *_ = ax.lines
    np.testing.assert_allclose(curve.get_ydata(), exact["raw_average"][1:])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["model", "upper bound"]
    np.testing.assert_allclose(ax.lines[-2].get_ydata(), [limit.raw for limit in limits])
    for wrong in ({"quantity": "risk"}, {"exact": None}):
        with pytest.raises(SpecificationError):
            regression_risk(**{"exact": exact, **wrong})
