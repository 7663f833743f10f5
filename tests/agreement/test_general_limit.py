"""The linear system with spectra, stochastic maps and any output: several routes to each number."""

import jax
import numpy as np
import pytest
import sympy

from steode import (
    AdditiveNoise,
    CommonFactor,
    Eigenvalues,
    Elementwise,
    LinearModel,
    MultiplicativeNoise,
    Normal,
    PowerLaw,
    TwoPoint,
    Uniform,
    UnsupportedError,
    derive,
    fixed_points,
    fluctuations,
    solve,
)
from steode.solvers.entrywise import IdentityMap
from steode.solvers.output import GeneralOutput
from steode.symbolic import symbols as sym
from steode.systems.linear.numeric_output import numeric_output

pytestmark = pytest.mark.representative

X = sympy.Symbol("x")
TANH = Elementwise(sympy.tanh(X))
TWO_BITS = Uniform(bits=2, range=2.0)
BASE = LinearModel(teacher=TwoPoint(1.0), init=Normal(std=0.5), learning_rate=0.3, noise=0.2)
EVERYWHERE = BASE.replace(
    spectrum=PowerLaw(exponent=1.0, count=5),
    weight_quantizer=MultiplicativeNoise(0.1),
    input_quantizer=CommonFactor(0.3),
    label_quantizer=AdditiveNoise(0.2),
    activation=AdditiveNoise(0.1),
    residual_quantizer=MultiplicativeNoise(0.3),
    batch_size=2,
    weight_decay=0.1,
)
"""Noise wherever it can be; the moment equations close."""
OVERLAPS = (0.6, 0.8, 1.1)
"""m, q and rho."""


def test_exact_moments_are_chosen_and_end_at_the_fixed_point():
    times = [1.0, 4.0, 150.0]
    exact, closure = solve(EVERYWHERE, 150.0, times=times), solve(EVERYWHERE, 150.0, times=times, method="gaussian")
    assert exact.provenance.method == "moments"
    for observable in ("eps_g", "V", "mean_w", "std_w"):
        np.testing.assert_allclose(exact.observables[observable], closure.observables[observable], rtol=1e-6, atol=1e-9)
    (point,) = fixed_points(EVERYWHERE)
    assert point.converged
    assert exact.observables["eps_g"][-1] == pytest.approx(point.eps_g, rel=1e-6)
    terms = point.input_term + point.dithering_term + point.clipping_term + point.decay_term + point.noise_term
    assert terms == pytest.approx(point.eps_g, rel=1e-12)


def test_one_eigenvalue_rescales_learning_rate_and_noise():
    # x = sqrt(2) g: the update is that of eta' = 2 eta and sigma' = sigma/sqrt(2), the error twice as large
    model = BASE.replace(weight_quantizer=TWO_BITS, spectrum=Eigenvalues([2.0, 2.0]))
    plain = BASE.replace(weight_quantizer=TWO_BITS, learning_rate=0.6, noise=0.2 / np.sqrt(2))
    times = [1.0, 5.0]
    scaled, direct = (solve(each, 5.0, times=times, method="gaussian") for each in (model, plain))
    np.testing.assert_allclose(scaled.observables["eps_g"], 2 * direct.observables["eps_g"], rtol=1e-6)


def test_closed_form_and_quadrature_agree_for_a_quantized_output():
    model = BASE.replace(activation=Uniform(3, 2.0))
    m, q, rho = OVERLAPS
    closed = derive(model).output
    with jax.enable_x64(True):
        activation = numeric_output(model, closed)
        plain = IdentityMap()
        general = GeneralOutput(activation, None, None, plain, plain, plain, np.zeros(0)).averages(
            m, q, rho, model.noise
        )
    numbers = {sym.m: m, sym.q: q, sym.rho: rho, sym.sigma: model.noise}
    limit = derive(model)
    expected = [limit.numeric(value).subs(numbers) for value in (*closed.response, closed.strength, closed.loss)]
    np.testing.assert_allclose(np.array(general[:4]), np.array(expected, float), rtol=1e-11)


def test_quantized_output_has_the_known_averages():
    # c_h is the sum of the jumps times phi(t/sqrt q)/sqrt q, and c_* = -1
    limit, q = derive(BASE.replace(activation=TWO_BITS)), 0.8
    c_h = float(limit.numeric(limit.output.response[0]).subs(sym.q, q))
    density = np.exp(-(TWO_BITS.thresholds**2) / (2 * q)) / np.sqrt(2 * np.pi * q)
    assert c_h == pytest.approx(density @ np.diff(TWO_BITS.levels), rel=1e-12)
    assert limit.output.response[1] == -1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_quantizer": CommonFactor(0.1), "activation": TWO_BITS}, "input_quantizer: a factor common"),
        ({"residual_quantizer": TWO_BITS, "activation": AdditiveNoise(0.1)}, "residual_quantizer: .*activation"),
        ({"teacher_activation": TANH, "residual_quantizer": TWO_BITS, "noise": 0.0}, "teacher_activation: .*noise"),
    ],
)
def test_outputs_without_derivation_are_refused(options, message):
    with pytest.raises(UnsupportedError, match=message):
        derive(BASE.replace(**options))


def test_verbs_that_are_not_derived_for_an_option_say_so():
    with pytest.raises(UnsupportedError, match=r"fluctuations: needs a normal residual.*activation"):
        fluctuations(BASE.replace(activation=TWO_BITS), 1.0)


def test_a_drawn_start_keeps_the_eigenvalue_of_each_coordinate():
    model = BASE.replace(spectrum=PowerLaw(1.0, 4))
    generator = np.random.default_rng(0)
    teacher, initial = generator.standard_normal((2, 40))
    first = solve(model, 1.0, times=[0.0, 1.0], start=(teacher, initial)).observables["eps_g"][0]
    eigenvalues = model.spectrum.coordinates(40)
    assert first == pytest.approx(np.mean(eigenvalues * (initial - teacher) ** 2) / 2, rel=1e-9)
