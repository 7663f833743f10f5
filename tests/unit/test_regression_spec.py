"""Specification of quantized regression: what it refuses, what it holds, and its files."""

import numpy as np
import pytest

from steode import Normal, SpecificationError, regression
from steode.parts.quantizers import Uniform
from steode.parts.spectrum import Eigenvalues, Isotropic, PowerLaw
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.systems.regression.configuration import from_dict, read_study, to_dict, to_toml

MODEL = regression.RegressionModel(
    spectrum=PowerLaw(2.0, 4),
    teacher=[1.0, 2.0, 3.0, 4.0],
    step_size=0.1,
    batch_size=3,
    data_quantizer=AdditiveNoise(0.01),
    label_quantizer=MultiplicativeNoise(0.02),
    parameter_quantizer=StochasticRounding(Uniform(bits=6, range=2.0)),
    activation_quantizer=CommonFactor(0.03),
    gradient_quantizer=Uniform(bits=8, range=4.0),
    average_fraction=0.5,
    init=-1.0,
)


def test_arrays_of_a_model():
    np.testing.assert_array_equal(MODEL.eigenvalues, [1, 1 / 4, 1 / 9, 1 / 16])
    np.testing.assert_array_equal(MODEL.teacher_weights, [1, 2, 3, 4])
    np.testing.assert_array_equal(MODEL.initial_weights, [-1, -1, -1, -1])
    assert (MODEL.dim, list(MODEL.quantizers)) == (4, list(regression.ROLES))


def test_averaged_iterates():
    """The last round(fraction * N) of w_0, ..., w_(N-1), at least one."""
    cases = {(1.0, 10): 0, (0.5, 10): 5, (0.25, 10): 8, (0.01, 10): 9, (1.0, 1): 0}
    found = {(f, n): MODEL.replace(average_fraction=f).averaged_from(n) for f, n in cases}
    assert found == cases


def test_spectrum_and_weights_from_files(tmp_path):
    np.save(tmp_path / "spectrum.npy", [2.0, 1.0])
    np.save(tmp_path / "teacher.npy", [1.0, -1.0])
    (tmp_path / "spec.toml").write_text(
        '[model]\nspectrum = "spectrum.npy"\nteacher = "teacher.npy"\nstep_size = 0.1\n'
    )
    (model,) = read_study(tmp_path / "spec.toml").cases.values()
    assert model == regression.RegressionModel(spectrum=[2.0, 1.0], teacher=[1.0, -1.0], step_size=0.1)
    assert model.spectrum == Eigenvalues([2.0, 1.0])


def test_dictionaries_and_toml_round_trip(tmp_path):
    assert from_dict(to_dict(MODEL)) == MODEL
    path = tmp_path / "spec.toml"
    path.write_text(to_toml(MODEL))
    assert read_study(path).cases == {"": MODEL}
    given = MODEL.replace(spectrum=[3.0, 1.0, 0.5, 1e-5], teacher=1e-9)
    path.write_text(to_toml(given))
    assert read_study(path).cases == {"": given}


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"step_size": 0.0}, "step_size"),
        ({"step_size": "fast"}, "step_size"),
        ({"noise": -1.0}, "noise"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"average_fraction": 0.0}, "average_fraction"),
        ({"average_fraction": 1.5}, "average_fraction"),
        ({"spectrum": [1.0, 0.0]}, "Eigenvalues.values_at"),
        ({"spectrum": [1.0, -1.0]}, "Eigenvalues.values_at"),
        ({"spectrum": []}, "Eigenvalues.values_at"),
        ({"spectrum": Isotropic()}, "spectrum"),
        ({"teacher": [1.0, 2.0]}, "teacher"),
        ({"init": [1.0, np.nan, 1.0, 1.0]}, "init"),
        ({"teacher": Normal(std=1.0)}, "Constant.value"),
        ({"data_quantizer": 0.1}, "data_quantizer"),
        ({"gradient_quantizer": "additive"}, "gradient_quantizer"),
    ],
)
def test_refusals_name_the_argument(changes, argument):
    with pytest.raises(SpecificationError) as failure:
        MODEL.replace(**changes)
    assert failure.value.argument == argument


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("[model]\nstep_size = 0.1\n", "model"),
        ("[model]\nspectrum = [1.0]\nstep_sise = 0.1\n", "model.step_sise"),
        ("[modle]\n", "modle"),
        ("[model]\nspectrum = [1.0]\nstep_size = 0.1\n[run]\nstep = 3\n", "run.step"),
        ("[model]\nspectrum = [1.0]\nstep_size = 0.1\n[run]\nsteps = 0\n", "run.steps"),
        ("[model]\nspectrum = [1.0]\nstep_size = 0.1\n[vary]\nvalues = [1]\n", "vary"),
        (
            "[model]\nspectrum = [1.0]\nstep_size = 0.1\ndata_quantizer = {type = 'AddNoise'}\n",
            "model.data_quantizer.type",
        ),
    ],
)
def test_files_that_make_no_sense(tmp_path, text, argument):
    (tmp_path / "spec.toml").write_text(text)
    with pytest.raises(SpecificationError) as failure:
        read_study(tmp_path / "spec.toml")
    assert failure.value.argument == argument


def test_vary_makes_cases_and_changes_replace_entries(tmp_path):
    text = '[model]\nspectrum = {type = "PowerLaw", exponent = 2.0, count = 3}\nstep_size = 0.1\n'
    text += '[vary]\nparameter = "spectrum.count"\nvalues = [2, 5]\n[run]\nsteps = 7\n'
    (tmp_path / "spec.toml").write_text(text)
    study = read_study(tmp_path / "spec.toml", {"model.step_size": 0.2, "run.seeds": 3})
    assert {label: model.dim for label, model in study.cases.items()} == {"count = 2": 2, "count = 5": 5}
    assert {model.step_size for model in study.cases.values()} == {0.2}
    assert (study.settings.steps, study.settings.seeds) == (7, 3)
