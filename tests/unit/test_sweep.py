"""Sweeps: the numbers of the verbs they stand for, at the right place of the grid, and no work lost or done twice."""

import json

import numpy as np
import pytest
from models import REFERENCE
from sweep_recorder import Recorder

from steode.cli.sweep import NAMES
from steode.errors import ConvergenceError, SpecificationError, UnsupportedError
from steode.parts.laws import Constant, Normal
from steode.parts.quantizers import Uniform
from steode.studies.sweep import curves, sweep
from steode.studies.sweep.axes import read_axes
from steode.studies.sweep.curves import _first_time
from steode.studies.sweep.grid import Grid
from steode.studies.sweep.measures import MEASURES, Measure
from steode.studies.sweep.source import single
from steode.systems.linear import configuration
from steode.systems.linear.fixed_points import fixed_points
from steode.systems.linear.plateau import plateau
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

RATES = [0.1, 0.3, 0.5, 1.0]
PLATEAU = LinearModel(
    teacher=Constant(1.0), weight_quantizer=Uniform(3, 2.0, "mid-tread"), learning_rate=0.02, init=Normal(std=0.1)
)


@pytest.fixture
def recorder(monkeypatch):
    return Recorder(monkeypatch)


@pytest.fixture(scope="module")
def by_rate():
    return sweep(REFERENCE, {"learning_rate": RATES, "batch_size": [1, 2]}, chunk=3)


def test_fixed_points_of_the_reference_model(by_rate):
    # published values, to their last digit
    assert np.abs(by_rate["eps_g"].sel(batch_size=1) - [0.20415, 0.20616, 0.22119, 0.34679]).max() < 6e-6
    # the stationary law depends on the ratio of learning rate and batch size only
    doubled = by_rate["eps_g"].sel(learning_rate=1.0, batch_size=2)
    assert float(doubled) == pytest.approx(float(by_rate["eps_g"].sel(learning_rate=0.5, batch_size=1)), rel=1e-12)


def test_every_variable_is_that_of_fixed_points(by_rate):
    point, here = fixed_points(REFERENCE.replace(learning_rate=0.5))[0], by_rate.sel(learning_rate=0.5, batch_size=1)
    for name in MEASURES["fixed_point"].variables:
        assert float(here[name]) == pytest.approx(getattr(point, name), rel=1e-9, abs=1e-12)


def test_a_point_without_fixed_point_is_nan():
    dataset = sweep(LinearModel(teacher=Constant(1.0), noise=0.5), {"learning_rate": [1.0, 2.5]})
    assert dataset["converged"].values.tolist() == [True, False]
    assert np.isnan(dataset["eps_g"].values).tolist() == [False, True]
    assert dataset.attrs["unconverged"] == 1


def test_dataset_says_what_was_asked(by_rate):
    assert by_rate["eps_g"].attrs == {
        "long_name": "generalization error at the fixed point",
        "symbol": r"$\varepsilon_g$",
        "units": "1",
        "better": "smaller",
    }
    assert by_rate["learning_rate"].attrs["symbol"] == r"$\eta$"
    assert configuration.from_dict(json.loads(by_rate.attrs["specification"])) == REFERENCE
    assert json.loads(by_rate.attrs["axes"]) == {"learning_rate": RATES, "batch_size": [1, 2]}
    assert by_rate.attrs["complete"] is True
    assert "fixed_point_status" not in by_rate


def test_plateau_and_time_to_error_are_those_of_solve():
    times = np.linspace(0, 60, 61)
    axes = {"range": [2.0, 2.5], "learning_rate": [0.02, 0.04]}
    dataset = sweep(PLATEAU, axes, ("plateau", "time_to_error"), times=times, error=0.2)
    model = PLATEAU.replace(weight_quantizer=Uniform(3, 2.5, "mid-tread"))
    theory, here = solve(model, 60.0, times=times, method="gaussian"), dataset.isel(range=1)
    assert float(here["plateau_length"][0]) == pytest.approx(plateau(theory).length, rel=1e-4)
    assert float(here["time_to_error"][0]) == pytest.approx(_first_time(times, theory["eps_g"], 0.2), rel=1e-4)
    # twice the rate, nearly half the time: the noise is what keeps it from being exact
    assert float(here["time_to_error"][1]) == pytest.approx(float(here["time_to_error"][0]) / 2, rel=0.05)


