"""Every notebook runs, keeps the claims at its end, and is what its source says, with small outputs."""

import ast
import json
import pathlib
import re
import runpy

import jupytext
import matplotlib.pyplot as plt
import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
NAMES = [
    "01_first_limit",
    "02_derivation_step_by_step",
    "03_plateau_against_range",
    "04_fixed_points_and_deviation",
    "05_large_learning_rates",
    "06_your_own_weights",
    "07_quantized_regression",
    "08_coarse_gradients",
    "09_classification",
    "10_zeroth_order_corrections",
    "11_real_formats",
    "12_your_own_layer",
    "13_optimizers_and_ranges",
    "14_committee_machines",
    "15_neighbours",
]
LARGEST = 300_000
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
MEANT = "make notebooks"
"""How a notebook is made anew from its source."""

SLOW = ("10_zeroth_order_corrections", "15_neighbours")
"""Run in the slow set alone; what they claim is tested in files of their own too."""

representative = pytest.mark.representative
by_name = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def cells(notebook) -> list[tuple[str, str]]:
    return [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in notebook["cells"]]


def executed(source: pathlib.Path) -> dict:
    return json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))


@representative
def test_the_notebooks_are_those_of_the_list():
    assert [source.stem for source in SOURCES] == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize(
    "source",
    [pytest.param(path, id=path.stem, marks=[] if path.stem in SLOW else [representative]) for path in SOURCES],
)
def test_source_runs_and_its_claims_hold(source, monkeypatch):
    monkeypatch.chdir(FOLDER)
    try:
        runpy.run_path(str(source))
    finally:
        plt.close("all")


@representative
@by_name
def test_source_ends_in_an_assertion_and_draws_with_steode_alone(source):
    tree = ast.parse(source.read_text(encoding="utf-8"))
    last = tree.body[-1]
    assert isinstance(last, ast.Assert) or (isinstance(last, ast.For) and isinstance(last.body[-1], ast.Assert))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not any(name.startswith("matplotlib") for name in imported)


@representative
@by_name
def test_executed_notebook_is_its_source(source):
    written = jupytext.read(source, fmt="py:percent")
    assert cells(executed(source)) == cells(written), f"{source.stem}: {MEANT}"
    assert written.metadata["kernelspec"] == KERNEL


@representative
@by_name
def test_executed_notebook_has_its_outputs_and_little_else(source):
    path = source.with_suffix(".ipynb")
    notebook = executed(source)
    assert path.stat().st_size < LARGEST
    assert notebook["metadata"]["kernelspec"] == KERNEL
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # executed once, from the first cell to the last
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    texts = [json.dumps({key: value for key, value in output.items() if key != "data"}) for output in outputs]
    texts += ["".join(output.get("data", {}).get("text/plain", "")) for output in outputs]
    assert [text for text in texts if re.search(r"0x[0-9a-f]{8}|[\"' (]/(?:home|root|tmp|usr|work|Users)/", text)] == []


@representative
@by_name
def test_every_figure_of_a_source_is_shown(source):
    code = [cell for cell in executed(source)["cells"] if cell["cell_type"] == "code"]
    shown = [any("image/png" in output.get("data", {}) for output in cell["outputs"]) for cell in code]
    draws = [bool(re.search(r"\bplot\.\w+\(", "".join(cell["source"]))) for cell in code]
    assert [here for here, there in zip(draws, shown, strict=True) if here and not there] == []
