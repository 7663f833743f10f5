"""steode run with FOGZO: what is refused before anything is computed, and what a case's numbers become."""

import types

import numpy as np
import pytest

from steode import FOGZO, SpecificationError
from steode.cli import app, fogzo

MODEL = """
system = "fogzo"
[model]
learning_rate = 0.3
teacher = {type = "Normal", std = 1.0}
weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
update_rule = {type = "FOGZO", c = 2.0, eps = 0.3, n = 3}
"""


def command(*arguments) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MODEL.partition("update_rule")[0], 'Write {type = "FOGZO", c = 2.0, eps = 0.3}; the system "linear"'),
        (MODEL.replace("c = 2.0", "c = -1.0"), r"FOGZO\.c"),
        (MODEL.replace("n = 3", "n = 0"), r"FOGZO\.n"),
        (MODEL + "[run]\nseeds = -1", r"run\.seeds"),
        (MODEL + "[run]\nseeds = true", r"run\.seeds"),
        (MODEL + "[run]\nt_end = 0", r"run\.t_end"),
        ("run = 3\n" + MODEL, r"run: expected a table"),
        (MODEL + "[run]\nhorizon = 1", "horizon"),
    ],
)
def test_mistakes_are_explained(tmp_path, text, message):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(SpecificationError, match=message):
        command("run", path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_stands_in_the_way_is_left_alone(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(MODEL)
    with pytest.raises(SpecificationError, match="--out"):
        command("run", path, "--out", path)
    assert path.read_text() == MODEL


@pytest.mark.parametrize(
    ("table", "changes", "seeds"), [("", {}, 8), ("[run]\nseeds = 3", {}, 3), ("", {"run.seeds": 0}, 0)]
)
def test_number_of_runs(tmp_path, table, changes, seeds):
    path = tmp_path / "spec.toml"
    path.write_text(MODEL + table)
    study, found = fogzo._read(path, changes)
    assert found == seeds
    assert study.cases[0].model.update_rule == FOGZO(c=2.0, eps=0.3, n=3)


def test_equal_passes_counts_where_fogzo_is_ahead():
    curves = {"fogzo": np.array([1.0, 0.6, 0.2, 0.3]), "ste": np.array([1.0, 0.5, 0.4, 0.3])}
    found = {
        name: types.SimpleNamespace(times=np.arange(4.0), observables={}, mean=lambda _, values=values: values)
        for name, values in curves.items()
    }
    numbers = fogzo._equal_passes(found, FOGZO(c=2.0, eps=0.3, n=3).passes)
    assert numbers == {
        "passes": 24.0,
        "fogzo": 0.3,
        "ste": 0.3,
        "share of passes at which fogzo has the smaller error": pytest.approx(1 / 3),
    }
