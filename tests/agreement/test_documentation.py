"""The Python of docs/fixed_points.md runs and prints what it shows."""

import contextlib
import io
import types

import pytest

from tests.test_readme import ROOT, same_output, snippets


@pytest.mark.representative
def test_python_in_the_page_on_fixed_points_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = types.ModuleType("page").__dict__
    blocks = snippets((ROOT / "docs" / "fixed_points.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    for code, shown in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, namespace)
        assert shown is None or same_output(output.getvalue(), shown), output.getvalue()
