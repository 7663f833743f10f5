"""Every specification file in examples/ is run by the command it is made for, smaller where it takes minutes."""

import pathlib
import tomllib

import pytest

from steode.cli import main
from steode.cli.run import SYSTEMS

EXAMPLES = sorted((pathlib.Path(__file__).parents[2] / "examples").glob("*.toml"))
SMALLER = {
    "linear": ("--t-end", "2", "--dim", "40", "--seeds", "2", "--method", "gaussian", "--times", "5"),
    "fogzo": ("--t-end", "2", "--dim", "40", "--seeds", "2", "--method", "gaussian", "--times", "5"),
    "regression": ("--steps", "50", "--seeds", "2"),
    "layer": ("--steps", "200", "--set", "run.rows=2", "--set", "vary.values=[3]"),
    "binary_relu": ("--t-end", "2", "--seeds", "1", "--set", "run.starts=3", "--set", "run.records=10"),
    "cooccurrence": ("--set", "run.t_end=5.0"),
    "diagonal_network": ("--set", "run.accuracies=[1.0, 10.0]", "--set", "run.scales=[0.1]"),
    "sparse_regression": (
        "--seeds",
        "1",
        "--set",
        "dim=60",
        "--set",
        "samples=30",
        "--set",
        "strength=50.0",
        "--t-end",
        "50",
    ),
    "univariate_relu": ("--set", "run.t_end=2.0", "--set", "run.scales=[1.0]"),
    "matrix_completion": ("--set", "run.t_end=2.0", "--set", "run.scales=[0.1]", "--set", "run.depths=[2]"),
    "classification": ("--steps", "20", "--seeds", "2", "--set", "run.test_samples=100"),
}
"""Options of `steode run` that make the files of a system a matter of seconds."""


def system_of(path: pathlib.Path) -> str:
    return tomllib.loads(path.read_text(encoding="utf-8")).get("system", "linear")


def command(*arguments) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code in (None, 0)


def test_every_system_has_a_complete_example():
    assert {system_of(path) for path in EXAMPLES} == set(SYSTEMS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path, capsys):
    command("run", path, "--out", tmp_path, *SMALLER[system_of(path)])
    assert capsys.readouterr().out
    assert {"summary.json"} <= {found.name for found in tmp_path.iterdir()}
    assert any(found.suffix == ".png" for found in tmp_path.rglob("*"))


def test_the_sweep_of_the_linear_example_runs(tmp_path, capsys):
    (path,) = (path for path in EXAMPLES if path.stem == "linear")
    fewer = ("--set", "sweep.axes.learning_rate=[0.1]", "--measure", "fixed_point")
    command("sweep", path, "--out", tmp_path / "sweep.nc", *fewer)
    assert "eps_g" in capsys.readouterr().out
    assert (tmp_path / "sweep.nc").exists()
