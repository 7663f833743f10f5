"""Trajectories, sweeps and comparisons as tables: what is written are the numbers themselves."""

import csv
import io

import numpy as np
import pytest

from steode import Comparisons, Constant, LinearModel, Normal, Uniform, compare, simulate, solve
from steode.errors import SpecificationError
from steode.store import csv_bytes

TIMES = [0.5, 1.0, 2.0]


GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(weight_quantizer=GRID, teacher=Constant(1.0), init=Normal(std=1.0), learning_rate=0.2)


@pytest.fixture(scope="module")
def pairs():
    theory = solve(MODEL, 2.0, times=TIMES, method="gaussian")
    keys = {"first key": 0, "second key": 1}
    return {
        name: (theory, simulate(MODEL, dim=40, t_end=2.0, seeds=3, key=key, times=TIMES)) for name, key in keys.items()
    }


def read(path) -> dict[str, list[float]]:
    rows = list(csv.reader(io.StringIO(path.read_text())))
    return {name: [float(row[place]) for row in rows[1:]] for place, name in enumerate(rows[0])}


def test_a_limit_as_a_table_has_all_digits(pairs, tmp_path):
    theory, _ = pairs["second key"]
    table = read(theory.to_csv(tmp_path / "limit.csv"))
    assert table["tau"] == TIMES
    assert table["eps_g"] == theory["eps_g"].tolist()
    levels = [name for name in table if name.startswith("level_fraction_")]
    assert len(levels) in (0, 4)


def test_runs_as_a_table_are_means_and_standard_errors(pairs, tmp_path):
    _, runs = pairs["second key"]
    table = read(runs.to_csv(tmp_path / "runs.csv"))
    assert table["eps_g"] == pytest.approx(runs["eps_g"].mean(axis=0))
    assert table["eps_g_error"] == pytest.approx(runs["eps_g"].std(axis=0, ddof=1) / np.sqrt(3))
    assert table["level_fraction_3"] == pytest.approx(runs.mean("level_fraction")[:, 3])
    with pytest.raises(SpecificationError, match="ending in"):
        runs.to_csv(tmp_path / "runs.txt")


def test_texts_with_commas_are_quoted():
    text = csv_bytes({"law": np.array(["Normal(mean=0, std=1)", 'a "b"']), "x": np.array([0.1, 2.0])}).decode()
    assert list(csv.reader(io.StringIO(text))) == [["law", "x"], ["Normal(mean=0, std=1)", "0.1"], ['a "b"', "2.0"]]


def test_several_models_are_compared_in_one_table(pairs):
    several = compare(pairs)
    assert isinstance(several, Comparisons)
    assert list(several) == list(pairs)
    alone = compare(*pairs["first key"])
    assert np.array_equal(several["first key"].z, alone.z)
    assert several.largest_z == max(compare(*pair).largest_z for pair in pairs.values())
    lines = repr(several).splitlines()
    assert len(lines) == 2 + len(pairs)
    assert f"{alone.theory[-1]:.5f}" in lines[2]
    assert lines[2].startswith("first key")
    assert several._repr_markdown_().count("\n") == 1 + len(pairs)


def test_what_is_no_dictionary_of_pairs_is_refused(pairs):
    theory, runs = pairs["first key"]
    for given, others in (({}, {}), ({"a": theory}, {}), ({"a": (theory, runs)}, {"runs": runs})):
        with pytest.raises(SpecificationError, match="compare"):
            compare(given, **others)
