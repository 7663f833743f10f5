"""Simulated quantized regression: the update itself, reproducibility, what is measured, and how runs end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from steode import DivergenceError, SpecificationError, UnsupportedError, regression
from steode.parts.quantizers import Sign, Uniform
from steode.parts.spectrum import PowerLaw
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.systems.regression.input_moments import input_moments
from steode.systems.regression.simulation import regression_system

pytestmark = pytest.mark.representative

MODEL = regression.RegressionModel(
    spectrum=PowerLaw(1.0, 5),
    teacher=np.arange(5.0),
    step_size=0.1,
    batch_size=3,
    data_quantizer=AdditiveNoise(0.1),
    label_quantizer=CommonFactor(0.2),
    parameter_quantizer=MultiplicativeNoise(0.3),
    activation_quantizer=AdditiveNoise(0.4),
    gradient_quantizer=MultiplicativeNoise(0.5),
    init=1.0,
)


def test_one_step_is_the_literal_update():
    """w + (gamma/B) Q_d(X)^T Q_o(Q_l(y) - Q_a(Q_d(X) Q_p(w))) with the same normal numbers, in NumPy."""
    with jax.enable_x64(True):
        system = regression_system(MODEL, 0, "float64")
        numbers = np.random.default_rng(0).standard_normal((2, system.normals))
        sample = jax.tree.map(lambda values: values[1], system.sample(None, jnp.asarray(numbers)))
        start = jnp.asarray(MODEL.initial_weights)
        (weights, average, count), _ = system.step(None, (start, start * 0, jnp.int32(0)), sample, 0)
    split = np.split(numbers[1], np.cumsum([15, 3, 15, 1, 5, 3]))
    x, xi, data, label, parameter, activation, gradient = split
    assert gradient.shape == (3,)
    x = np.sqrt(MODEL.eigenvalues) * x.reshape(3, 5)
    z = x + np.sqrt(0.1) * data.reshape(3, 5)
    y = (x @ np.arange(5.0) + xi) * (1 + np.sqrt(0.2) * label)
    h = z @ (np.ones(5) * (1 + np.sqrt(0.3) * parameter)) + np.sqrt(0.4) * activation
    r = (y - h) * (1 + np.sqrt(0.5) * gradient)
    np.testing.assert_allclose(weights, 1 + 0.1 / 3 * z.T @ r, rtol=1e-12)
    np.testing.assert_array_equal(average, np.ones(5))
    assert count == 1


def test_same_key_same_runs_whatever_is_recorded():
    one = regression.simulate(MODEL, 40, seeds=3, key=7, record=[5, 40])
    two = regression.simulate(MODEL, 40, seeds=2, key=7, record=[0, 5, 17, 40])
    other = regression.simulate(MODEL, 40, seeds=2, key=8, record=[5, 40])
    for name in one.values:
        np.testing.assert_array_equal(one[name][:2], two[name][:, [1, 3]])
        assert np.all(one[name][:2] != other[name])


def test_average_is_that_of_the_iterates_before():
    """From the second moments alone: with one averaged iterate it is the last but one."""
    runs = regression.simulate(MODEL.replace(average_fraction=1e-9), 9, record=[8, 9], dtype="float64")
    assert runs.averaged_from == 8
    np.testing.assert_allclose(runs["raw_average"][0, 1], runs["raw_last"][0, 0], rtol=1e-12)


@pytest.mark.parametrize(
    "quantizer",
    [
        AdditiveNoise(0.3),
        MultiplicativeNoise(0.3),
        CommonFactor(0.3),
        Uniform(bits=3, range=1.0),
        Sign(1.0),
        StochasticRounding(Uniform(bits=2, range=1.5)),
    ],
)
def test_input_moments_are_those_of_draws(quantizer):
    random, eigenvalues = np.random.default_rng(3), np.array([0.05, 0.5, 4.0])
    x = np.sqrt(eigenvalues) * random.standard_normal((400_000, 3))
    z = quantizer.sample(x, random) if hasattr(quantizer, "sample") else quantizer(x)
    for exact, drawn in zip(input_moments(quantizer, eigenvalues), (z**2, x * z), strict=True):
        error = drawn.std(axis=0) / np.sqrt(len(drawn))
        assert np.all(np.abs(drawn.mean(axis=0) - exact) < 4.5 * error + 1e-12)


@pytest.mark.parametrize("quantizer", [Uniform(bits=3, range=1.0), StochasticRounding(Uniform(bits=3, range=1.0))])
def test_risk_on_quantized_inputs_is_that_on_a_test_set(quantizer):
    quantizers = {f"{role}_quantizer": quantizer for role in ("data", "parameter", "gradient")}
    model = regression.RegressionModel(spectrum=PowerLaw(1.0, 5), step_size=0.05, **quantizers)
    runs = regression.simulate(model, 60, seeds=40, record=[60], test_samples=4000)
    for kind in ("raw", "quantized"):
        gap = (runs[f"{kind}_test"] - runs[f"{kind}_last"])[:, 0]
        assert abs(gap.mean()) < 4.5 * gap.std(ddof=1) / np.sqrt(gap.size)


def test_unstable_runs_say_so():
    with pytest.raises(DivergenceError, match="diverged"):
        regression.simulate(MODEL.replace(step_size=50.0), 3000, record=[3000])


def test_files_hold_everything(tmp_path):
    runs = regression.simulate(MODEL, 5, seeds=2, record=[0, 5], test_samples=10)
    exact = regression.risk(MODEL, 5, record=[0, 5])
    with xarray.open_dataset(runs.save(tmp_path / "runs.nc"), engine="h5netcdf") as dataset:
        assert dataset["raw_last"].dims == dataset["quantized_test"].dims == ("seed", "step")
        assert "MultiplicativeNoise" in dataset.attrs["specification"]
    with xarray.open_dataset(exact.save(tmp_path / "risk.nc"), engine="h5netcdf") as dataset:
        np.testing.assert_array_equal(dataset["excess_average"], exact["excess_average"])
        assert dataset.attrs["stable"] == 1
    with pytest.raises(SpecificationError, match="nc"):
        exact.save(tmp_path / "risk.csv")


def test_comparison_refuses_what_does_not_belong_together():
    exact, runs = regression.risk(MODEL, 5), regression.simulate(MODEL, 5, seeds=2)
    assert "raw_average" in repr(regression.compare(exact, runs))
    with pytest.raises(SpecificationError, match="runs of the model"):
        regression.compare(regression.risk(MODEL, 6), regression.simulate(MODEL.replace(init=0.0), 6, seeds=2))
    with pytest.raises(SpecificationError, match="two seeds"):
        regression.compare(exact, regression.simulate(MODEL, 5))
    with pytest.raises(SpecificationError, match="raw_last"):
        regression.compare(exact, runs, "excess_last")


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"key": -1}, {"dtype": "float16"}, {"record": []}])
def test_bad_requests(wrong):
    with pytest.raises(SpecificationError):
        regression.simulate(MODEL, 5, **wrong)


def test_random_maps_of_the_user_are_refused():
    class Own(AdditiveNoise):
        """Not known to the device."""

    with pytest.raises(UnsupportedError, match="cannot be simulated"):
        regression.simulate(MODEL.replace(data_quantizer=Own(0.1)), 5)
    with pytest.raises(UnsupportedError, match="no noise model"):
        regression.risk(MODEL.replace(data_quantizer=Own(0.1)), 5)
