"""Options under which the moment equations close: the closure, the fixed point and the equations end in one place."""

import numpy as np
import pytest

from steode import (
    AdditiveNoise,
    CommonFactor,
    Constant,
    Eigenvalues,
    LinearModel,
    MultiplicativeNoise,
    Normal,
    PowerLaw,
    StochasticRounding,
    TwoPoint,
    Uniform,
    fixed_points,
    solve,
)

TWO_BITS = Uniform(bits=2, range=2.0)
BASE = LinearModel(teacher=TwoPoint(1.0), init=Normal(std=0.5), learning_rate=0.3, noise=0.2)
AFFINE = {
    "additive weights": {"weight_quantizer": AdditiveNoise(0.1)},
    "multiplicative weights": {"weight_quantizer": MultiplicativeNoise(0.2), "weight_decay": 0.1},
    "common factor of weights": {"weight_quantizer": CommonFactor(0.2)},
    "common factor of inputs": {"input_quantizer": CommonFactor(0.3), "residual_quantizer": AdditiveNoise(0.1)},
    "labels, output, residual": {
        "label_quantizer": AdditiveNoise(0.2),
        "activation": MultiplicativeNoise(0.1),
        "residual_quantizer": MultiplicativeNoise(0.3),
        "batch_size": 2,
    },
    "spectrum": {"spectrum": PowerLaw(exponent=1.0, count=5), "input_quantizer": TWO_BITS},
    "quantized output": {"activation": TWO_BITS},
}
"""Options under which the moment equations close."""


@pytest.mark.parametrize("name", AFFINE)
def test_exact_moments_agree_with_the_gaussian_closure(name):
    model = BASE.replace(**AFFINE[name])
    exact, closure = solve(model, 4.0, times=[1.0, 4.0]), solve(model, 4.0, times=[1.0, 4.0], method="gaussian")
    assert exact.provenance.method == "moments"
    for observable in ("eps_g", "V", "mean_w", "std_w"):
        np.testing.assert_allclose(exact.observables[observable], closure.observables[observable], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(AFFINE) - {"quantized output"}))
def test_exact_moments_end_at_the_fixed_point(name):
    model = BASE.replace(**AFFINE[name])
    (point,) = fixed_points(model)
    end = solve(model, 250.0, times=[250.0])
    assert point.converged
    assert end.observables["eps_g"][-1] == pytest.approx(point.eps_g, rel=1e-6)
    assert end.observables["V"][-1] == pytest.approx(point.V, rel=1e-6)
    terms = point.input_term + point.dithering_term + point.clipping_term + point.decay_term + point.noise_term
    assert terms == pytest.approx(point.eps_g, rel=1e-12)


def test_three_equations_end_where_the_moments_do():
    model = BASE.replace(**AFFINE["quantized output"])
    (point,) = fixed_points(model)
    assert point.converged
    assert not fixed_points(model).complete
    assert solve(model, 500.0, times=[500.0]).observables["eps_g"][-1] == pytest.approx(point.eps_g, rel=1e-6)


def test_one_eigenvalue_doubles_the_error_of_its_fixed_point():
    # eta' = 2 eta, sigma' = sigma/sqrt(2): the error is twice that of isotropic inputs
    model = BASE.replace(weight_quantizer=TWO_BITS, spectrum=Eigenvalues([2.0, 2.0]))
    plain = BASE.replace(weight_quantizer=TWO_BITS, learning_rate=0.6, noise=0.2 / np.sqrt(2))
    assert fixed_points(model)[0].eps_g == pytest.approx(2 * fixed_points(plain)[0].eps_g, rel=1e-9)


def test_fine_stochastic_rounding_only_adds_its_variance():
    # far below the spread of the weights the fractional position is uniform: v = Delta^2/6 on average
    model = BASE.replace(weight_quantizer=StochasticRounding(Uniform(8, 8.0)), teacher=Constant(1.0))
    step = 16 / 255
    plain = solve(BASE.replace(weight_quantizer=AdditiveNoise(step**2 / 6), teacher=Constant(1.0)), 4.0, times=[4.0])
    rounded = solve(model, 4.0, times=[4.0], method="gaussian")
    assert rounded.observables["eps_g"] == pytest.approx(plain.observables["eps_g"], rel=1e-4)
