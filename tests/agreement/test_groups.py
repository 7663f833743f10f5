"""Groups of coordinates: the limit against runs, particles, and one kind alone."""

import numpy as np
import pytest

from steode import (
    ClippedSurrogate,
    Eigenvalues,
    Group,
    Identity,
    Momentum,
    Normal,
    SignSGD,
    TwoPoint,
    Uniform,
    fixed_points,
    simulate,
    solve,
)
from tests.theory.test_groups import ALIKE, BLOCKWISE, PLAIN, TIMES, are_one, rests_as_if_alone

SEEDS = 64
KINDS = (Group(0.25), Group(0.75, teacher=Normal(std=0.8), weight_quantizer=Uniform(3, 2.0), init=Normal(std=0.3)))
OPTIONS = {
    "plain": {},
    "spectrum and quantized inputs": {"spectrum": Eigenvalues([0.5, 1.5]), "input_quantizer": Uniform(3, 2.0)},
    "momentum": {"update_rule": Momentum(0.5), "learning_rate": 0.1},
    "a bound in one group": {"groups": (KINDS[0], Group(0.75, surrogate=ClippedSurrogate(1.2)))},
    "a quantized output": {"activation": Uniform(3, 2.0)},
}


def test_the_density_of_groups_that_are_alike_is_that_of_none():
    are_one(*(solve(model, 10.0, times=TIMES, method="density") for model in (PLAIN, ALIKE)), 1e-4)


@pytest.mark.parametrize(("rule", "power"), [({"update_rule": SignSGD()}, 0.5), ({"weight_decay": 0.1}, 1.0)], ids=str)
def test_a_group_is_at_rest_as_if_alone(rule, power):
    rests_as_if_alone(BLOCKWISE.replace(**rule), power)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spectrum": Eigenvalues([0.5, 1.5]), "input_quantizer": Uniform(3, 2.0)},
        {"update_rule": SignSGD(), "learning_rate": 0.2},
        {"groups": (Group(0.25, weight_quantizer=Identity(), init=Normal(std=0.1)), Group(0.75))},
    ],
    ids=["plain", "spectrum", "signs", "one group unquantized"],
)
def test_the_density_reaches_the_fixed_point(changes):
    kinds = (Group(0.3), Group(0.7, teacher=TwoPoint(0.4)))
    model = ALIKE.replace(**({"learning_rate": 0.4, "groups": kinds} | changes))
    end = solve(model, 60.0, times=[60.0], method="density", tolerance=1e-3)
    (point,) = fixed_points(model)
    assert end["V"][0] == pytest.approx(point.V, rel=2e-3)
    np.testing.assert_allclose(end["eps_g_by_group"][0], point.eps_g_by_group, rtol=5e-3)


@pytest.mark.representative
@pytest.mark.parametrize("option", OPTIONS)
def test_runs_agree_with_the_density(option):
    model = PLAIN.replace(**({"learning_rate": 0.3, "groups": KINDS} | OPTIONS[option]))
    times = [0.5, 2.0, 8.0]
    limit = solve(model, 8.0, times=times, method="density", tolerance=1e-3)
    runs = simulate(model, 1600, 8.0, times=times, seeds=SEEDS, key=5)
    names = [name for name in ("V", "m", "q", "std_w", "eps_g_by_group") if name in limit.observables]
    for name in names:
        values = runs[name]
        error = values.std(axis=0, ddof=1) / np.sqrt(SEEDS)
        z = (values.mean(axis=0) - limit[name]) / np.hypot(error, limit.error[name])
        assert np.abs(z).max() < 4, (name, z)


def test_particles_agree_with_the_density():
    model = PLAIN.replace(learning_rate=0.3, groups=KINDS, spectrum=Eigenvalues([0.5, 1.5]))
    density = solve(model, 8.0, times=TIMES[:2], method="density")
    particles = solve(model, 8.0, times=TIMES[:2], method="particles")
    for name in ("V", "m", "q", "std_w", "eps_g_by_group"):
        z = (particles[name] - density[name]) / np.hypot(particles.error[name], density.error[name])
        # eight populations: quantiles of Student's law with 7 degrees of freedom
        assert np.abs(z).max() < 5.5, (name, z)
