"""The explorer's state: what the sliders stand for is what is computed and drawn."""

import numpy as np
import pytest

pytest.importorskip("ipywidgets", reason="the explorer is an extra: pip install 'steode[notebooks]'")

from steode import (
    ClippedSurrogate,
    Constant,
    Identity,
    LinearModel,
    Normal,
    Schedule,
    SpecificationError,
    Ternary,
    Uniform,
    explore,
    fixed_points,
    solve,
)
from steode.plot.explore import view
from steode.plot.explore.controls import controls_of, model_at
from tests.models import REFERENCE

pytestmark = pytest.mark.representative


@pytest.fixture(scope="module")
def explorer():
    return explore(t_end=20.0, dim=50, seeds=2)


def test_sliders_start_at_the_model_and_show_it(explorer):
    assert explorer.model == REFERENCE
    assert bytes(explorer.image.value).startswith(b"<?xml")
    assert f"fixed point {fixed_points(REFERENCE)[0].eps_g:.5f}" in explorer.status.value


def test_a_moved_slider_is_answered_with_the_new_limit(explorer):
    before = explorer.image.value
    explorer.controls["range"].value = 2.5
    explorer.controls["learning rate"].value = 0.2
    assert explorer.image.value != before
    changed = REFERENCE.replace(weight_quantizer=Uniform(2, 2.5), learning_rate=0.2)
    assert explorer.model == changed
    expected = solve(changed, 20.0, times=[10.0, 20.0], tolerance=2e-3)["eps_g"]
    assert np.abs(explorer.view.theory["eps_g"][[100, 200]] - expected).max() < 4e-3 * expected.max()
    assert f"{fixed_points(changed)[0].eps_g:.5f}" in explorer.status.value


def test_the_closure_is_drawn_without_a_law_and_runs_beside_it(explorer):
    explorer.method.value = "gaussian"
    assert explorer.time.disabled
    assert explorer.view.theory.density is None
    assert explorer.view.runs is None
    before = explorer.image.value
    explorer.button.click()
    assert explorer.view.runs["eps_g"].shape == (2, 41)
    assert explorer.image.value != before
    explorer.controls["label noise"].value = 0.3
    assert explorer.view.runs is None  # they were of another model


def test_runs_stay_with_their_model_and_another_time_computes_nothing(explorer, monkeypatch):
    explorer.button.click()
    runs = explorer.view.runs
    explorer.method.value = "density"
    assert explorer.view.runs is runs
    monkeypatch.setattr(view, "solve", None)
    before = bytes(explorer.image.value)
    explorer.time.value = 15.0
    assert bytes(explorer.image.value) != before
    explorer.time.value = 4.0
    assert bytes(explorer.image.value) == before
    monkeypatch.undo()
    explorer.method.value = "gaussian"
    assert explorer.controls["range"].continuous_update


def test_what_makes_no_sense_is_said_and_the_figure_stays(explorer, monkeypatch):
    before = explorer.image.value

    def refuse(*_, **__):
        raise SpecificationError("range", "something <else>", 1, "Try again.")

    monkeypatch.setattr(view, "solve", refuse)
    explorer.controls["label noise"].value = 0.35
    assert "something &lt;else&gt;" in explorer.status.value
    assert explorer.image.value == before


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (LinearModel(teacher=Normal()), {"learning rate", "label noise", "initial spread", "teacher"}),
        (
            REFERENCE.replace(init=Constant(0.0), weight_quantizer=Ternary(1.0), learning_rate=Schedule("1/(9 + tau)")),
            {"range", "quantize inputs", "label noise", "teacher"},
        ),
    ],
)
def test_controls_are_those_the_model_has(model, names):
    controls = controls_of(model)
    assert controls.keys() == names
    values = {name: widget.value for name, widget in controls.items()}
    assert model_at(model, values) == model
    changed = model_at(model, values | {"teacher": "constant 1", "quantize inputs": False})
    assert changed.teacher == Constant(1.0)
    assert changed.input_quantizer == Identity()


def test_bad_arguments_are_refused():
    with pytest.raises(SpecificationError, match="a LinearModel"):
        explore("model")
    with pytest.raises(SpecificationError, match="t_end"):
        explore(t_end=0)


def test_a_model_without_a_closure_offers_none():
    explorer = explore(REFERENCE.replace(surrogate=ClippedSurrogate(3.0)), t_end=2.0)
    assert list(explorer.method.options) == ["density"]
    assert explorer.view.stationary is None


def test_in_a_kernel_it_answers_the_messages_of_a_browser():
    """What a frontend sends when a slider is let go is a message with the new state; the answer is a new image."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    cells = [
        "import steode\nexplorer = steode.explore(t_end=5.0, dim=50, seeds=2)\nexplorer",
        "slider, before = explorer.controls['range'], bytes(explorer.image.value)\n"
        "message = {'content': {'data': {'method': 'update', 'state': {'value': 2.5}}}, 'buffers': []}\n"
        "slider._handle_msg(message)\n"
        "print(explorer.model.weight_quantizer.range, bytes(explorer.image.value) != before)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute()
    shown, printed = (cell.outputs for cell in notebook.cells)
    assert "application/vnd.jupyter.widget-view+json" in shown[-1]["data"]
    assert printed[0]["text"].split() == ["2.5", "True"]
    states = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    (slider,) = [each["state"] for each in states if each["state"].get("description") == "range"]
    assert slider["value"] == 2.5
