"""The limit under a learning-rate schedule: against independent solutions, in closed form, and by order in time."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from steode import Constant, LinearModel, Normal, Uniform, solve
from steode.parts.schedule import Schedule
from steode.solvers.controlled_steps import evolve
from steode.solvers.density import DensityOperator
from steode.solvers.domain import reach, resolution, thresholds_of
from steode.solvers.mesh import make_mesh
from steode.solvers.particles import evolve_particles
from steode.solvers.start import NominalStart
from steode.systems.linear.problem import make_problem

TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
WAVE = Schedule("0.6 + 0.5*sin(3*tau)")
RATES = {
    WAVE: lambda tau: 0.6 + 0.5 * np.sin(3 * tau),
    Schedule("1.5*exp(-tau/2) + 0.1"): lambda tau: 1.5 * np.exp(-tau / 2) + 0.1,
    Schedule(lambda tau: 0.8 / (1 + tau)): lambda tau: 0.8 / (1 + tau),
}
PLAIN = LinearModel(teacher=Normal(mean=0.5, std=1.0), init=Normal(mean=0.2, std=0.7), noise=0.4, learning_rate=0.5)
QUANTIZED = LinearModel(
    teacher=Constant(1.0), weight_quantizer=Uniform(bits=2, range=2.0), noise=0.3, learning_rate=0.5, weight_decay=0.1
)


def excess(rate, batch_size=1):
    """V - sigma^2 of PLAIN at TIMES: the mean square D of w - w* obeys D' = -2 eta D + eta^2 (D + sigma^2)/B."""
    noise = PLAIN.noise**2
    start = 0.7**2 + 1.0 + (0.2 - 0.5) ** 2

    def slope(tau, deviation):
        return -2 * rate(tau) * deviation + rate(tau) ** 2 * (deviation + noise) / batch_size

    options = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-14, "t_eval": TIMES}
    return scipy.integrate.solve_ivp(slope, (0, TIMES[-1]), [start], **options).y[0]


@pytest.mark.parametrize(("schedule", "method"), [*((rate, "moments") for rate in RATES), (WAVE, "gaussian")], ids=str)
def test_unquantized_limit_is_an_ordinary_differential_equation(schedule, method):
    model = PLAIN.replace(learning_rate=schedule, batch_size=2)
    found = solve(model, TIMES[-1], times=TIMES, method=method, tolerance=1e-7)
    assert np.abs(found["eps_g"] - excess(RATES[schedule], batch_size=2) / 2).max() < 1e-8


def test_decreasing_like_one_over_time_leaves_no_floor():
    """With eta = a/(1 + tau), a > 1/2, the error decays as a^2 sigma^2/((4a - 2) tau); a constant rate has a floor."""
    a, late = 0.9, np.array([1e3, 1e4])
    model = PLAIN.replace(learning_rate=Schedule("0.9/(1 + tau)"))
    decaying = solve(model, late[-1], times=late, method="moments", tolerance=1e-9)["eps_g"]
    wanted = a**2 * model.noise**2 / ((4 * a - 2) * late)
    ratio = decaying / wanted
    # the next term is of relative order tau^(1 - 2a)
    assert abs(ratio[1] - 1) < abs(ratio[0] - 1) < 0.1
    assert abs(np.log(abs(ratio[0] - 1) / abs(ratio[1] - 1)) / np.log(10) - (2 * a - 1)) < 0.05
    assert decaying[1] < 1e-3 * a * model.noise**2 / (2 * (2 - a))


def start_with_moments(cross, second):
    """Drawn weights with these E[w* w] and E[w^2], for teacher weights +-1."""
    teacher = np.array([1.0, 1.0, -1.0, -1.0])
    return teacher, cross * teacher + np.sqrt(second - cross**2) * np.array([1.0, -1.0, 1.0, -1.0])


def problem_of(rate, model=QUANTIZED):
    model = model.replace(learning_rate=rate)
    return make_problem(model, NominalStart(model.teacher, model.init).rows(np.zeros(0), 2))


def discretized(problem, t_end, intervals):
    """Nodes and initial masses."""
    start = NominalStart(QUANTIZED.teacher, QUANTIZED.init)
    fineness = resolution(problem, start.extent, t_end)
    mesh = make_mesh(thresholds_of(problem), None, *reach(problem, start.extent, t_end), fineness, intervals)
    nodes = mesh.nodes(jnp.asarray(thresholds_of(problem)), None)
    return nodes, start.rows(np.zeros(0), 2).masses(nodes)


@eqx.filter_jit
def run(problem, nodes, masses, times, controller, first_step):
    return evolve(DensityOperator(problem, nodes), masses, times, times, controller, first_step, 20_000).ys


def test_second_order_in_time():
    with jax.enable_x64(True):
        problem, times = problem_of(WAVE), jnp.array([2.0])
        nodes, masses = discretized(problem, 2.0, 256)
        steps = [0.1, 0.05, 0.025, 0.0125]
        errors = [
            float(run(problem, nodes, masses, times, diffrax.ConstantStepSize(), jnp.asarray(step))[0]["eps_g"][0])
            for step in steps
        ]
    gaps = np.abs(np.diff(errors))
    assert np.all(np.abs(np.log2(gaps[:-1] / gaps[1:]) - 2) < 0.15)


def test_a_constant_schedule_gives_the_numbers_of_the_constant():
    one, other = (
        solve(PLAIN.replace(learning_rate=rate), 2.0, times=[1.0, 2.0], method="moments")["eps_g"]
        for rate in (Schedule("0.5"), 0.5)
    )
    assert np.abs(one / other - 1).max() < 1e-13


def test_particles_follow_the_schedule_in_euler_steps():
    """Against the recursion of their mean square deviation, which is exact for Euler steps of unquantized weights."""
    rate, steps, spans = RATES[WAVE], [3, 5], [0.3, 0.7]
    model, noise, deviation, time = PLAIN.replace(learning_rate=WAVE), PLAIN.noise**2, 0.7**2 + 1.0 + 0.09, 0.0
    wanted = []
    for count, span in zip(steps, spans, strict=True):
        for _ in range(count):
            eta, dt = rate(time), span / count
            deviation = (1 - eta * dt) ** 2 * deviation + eta**2 * (deviation + noise) * dt
            time += dt
        wanted.append(deviation / 2)
    size, generator = 200_000, np.random.default_rng(3)
    with jax.enable_x64(True):
        problem = make_problem(model, NominalStart(model.teacher, model.init).rows(np.zeros(0), 2))
        drawn = [jnp.asarray(law.sample(generator, size)) for law in (model.teacher, model.init)]
        dts = jnp.asarray(spans) / jnp.asarray(steps)
        found = jax.jit(evolve_particles)(problem, *drawn, jnp.asarray(steps), dts, jax.random.key(0))["eps_g"]
    # the deviations are nearly Gaussian, so that the mean of their squares has this relative standard error
    z = (np.asarray(found) / wanted - 1) / np.sqrt(2 / size)
    assert np.abs(z).max() < 4
