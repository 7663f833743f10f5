"""The density solver against independent routes: particles, exact moments, and behavior known in closed form."""

import numpy as np
import pytest

from steode import (
    ClippedSurrogate,
    Constant,
    Elementwise,
    Identity,
    Levels,
    LinearModel,
    Normal,
    TwoPoint,
    Uniform,
    solve,
)
from tests.models import REFERENCE, REFERENCE_TIMES


@pytest.mark.parametrize(
    "model",
    [
        REFERENCE,
        REFERENCE.replace(surrogate=ClippedSurrogate(3.0)),
        LinearModel(
            teacher=TwoPoint(0.8),
            weight_quantizer=Elementwise("tanh(x)"),
            input_quantizer=Elementwise("tanh(x)"),
            learning_rate=0.3,
            noise=0.1,
        ),
        LinearModel(weight_quantizer=Uniform(2, 0.5), teacher=Constant(1.0), init=Constant(0.05)),
    ],
    ids=["reference", "clipped", "smooth", "escape from a point"],
)
def test_density_agrees_with_particles(model):
    """Nothing of the discretization is shared; populations give the standard error, the time step a small bias."""
    times = [1.0, 4.0]
    exact, particles = (solve(model, 4, times=times, method=method) for method in ("density", "particles"))
    for name in ("eps_g", "mean_w", "std_w"):
        allowed = 5 * particles.error[name] + 2e-3 * np.abs(exact[name]) + exact.error[name]
        assert np.all(np.abs(exact[name] - particles[name]) < allowed), name


def test_particles_are_reported_at_the_times_asked_for():
    times = np.array([0.003, 0.005, 0.5])
    trajectory = solve(REFERENCE.replace(learning_rate=1.7), 0.5, times=times, method="particles")
    exact = solve(REFERENCE.replace(learning_rate=1.7), 0.5, times=times, tolerance=1e-3)
    assert np.array_equal(trajectory.times, times)
    assert np.all(np.abs(trajectory["mean_w"] - exact["mean_w"]) < 5 * trajectory.error["mean_w"] + 2e-3)
    assert trajectory["std_w"][1] > trajectory["std_w"][0]


def test_unquantized_density_agrees_with_the_exact_moments():
    model = LinearModel(teacher=TwoPoint(0.7), learning_rate=0.5, noise=0.2)
    times = [0.5, 2.0, 10.0]
    exact = solve(model, 10, times=times, method="moments")
    closure = solve(model, 10, times=times, method="gaussian")
    density = solve(model, 10, times=times, tolerance=1e-3)
    assert np.abs(closure["eps_g"] - exact["eps_g"]).max() < 1e-6  # the closure is exact here, up to its integrator
    assert np.abs(density["eps_g"] - exact["eps_g"]).max() < 1e-3 * exact["eps_g"].max()


@pytest.mark.representative
def test_clipped_weights_freeze_at_the_bound():
    model = REFERENCE.replace(surrogate=ClippedSurrogate(1.5))
    trajectory = solve(model, 20, times=[0.001, 10.0, 20.0], snapshot_times=[0.001, 20.0])
    density = trajectory.density
    frozen = np.abs(density.nodes) >= 1.5 * (1 - 1e-9)
    beyond = np.abs(density.nodes) > 1.5 * (1 + 1e-9)
    # what started beyond the bound stays exactly where it was; atoms at the bound only grow
    assert np.abs(density.masses[1, 0, beyond] - density.masses[0, 0, beyond]).max() < 1e-12
    atoms = frozen & ~beyond
    assert atoms.sum() == 2
    assert np.all(density.masses[1, 0, atoms] > density.masses[0, 0, atoms])
    assert abs(density.masses[1].sum() - 1) < 1e-10


def test_exact_recovery_is_reached_in_finite_time_below_the_threshold():
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Constant(1.0), learning_rate=0.8)
    # numerical diffusion is of first order where V vanishes, and the estimate says how much is left
    recovered = solve(model, 60, times=[0.0, 30.0, 60.0], tolerance=1e-3)
    assert recovered["eps_g"][-1] < 1e-3 * recovered["eps_g"].max()
    assert recovered["eps_g"][-1] <= 2 * recovered.error["eps_g"][-1]
    above = solve(model.replace(learning_rate=1.2), 60, times=[30.0, 60.0])["eps_g"][-1]
    assert abs(above - 0.08336) < 2e-4


def test_domain_grows_until_nothing_reaches_its_ends():
    """Escaping weights travel at the predicted speed far beyond the first guess of the domain."""
    model = LinearModel(weight_quantizer=Uniform(2, 0.5), teacher=Constant(2.0), learning_rate=0.5, init=Constant(0.05))
    trajectory = solve(model, 40, times=[20.0, 40.0])
    mean, error = trajectory["mean_w"], trajectory.error["mean_w"]
    traveled = 20 * 0.5 * (2.0 - 0.5)
    assert abs(mean[1] - mean[0] - traveled) < 2 * error.sum()
    assert error.sum() < 0.01 * traveled


def test_drawn_start_of_a_large_sample_is_the_nominal_start():
    rng = np.random.default_rng(5)
    model = LinearModel(weight_quantizer=Uniform(2, 2.0), teacher=Normal(), init=Normal(std=0.5), learning_rate=0.3)
    size = 200_000
    drawn = solve(
        model, 2, times=[1.0, 2.0], start=(rng.normal(size=size), 0.5 * rng.normal(size=size)), tolerance=1e-3
    )
    nominal = solve(model, 2, times=[1.0, 2.0], tolerance=1e-3)
    assert np.abs(drawn["eps_g"] - nominal["eps_g"]).max() < 4 * 1.0 / np.sqrt(size) + 2e-3 * nominal["eps_g"].max()


@pytest.mark.representative
def test_identity_weights_start_and_end_with_the_known_errors():
    model = LinearModel(
        teacher=Constant(1.0), weight_quantizer=Identity(), init=Constant(0.0), learning_rate=0.8, noise=0.3
    )
    trajectory = solve(model, 30, times=[0.0, 30.0], method="moments")
    assert abs(trajectory["eps_g"][0] - 0.5) < 1e-12
    assert abs(trajectory["eps_g"][1] - 0.8 * 0.09 / (2 * 1.2)) < 1e-6


@pytest.mark.representative
def test_error_estimate_covers_the_distance_to_a_tighter_solution():
    options = {"times": REFERENCE_TIMES, "snapshot_times": (0.0, 10.0, 100.0)}
    reference = solve(REFERENCE, 100, **options)
    tighter = solve(REFERENCE, 100, **options, tolerance=2e-5)
    distance = np.abs(reference["eps_g"] - tighter["eps_g"]).max()
    assert distance < 2 * reference.error["eps_g"].max()


def test_mass_is_kept_where_thresholds_almost_coincide():
    """Rates between neighboring nodes are then so large that rounding loses mass in every step."""
    pair = 1e-9
    model = LinearModel(
        teacher=Constant(-1.5),
        weight_quantizer=Levels((-2.0, -2.0 + pair, -1.0, 1.0), (-1.7, -1.7 + pair, 0.1)),
        init=TwoPoint(0.9, 0.8),
        noise=0.3,
        learning_rate=0.6,
        weight_decay=0.3,
    )
    limit = solve(model, 1.3, times=[0.3, 1.3], snapshot_times=[0.3, 1.3], tolerance=1e-3)
    assert np.abs(limit.density.masses.sum(axis=-1) - 1).max() < 1e-12
    assert limit.density.masses.min() >= 0
