"""The specification of a committee machine: what makes no sense is refused, files and trajectories read back."""

import numpy as np
import pytest
import sympy

from steode import (
    AdditiveNoise,
    ClippedSurrogate,
    Identity,
    Normal,
    Schedule,
    SignedInteger,
    SpecificationError,
    TwoPoint,
    Uniform,
    UnsupportedError,
    committee,
    compare,
    fixed_points,
    simulate,
    solve,
)

QUANTIZED = committee.CommitteeModel(
    weight_quantizer=Uniform(bits=2, range=2.0), init=Normal(std=0.5), noise=0.1, alignment=0.1
)
X = sympy.Symbol("x")

REFUSED = {
    "no hidden units": ({"hidden": 0}, "hidden"),
    "no teacher units": ({"teacher_hidden": 0}, "teacher_hidden"),
    "half a unit": ({"hidden": 1.5}, "hidden"),
    "an overlap matrix that is not positive": ({"teacher_overlap": ((1.0, 2.0), (2.0, 1.0))}, "teacher_overlap"),
    "an overlap matrix that is not symmetric": ({"teacher_overlap": ((1.0, 0.5), (0.0, 1.0))}, "teacher_overlap"),
    "an overlap matrix of three units": ({"teacher_overlap": np.eye(3)}, "teacher_overlap"),
    "an overlap matrix of zeros": ({"teacher_overlap": np.zeros((2, 2))}, "teacher_overlap"),
    "ragged overlaps": ({"teacher_overlap": ((1.0, 0.0), (1.0,))}, "teacher_overlap"),
    "rows of three units": ({"teacher_rows": np.ones((4, 3))}, "teacher_rows"),
    "two teachers": ({"teacher": Normal(), "teacher_overlap": np.eye(2)}, "teacher_overlap"),
    "no law": ({"teacher": 1.0}, "teacher"),
    "infinite moments": ({"activation": "exp(x**2/10)"}, "activation"),
    "infinite moments on one side": ({"activation": "exp(Max(x, 0)**2/20) - x"}, "activation"),
    "an unknown activation": ({"activation": 3}, "activation"),
    "an unknown function": ({"activation": "gelu(x)"}, "Elementwise.expression"),
    "a jump": ({"activation": sympy.sign(X)}, "Elementwise.expression"),
    "three output weights": ({"output_weights": (1.0, 1.0, 1.0)}, "output_weights"),
    "a random quantizer": ({"weight_quantizer": AdditiveNoise(0.1)}, "weight_quantizer"),
    "inputs with a mean": ({"input_quantizer": SignedInteger(bits=2, range=2.0)}, "input_quantizer"),
    "a negative rate": ({"learning_rate": -0.1}, "learning_rate"),
    "a negative output rate": ({"output_learning_rate": 0.0}, "output_learning_rate"),
    "alignment of another shape": ({"alignment": ((1.0, 0.0),)}, "alignment"),
    "decay of frozen weights": ({"surrogate": ClippedSurrogate(1.0), "weight_decay": 0.1}, "weight_decay"),
    "negative noise": ({"noise": -1.0}, "noise"),
    "an empty batch": ({"batch_size": 0}, "batch_size"),
}


