"""The Python of pages that are not executed when they are built runs and prints what it shows."""

import contextlib
import io
import types

import pytest

from tests.test_readme import ROOT, same_output, snippets

PAGES = (
    "dithering",
    "fixed_points",
    "groups",
    "index",
    "doors/theory",
    "doors/look",
    "guides/learning_rate",
    "guides/oscillation",
)
API = ("limit", "simulation", "comparison", "fixed_points", "sweeps", "functions", "specification")
OTHERS = ("layer", "regression", "binary_relu", "classification", "committee", "gradient_flows")
SMALL = ("estimators", "datasets", "errors")
OFTEN = [pytest.param(page, marks=pytest.mark.representative) for page in (*PAGES, *(f"api/{n}" for n in API + SMALL))]


@pytest.mark.parametrize("page", [*OFTEN, *(f"api/{name}" for name in OTHERS)])
def test_python_in_a_page_prints_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = types.ModuleType("page").__dict__
    blocks = snippets((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
    assert blocks
    for code, shown in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, namespace)
        assert shown is None or same_output(output.getvalue(), shown), output.getvalue()
