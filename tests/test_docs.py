"""The sources of the documentation: complete, consistent with the package, small, nothing from the internet."""

import importlib
import inspect
import json
import pathlib
import re

import pytest
import sympy
import typer

import steode
from steode import binary_relu, classification, committee, estimators, gradient_flows, layer, plot, regression
from steode.cli import app
from steode.cli.run import SYSTEMS
from steode.estimators import datasets
from steode.parts.configuration import _TYPES
from steode.parts.study_file import fields_of

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
DIRECTIVE = re.compile(r"^\.\. auto(?:function|class|exception|data):: steode\.([\w.]+)$", re.MULTILINE)
LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def explorer() -> dict:
    return json.loads((DOCS / "explorer_data.json").read_text(encoding="utf-8"))


def test_every_public_name_is_in_the_api_reference_once():
    listed = [
        name for path in sorted((DOCS / "api").glob("*.md")) for name in DIRECTIVE.findall(path.read_text("utf-8"))
    ]
    modules = [
        f"{module.__name__.removeprefix('steode.').removeprefix('systems.')}.{name}"
        for module in (
            plot,
            regression,
            binary_relu,
            classification,
            committee,
            gradient_flows,
            layer,
            datasets,
            estimators,
        )
        for name in module.__all__
    ]
    names = [name for name in steode.__all__ if not inspect.ismodule(getattr(steode, name))]
    assert sorted(listed) == sorted([*names, *modules])


def test_every_page_is_in_a_table_of_contents():
    named = set()
    for path in SOURCES:
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            entries = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")]
            named |= {(path.parent / f"{entry}.md").resolve() for entry in entries}
    assert {path.resolve() for path in SOURCES} - named == {(DOCS / "index.md").resolve()}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_relative_links_work_on_a_code_host_too(path):
    targets = [target.partition("#")[0] for target in LINK.findall(path.read_text("utf-8")) if "://" not in target]
    assert [target for target in targets if target and not (path.parent / target).exists()] == []


def test_every_system_of_a_file_has_its_grammar_and_its_example():
    page = (DOCS / "specification_grammar.md").read_text("utf-8")
    examples = "".join(path.read_text("utf-8") for path in (ROOT / "examples").glob("*.toml"))
    for system in SYSTEMS:
        assert f"`{system}`" in page, system
        assert f'system = "{system}"' in examples, system