def test_density_method_solves_every_point(monkeypatch):
    asked = []

    def stand_in(model, t_end, *, times, tolerance):
        asked.append((model, t_end, tolerance))
        if model.noise == 1.0:
            raise ConvergenceError("a tolerance that cannot be reached")
        return {"eps_g": 1 - model.noise * times}

    monkeypatch.setattr(curves, "solve", stand_in)
    settings = {"times": [0.0, 1.0, 2.0], "method": "density", "tolerance": 0.01}
    dataset = sweep(REFERENCE, {"noise": [0.0, 0.5, 1.0]}, "time_to_error", error=0.25, **settings)
    assert asked == [(REFERENCE.replace(noise=noise), 2.0, 0.01) for noise in (0.0, 0.5, 1.0)]
    assert dataset["time_to_error"].values.tolist()[:2] == [np.inf, 1.5]
    assert dataset["converged"].values.tolist() == [True, True, False]


def test_first_time_is_exact_on_lines():
    times, curve = np.array([0.0, 1.0, 3.0]), np.array([4.0, 2.0, 1.0])
    assert [_first_time(times, curve, error) for error in (5.0, 3.0, 1.5, 1.0, 0.5)] == [0.0, 0.5, 2.0, 3.0, np.inf]


def test_numbers_stand_where_their_coordinates_say(recorder):
    dataset = sweep(
        REFERENCE, {"learning_rate": RATES, "weight_quantizer.bits": [2, 1], "weight_quantizer.range": [3, 1]}
    )
    wanted = 10 * dataset["range"] + dataset["learning_rate"]
    assert np.array_equal(dataset["eps_g"], wanted.broadcast_like(dataset["eps_g"]).transpose(*dataset["eps_g"].dims))
    assert dataset["bits"].dtype.kind == "i"


def test_chunks_share_one_compiled_function(recorder):
    sweep(REFERENCE, {"learning_rate": np.arange(1, 8) / 10}, chunk=7)
    traces = recorder.traces
    sweep(REFERENCE, {"learning_rate": np.arange(1, 8) / 10}, chunk=3)
    assert [call["learning_rate"].size for call in recorder.calls] == [7, 3, 3, 3]
    assert recorder.traces == 2 * traces


def test_one_function_for_each_structure(recorder):
    sweep(REFERENCE, {"weight_quantizer.bits": [1, 2, 3], "learning_rate": RATES, "teacher": [Constant(1.0), Normal()]})
    assert len(recorder.models) == len(set(recorder.models)) == 6


def test_tied_keys_take_the_same_value(recorder):
    dataset = sweep(REFERENCE, {"weight_quantizer.bits, input_quantizer.bits": [1, 3]})
    assert [(m.weight_quantizer.bits, m.input_quantizer.bits) for m in recorder.models] == [(1, 1), (3, 3)]
    assert dataset["eps_g"].dims == ("bits",)
    assert dataset["bits"].attrs["keys"] == "weight_quantizer.bits, input_quantizer.bits"


@pytest.mark.parametrize(
    ("axes", "groups"),
    [
        ({"learning_rate": RATES, "range": [1.0, 2.0]}, 1),
        ({"weight_decay": [0.0, 0.1, 0.2]}, 2),
        ({"teacher.std": [0.5, 1.0]}, 1),
        ({"teacher.std": [0.5, 1.0], "teacher.mean": [0.0, 1.0]}, 4),
        ({"init.std": [0.5, 1.0]}, 2),
        ({"bits": [2, 3], "kind": ["mid-rise", "mid-tread"], "noise": [0.0, 1.0]}, 4),
        ({"range, teacher.std": [1.0, 2.0]}, 1),
        ({"range, init.std": [1.0, 2.0]}, 2),
    ],
)
def test_parameters_turn_a_group_into_its_points(axes, groups):
    model = LinearModel(teacher=Normal(std=1.0), weight_quantizer=Uniform(2, 2.0))
    grid = Grid(model, read_axes(model, axes))
    found = grid.groups(None)
    assert len(found) == groups
    assert sorted(np.concatenate([group.points for group in found])) == list(range(grid.size))
    for group in found:
        for place, point in enumerate(group.points):
            given = {name: values[place] for name, values in group.parameters.items()}
            quantizer, scale = group.model.weight_quantizer, given.pop("teacher_scale", 1.0)
            teacher = Normal(mean=group.model.teacher.mean * scale, std=group.model.teacher.std * scale)
            quantizer = Uniform(quantizer.bits, given.pop("weight_range", quantizer.range), quantizer.kind)
            rebuilt = group.model.replace(teacher=teacher, weight_quantizer=quantizer, **given)
            assert rebuilt == grid.model(np.unravel_index(point, grid.shape))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "a dictionary of keys"),
        ({"range": [1.0]}, "weight_quantizer.range, input_quantizer.range"),
        ({"learnig_rate": [1.0]}, "Did you mean 'learning_rate'"),
        ({"teacher.std": [1.0]}, "teacher.value"),
        ({"noise": []}, "at least one value"),
        ({"noise": 0.1}, "a sequence"),
        ({"noise": [0.1, 0.1]}, "different values"),
        ({"noise": [0.1, np.nan]}, "finite numbers"),
        ({"noise": [True]}, "finite numbers"),
        ({"noise": [0.1, -0.1]}, "axes, at noise = -0.1: noise: expected a number >= 0"),
        ({"weight_quantizer.bits": [2, 2.5]}, "axes, at weight_quantizer.bits = 2.5"),
        ({"teacher": [Constant(1.0)], "teacher.value": [1.0]}, "do not overlap"),
        ({"noise, noise": [1.0]}, "do not overlap"),
        (
            {"weight_quantizer.kind": ["mid-rise", "mid-tread"], "weight_quantizer.bits": [1, 2]},
            "at weight_quantizer.kind = mid-tread, weight_quantizer.bits = 1",
        ),
    ],
)
def test_bad_axes_are_refused_before_anything_is_computed(recorder, axes, message):
    with pytest.raises(SpecificationError, match=message.replace("(", r"\(")):
        sweep(REFERENCE, axes)
    assert recorder.models == []


