"""The report: equations every browser can show, studies that say what they mean, files that appear whole."""

import pathlib
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import sympy
from matplotlib.figure import Figure

from steode.errors import SpecificationError
from steode.parts.elementwise import Elementwise
from steode.parts.laws import Constant, Normal
from steode.parts.quantizers import Identity, Levels, Sign, Uniform
from steode.studies.report import documents, equations
from steode.studies.report.figures import symbol
from steode.studies.report.folder import ResultsFolder
from steode.studies.report.study import RunSettings, built_in_studies, nearest, read_study, record_times
from steode.studies.report.write import write_report
from steode.systems.linear.derive import derive
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

x = sympy.Symbol("x")
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
OTHERS = {
    EXAMPLES / f"{name}.toml"
    for name in ("quantized_regression", "binary_relu", "classification", "committee", "layer")
}
OTHERS |= {*EXAMPLES.glob("flow_*.toml")}
"""Studies of other systems."""
MODELS = {
    "two bits": LinearModel(teacher=Constant(1.0), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0)),
    "unquantized": LinearModel(teacher=Normal()),
    "clipped": LinearModel(teacher=Constant(1.0), weight_quantizer=Sign(), surrogate=ClippedSurrogate(1.0)),
    "own levels": LinearModel(teacher=Constant(1.0), weight_quantizer=Levels((-1.0, 0.25, 1.0))),
    "smooth": LinearModel(
        teacher=Constant(1.0), weight_quantizer=Elementwise(sympy.tanh(x)), input_quantizer=Identity()
    ),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_equation_becomes_valid_mathml(model):
    derivation = derive(model).derivation
    page = equations.derivation(derivation)
    formulas = re.findall(r"<math.*?</math>", page)
    assert len(formulas) == sum(len(step.equation) for step in derivation)
    for formula in formulas:
        text = "".join(ElementTree.fromstring(formula).itertext())
        # what the converter does not know it leaves as LaTeX
        assert "\\" not in text
        assert "[4pt]" not in text


def test_a_single_upright_letter_stays_upright():
    page = equations.derivation(derive(MODELS["two bits"]).derivation)
    assert "<mtext>E</mtext>" in page


def test_documents_hold_every_step():
    derivation = derive(MODELS["two bits"]).derivation
    for write in documents.FORMATS.values():
        text = write("A & B", derivation)
        assert all(step.title in text for step in derivation)
    assert r"\section*{A \& B}" in documents.latex("A & B", derivation)
    assert "<h1>A &amp; B</h1>" in documents.page("A & B", derivation)


@pytest.mark.parametrize("path", sorted({*EXAMPLES.glob("*.toml")} - OTHERS), ids=lambda path: path.stem)
def test_examples_are_valid_studies(path):
    study = read_study(path)
    assert study.title != study.name
    assert len(study.cases) >= 1


def test_real_weights_are_those_the_script_makes():
    weights = np.load(EXAMPLES / "digits_weights.npy")
    assert weights.shape == (640,)
    assert np.mean(weights**2) == pytest.approx(1)
    pytest.importorskip("sklearn")
    namespace = {"__name__": "script", "__file__": str(EXAMPLES / "make_digits_weights.py")}
    exec((EXAMPLES / "make_digits_weights.py").read_text(encoding="utf-8"), namespace)
    assert np.allclose(namespace["digits_weights"](), weights, atol=1e-7)


def test_changes_reach_every_case_and_leave_the_file_alone():
    changed = built_in_studies({"run.dim": 17, "model.learning_rate": 0.5})
    assert {study.settings.dim for study in changed} == {17}
    assert {case.model.learning_rate for study in changed for case in study.cases} == {0.5}
    assert {study.settings.dim for study in built_in_studies()} == {1000}


def test_recorded_times_fall_on_steps_and_hold_the_tables():
    settings = RunSettings(t_end=7.0, dim=30, times=6, table_times=[2.0, 5.0])
    recorded = record_times(settings)
    assert np.allclose(recorded * 30, np.round(recorded * 30))
    assert {0.0, 2.0, 5.0, 7.0} <= set(recorded.tolist())
    assert recorded.size == 8
    assert recorded[nearest(recorded, (2.1, 4.9))].tolist() == [2.0, 5.0]


def test_labels_use_the_symbols_of_the_paper():
    plateau = built_in_studies()[1]
    assert symbol(plateau, 2.0) == r"$\omega = 2$"
    assert symbol(built_in_studies()[0], None) == ""


def test_the_folder_replaces_a_file_whole(tmp_path):
    folder = ResultsFolder(tmp_path / "deep" / "results")
    folder.text("a/b.txt", "old")
    folder.text("a/b.txt", "new")
    assert [path.name for path in (folder.path / "a").iterdir()] == ["b.txt"]
    assert (folder.path / "a" / "b.txt").read_text() == "new"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    folder = ResultsFolder(tmp_path)
    folder.json("numbers.json", [1])
    with pytest.raises(ValueError, match="JSON"):
        folder.json("numbers.json", [float("nan")])
    assert (tmp_path / "numbers.json").read_text() == "[\n  1\n]\n"


def test_the_same_figure_gives_the_same_files(tmp_path):
    def drawn() -> Figure:
        figure = Figure()
        figure.subplots().plot([0, 1], [1, 0])
        return figure

    paths = [ResultsFolder(tmp_path / name).figure("line", drawn()) for name in ("first", "second")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert (tmp_path / "first" / "line.png").read_bytes()[:4] == b"\x89PNG"


def test_a_file_in_the_way_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "results").write_text("mine")
    with pytest.raises(SpecificationError, match="out: expected a folder that can be written"):
        write_report(built_in_studies(), tmp_path / "results", print)
    assert (tmp_path / "results").read_text() == "mine"
