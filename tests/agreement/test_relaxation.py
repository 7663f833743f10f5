"""Late times of the limit, solved from the nominal start, against the spectrum at its fixed point."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import Discrete, Elementwise, LinearModel, Uniform, UniformLaw, fixed_points, solve
from steode.parts.spectrum import Eigenvalues
from steode.solvers import linearized, stationary_mesh
from steode.solvers.density import DensityOperator
from steode.solvers.late_decay import late_decay
from steode.systems.linear.stability import stability
from tests.models import REFERENCE
from tests.theory.test_stability import problem_of, variance_on_mesh


def test_late_decay_is_the_leading_eigenvalue():
    """Differences in time remove the limit, a combination of two of them the second mode."""
    result = stability(fixed_points(REFERENCE)[0])
    leading, second = result.eigenvalues[:2].real
    assert result.eigenvalue_error[0] < 1e-4
    step = 10.0
    values = solve(REFERENCE, 140, times=110 + step * np.arange(4), tolerance=1e-5)["eps_g"]
    differences = np.diff(values)
    first_mode = differences[1:] - np.exp(second * step) * differences[:-1]
    measured = np.log(first_mode[1] / first_mode[0]) / step
    assert abs(measured / leading - 1) < 0.005


@pytest.mark.representative
@jax.enable_x64(True)
def test_density_solution_decays_at_the_leading_eigenvalue_and_integrates_to_the_settling_time():
    model = REFERENCE.replace(learning_rate=0.3)
    result, variance = stability(fixed_points(model)[0]), fixed_points(model)[0].V
    problem = problem_of(model)
    nodes = stationary_mesh.stationary_nodes(problem, variance, 512)
    operator = DensityOperator(problem, jnp.asarray(nodes[0]))

    def at(v):
        return linearized.linearize(problem, v, nodes)

    state = at(variance_on_mesh(operator, lambda v: at(v).masses, 0.9 * variance, 1.1 * variance))
    times = np.concatenate([[0.0], np.geomspace(1e-3, 40.0, 400)])

    @eqx.filter_jit
    def solution(masses):
        def advance(p, dt):
            p, _ = operator.step(p, dt)
            return p, operator.residual_variance(p)

        return operator.residual_variance(masses), jax.lax.scan(advance, masses, jnp.diff(times))[1]

    starts = [jnp.asarray(state.masses * (1 + epsilon * state.gradient)) for epsilon in (0.05, -0.05)]
    curves = [np.append(*solution(masses)) for masses in starts]
    # the difference of the two signs has no second order
    curve = (curves[0] - curves[1]) / 0.1
    small = late_decay(state)
    assert np.abs(small(times[1:]) - curve[1:] / curve[0]).max() < 0.005
    falls = times[[np.flatnonzero(np.abs(curve) > part * curve[0])[-1] for part in (1e-2, 1e-4)]]
    assert abs((falls[1] - falls[0]) / np.log(100) / small.e_folding_time - 1) < 0.05
    late = np.flatnonzero(times > 20)[:15]
    measured = np.polyfit(times[late], np.log(np.abs(curve[late])), 1)[0]
    assert abs(measured / result.eigenvalues[0] - 1) < 0.01
    # the mesh's own mean square of c is smaller by a first-order error
    integral = np.trapezoid(curve, times) / state.square[0]
    assert abs(integral / linearized.integrated_relaxation(state) - 1) < 2e-3
    assert abs(integral / result.settling_time - 1) < 5e-3


def test_continuous_law_inside_the_range_relaxes_at_the_rate_of_its_slowest_target():
    model = LinearModel(teacher=UniformLaw(-0.9, 0.5), weight_quantizer=Uniform(2, 1.0), learning_rate=0.5, noise=0.2)
    result = stability(fixed_points(model)[0])
    assert result.stable
    assert result.settling_error < 0.01
    assert result.eigenvalues.size == 0
    with jax.enable_x64(True):
        values, variance = jnp.linspace(-0.9, 0.5, 29), fixed_points(model)[0].V
        problem = dataclasses.replace(problem_of(model), teacher=values, teacher_weights=jnp.ones(29) / 29)
        state = linearized.linearize(problem, variance, stationary_mesh.stationary_nodes(problem, variance, 512))
    assert abs(result.relaxation_time * state.gaps.min() - 1) < 0.01


@pytest.mark.parametrize(
    ("options", "observable", "spectrum"),
    [
        ({"spectrum": Eigenvalues((0.5, 2.0))}, "m", [-0.3243, -0.3760]),
        ({"activation": Elementwise("tanh(x)"), "teacher_activation": Elementwise("tanh(x)")}, "V", [-0.1736]),
    ],
    ids=["spectrum", "activation"],
)
def test_with_options_solutions_decay_at_the_leading_eigenvalue(options, observable, spectrum):
    """Differences in time remove the limit, and a second eigenvalue the second mode."""
    model = LinearModel(
        teacher=Discrete((-1.1, 0.7)), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(3, 2.0),
        learning_rate=0.8, noise=0.3, **options,
    )  # fmt: skip
    found = stability(fixed_points(model)[0]).eigenvalues.real
    assert found[: len(spectrum)] == pytest.approx(spectrum, abs=1e-3)
    step = 1 / abs(found[0])
    # as late as the third mode, at the edge of the continuous spectrum, has to be to be gone
    differences = np.diff(solve(model, 11 * step, times=step * np.arange(8, 12), tolerance=1e-5)[observable])
    if len(spectrum) > 1:
        differences = differences[1:] - np.exp(found[1] * step) * differences[:-1]
    measured = np.log(differences[-1] / differences[-2]) / step
    assert abs(measured / found[0] - 1) < 0.02
