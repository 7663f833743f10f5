"""Learning-rate schedules: the limit predicts runs, and the density equation agrees with routes that share less."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import Constant, LinearModel, Normal, Uniform, compare, simulate, solve
from steode.parts.schedule import Schedule
from steode.solvers.adaptive import _evolve
from steode.solvers.domain import reach, resolution, thresholds_of
from steode.solvers.mesh import make_mesh
from steode.solvers.start import NominalStart
from steode.systems.linear.problem import make_problem
from tests.test_readme import ROOT, snippets

GRID = Uniform(bits=2, range=2.0)
DECAY = Schedule("0.6/(1 + tau/4)")
MODELS = {
    "weights and inputs": LinearModel(
        teacher=Constant(1.0), weight_quantizer=GRID, input_quantizer=GRID, learning_rate=DECAY, noise=0.3
    ),
    "several teacher values, weight decay, a batch": LinearModel(
        teacher=Normal(mean=0.0, std=1.0),
        weight_quantizer=Uniform(3, 2.5),
        learning_rate=DECAY,
        weight_decay=0.2,
        batch_size=2,
    ),
    "a jump": LinearModel(
        teacher=Constant(1.0),
        weight_quantizer=GRID,
        learning_rate=Schedule("Piecewise((0.8, tau < 5), (0.1, True))"),
        noise=0.3,
    ),
    "weights that freeze": LinearModel(
        teacher=Constant(1.0), weight_quantizer=GRID, learning_rate=Schedule("0.6*exp(-tau/2)"), noise=0.3
    ),
}
LARGEST_Z = 4.0
"""|z| at any one time exceeds it with probability 6e-5."""


@pytest.mark.parametrize(
    "name", [pytest.param("weights and inputs", marks=pytest.mark.representative), *list(MODELS)[1:]]
)
def test_every_observable_agrees(name):
    theory = solve(MODELS[name], 12.0, times=np.linspace(0, 12, 61))
    runs = simulate(MODELS[name], 1000, 12.0, seeds=8, key=5, times=theory.times)
    for observable in theory.observables:
        comparison = compare(theory, runs, observable=observable)
        assert comparison.largest_z < LARGEST_Z, f"{observable}\n{comparison}"
    # the agreement is a close one, and tells the schedule from its first rate
    comparison = compare(theory, runs)
    assert np.median(comparison.standard_error) < 0.03 * comparison.theory.max()
    first = solve(MODELS[name].replace(learning_rate=0.6), 12.0, times=theory.times, method="gaussian")
    assert np.abs(first["eps_g"][-1] - theory["eps_g"][-1]) > 5 * comparison.standard_error[-1]


def test_density_agrees_with_the_moments():
    model = LinearModel(teacher=Constant(1.0), noise=0.4, learning_rate=Schedule("0.6 + 0.5*sin(3*tau)"))
    times = [0.0, 1.0, 2.0, 4.0, 8.0]
    density = solve(model, 8.0, times=times, tolerance=1e-4)
    moments = solve(model, 8.0, times=times, method="moments")
    assert np.abs(density["eps_g"] - moments["eps_g"]).max() < 1e-4 * moments["eps_g"].max()


def test_density_agrees_with_particles():
    model = MODELS["weights and inputs"]
    density, particles = (solve(model, 4.0, times=[1.0, 2.0, 4.0], method=name) for name in ("density", "particles"))
    gap = np.abs(density["eps_g"] - particles["eps_g"])
    # Euler steps of 0.02 add a bias of about a hundredth
    assert np.all(gap < 4 * particles.error["eps_g"] + 0.01 * density["eps_g"])


def test_python_in_the_page_on_schedules_runs():
    ((code, _),) = snippets((ROOT / "docs" / "schedules.md").read_text(encoding="utf-8"))
    exec(code, {})


def test_density_with_a_jump_of_the_rate_is_two_densities_glued():
    model = MODELS["a jump"]
    start = NominalStart(model.teacher, model.init)
    rows = start.rows(np.zeros(0), 2)

    def problem_of(rate):
        return make_problem(model.replace(learning_rate=rate), rows)

    def run(problem, masses, times):
        found = _evolve(problem, nodes, masses, jnp.array(times), jnp.array(times), 1e-7)
        assert found["succeeded"]
        return found["densities"]

    with jax.enable_x64(True):
        whole = problem_of(Schedule("Piecewise((0.9, tau < 1.3), (0.1, True))"))
        fineness = resolution(whole, start.extent, 3.0)
        mesh = make_mesh(thresholds_of(whole), None, *reach(whole, start.extent, 3.0), fineness, 256)
        nodes = mesh.nodes(jnp.asarray(thresholds_of(whole)), None)
        first = run(problem_of(0.9), rows.masses(nodes), [1.3])
        second = run(problem_of(0.1), first[0], [1.7])
        both = run(whole, rows.masses(nodes), [1.3, 3.0])
    assert np.abs(both[0] - first[0]).sum() < 1e-5
    assert np.abs(both[1] - second[0]).sum() < 1e-5