@pytest.mark.parametrize(("changes", "argument"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(changes, argument):
    with pytest.raises(SpecificationError) as caught:
        committee.CommitteeModel(**changes)
    assert caught.value.argument == argument


@pytest.mark.parametrize("text", ["tanh(x)", "exp(x)", "x**3/10 + x", "Max(x, 0) + Max(-x, 0)/10", "exp(-x**2)"])
def test_activations_of_finite_moments_are_taken(text):
    assert committee.CommitteeModel(activation=text).activation.expression.free_symbols


MODELS = {
    "quantized": QUANTIZED,
    "many options": committee.CommitteeModel(
        hidden=3,
        activation="tanh(2*x)",
        teacher_overlap=((1.0, 0.25), (0.25, 2.0)),
        output_weights=(1.0, -0.5, 0.25),
        output_learning_rate=Schedule("0.1/(1 + tau)"),
        input_quantizer=Uniform(bits=3, range=2.0),
        learning_rate=Schedule("0.5/(1 + tau/10)"),
        alignment=((0.5, 0.0), (0.0, 0.5), (0.0, 0.0)),
        weight_decay=0.01,
        batch_size=4,
    ),
    "rows": committee.CommitteeModel(activation="relu", teacher_rows=((1.0, 0.0), (0.0, 1.0)), noise=0.5),
    "law": committee.CommitteeModel(teacher=TwoPoint(1.0), surrogate=ClippedSurrogate(2.0)),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_file_reads_back(tmp_path, model):
    assert committee.from_dict(committee.to_dict(model)) == model
    path = tmp_path / "committee.toml"
    path.write_text(committee.to_toml(model))
    assert committee.read_study(path).cases[""] == model


def test_cases_and_mistakes_of_a_file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(committee.to_toml(QUANTIZED) + '[vary]\nparameter = "weight_quantizer.bits"\nvalues = [1, 3]\n')
    study = committee.read_study(path, {"run.dim": 100})
    assert [model.weight_quantizer.bits for model in study.cases.values()] == [1, 3]
    assert study.settings.dim == 100
    for changes, argument in (
        ({"model.hidden": 0}, "hidden"),
        ({"model.units": 2}, "model.units"),
        ({"run.seeds": 1}, "run.seeds"),
        ({"run.method": "density"}, "run.method"),
    ):
        with pytest.raises(SpecificationError) as caught:
            committee.read_study(path, changes)
        assert caught.value.argument == argument


def test_a_new_law_of_the_teacher_takes_the_place_of_the_old():
    model = MODELS["many options"].replace(teacher=TwoPoint(1.0))
    assert model.teacher_overlap is None
    assert model.replace(noise=0.1).teacher == TwoPoint(1.0)


def test_methods_that_do_not_exist_name_those_that_do():
    with pytest.raises(UnsupportedError, match="particles"):
        solve(QUANTIZED, 1.0, method="order parameters")
    with pytest.raises(UnsupportedError, match="particles"):
        solve(MODELS["law"], 1.0, method="gaussian")
    with pytest.raises(UnsupportedError, match="schedule"):
        fixed_points(MODELS["many options"])
    with pytest.raises(SpecificationError, match="method"):
        solve(QUANTIZED, 1.0, method="density")
    with pytest.raises(SpecificationError, match="start"):
        solve(QUANTIZED, 1.0, start=(np.ones((3, 10)), np.ones((2, 10))))


def test_runs_repeat_and_a_trajectory_reads_back(tmp_path):
    first, again = (simulate(QUANTIZED, 40, 3.0, seeds=2, times=[0, 1, 3], test_samples=50) for _ in range(2))
    for name, values in first.observables.items():
        np.testing.assert_array_equal(values, again[name])
    read = committee.CommitteeTrajectory.load(first.save(tmp_path / "runs.nc"))
    assert read.model == QUANTIZED
    np.testing.assert_array_equal(read["teacher_overlap"], first["teacher_overlap"])
    np.testing.assert_array_equal(read.snapshots.weights, first.snapshots.weights)
    assert first["level_fraction"].shape == (2, 3, 2, 4)
    with pytest.raises(SpecificationError, match="path"):
        committee.CommitteeTrajectory.load(tmp_path / "none.nc")


def test_a_checkpoint_goes_on_with_the_same_bits(tmp_path):
    whole = simulate(QUANTIZED, 40, 4.0, seeds=2)
    path = tmp_path / "checkpoint"
    simulate(QUANTIZED, 40, 4.0, seeds=2, checkpoint=path, checkpoint_seconds=0.0)
    again = simulate(QUANTIZED, 40, 4.0, seeds=2, checkpoint=path)
    np.testing.assert_array_equal(again["eps_g"], whole["eps_g"])


def test_only_a_limit_and_runs_of_one_model_are_compared():
    runs = simulate(QUANTIZED, 20, 1.0, seeds=2)
    # linear units: little to compile
    theory = solve(QUANTIZED.replace(weight_quantizer=Identity(), activation="linear"), 1.0)
    with pytest.raises(SpecificationError, match="weight_quantizer"):
        compare(theory, runs)
    with pytest.raises(SpecificationError, match="theory"):
        committee.compare(runs, runs)
    with pytest.raises(UnsupportedError, match="matrix"):
        committee.compare(theory, runs, start="drawn", observable="student_overlap")
