"""Verbs about stationary states with every option that has one equation: against `fixed_points` and direct averages."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    FOGZO,
    Discrete,
    Elementwise,
    LinearModel,
    SpecificationError,
    Uniform,
    UnsupportedError,
    deployments,
    fixed_point_function,
    fixed_points,
    optimal_range,
    sweep,
)
from steode.parts.spectrum import Eigenvalues
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding

GRID = Uniform(2, 1.5)
CORE = LinearModel(teacher=Discrete((-0.4, 0.9)), weight_quantizer=GRID, learning_rate=0.3, noise=0.2)
EIGENVALUES = np.array([0.4, 1.6])
EVERYTHING = CORE.replace(
    spectrum=Eigenvalues(EIGENVALUES),
    weight_quantizer=StochasticRounding(GRID),
    input_quantizer=CommonFactor(0.1),
    label_quantizer=AdditiveNoise(0.1),
    residual_quantizer=MultiplicativeNoise(0.2),
    weight_decay=0.1,
    batch_size=3,
)
ZEROTH = CORE.replace(update_rule=FOGZO(c=2.0, eps=0.3))


@pytest.mark.parametrize("model", [EVERYTHING, ZEROTH], ids=["everything", "FOGZO"])
def test_the_function_is_the_fixed_point_and_its_gradient_that_of_differences(model):
    change, step = {"learning_rate": 0.25, "noise": 0.3}, 1e-4
    given = fixed_points(model.replace(**change))[0]
    with jax.enable_x64(True):
        function = fixed_point_function(model)
        point = jax.tree.map(float, function({name: jnp.asarray(value) for name, value in change.items()}))
        slope = float(jax.grad(lambda rate: function({"learning_rate": rate})["eps_g"])(model.learning_rate))
    assert point["converged"]
    names = ("V", "eps_g", "input_term", "dithering_term", "clipping_term", "decay_term", "noise_term")
    for name in (*names, *(["mean_slope"] if model is ZEROTH else [])):
        assert point[name] == pytest.approx(getattr(given, name), rel=1e-10, abs=1e-13), name
    rates = model.learning_rate + step * np.array([-1, 1])
    low, high = (fixed_points(model.replace(learning_rate=rate))[0].eps_g for rate in rates)
    assert slope == pytest.approx((high - low) / (2 * step), rel=1e-5)


@pytest.mark.representative
def test_laws_of_a_result_are_normalized_and_have_the_moments_of_the_fixed_point():
    point = fixed_points(EVERYTHING)[0]
    w = np.linspace(-8, 8, 4001)
    with pytest.raises(SpecificationError, match="eigenvalue"):
        point.density(w, 0.9)
    with pytest.raises(SpecificationError, match="eigenvalue"):
        fixed_points(CORE)[0].density(w, 0.9, eigenvalue=0.4)
    values, gap = (-0.4, 0.9), 0.0
    for eigenvalue in EIGENVALUES:
        for wstar in values:
            density = point.density(w, wstar, eigenvalue)
            probabilities = point.level_probabilities(wstar, eigenvalue)
            assert np.trapezoid(density, w) == pytest.approx(1, abs=1e-5)
            assert np.trapezoid(density * np.clip(w, -1.5, 1.5), w) == pytest.approx(
                probabilities @ GRID.levels, abs=1e-5
            )
            # the distance of student and teacher, with E[x^2] = lambda and a factor of variance 0.1 on the inputs
            square = eigenvalue * (1.1 * GRID.levels**2 - 2 * GRID.levels * wstar + wstar**2)
            gap += probabilities @ square / 4
    assert gap / 2 == pytest.approx(point.eps_g, rel=1e-5)


@pytest.mark.parametrize("quantizer", [Elementwise("tanh(2*x)"), AdditiveNoise(0.1)], ids=str)
def test_densities_of_smooth_maps_have_their_target_as_mean_image(quantizer):
    point = fixed_points(CORE.replace(weight_quantizer=quantizer))[0]
    w = np.linspace(-8, 8, 4001)
    density = point.density(w, -0.4)
    image = np.tanh(2 * w) if isinstance(quantizer, Elementwise) else w
    assert np.trapezoid(density, w) == pytest.approx(1, abs=1e-8)
    assert np.trapezoid(density * image, w) == pytest.approx(-0.4, abs=1e-8)
    with pytest.raises(UnsupportedError, match="no levels"):
        point.level_probabilities(0.1)


def test_deployed_weights_of_a_spectrum_and_a_stochastic_map():
    """Two eigenvalues and two teacher values, drawn by hand: every error is an average of four quadratic forms."""
    model = dataclasses.replace(EVERYTHING, weight_decay=0.0)
    found, wstar = deployments(model), np.array([-0.4, 0.9])
    alpha_1, alpha_2 = EIGENVALUES, 1.1 * EIGENVALUES
    floor = np.mean([(lam - a**2 / b) * wstar**2 for lam, a, b in zip(EIGENVALUES, alpha_1, alpha_2, strict=True)]) / 2
    target = wstar / 1.1

    def error(mean, variance=0.0):
        return floor + np.mean(np.multiply.outer(alpha_2, (mean - target) ** 2 + variance)) / 2

    rounding = model.weight_quantizer
    assert found.rounded_teacher == pytest.approx(error(rounding.mean(wstar), rounding.variance(wstar)), rel=1e-10)
    assert found.rounded_target == pytest.approx(error(np.array([-0.5, 0.5])), rel=1e-10)
    assert found.averaged_iterates == pytest.approx(floor, rel=1e-10) == found.floor
    assert found.last_iterate > found.rounded_target > found.floor
    w = np.linspace(-8, 8, 8001)
    means = np.array([np.trapezoid(w * found.point.density(w, value, 0.4), w) for value in wstar])
    expected = error(rounding.mean(means), rounding.variance(means))
    assert found.rounded_average == pytest.approx(expected, rel=1e-4)
    assert found.averaging_excess == pytest.approx(float(found.point.force) / (2 * model.batch_size), rel=1e-10)


def test_sweeps_and_the_best_range_follow():
    swept = sweep(EVERYTHING, {"learning_rate": [0.2, 0.3]}, "fixed_point", progress=False)
    assert float(swept["eps_g"][1]) == pytest.approx(fixed_points(EVERYTHING)[0].eps_g, rel=1e-10)
    model = CORE.replace(spectrum=Eigenvalues(EIGENVALUES), weight_quantizer=StochasticRounding(GRID))
    best = optimal_range(model, bounds=(0.8, 2.5))
    near = [fixed_points(best.model)[0].eps_g]
    for factor in (0.99, 1.01):
        grid = dataclasses.replace(GRID, range=factor * best.range)
        near.append(fixed_points(model.replace(weight_quantizer=StochasticRounding(grid)))[0].eps_g)
    assert near[0] == pytest.approx(best.eps_g, rel=1e-8)
    assert near[0] < min(near[1:])


@pytest.mark.representative
def test_outputs_without_a_linear_response_are_named():
    model = CORE.replace(activation=Elementwise("tanh(x)"))
    for call in (
        fixed_point_function,
        deployments,
        optimal_range,
        lambda m: sweep(m, {"noise": [0.1]}, progress=False),
    ):
        with pytest.raises(UnsupportedError, match="activation the residual does not answer linearly"):
            call(model)
