"""What was probably meant, and where a key belongs."""

import inspect
import re

import pytest

from steode import sweep
from steode.cli import main
from steode.parts.configuration import fitting
from steode.parts.spelling import edit_distance, home, nearest, suggestion
from steode.studies.report.study import SWEEP
from steode.systems.linear.spec import LinearModel


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "abc", 0),
        ("guassian", "gaussian", 1),
        ("kitten", "sitting", 3),
        ("ca", "abc", 3),
    ],
)
def test_edit_distance_counts_exchanged_neighbors_once(first, second, distance):
    assert edit_distance(first, second) == edit_distance(second, first) == distance


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("guassian", ["density", "gaussian"], "gaussian"),
        ("laplce", ["Normal", "Laplace"], "Laplace"),
        ("gaussian", ["Normal", "Laplace"], "Normal"),
        ("gaussian", ["density", "moments"], None),
        ("density", ["update", "density equation"], "density equation"),
        ("mid tread", ["mid-rise", "mid-tread"], "mid-tread"),
        ("x", ["y", "z"], None),
        ("nonsense", ["update", "residual"], None),
        ("", ["update"], None),
        ("anything", [], None),
    ],
)
def test_the_nearest_word_is_one_that_fits(word, known, found):
    assert nearest(word, known) == found
    assert suggestion(word, known) == (f"Did you mean {found!r}?" if found else "Check the spelling.")


def test_a_key_is_sent_to_its_table():
    tables = {"model": ("noise",), "run": ("seeds",)}
    assert "--set run.seeds=" in home("seeds", tables)
    assert home("sedes", tables) is None


def test_types_that_fit_a_field_are_those_its_class_takes():
    assert fitting(LinearModel, "spectrum") == ("Isotropic", "PowerLaw", "Eigenvalues")
    assert fitting(LinearModel, "learning_rate") == ("Schedule",)
    assert fitting(LinearModel, "noise") == ()


def test_a_sweep_in_a_file_takes_the_arguments_of_the_verb():
    others = ("model", "path", "progress")
    assert sorted(SWEEP) == sorted(name for name in inspect.signature(sweep).parameters if name not in others)


MISPLACED = {
    "linear": ("noise = 1.0\n[model]\nteacher = {type = 'Constant', value = 1.0}", "file.noise: .*entry of .model."),
    "linear run": ("[model]\nseeds = 3", "model.seeds: .*entry of .run."),
    "linear sweep": (
        "[run]\nmeasure = 'plateau'\n[model]\nteacher = {type = 'Constant', value = 1.0}",
        "run.measure: .*entry of .sweep.",
    ),
    "regression": ("system = 'regression'\n[run]\nnoise = 1.0", "run.noise: .*entry of .model."),
    "layer": ("system = 'layer'\n[model]\nsteps = 3", "model.steps: .*entry of .run."),
    "binary_relu": ("system = 'binary_relu'\nfilter_size = 3", "filter_size: .*entry of .model."),
    "classification": ("system = 'classification'\n[model]\nseeds = 3", "model.seeds: .*entry of .run."),
    "flow": ("system = 'diagonal_network'\nscales = [1.0]", "scales: .*entry of .run."),
    "type": ("[model]\nteacher = {type = 'Lapalce'}", "model.teacher.type: .*Constant.*Paired, .*'Laplace'"),
    "no type": (
        "[model]\nteacher = {type = 'Constant', value = 1.0}\nnoise = {value = 1}",
        "model.noise: expected no table",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISPLACED.values(), ids=MISPLACED)
def test_keys_and_types_that_do_not_fit_are_told_where_to_go(text, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "spec.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["run", "spec.toml"])
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert re.match(f"steode: {message}", printed)
    assert [path.name for path in tmp_path.iterdir()] == ["spec.toml"]
