"""Learning-rate schedules: what they may be, how they are written and read, and what refuses them."""

import dataclasses
import json
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    Constant,
    LinearModel,
    Normal,
    SpecificationError,
    Trajectory,
    Uniform,
    UnsupportedError,
    deployments,
    derive,
    fixed_point_function,
    fixed_points,
    limit_function,
    optimal_range,
    plateau_estimate,
    simulate,
    solve,
    stability,
    sweep,
)
from steode.bridge import check_learning_rate, entrywise_function
from steode.cli import main
from steode.parts.schedule import Schedule
from steode.studies.sweep.axes import read_axes
from steode.systems.linear.compare import compare
from steode.systems.linear.configuration import from_dict, to_dict
from steode.systems.linear.literal.system import linear_system

DECAY = Schedule("0.5/(1 + tau/10)")
GRID = Uniform(bits=2, range=2.0)
QUANTIZED = LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, learning_rate=DECAY, noise=0.3)
PLAIN = LinearModel(teacher=Normal(mean=0.5, std=1.0), learning_rate=DECAY, noise=0.3)


def decaying(tau):
    return 0.5 / (1 + tau / 10)


TEXTS = {
    "0.5/(1 + tau/10)": decaying,
    "1e-1 * exp(-tau/1.5e1)": lambda tau: 0.1 * np.exp(-tau / 15),
    "Piecewise((0.5, tau < 2), (0.05, True))": lambda tau: np.where(tau < 2, 0.5, 0.05),
    "0.05 + 0.45*Heaviside(2.05 - tau)": lambda tau: np.where(tau < 2.05, 0.5, 0.05),
    "Max(0.3*(1 + cos(pi*tau/8)), 0.01)": lambda tau: np.maximum(0.3 * (1 + np.cos(np.pi * tau / 8)), 0.01),
    "0.25": lambda tau: np.full(tau.shape, 0.25),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_means_what_it_says(text):
    times = np.linspace(0, 8, 41)
    function = entrywise_function(Schedule(text))
    values = np.array([float(function(jnp.asarray(time))) for time in times])
    assert np.allclose(values, TEXTS[text](times), rtol=3e-6, atol=1e-8)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back_as_it_was(text):
    model = PLAIN.replace(learning_rate=Schedule(text))
    table = json.loads(json.dumps(to_dict(model)))
    assert table["learning_rate"] == {"type": "Schedule", "expression": text}
    assert from_dict(table) == model
    assert hash(from_dict(table)) == hash(model)
    if "tau" in text:
        assert from_dict(table | {"learning_rate": text}) == model
    written = tomllib.loads(f'learning_rate = {{type = "Schedule", expression = "{text}"}}')
    assert from_dict(table | written) == model


def test_equality_is_that_of_texts_and_functions():
    assert Schedule("0.5/(1  +  tau/10)") == DECAY
    assert Schedule("0.4/(1 + tau/10)") != DECAY
    assert Schedule(decaying) == Schedule(decaying)
    assert hash(Schedule(decaying)) == hash(Schedule(decaying))
    assert Schedule(decaying) != Schedule(lambda tau: decaying(tau))
    assert (str(DECAY), str(Schedule(decaying))) == ("0.5/(1 + tau/10)", "function decaying")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0.5/(1 + t)", "functions among"),
        ("0.5*tanhh(tau)", "Did you mean 'tanh'"),
        ("__import__('os')", "functions among"),
        ("tau.__class__", "functions among"),
        ("1.__class__", "functions among"),
        ("tau[0]", "unexpected character"),
        ("0.5/(1 + tau", "an expression in tau"),
        ("tau < 2", "an expression in tau"),
        ("tau(2)", "an expression in tau"),
        ("0.1, 0.2", "an expression in tau"),
        ("", "an expression in tau"),
        (0.5, "text or a function"),
        (DECAY.formula, "text or a function"),
        (float, "text or a function"),
    ],
)
def test_what_is_no_schedule_is_refused(given, message):
    with pytest.raises(SpecificationError, match=message):
        Schedule(given)