def test_pages_from_the_program_name_every_command_and_type(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    grammar = importlib.import_module("grammar")
    listed = re.findall(r"^## steode (\S+)$", grammar.commands(), re.MULTILINE)
    assert listed == list(typer.main.get_command(app).commands)
    types = re.findall(r"^### (\w+)$", grammar.grammar("types"), re.MULTILINE)
    assert types == list(_TYPES)
    rows = grammar.grammar("steode.systems.linear.spec.LinearModel").splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(fields_of(steode.LinearModel))
    assert all(row.split("|")[4].strip() for row in rows)


def test_claims_are_those_of_their_script_and_have_a_verdict(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    claims = importlib.import_module("claims")
    listed = json.loads((DOCS / "claims.json").read_text("utf-8"))["claims"]
    expected = [(section, command) for section, entries in claims.CLAIMS.items() for _, command in entries]
    assert [(entry["section"], entry["command"]) for entry in listed] == expected
    assert {entry["verdict"] for entry in listed} <= {claims.HOLDS, claims.PARTLY, claims.NOT}


def test_claims_from_committed_results_are_what_the_results_say(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    claims = importlib.import_module("claims")
    listed = iter(json.loads((DOCS / "claims.json").read_text("utf-8"))["claims"])
    for entries in claims.CLAIMS.values():
        for measure, _ in entries:
            entry = next(listed)
            # those that solve and simulate take minutes
            if "numbers" in measure.__code__.co_names:
                assert measure() == (entry["claim"], entry["found"], entry["verdict"])


def test_derivations_and_their_pages_are_the_same_set(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    models = set(importlib.import_module("cases").ALL)
    shown = set()
    for path in (DOCS / "derivations").glob("*.md"):
        shown |= set(re.findall(r"^```\{derivation\} (\w+)", path.read_text("utf-8"), re.MULTILINE))
    assert shown == models


def test_explorer_holds_every_combination_and_is_small(explorer):
    combinations = {(entry["bits"], entry["range"], entry["rate"]) for entry in explorer["entries"]}
    expected = {(b, r, e) for b in explorer["bits"] for r in explorer["ranges"] for e in explorer["rates"]}
    assert combinations == expected
    assert len(explorer["entries"]) == len(expected)
    assert {len(entry["eps_g"]) for entry in explorer["entries"]} == {len(explorer["clock"])}
    assert (DOCS / "explorer_data.json").stat().st_size < 400_000
    assert (DOCS / explorer["command"].split("docs/")[1]).exists()


def test_explorer_estimates_are_half_a_step_over_the_speed(explorer):
    """From zero to the threshold at half a step, at speed eta w* = eta: the numbers do not come from this formula."""
    for entry in explorer["entries"]:
        step = entry["range"] / (2 ** (entry["bits"] - 1) - 1)
        assert entry["estimate"][0] == pytest.approx(step / 2, abs=2e-4)


def test_explorer_fixed_points_follow_the_model(explorer):
    """Clipping alone below range 1; above, at the smallest rate, at least the dithering of a target between levels."""
    smallest = min(explorer["rates"])
    for entry in explorer["entries"]:
        if entry["range"] < 1:
            assert entry["fixed_points"] == pytest.approx([(1 - entry["range"]) ** 2 / 2], abs=1e-5)
        elif entry["rate"] == smallest and entry["range"] > 1:
            step = entry["range"] / (2 ** (entry["bits"] - 1) - 1)
            below = step * (1 / step // 1)
            floor = (1 - below) * (below + step - 1) / 2
            assert entry["fixed_points"][0] >= floor - 1e-4


def test_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", text, re.MULTILINE)[1] == steode.__version__
    assert re.search(r"^license: (.*)$", text, re.MULTILINE)[1] == "Apache-2.0"


def test_every_citation_is_in_the_bibliography():
    keys = set(re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text("utf-8"), re.MULTILINE))
    cited = {
        key
        for path in SOURCES
        for group in re.findall(r"\{cite:\w\}`([^`]+)`", path.read_text("utf-8"))
        for key in group.split(",")
    }
    assert cited == keys


def test_mathematics_is_drawn_without_the_internet():
    config = (DOCS / "conf.py").read_text("utf-8")
    assert (DOCS / "_static" / re.search(r'mathjax_path = "([^"]+)"', config)[1]).exists()
    assert "Apache License" in (DOCS / "_static" / "mathjax" / "LICENSE").read_text("utf-8")
    own = [*(DOCS / "_static").glob("*.css"), *(DOCS / "_static").glob("*.js"), DOCS / "conf.py"]
    outside = {
        path.name
        for path in own
        if re.search(r"""["'(]https?://""", path.read_text("utf-8").replace("http://www.w3.org/2000/svg", ""))
    }
    assert outside == set()


def test_specification_shown_on_a_page_makes_its_model(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    cases, pages = importlib.import_module("cases"), importlib.import_module("pages")
    known = {**vars(steode), "tanh": sympy.tanh, "x": sympy.Symbol("x", real=True)}
    for name, model in cases.MODELS.items():
        shown = re.search(r"model = (.*\n\))\n", pages.specification(name), re.DOTALL)[1]
        assert eval(shown, known) == model


def test_docstrings_become_text_definitions_and_formulas(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    docstrings = importlib.import_module("docstrings")
    lines = ["Of w* and |z|, by `solve`:", "", "    a = b*c", "", "Parameters", "----------", "w_ : a weight,"]
    lines += [
        "    of `d`.",
        "",
        "Raises",
        "------",
        "SpecificationError",
        "    If not.",
        "",
        "Returns",
        "-------",
        "w*",
    ]
    docstrings.process(None, "function", "f", None, None, lines)
    assert lines == [
        r"Of w\* and \|z\|, by :py:obj:`~steode.solve`:", "", ".. math::", "", r"    a = b\, c", "",
        "", ".. rubric:: Parameters", "", "", "``w_``", r"    a weight,", "    of ``d``.", "",
        "", ".. rubric:: Raises", "", "", ":py:obj:`~steode.SpecificationError`", "    If not.", "",
        "", ".. rubric:: Returns", "", r"w\*", "",
    ]  # fmt: skip


def test_formulas_of_docstrings_are_mathematics(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    formulas = importlib.import_module("formulas")
    assert formulas.tex("w <- w - (learning_rate/sqrt(d)) m_hat/sqrt(v_hat) s(w*)") == (
        r"w \leftarrow  w - (\,\mathtt{learning\_rate}\,/\sqrt{d}) \hat m/\sqrt{\hat v} s(w^{*})"
    )
    assert formulas.tex("int_0^oo C dt + <drift f_t'>") == (
        r"\int_{0}^{\infty } C \,\mathrm d t + \langle \text{ drift } f_{t}'\rangle "
    )
    assert formulas.block(["a = b +", "c,", "e = f."]) == r"\begin{aligned}&a = b + c,\\&e = f.\end{aligned}"
    assert formulas.tex('l = "lsq"') is None


def test_every_formula_of_the_api_is_in_the_notation(monkeypatch):
    """The first paragraphs of a docstring that are indented are formulas; all of them can be set."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    docstrings, count = importlib.import_module("docstrings"), 0
    for module in (steode, regression, binary_relu, classification, committee, gradient_flows, layer, estimators):
        for name in module.__all__:
            lines = (inspect.getdoc(getattr(module, name)) or "").splitlines()
            docstrings.process(None, "class", name, None, None, lines)
            assert "::" not in lines, name
            count += sum(line == ".. math::" for line in lines)
    assert count > 30
