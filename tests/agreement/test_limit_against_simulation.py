"""The limit predicts what online SGD does: every observable at every time, in standard errors over runs."""

import numpy as np
import pytest
import sympy

from steode.parts.elementwise import Elementwise
from steode.parts.laws import Constant, Laplace, Normal, TwoPoint, UniformLaw
from steode.parts.quantizers import Identity, Levels, Sign, SignedInteger, Ternary, Uniform
from steode.systems.linear.compare import compare
from steode.systems.linear.convergence import convergence_in_dim
from steode.systems.linear.simulate import simulate
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

X = sympy.Symbol("x")
GRID = Uniform(bits=2, range=2.0)
CASE_R = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, input_quantizer=GRID, learning_rate=0.1)
LARGEST_Z = 4.0
"""|z| at any one time exceeds it with probability 6e-5; a trajectory has about ten independent times."""

MODELS = {
    "Gaussian teacher, label noise, three bits": LinearModel(
        teacher=Normal(mean=0.0, std=1.0),
        weight_quantizer=Uniform(3, 2.5),
        input_quantizer=Uniform(3, 2.5),
        learning_rate=0.3,
        noise=0.3,
    ),
    "sign of weights and inputs": LinearModel(
        teacher=Laplace(mean=0.0, scale=0.6),
        weight_quantizer=Sign(),
        input_quantizer=Sign(),
        learning_rate=0.2,
        noise=0.1,
    ),
    "ternary, a teacher out of range": LinearModel(
        teacher=TwoPoint(1.5), weight_quantizer=Ternary(1.0), input_quantizer=Uniform(4, 3.0), learning_rate=0.2
    ),
    "clipped surrogate": LinearModel(
        teacher=UniformLaw(-1.0, 1.0),
        weight_quantizer=SignedInteger(2, 1.0),
        surrogate=ClippedSurrogate(1.0),
        init=Normal(mean=0.0, std=0.5),
        learning_rate=0.3,
        noise=0.2,
    ),
    "user levels": LinearModel(
        teacher=TwoPoint(0.8, 0.3), weight_quantizer=Levels((-1.5, 0.0, 0.5, 2.0)), learning_rate=0.5, noise=0.2
    ),
    "tanh of weights and inputs": LinearModel(
        teacher=Normal(mean=0.0, std=0.5),
        weight_quantizer=Elementwise(sympy.tanh(X)),
        input_quantizer=Elementwise(sympy.tanh(2 * X)),
        learning_rate=0.4,
        noise=0.2,
    ),
    "inputs only": LinearModel(
        teacher=Normal(mean=0.5, std=1.0), input_quantizer=Uniform(2, 1.0), learning_rate=0.5, noise=0.3
    ),
    "large learning rate": CASE_R.replace(learning_rate=1.0, noise=0.5),
}


def some_representative(values, chosen):
    """Parameters of a test, those chosen marked as the part that every change must pass."""
    return [pytest.param(value, marks=[pytest.mark.representative] * (value in chosen)) for value in values]


@pytest.mark.parametrize(
    "name",
    some_representative(
        MODELS,
        ("ternary, a teacher out of range", "user levels", "large learning rate", "inputs only", "clipped surrogate"),
    ),
)
def test_every_observable_agrees(name):
    model = MODELS[name]
    theory = solve(model, 12.0, times=np.linspace(0, 12, 61))
    runs = simulate(model, 1000, 12.0, seeds=8, key=11, times=theory.times)
    for observable in theory.observables:
        comparison = compare(theory, runs, observable=observable)
        assert comparison.largest_z < LARGEST_Z, f"{observable}\n{comparison}"
    # the agreement is a close one
    comparison = compare(theory, runs)
    assert np.median(comparison.standard_error) < 0.03 * comparison.theory.max()
    assert comparison.numerical_error.max() < 2e-4 * comparison.theory.max()


def test_reference_case_to_late_times():
    theory = solve(CASE_R, 100.0)
    runs = simulate(CASE_R, 3000, 100.0, seeds=4)
    assert compare(theory, runs).largest_z < LARGEST_Z
    # the published table, with the accuracy of four runs
    times = [1, 5, 10, 25, 50, 100]
    reference = [0.91294, 0.45544, 0.18450, 0.12758, 0.17121, 0.20352]
    at = np.searchsorted(runs.times, times)
    values = runs["eps_g"][:, at]
    spread = values.std(axis=0, ddof=1) / np.sqrt(4)
    assert np.all(np.abs(values.mean(axis=0) - reference) < 8 * spread)
    assert np.all(spread < 0.03 * np.array(reference))


@pytest.mark.parametrize("largest", some_representative((1.0, 2.0, 4.0), (2.0,)))
def test_plateaus_agree(largest):
    """Narrow initial weights travel inside one cell: for a while every run shows the same error, then it drops."""
    grid = Uniform(2, largest, kind="mid-tread")
    model = CASE_R.replace(weight_quantizer=grid, input_quantizer=Identity(), init=Normal(mean=0.0, std=0.1))
    theory = solve(model, 40.0)
    runs = simulate(model, 1000, 40.0, seeds=8, key=3)
    assert compare(theory, runs).largest_z < LARGEST_Z
    assert compare(theory, runs, observable="level_fraction").largest_z < LARGEST_Z


@pytest.mark.representative
def test_drawn_instances_agree_and_leave_less_to_chance():
    model = MODELS["user levels"]
    theory = solve(model, 8.0, times=np.linspace(0, 8, 41))
    runs = simulate(model, 500, 8.0, seeds=6, key=5, times=theory.times)
    nominal, drawn = compare(theory, runs), compare(theory, runs, start="drawn")
    assert nominal.largest_z < LARGEST_Z
    assert drawn.largest_z < LARGEST_Z
    assert np.abs(drawn.gap[0]) < 0.1 * nominal.standard_error[0]
    # early on most of the spread is that of the instance
    early = slice(0, 6)
    assert np.all(drawn.standard_error[early] < nominal.standard_error[early])
    np.testing.assert_allclose(drawn.instance_error[0], nominal.standard_error[0], rtol=1e-2)


@pytest.mark.parametrize("name", some_representative(("case R", "clipped surrogate"), ("case R",)))
def test_runs_approach_the_limit_at_the_predicted_power(name):
    model = CASE_R if name == "case R" else MODELS[name]
    result = convergence_in_dim(model, t_end=5.0, seeds=16, key=2, tolerance=3e-5)
    assert abs(result.z) < 3, result
    assert result.power_error < 0.15


@pytest.mark.representative
def test_a_wrong_limit_is_told_from_the_right_one():
    """The same comparison rejects the Gaussian closure, which misses the late error of case R by tens of percent."""
    closure = solve(CASE_R, 60.0, times=np.linspace(0, 60, 31), method="gaussian")
    runs = simulate(CASE_R, 1000, 60.0, seeds=24, key=9, times=closure.times)
    assert compare(closure, runs).largest_z > 1.5 * LARGEST_Z
    assert compare(solve(CASE_R, 60.0, times=closure.times), runs).largest_z < LARGEST_Z
