"""Commands write tables and modules that hold the numbers they print."""

import csv
import io

import pytest

from steode.cli import main


def command(*arguments) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return 0 if stop.code is None else stop.code
    return 0


@pytest.mark.representative
def test_commands_write_tables_and_modules(tmp_path, capsys):
    arguments = ("--t-end", 1, "--times", 3, "--method", "gaussian", "--out", tmp_path / "limit.csv")
    assert command("solve", *arguments) == 0
    assert numbers(tmp_path / "limit.csv", "tau") == [0, 0.5, 1]
    assert command("derive", "--out", tmp_path / "limit.py") == 0
    namespace = {"__name__": "written"}
    exec((tmp_path / "limit.py").read_text(), namespace)
    assert namespace["solve"](1.0, [1.0])["eps_g"][0] == pytest.approx(
        numbers(tmp_path / "limit.csv", "eps_g")[-1], 1e-3
    )
    assert command("derive", "--step", "update", "--out", tmp_path / "other.py") == 2
    assert command("derive", "--step", "update", "--out", tmp_path / "step.md") == 0
    assert (tmp_path / "step.md").read_text().count("$$") == 2
    axes = ("--set", "sweep.axes={learning_rate = [0.1, 0.2]}", "--csv", tmp_path / "sweep.csv")
    assert command("sweep", *axes) == 0
    swept = read_texts(tmp_path / "sweep.csv")
    assert swept["learning_rate"] == ["0.1", "0.2"]
    assert swept["converged"] == ["True", "True"]
    capsys.readouterr()


def read_texts(path) -> dict[str, list[str]]:
    rows = list(csv.reader(io.StringIO(path.read_text())))
    return {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}


def numbers(path, name: str) -> list[float]:
    return [float(text) for text in read_texts(path)[name]]
