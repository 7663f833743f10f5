"""A mean gradient over a part of d steps: the algorithm as written, its law at rest, and runs against the limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import sympy

from steode import (
    STE,
    ClippedSurrogate,
    Constant,
    Eigenvalues,
    Identity,
    KineticMomentum,
    LinearModel,
    Normal,
    Schedule,
    SpecificationError,
    TwoPoint,
    Uniform,
    UnsupportedError,
    derive,
    fixed_points,
    flips,
    optimal_range,
    simulate,
    solve,
)
from steode.bridge import entrywise_function
from steode.solvers.particles import langevin
from steode.symbolic import symbols as sym
from steode.systems.linear.derivations.kinetic import force_and_noise, forward
from steode.systems.linear.literal.system import linear_system

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(
    teacher=Constant(1.0),
    weight_quantizer=GRID,
    init=Normal(std=1.0),
    learning_rate=0.3,
    noise=0.3,
    update_rule=KineticMomentum(friction=1.0),
)
TIMES = (1.0, 3.0, 8.0)
LARGEST_Z = 4.0


def with_ste(model: LinearModel) -> LinearModel:
    """The model that follows single gradients."""
    return model.replace(update_rule=STE())


@pytest.mark.representative
def test_the_steps_are_the_algorithm_as_written():
    dim, steps, batch = 40, 6, 2
    model = MODEL.replace(
        batch_size=batch,
        learning_rate=Schedule("0.4/(1 + tau)"),
        weight_decay=0.7,
        update_rule=KineticMomentum(friction=5.0),
    )
    generator = np.random.default_rng(0)
    teacher, weights = generator.standard_normal((2, dim))
    with jax.enable_x64(True):
        system = linear_system(model, dim, "float64", entrywise_function)
        numbers = generator.standard_normal((steps, system.normals))
        samples = system.sample(jnp.asarray(teacher), jnp.asarray(numbers))
        state = system.begin(jnp.asarray(weights))
        for k in range(steps):
            state, _ = system.step(jnp.asarray(teacher), state, jax.tree.map(lambda array, k=k: array[k], samples), k)
        found = np.asarray(system.weights(state))
    mean, beta = np.zeros(dim), 1 - 5.0 / dim
    for k, own in enumerate(numbers.reshape(steps, batch, dim + 1)):
        inputs = own[:, :dim]
        labels = inputs @ teacher / np.sqrt(dim) + 0.3 * own[:, dim]
        gradient = np.mean((inputs @ GRID(weights) / np.sqrt(dim) - labels)[:, None] * inputs, axis=0)
        mean = beta * mean + (1 - beta) * (gradient + 0.7 * weights / np.sqrt(dim))
        weights = weights - 0.4 / (1 + k / dim) / np.sqrt(dim) * mean
    assert found == pytest.approx(weights, abs=1e-12)


@pytest.mark.representative
@pytest.mark.parametrize(
    "changes", [{}, {"weight_decay": 0.2, "dampening": 0.4}, {"batch_size": 3, "activation": Uniform(3, 2.0)}], ids=str
)
def test_the_law_at_rest_is_that_of_single_gradients_times_a_gaussian_law(changes):
    """Exactly: the forward equation vanishes on exp(-2 U/(eta D) - b^2/(gamma D)) with U' the force and D the noise."""
    limit, other = derive(MODEL.replace(**changes)), derive(with_ste(MODEL.replace(**changes)))
    assert limit.stationary_log_slope == other.stationary_log_slope
    force, noise = force_and_noise(limit.drift, limit.diffusion)
    potential = sympy.Function("U")(sym.w)
    product = sympy.exp(-2 * potential / (sym.eta * noise) - sym.b**2 / (sym.friction * noise))
    # the image is any function of the weight: the one that makes the force the slope of U
    image = sympy.solve(force - potential.diff(sym.w), sym.Q)[0]
    assert sympy.simplify(forward(product, force.subs(sym.Q, image), noise) / product) == 0
    # and on no other Gaussian law of b
    wider = product * sympy.exp(-(sym.b**2) / noise)
    assert sympy.simplify(forward(wider, force.subs(sym.Q, image), noise) / wider) != 0
    # that slope is the one of the overdamped motion: zero flux of drift and diffusion
    drift, diffusion = (value.subs(sym.s, 1) for value in (other.drift, other.diffusion))
    assert sympy.simplify(2 * drift / diffusion + 2 * force / (sym.eta * noise)) == 0
    # what the derivation says of it
    slope = limit.step("stationary law of weight and mean gradient").equation[1].rhs
    assert sympy.simplify(slope + 2 * force / (sym.eta * noise)) == 0


@pytest.mark.representative
def test_verbs_about_rest_are_those_of_single_gradients():
    for changes in ({}, {"weight_quantizer": Identity()}, {"activation": Uniform(3, 2.0), "weight_decay": 0.1}):
        ours, theirs = (fixed_points(model.replace(**changes))[0] for model in (MODEL, with_ste(MODEL)))
        assert ours.V == theirs.V
    assert optimal_range(MODEL).range == optimal_range(with_ste(MODEL)).range


