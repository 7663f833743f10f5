"""Specification files of the binarized ReLU, and the files of its results."""

import numpy as np
import pytest
import sympy

from steode import SpecificationError, binary_relu
from steode.systems.binary_relu.surrogates import SURROGATES, X

STUDY = """
system = "binary_relu"
title = "Three surrogates"
[model]
rows = 3
filter_size = 4
output_teacher = [1.0, -0.5, 2.0]
[vary]
parameter = "surrogate"
values = ["identity", "1/(1 + x**2)"]
[run]
t_end = 10.0
starts = 5
length = 2.0
"""


def model_of(**changes) -> binary_relu.BinaryReLUModel:
    given = {"rows": 3, "filter_size": 4, "output_teacher": (1, -0.5, 2), "filter_teacher": (1, 2, -1, 0.5)}
    return binary_relu.BinaryReLUModel(**(given | changes))


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(STUDY)
    return path


@pytest.mark.parametrize(
    "surrogate",
    [
        *SURROGATES,
        1 / (1 + X**2),
        sympy.Heaviside(-X),
        sympy.Piecewise((1, X > 0), (sympy.Rational(1, 10), True)),
        sympy.Max(0, 1 - sympy.Abs(X)),
        sympy.Integer(1),
    ],
)
def test_a_written_model_is_the_one_read(surrogate, tmp_path):
    model = model_of(surrogate=surrogate, step=0.1)
    assert binary_relu.from_dict(binary_relu.to_dict(model)) == model
    (tmp_path / "model.toml").write_text(binary_relu.to_toml(model))
    assert binary_relu.read_study(tmp_path / "model.toml").cases == {"": model}


def test_what_a_file_cannot_hold_is_refused():
    with pytest.raises(SpecificationError, match="erfc"):
        binary_relu.to_toml(model_of(surrogate=sympy.erfc(X)))
    with pytest.raises(SpecificationError, match="BinaryReLUModel"):
        binary_relu.to_dict({})


def test_study_has_cases_and_starts(spec):
    study = binary_relu.read_study(spec, {"model.step": 0.2, "run.key": 3})
    assert list(study.cases) == ["surrogate = identity", "surrogate = 1/(1 + x**2)"]
    first, second = study.cases.values()
    assert (first.surrogate.name, second.surrogate.name, second.step) == ("identity", "own", 0.2)
    starts = study.settings.starts_of(first)
    assert starts.v.shape == (5, 3)
    np.testing.assert_array_equal(starts.length, 2.0)
    np.testing.assert_array_equal(starts.theta, binary_relu.random_starts(first, 5, key=3).theta)
    given = binary_relu.read_study(spec, {"run.v": [[1, 1, 1], [0, 1, 0]], "run.theta": [0.5, 3]}).settings
    np.testing.assert_array_equal(given.starts_of(first).theta, [0.5, 3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.rows": 0}, "rows"),
        ({"model.row": 3}, "'rows'"),
        ({"model.rows": 4}, "output_teacher"),
        ({"vary.values": ["sigmoid"]}, "one of identity, relu"),
        ({"vary.values": ["-x"]}, "mu' >= 0"),
        ({"vary.values": ["1/(1 + y)"]}, "'y'"),
        ({"vary.values": 3}, "vary"),
        ({"run.t_end": 0}, "run.t_end"),
        ({"run.seeds": -1}, "run.seeds"),
        ({"run.start": 3}, "'starts'"),
        ({"run.v": [1, 1, 1]}, "run.theta"),
        ({"run.v": [1, 1], "run.theta": 1.0}, "v: expected"),
        ({"run.v": [1, 1, 1], "run.theta": 4.0}, "theta"),
        ({"system.x": 1}, "system"),
    ],
)
def test_mistakes_in_a_file_are_named(spec, changes, message):
    with pytest.raises(SpecificationError, match=message):
        binary_relu.read_study(spec, changes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"binary_relu"', '"classification"', "system"),
        ("rows = 3\n", "", "arguments of BinaryReLUModel"),
        ("[run]", "[runs]", "'run'"),
        (STUDY.partition("[vary]")[0], "model = 1\n", "model: expected a table"),
    ],
)
def test_wrong_tables_are_named(spec, old, new, message):
    spec.write_text(STUDY.replace(old, new))
    with pytest.raises(SpecificationError, match=message):
        binary_relu.read_study(spec)


def runs_of(model, seeds: tuple[int, ...] = ()) -> binary_relu.CoarseRuns:
    """Made-up runs: two starts, four records."""
    numbers = np.random.default_rng(len(seeds)).uniform(0, 1, (*seeds, 2, 4))
    method = "online" if seeds else "population"
    v, loss = np.stack([numbers] * 3, axis=-1), numbers[..., -1] if seeds else numbers
    return binary_relu.CoarseRuns(
        model, method, 10 * np.arange(4), numbers, numbers + 1, v, loss, loss if seeds else None
    )


@pytest.mark.parametrize("seeds", [(), (3,)])
def test_files_of_runs(tmp_path, seeds):
    runs = runs_of(model_of(surrogate=1 / (1 + X**2)), seeds)
    found = binary_relu.load(runs.save(tmp_path / "runs.nc"))
    assert repr(found) == repr(runs)
    assert (found.model, found.method) == (runs.model, runs.method)
    for name in ("steps", "times", "theta", "length", "v", "loss"):
        np.testing.assert_array_equal(getattr(found, name), getattr(runs, name))
    assert (found.loss_error is None) == (runs.loss_error is None)


def test_files_that_are_none(tmp_path):
    with pytest.raises(SpecificationError, match=r"\.nc"):
        runs_of(model_of()).save(tmp_path / "runs.npz")
    (tmp_path / "text.nc").write_text("text")
    runs_of(model_of()).to_xarray().drop_attrs().to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    for name in ("none.nc", "text.nc", "other.nc"):
        with pytest.raises(SpecificationError, match="CoarseFlow or CoarseRuns"):
            binary_relu.load(tmp_path / name)


def test_comparisons_belong_together():
    model = model_of()
    one, many = runs_of(model), runs_of(model, (3,))
    for expected, runs, quantity, argument in (
        (one, one, "v", "quantity"),
        (many, one, "theta", "expected"),
        (one, None, "theta", "runs"),
        (one, runs_of(model.replace(step=0.1), (3,)), "theta", "runs"),
        (one, many, "theta", "starts of the expectation"),
    ):
        with pytest.raises(SpecificationError, match=argument):
            binary_relu.compare(expected, runs, quantity)
    same = binary_relu.compare(one, one)
    assert (same.largest_deviation, same.z) == (0, None)
    assert "largest deviation 0" in repr(same)


def test_ladders_need_whole_steps():
    model = model_of()
    starts = binary_relu.starts(model, np.ones(3), 1.0)
    with pytest.raises(SpecificationError, match="whole multiple of the step"):
        binary_relu.convergence(model, starts, 4.0, steps=(0.3,))
