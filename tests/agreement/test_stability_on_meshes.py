"""Stability where it takes longer: meshes of smooth dynamics at second order, and continuous teachers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    Constant,
    Discrete,
    Elementwise,
    Levels,
    LinearModel,
    Sign,
    TwoPoint,
    Uniform,
    UniformLaw,
    fixed_points,
)
from steode.solvers import linearized
from tests.theory.test_stability import THREE_ATOMS, analysis, implied_variance, meshes_of, problem_of

pytestmark = pytest.mark.representative


@jax.enable_x64(True)
@pytest.mark.parametrize(
    "model",
    [
        THREE_ATOMS.replace(weight_decay=0.2, batch_size=2),
        LinearModel(teacher=TwoPoint(0.7), weight_quantizer=Elementwise("tanh(x)"), learning_rate=0.5, noise=0.3),
    ],
    ids=["weight decay", "tanh"],
)
def test_static_response_is_the_slope_of_the_implied_variance(model):
    """From the mesh, where it makes zero an eigenvalue, and from the closed forms; second order in the mesh width."""
    problem, variance, step = problem_of(model), 0.3, 1e-4
    above, below = (implied_variance(problem, jnp.asarray(variance + sign * step)) for sign in (1, -1))
    slope = float(above - below) / (2 * step)
    mesh, half = meshes_of(model, variance, 2048)
    assert abs(mesh.response / slope - 1) < 1e-4
    assert 3.8 < (half.response - slope) / (mesh.response - slope) < 4.2
    assert abs(linearized.secular(mesh, 0j) - (1 - mesh.response)) < 1e-9


@jax.enable_x64(True)
def test_mesh_reproduces_the_affine_dynamics_to_second_order():
    eta, kappa, batch, alpha_2 = 0.5, 0.3, 2, 1.5**2
    training = {"learning_rate": eta, "weight_decay": kappa, "batch_size": batch}
    model = LinearModel(teacher=Constant(0.8), input_quantizer=Sign(1.5), noise=0.4, **training)
    exact, rate = analysis(model), eta * (alpha_2 + kappa)
    assert np.abs(exact.eigenvalues - [-rate, -2 * rate + eta**2 * alpha_2**2 / batch]).max() < 1e-12
    largest = exact.largest_learning_rate
    assert abs(largest - 2 * batch * (alpha_2 + kappa) / alpha_2**2) < 1e-12
    assert len(fixed_points(model.replace(learning_rate=1.001 * largest))) == 0
    meshes = meshes_of(model, fixed_points(model)[0].V, 1024)
    # the other eigenvalues are multiples of the rate of the mean, which V does not feel
    found = [linearized.nearest_eigenvalues(mesh, 2) for mesh in meshes]
    errors = [np.abs(values - exact.eigenvalues).max() for values in found]
    assert errors[0] < 2e-3
    assert 3.8 < errors[1] / errors[0] < 4.2
    gaps = [abs(linearized.integrated_relaxation(mesh) / exact.settling_time - 1) for mesh in meshes]
    assert gaps[0] < 1e-3
    assert 3.8 < gaps[1] / gaps[0] < 4.2


def test_recovery_under_a_smooth_map_lasts_to_the_threshold_of_its_mean_slope():
    """V = 0 is stable for eta < 2 B/(alpha_2 E Q'(w)); for Q = tanh the slope at target a is 1 - a^2."""
    model = LinearModel(teacher=TwoPoint(0.6), weight_quantizer=Elementwise("tanh(x)"), learning_rate=0.5)
    result = analysis(model)
    assert abs(result.largest_learning_rate - 2 / 0.64) < 1e-9
    slope = 0.5 * 0.64
    assert np.abs(result.eigenvalues.real - [-slope, -slope, -2 * slope + 0.25 * 0.64**2, -2 * slope]).max() < 1e-9
    # the spectrum is continuous at V = 0: a little noise changes it little
    noisy = analysis(model.replace(noise=0.02))
    assert np.abs(noisy.eigenvalues.real[:4] - result.eigenvalues.real).max() < 3e-3
    assert abs(noisy.settling_time / result.settling_time - 1) < 0.01


def test_the_edge_of_the_continuous_spectrum_may_hardly_show_in_the_variance():
    model = LinearModel(
        teacher=Discrete((-0.9, 0.5), (0.4, 0.6)),
        weight_quantizer=Levels((-1.5, -0.4, 0.6, 2)),
        learning_rate=0.7,
        noise=0.4,
    )
    result = analysis(model)
    assert 1 / result.relaxation_time == pytest.approx(0.4234, abs=1e-4) == -result.continuum_edge
    assert 1 / result.late_time == pytest.approx(0.763, abs=0.01)


def test_targets_up_to_the_last_level_leave_no_rate_but_a_settling_time():
    model = LinearModel(teacher=UniformLaw(-1.1, 0.5), weight_quantizer=Uniform(2, 1.0), learning_rate=0.5, noise=0.2)
    result = analysis(model)
    assert result.stable
    assert np.isinf(result.relaxation_time)
    assert 0 < result.settling_time < 10
    assert 0 < result.late_time < np.inf
    assert result.settling_error < 0.01
    assert "power of tau" in result.note
    assert "outside the range" in result.note
    assert np.isinf(result.largest_learning_rate)