@pytest.mark.representative
def test_a_step_of_particles_is_exact_for_a_force_that_stands_still():
    """Mean and covariance of (w, b) after a step, against the matrix exponential of the linear equation (Van Loan)."""
    eta, friction, drift, diffusion, dt = 0.3, 2.5, -0.7, 0.09, 0.8
    w, b = 0.4, -1.1
    force, noise = -drift / eta, diffusion / eta**2
    with jax.enable_x64(True):
        draws = [np.array([[first], [second]]) for first, second in ((0, 0), (1, 0), (0, 1))]
        args = eta, friction, np.array([drift]), np.array([diffusion]), np.array([w]), np.array([b]), dt
        mean, *columns = (np.concatenate(langevin(*args, draw)) for draw in draws)
    spread = np.stack(columns, axis=1) - mean[:, None]
    matrix = np.array([[0.0, -eta, 0.0], [0.0, -friction, friction * force], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(mean, (scipy.linalg.expm(matrix * dt) @ [w, b, 1.0])[:2], rtol=1e-13)
    flow, source = matrix[:2, :2], np.diag([0.0, friction**2 * noise])
    block = scipy.linalg.expm(np.block([[-flow, source], [np.zeros((2, 2)), flow.T]]) * dt)
    np.testing.assert_allclose(spread @ spread.T, block[2:, 2:].T @ block[:2, 2:], rtol=1e-12)


@pytest.mark.representative
def test_large_friction_is_the_straight_through_gradient():
    """The gap falls like 1/friction, in the closure with its five moments and in that with two."""
    model = MODEL.replace(input_quantizer=GRID, weight_decay=0.1)
    plain = solve(with_ste(model), 4.0, times=[1.0, 4.0], method="gaussian")["eps_g"]
    gaps = [
        solve(model.replace(update_rule=KineticMomentum(friction=friction)), 4.0, times=[1.0, 4.0], method="gaussian")
        ["eps_g"] - plain
        for friction in (400.0, 800.0, 1600.0)
    ]  # fmt: skip
    ratios = np.array([gaps[0] / gaps[1], gaps[1] / gaps[2]])
    assert np.all(np.abs(ratios - 2) < 0.05)


RUNS = {
    "two bits": {},
    "long memory": {"update_rule": KineticMomentum(friction=0.2), "teacher": Normal(std=1.0)},
    "decay, batch, schedule": {"weight_decay": 0.2, "batch_size": 3, "learning_rate": Schedule("0.6/(1 + tau/4)")},
    "spectrum, quantized inputs": {
        "spectrum": Eigenvalues([0.5, 1.5]),
        "input_quantizer": Uniform(3, 2.5),
        "update_rule": KineticMomentum(friction=4.0),
    },
    "dampening": {"dampening": 0.5, "teacher": TwoPoint(1.0), "init": Normal(std=0.6)},
    "behind an output": {"activation": Uniform(3, 2.5), "teacher": TwoPoint(1.0)},
    "not quantized": {"weight_quantizer": Identity(), "init": Normal(std=0.5)},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.representative] * (name == "not quantized")) for name in RUNS]
)
def test_runs_follow_the_limit(name):
    model = MODEL.replace(**RUNS[name])
    limit = solve(model, TIMES[-1], times=TIMES)
    assert limit.provenance.method == ("gaussian" if name == "not quantized" else "particles")
    own = limit.error.get("eps_g", 0.0)
    for dim, seeds in ((1000, 24), (4000, 8)):
        runs = simulate(model, dim, TIMES[-1], seeds=seeds, times=TIMES, key=11)["eps_g"]
        error = np.hypot(runs.std(axis=0, ddof=1) / np.sqrt(seeds), own)
        assert np.all(np.abs(runs.mean(axis=0) - limit["eps_g"]) < LARGEST_Z * error), dim


@pytest.mark.parametrize("friction", [0.5, 5.0])
def test_runs_come_to_rest_at_the_fixed_point_of_every_friction(friction):
    model = MODEL.replace(teacher=TwoPoint(1.0), update_rule=KineticMomentum(friction=friction), learning_rate=0.5)
    point, seeds = fixed_points(model)[0].eps_g, 24
    times = np.arange(60.0, 121.0, 10.0)
    late = simulate(model, 1000, 120.0, seeds=seeds, times=times, key=5)["eps_g"].mean(axis=1)
    assert abs(late.mean() - point) < LARGEST_Z * late.std(ddof=1) / np.sqrt(seeds)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"update_rule": KineticMomentum(friction=4.0), "batch_size": 2, "input_quantizer": Uniform(3, 2.5)},
        {"spectrum": Eigenvalues([0.6, 1.4]), "activation": Uniform(4, 3.0), "noise": 0.5},
    ],
    ids=str,
)
def test_flips_at_rest_are_those_of_runs(changes):
    """A weight passes a threshold as often in a unit of tau at every dimension."""
    model = MODEL.replace(**{"teacher": TwoPoint(1.0), "learning_rate": 0.5} | changes)
    predicted = flips(fixed_points(model)[0])
    for dim, seeds in ((250, 16), (1000, 16)):
        runs = flips(simulate(model, dim, 80.0, seeds=seeds, times=[40.0, 80.0], flips=True, key=13))
        assert abs(runs.total[0] - predicted.total) < LARGEST_Z * runs.total_error[0]
        assert np.all(np.abs(runs.rate[0] - predicted.rate) < LARGEST_Z * runs.error[0])
        assert runs.per_step(dim)[0] == pytest.approx(runs.total[0] / dim)
    assert "times d, simulation" in repr(runs)


@pytest.mark.representative
def test_what_is_not_derived_is_refused():
    with pytest.raises(UnsupportedError, match=r"without inertia.*method='particles'"):
        solve(MODEL, 1.0, method="density")
    with pytest.raises(UnsupportedError, match="do not close"):
        derive(MODEL).to_python()
    with pytest.raises(SpecificationError, match="IdentitySurrogate"):
        MODEL.replace(surrogate=ClippedSurrogate(1.0))
    with pytest.raises(SpecificationError, match=r"KineticMomentum\.friction"):
        KineticMomentum(friction=0.0)
    with pytest.raises(SpecificationError, match="at least the friction"):
        simulate(MODEL.replace(update_rule=KineticMomentum(friction=30.0)), 20, 1.0)