def test_an_unhashable_function_is_refused():
    class Unhashable:
        __hash__ = None

        def __call__(self, tau):
            return decaying(tau)

    with pytest.raises(SpecificationError, match="a hashable function"):
        Schedule(Unhashable())


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ("0.5 - tau/10", "a rate > 0 for tau from 0 to 8, received .0 at tau = 5"),
        ("0.1/tau", "received .inf at tau = 0"),
        ("log(tau - 4)", "received .nan at tau = 0"),
        (lambda tau: jnp.where(tau > 6, -1.0, 1.0), "received .-1 at tau = 6.00"),
        (lambda tau: 0.5 if tau < 1 else 0.1, "that JAX can trace"),
        (lambda tau: jnp.ones(2) * tau, "one real number at each time"),
        (lambda tau: (1 + 1j) * tau, "one real number at each time"),
    ],
)
def test_rates_are_checked_before_anything_is_computed(rate, message):
    model = QUANTIZED.replace(learning_rate=Schedule(rate))
    for refuse in (
        lambda: check_learning_rate(model.learning_rate, 8.0),
        lambda: solve(model, 8.0),
        lambda: limit_function(model, [8.0]),
    ):
        with pytest.raises(SpecificationError, match=message):
            refuse()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_steps_of_a_run_are_those_of_a_numpy_loop(batch_size):
    dim, steps, kappa = 12, 40, 0.7
    model = QUANTIZED.replace(learning_rate=Schedule("0.5/(1 + tau)"), weight_decay=kappa, batch_size=batch_size)
    generator = np.random.default_rng(5)
    teacher, weights = generator.normal(size=(2, dim))
    inputs, labels = generator.normal(size=(steps, batch_size, dim)), generator.normal(size=(steps, batch_size))
    with jax.enable_x64(True):
        system = linear_system(model, dim, "float64", entrywise_function)
        state = jnp.asarray(weights)
        for k in range(steps):
            sample = (jnp.asarray(inputs[k]), jnp.asarray(labels[k]), *[jnp.zeros(0)] * 3, ())
            state, _ = system.step(teacher, state, sample, jnp.int32(k))
        state = np.asarray(state)
    for k in range(steps):
        eta = 0.5 / (1 + k / dim)
        residuals = inputs[k] @ GRID(weights) / np.sqrt(dim) - labels[k]
        gradient = residuals @ inputs[k] / (batch_size * np.sqrt(dim))
        weights = (1 - eta * kappa / dim) * weights - eta * gradient
    assert np.abs(state - weights).max() < 1e-13


def test_text_and_function_give_the_same_run_and_a_constant_schedule_that_of_the_number():
    def final(rate):
        runs = simulate(QUANTIZED.replace(learning_rate=rate), 30, 2.0, dtype="float64", snapshot_times=[2.0])
        return runs.snapshots.weights[0, -1]

    assert np.array_equal(final(DECAY), final(Schedule(decaying)))
    assert np.array_equal(final(Schedule("0.25")), final(0.25))
    assert not np.array_equal(final(DECAY), final(0.25))


def test_a_function_is_solved_simulated_and_compared_but_not_written(tmp_path):
    model = PLAIN.replace(learning_rate=Schedule(decaying))
    theory = solve(model, 2.0, method="moments")
    assert np.array_equal(theory["eps_g"], solve(PLAIN, 2.0, method="moments")["eps_g"])
    assert from_dict(theory.provenance.specification) == model
    runs = simulate(model, 50, 2.0, seeds=3, times=np.arange(1, 5) * 0.46)
    # the times differ, so that the limit is solved again from its provenance
    assert compare(theory, runs).times.size == 4
    assert "decaying" in theory.to_xarray().attrs["provenance"]
    for trajectory in (theory, runs):
        with pytest.raises(UnsupportedError, match="write it as an expression"):
            trajectory.save(tmp_path / "trajectory.nc")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnsupportedError, match="write it as an expression"):
        sweep(model, {"noise": [0.1]}, "time_to_error", t_end=1.0, error=0.5)


def test_a_text_is_written_with_its_trajectory(tmp_path):
    path = solve(PLAIN, 1.0, method="moments").save(tmp_path / "limit.npz")
    assert from_dict(Trajectory.load(path).provenance.specification) == PLAIN