@pytest.mark.parametrize(
    ("measure", "settings", "message"),
    [
        ("fixed_pont", {}, "Did you mean 'fixed_point'"),
        ((), {}, "at least one"),
        (("plateau", "plateau"), {"t_end": 1.0}, "different measures"),
        ("plateau", {}, "t_end: expected a number for the measure 'plateau'"),
        ("time_to_error", {"t_end": 1.0}, "error: expected a number"),
        ("fixed_point", {"t_end": 1.0}, "plateau, time_to_error with t_end"),
        ("plateau", {"t_end": 1.0, "error": 0.1}, "time_to_error with error"),
        ("plateau", {"t_end": 1.0, "method": "exact"}, "gaussian, density"),
        ("plateau", {"t_end": 1.0, "plateau_tolerance": 0.3}, "below 1/4"),
        ("plateau", {"t_end": 1.0, "times": [0.0, 2.0]}, "times between 0 and t_end"),
        ("fixed_point", {"chunk": 0}, "chunk: expected an integer >= 1"),
        ("fixed_point", {"path": "sweep.csv"}, "ending in .nc"),
        ("fixed_point", {"path": "no/such/folder/sweep.nc"}, "a folder that exists"),
    ],
)
def test_bad_requests_are_refused(measure, settings, message):
    with pytest.raises(SpecificationError, match=message):
        sweep(REFERENCE, {"learning_rate": RATES}, measure, **settings)


@pytest.mark.parametrize("measure", ["fixed_point", "plateau"])
def test_measures_that_do_not_exist_are_refused(measure):
    model = REFERENCE.replace(surrogate=ClippedSurrogate(1.0))
    with pytest.raises(UnsupportedError, match=r"solve|density"):
        sweep(model, {"learning_rate": RATES}, measure, **({"t_end": 1.0} if measure == "plateau" else {}))


def test_single_models_that_do_not_converge_are_nan(monkeypatch):
    def best_range(model, settings):
        if model.noise > 0:
            raise ConvergenceError("a tolerance that cannot be reached")
        return {"best_range": 2 * model.learning_rate}

    monkeypatch.setitem(MEASURES, "optimal_range", Measure(("best_range",), single(best_range)))
    dataset = sweep(REFERENCE, {"learning_rate": RATES, "noise": [0.0, 0.1]}, "optimal_range")
    assert dataset["best_range"].sel(noise=0.0).values.tolist() == [2 * rate for rate in RATES]
    assert np.isnan(dataset["best_range"].sel(noise=0.1)).all()
    assert dataset.attrs["unconverged"] == len(RATES)


def test_the_help_of_the_command_names_the_measures():
    assert ", ".join(MEASURES) == NAMES


def test_dimensions_are_words(recorder):
    dataset = sweep(
        REFERENCE, {"weight_quantizer.bits": [1, 2], "weight_quantizer.range, input_quantizer.range": [1, 2]}
    )
    assert dataset["eps_g"].sel(bits=2, range=1).ndim == 0
    both = sweep(REFERENCE, {"weight_quantizer.bits": [1, 2], "input_quantizer.bits": [1, 2]})
    assert both["eps_g"].dims == ("weight_quantizer_bits", "input_quantizer_bits")
