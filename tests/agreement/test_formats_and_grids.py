"""Formats in the theory, and the published tables and figures of formats and toolkit grids against their examples."""

import json
import pathlib
import runpy

import numpy as np
import pytest

from steode import LinearModel, Normal, fixed_points
from steode.parts.format_error import format_error
from steode.parts.formats import IntegerFormat, float4_e2m1fn, float8_e4m3fn
from steode.parts.quantizers import Uniform
from steode.parts.stochastic import StochasticRounding

ROOT = pathlib.Path(__file__).parents[2]


def published(name: str) -> tuple[dict, dict]:
    """The numbers beside a figure, and the example that made them."""
    data = json.loads((ROOT / "docs" / "images" / f"{name}.json").read_text(encoding="utf-8"))
    return data, runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


@pytest.mark.parametrize("grid", [float4_e2m1fn(2.5), float8_e4m3fn(2.0), IntegerFormat(3, 1.5), Uniform(2, 1.2)])
def test_floor_of_training_is_stochastic_rounding_of_the_teacher(grid):
    """At small learning rates the mean of a weight inside the range is its target, on the two levels around it."""
    model = LinearModel(teacher=Normal(std=1.0), weight_quantizer=grid, learning_rate=1e-4)
    floor = format_error(StochasticRounding(grid), 1.0).absolute / 2
    assert fixed_points(model)[0].eps_g == pytest.approx(floor, rel=1e-3)


def test_published_errors_of_formats():
    data, example = published("real_formats")
    again = {"one_number": example["one_number"](("FP8 e4m3",))["FP8 e4m3"]}
    again |= {where: example["vectors"]("INT8", where == "rotated", draws=100) for where in ("axis-aligned", "rotated")}
    assert data["one_number"]["FP8 e4m3"] == {
        name: pytest.approx(values, rel=1e-7) for name, values in again["one_number"].items()
    }
    scores = []
    for where in ("axis-aligned", "rotated"):
        for name in ("exact", "model"):
            assert data[where]["INT8"][name] == pytest.approx(again[where][name], rel=1e-7)
        scores += [case["z"] for case in data[where].values()]
    assert np.abs(scores).max() < 4.6
    assert np.sqrt(np.mean(np.square(scores))) < 1.1
    # rotated: one variance in every direction, for every format
    for case in data["rotated"].values():
        assert np.ptp(case["exact"]) < 1e-7 * case["exact"][0]
    assert example["summary"](data) in (ROOT / "docs" / "formats.md").read_text("utf-8")


def test_published_table_of_toolkit_grids():
    data, example = published("toolkit_grids")
    assert example["table"](data) in (ROOT / "docs" / "guides" / "toolkit_grids.md").read_text("utf-8")
    grids = {(bits, label): grid for bits in example["BITS"] for label, grid in example["grids"](bits).items()}
    assert list(grids) == [(row["bits"], row["grid"]) for row in data["rows"]]
    for row, grid in zip(data["rows"], grids.values(), strict=True):
        assert row["floor"] == pytest.approx(format_error(StochasticRounding(grid), 1.0).absolute / 2, rel=1e-9)
        assert row["rounded_once"] < row["floor"] < row["eps_g"]
        assert row["best_floor"] < row["best_eps_g"] <= min(row["curve"]) + 1e-6
        if row["plateau"] is not None:
            above = grid.thresholds[grid.thresholds > 0][0]
            assert row["plateau"] == pytest.approx(above / example["PLATEAU_RATE"], rel=1e-6)
    for row, grid in list(zip(data["rows"], grids.values(), strict=True))[:2]:
        assert row["eps_g"] == pytest.approx(fixed_points(example["model_of"](grid))[0].eps_g, rel=1e-4)


def test_conventions_of_the_range_do_not_change_the_best_error():
    data, _ = published("toolkit_grids")
    rows = {row["grid"]: row for row in data["rows"] if row["bits"] == 2}
    codes = [
        rows[name] for name in ("Brevitas activations", "PyTorch, torchao, qwix fixed", "torchao without clipping")
    ]
    assert {round(row["best_eps_g"], 6) for row in codes} == {round(codes[0]["best_eps_g"], 6)}
    # the range over the step: 2, 3/2, 1
    ratios = [row["best_range"] / times for row, times in zip(codes, (2, 1.5, 1), strict=True)]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=0.01)
