"""The numbers on the page of committee machines are those of the file that its command writes."""

import json
import pathlib
import re

import pytest

from steode.parts.study_file import study_table
from steode.systems import committee

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "committee.md").read_text(encoding="utf-8")
DATA = json.loads((ROOT / "docs" / "images" / "committee.json").read_text(encoding="utf-8"))


def rows(head: str) -> list[list[str]]:
    """Cells of the table whose first line starts so."""
    table = PAGE[PAGE.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_times_to_leave_the_plateau():
    leaves = DATA["plateaus"]["escape"]
    text = PAGE[PAGE.index("### The plateau") : PAGE.index("### Where it ends")]
    for name in ("None 2", "2 2", "3 2", "4 2", "2 1", "4 1", "2 3"):
        assert re.search(rf"\b{leaves[name]:.1f}\b", text), name
    assert max(leaves[f"{bits} 1"] for bits in (2, 3, 4)) == leaves["4 1"]


def test_floors():
    found = {(row["bits"], row["range"], row["rate"]): row for row in DATA["floors"]}
    shown = rows("| weights, ")
    assert len(shown) == 8
    for name, both, single in shown:
        if name.startswith("not"):
            key = (None, 2.0, 0.5)
        else:
            bits, extent, rate = re.match(r"(\d) bits, range ([\d.]+), ([\d.]+)", name).groups()
            key = (int(bits), float(extent), float(rate))
        assert float(both) == pytest.approx(found[key]["committee"], abs=5.1e-5)
        assert float(single) == pytest.approx(found[key]["twice the single unit"], abs=5.1e-5)
    quantized = [row for row in DATA["floors"] if row["bits"]]
    assert all(row["committee"] < row["twice the single unit"] for row in quantized)


def test_variants():
    names = ("K = M = 2", "K = 3", "K = 4", "inputs of 2 bits", "output weights trained")
    curves = DATA["variants"]["curves"]
    for name, (_, *cells) in zip(names, rows("| | leaves the plateau"), strict=True):
        pair = [curves[f"{name}, {bits} bits"] for bits in (None, 3)]
        for curve, leaves, last in zip(pair, cells[:2], cells[2:], strict=True):
            assert leaves == ("after 100" if curve["escape"] is None else f"{curve['escape']:.1f}")
            assert float(last) == pytest.approx(curve["limit"][-1], abs=5.1e-5)
            gap = abs(curve["limit"][-1] - curve["runs"][-1])
            assert gap < 4 * curve["scatter"][-1]


def test_the_example_file_is_a_study():
    path = ROOT / "examples" / "committee.toml"
    study = committee.read_study(path)
    assert [model.weight_quantizer.bits for model in study.cases.values()] == [2, 3, 4]
    assert study_table(path, None, ("system", "title", "model", "vary", "run"))["system"] == "committee"