STATIONARY = {
    "fixed_points": lambda: fixed_points(QUANTIZED),
    "fixed_point_function": lambda: fixed_point_function(QUANTIZED),
    "optimal_range": lambda: optimal_range(QUANTIZED),
    "deployments": lambda: deployments(QUANTIZED),
    "plateau_estimate": lambda: plateau_estimate(QUANTIZED),
    "sweep of fixed points": lambda: sweep(QUANTIZED, {"noise": [0.1, 0.2]}),
}


@pytest.mark.parametrize("verb", STATIONARY)
def test_what_needs_a_constant_rate_refuses_a_schedule(verb):
    with pytest.raises(UnsupportedError, match=r"the learning rate is a schedule, 0.5/.*give the model a number"):
        STATIONARY[verb]()


def test_a_fixed_point_does_not_outlive_its_constant_rate():
    point = fixed_points(PLAIN.replace(learning_rate=0.5))[0]
    with pytest.raises(UnsupportedError, match=r"stability: .*the learning rate is a schedule"):
        stability(dataclasses.replace(point, model=PLAIN))


@pytest.mark.parametrize(
    ("rate", "axes"),
    [
        (DECAY, {"learning_rate": [0.1, 0.2]}),
        (DECAY, {"learning_rate.expression": ["0.1 + tau"]}),
        (0.1, {"learning_rate": [0.1, DECAY]}),
        (0.1, {"learning_rate": ["0.1/(1 + tau)"]}),
    ],
)
def test_schedules_are_no_axis_of_a_sweep(rate, axes):
    with pytest.raises(UnsupportedError, match="an axis of learning rates takes numbers"):
        read_axes(PLAIN.replace(learning_rate=rate), axes)


LEFT_OUT = ("stationary density", "fixed-point equation", "small-learning-rate limit", "exact recovery", "plateau")


@pytest.mark.parametrize("model", [QUANTIZED, PLAIN], ids=["quantized", "plain"])
def test_the_derivation_says_that_the_rate_depends_on_time(model):
    limit, constant = derive(model), derive(model.replace(learning_rate=0.5))
    titles = [step.title for step in limit.derivation]
    assert titles[1] == "learning-rate schedule"
    # what is kept is what holds for a constant rate, up to the first step that needs one
    kept = [title for title in titles if title != "learning-rate schedule"]
    assert kept == [step.title for step in constant.derivation][: len(kept)]
    assert not {"fixed point", *LEFT_OUT} & set(titles)
    for title in ("update", "one-step mean", "one-step variance", "stochastic differential equation"):
        assert limit.step(title).lines[-1] == r"\eta = \eta{\left(\tau \right)}"
    assert limit.step("density equation").equation[:-1] == constant.step("density equation").equation
    assert limit.step("generalization error") == constant.step("generalization error")
    assert limit.step("learning-rate schedule").latex() == (
        r"\eta{\left(\tau \right)} = \frac{0.5}{1 + \frac{\tau}{10}}"
    )
    assert limit.plateau_time is None
    assert limit.fixed_point_value is None
    assert limit.drift == constant.drift
    assert "function of rescaled time" in limit.markdown()
    assert limit.latex().count(r"\begin{equation}") == len(titles)


def test_a_function_has_no_formula_but_a_derivation():
    limit = derive(PLAIN.replace(learning_rate=Schedule(decaying)))
    assert limit.step("learning-rate schedule").latex() == r"\eta = \eta{\left(\tau \right)}"
    assert limit.numeric(limit.diffusion).has(limit.step("update").equation[-1].lhs)


def command(*arguments) -> int:
    """Run the command in this process; its exit status."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code or 0


def test_the_command_line_takes_schedules(tmp_path, capsys):
    path = tmp_path / "model.toml"
    path.write_text(
        '[model]\nlearning_rate = "0.5/(1 + tau/10)"\nteacher = {type = "Constant", value = 1.0}\n'
        '[run]\nt_end = 2.0\ndim = 40\nseeds = 2\nmethod = "moments"\n'
    )
    assert command("solve", path) == 0
    solved = capsys.readouterr().out
    wanted = solve(LinearModel(teacher=Constant(1.0), learning_rate=DECAY), 2.0, method="moments")["eps_g"][-1]
    assert f"{wanted:.5f}" in solved.splitlines()[-1]
    assert command("simulate", path, "--set", "learning_rate=0.5/(1 + tau)") == 0
    assert command("fixed-points", path) == 2
    assert "give the model a number" in capsys.readouterr().err
