"""A clipped surrogate with two bounds: the symmetric one as a case of it, mirror images, gradients and runs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    ClippedSurrogate,
    Constant,
    Discrete,
    Elementwise,
    LinearModel,
    Normal,
    TwoPoint,
    Uniform,
    UnsupportedError,
    committee,
    derive,
    limit_function,
    plateau_estimate,
    simulate,
    simulate_paired,
    solve,
    toolkit_grid,
    toolkit_surrogate,
)
from steode.solvers.particles import evolve_particles
from steode.symbolic import symbols as sym
from steode.systems.linear.problem import make_problem, nominal_start
from tests.models import REFERENCE

EVEN = LinearModel(
    teacher=TwoPoint(1.0),
    weight_quantizer=Uniform(bits=3, range=2.0),
    init=Normal(std=0.8),
    learning_rate=0.4,
    noise=0.2,
)
"""Everything but the band is symmetric: nothing may take the law at -w* for the mirror image of that at w*."""
TIMES = (0.5, 1.0, 2.0, 4.0)
LARGEST_Z = 4.0
_evolve = eqx.filter_jit(evolve_particles)


@pytest.mark.representative
@pytest.mark.parametrize("field", ["surrogate", "activation_surrogate"])
def test_opposite_bounds_are_the_symmetric_band_to_the_bit(field):
    options = {"activation": Elementwise("tanh(x)")} if field == "activation_surrogate" else {}
    pair = [EVEN.replace(**options | {field: band}) for band in (ClippedSurrogate(1.1), ClippedSurrogate(1.1, -1.1))]
    for method in ("density", "particles"):
        one, other = (solve(model, 0.5, times=[0.5], method=method, tolerance=3e-2)["eps_g"] for model in pair)
        assert np.array_equal(one, other)
    one, other = (simulate(model, 40, 1.0, seeds=2)["eps_g"] for model in pair)
    assert np.array_equal(one, other)


@pytest.mark.representative
@pytest.mark.parametrize("field", ["surrogate", "activation_surrogate"])
def test_the_mirror_image_of_a_band_has_the_mirror_image_of_the_law(field):
    """w -> -w, w* -> -w* and (-a, b) -> (-b, a) change no error; with one output gate the labels turn as well."""
    options = {"activation": Elementwise("tanh(x)")} if field == "activation_surrogate" else {}
    bands = ClippedSurrogate(0.7, lower=-1.6), ClippedSurrogate(1.6, lower=-0.7)
    start = {"teacher": Discrete((-0.6, 1.2)), "init": Normal(mean=0.2, std=0.5)}
    turned = {"teacher": Discrete((-1.2, 0.6)), "init": Normal(mean=-0.2, std=0.5)}
    models = (EVEN.replace(**options | start | {field: bands[0]}), EVEN.replace(**options | turned | {field: bands[1]}))
    one, other = (solve(model, 4.0, times=TIMES, method="density", tolerance=1e-4) for model in models)
    assert np.abs(one["eps_g"] - other["eps_g"]).max() < 2e-4 * one["eps_g"].max()
    assert np.abs(one["mean_w"] + other["mean_w"]).max() < 2e-4
    symmetric = models[0].replace(**{field: ClippedSurrogate(1.6)})
    differs = solve(symmetric, 4.0, times=TIMES, method="density", tolerance=1e-3)["eps_g"] - one["eps_g"]
    assert np.abs(differs).max() > 0.01 * one["eps_g"].max()


def z_scores(model: LinearModel, name: str = "eps_g", dim: int = 1200, seeds: int = 24) -> np.ndarray:
    """(mean of runs - limit) in standard errors over seeds, at each time."""
    limit = solve(model, TIMES[-1], times=TIMES, method="density", tolerance=5e-4)[name]
    runs = simulate(model, dim, TIMES[-1], seeds=seeds, times=TIMES)[name]
    return (runs.mean(axis=0) - limit) / (runs.std(axis=0, ddof=1) / np.sqrt(seeds))


TWOS_COMPLEMENT = {
    "weight_quantizer": toolkit_grid("pytorch", 3, 1.2),
    "surrogate": toolkit_surrogate("pytorch", 3, 1.2),
}
OPTIONS = {
    "only the band is not symmetric": {"surrogate": ClippedSurrogate(1.2, lower=-0.6)},
    "two's complement": TWOS_COMPLEMENT | {"learning_rate": 0.8},
    "cell centers of ParetoQ": {
        "weight_quantizer": toolkit_grid("paretoq", 2, 1.5),
        "surrogate": toolkit_surrogate("paretoq", 2, 1.5),
    },
    "no gradient below zero": {"surrogate": ClippedSurrogate(1.5, lower=0.0), "init": Normal(mean=0.6, std=0.3)},
    "gate of the output": {
        "activation": Elementwise("tanh(x)"),
        "activation_surrogate": ClippedSurrogate(1.5, lower=-0.3),
    },
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.representative] * (number == 0)) for number, name in enumerate(OPTIONS)],
)
def test_runs_follow_the_density(name):
    """A run oversteps the bounds by O(d^-1/2): at four times the dimension that is gone, if it showed."""
    model = EVEN.replace(**OPTIONS[name])
    names = ("eps_g", "mean_w") if "surrogate" in OPTIONS[name] else ("eps_g",)
    for observable in names:
        if np.abs(z_scores(model, observable)).max() >= LARGEST_Z:
            assert np.abs(z_scores(model, observable, 4800)).max() < LARGEST_Z, observable


def test_particles_follow_the_density():
    """Steps of length dt overstep a bound by order dt^(1/2): what that does is gone in 2 E(dt/4) - E(dt)."""
    model = EVEN.replace(surrogate=ClippedSurrogate(1.2, lower=-0.6))
    exact = solve(model, 2.0, times=[1.0, 2.0], method="density", tolerance=1e-4)["eps_g"]
    start, found = nominal_start(model), []
    with jax.enable_x64(True):
        problem = make_problem(model, start.rows(np.zeros(0), 2))
        for seed in range(24):
            teacher, initial, _ = start.draw(np.random.default_rng(seed), 10_000)
            both = []
            for dt in (0.02, 0.005):
                spans = jnp.full(2, round(1 / dt)), jnp.full(2, dt)
                run = _evolve(problem, jnp.asarray(teacher), jnp.asarray(initial), *spans, jax.random.key(seed))
                both.append(np.asarray(run["eps_g"]))
            found.append(2 * both[1] - both[0])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert np.abs((mean - exact) / error).max() < LARGEST_Z
    assert np.abs(np.array(both[0]) - exact).min() > LARGEST_Z * error.max()


def test_committees_of_two_bounds_follow_their_runs():
    model = committee.CommitteeModel(
        teacher=TwoPoint(1.0),
        weight_quantizer=Uniform(bits=3, range=2.0),
        surrogate=ClippedSurrogate(1.2, lower=-0.6),
        activation="erf",
        activation_surrogate=ClippedSurrogate(1.5, lower=-0.5),
        learning_rate=0.3,
    )
    limit = solve(model, 2.0, times=[1.0, 2.0])
    runs = simulate(model, 600, 2.0, seeds=16, times=[1.0, 2.0])["eps_g"]
    error = np.hypot(runs.std(axis=0, ddof=1) / 4, limit.error["eps_g"])
    assert np.all(np.abs(runs.mean(axis=0) - limit["eps_g"]) < LARGEST_Z * error)


@pytest.mark.representative
def test_frozen_weights_never_move():
    low, high = -0.3, 0.7
    model = EVEN.replace(surrogate=ClippedSurrogate(high, lower=low))
    first, last = simulate(model, 60, 4.0, snapshot_times=[4.0]).snapshots.weights[0]
    frozen = (first <= low) | (first >= high)
    assert 0 < frozen.sum() < 60
    assert np.array_equal(first[frozen], last[frozen])
    assert not np.any(first[~frozen] == last[~frozen])
    # beside a model without a band the runs are the same
    paired = simulate_paired([model, EVEN], 60, 1.0, seeds=2)
    alone = [simulate(one, 60, 1.0, seeds=2)["eps_g"] for one in (model, EVEN)]
    for one, other in zip(paired, alone, strict=True):
        np.testing.assert_allclose(one["eps_g"], other, rtol=1e-5)


def test_gradients_of_both_bounds_are_those_of_differences():
    model = EVEN.replace(surrogate=ClippedSurrogate(1.2, lower=-0.6))
    function = limit_function(model, [1.0], intervals=512, teacher_values=4)
    assert {"bound": 1.2, "lower": -0.6}.items() <= function.parameters.items()
    with jax.enable_x64(True):
        value = lambda ends: function(ends)["eps_g"][-1]  # noqa: E731
        ends = {"bound": np.asarray(1.2), "lower": np.asarray(-0.6)}
        gradient = jax.grad(value)(ends)
        for name in ends:
            step = 1e-4
            difference = (value(ends | {name: ends[name] + step}) - value(ends | {name: ends[name] - step})) / (
                2 * step
            )
            assert abs(float(gradient[name]) / float(difference) - 1) < 1e-4


@pytest.mark.representative
def test_the_derivation_has_both_bounds():
    limit = derive(REFERENCE.replace(surrogate=ClippedSurrogate(1.5, lower=-2.5)))
    assert limit.parameters[sym.lower] == -2.5
    density = sym.mu(sym.tau, sym.w)
    places = [equation.lhs for equation in limit.step("absorption at the clipping bound").equation]
    assert places == [density.subs(sym.w, end) for end in (sym.lower, sym.bound)]
    surrogate = limit.step("update").equation[1].rhs
    for weight, value in ((-2.6, 0), (-2.4, 1), (0.0, 1), (1.4, 1), (1.6, 0)):
        assert surrogate.subs({sym.w: weight, sym.lower: -2.5, sym.bound: 1.5}) == value


def test_a_plateau_ends_only_at_thresholds_within_the_band():
    """Weights go up to the threshold 0.75: what the other bound is does not matter, even if it is nearer."""
    model = LinearModel(
        teacher=Constant(1.0), weight_quantizer=Uniform(2, 1.5, "mid-tread"), init=Normal(std=0.01), learning_rate=0.02
    )
    free = plateau_estimate(model).length
    assert plateau_estimate(model.replace(surrogate=ClippedSurrogate(1.0, lower=-0.2))).length == free
    with pytest.raises(UnsupportedError, match="do not leave their cell"):
        plateau_estimate(model.replace(surrogate=ClippedSurrogate(0.5, lower=-1.0)))
