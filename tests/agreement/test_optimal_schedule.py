"""The best schedule: against a closed form and an independent minimum, gradients, its baselines, and runs."""

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

from steode import (
    Constant,
    LinearModel,
    LogLinear,
    Normal,
    Schedule,
    Ternary,
    Uniform,
    deployments,
    limit_function,
    optimal_schedule,
    solve,
)

PLAIN = LinearModel(teacher=Normal(std=1.0), noise=0.5)
T_END, KNOTS = 10.0, 5
QUANTIZED = LinearModel(teacher=Constant(1.0), weight_quantizer=Ternary(1.5), noise=0.1)


def error_at_the_end(logs):
    """eps_g at T_END by the moment equation G' = -2 eta G + eta^2 (G + sigma^2) of G = E(w - w*)^2."""
    knots = np.linspace(0, T_END, KNOTS)

    def slope(time, gap):
        eta = np.exp(np.interp(time, knots, logs))
        return -2 * eta * gap + eta**2 * (gap + PLAIN.noise**2)

    return scipy.integrate.solve_ivp(slope, (0, T_END), [2.0], rtol=1e-9, atol=1e-12, max_step=1.0).y[0, -1] / 2


@pytest.fixture(scope="module")
def plain():
    return optimal_schedule(PLAIN, T_END, knots=KNOTS, rates=(0.01, 1.2))


def test_without_quantizers_it_is_the_minimum_found_independently(plain):
    bounds = [(np.log(0.01), np.log(1.2))] * KNOTS
    found = scipy.optimize.minimize(
        error_at_the_end, np.full(KNOTS, np.log(0.3)), bounds=bounds, options={"ftol": 1e-9}
    )
    assert plain.optimal.eps_g <= found.fun * (1 + 1e-6)
    assert plain.optimal.eps_g == pytest.approx(found.fun, rel=1e-4)
    logs = np.log(plain.optimal.rate(np.linspace(0, T_END, KNOTS)))
    assert error_at_the_end(logs) == pytest.approx(plain.optimal.eps_g, rel=1e-5)
    # the error is flat around its minimum
    assert np.abs(logs - found.x).max() < 0.05


def test_without_quantizers_it_is_close_to_the_best_of_all_functions(plain):
    """At every instant eta = G/(G + sigma^2) lowers G fastest, and G is all there is: no schedule does better."""
    best = (
        scipy.integrate.solve_ivp(lambda _, gap: -(gap**2) / (gap + 0.25), (0, T_END), [2.0], rtol=1e-10).y[0, -1] / 2
    )
    assert best < plain.optimal.eps_g < 1.01 * best
    assert plain.best is plain.optimal
    assert set(plain.schedules) == {"constant", "cosine", "warm-up-stable-decay", "optimal"}


def test_runs_agree(plain):
    check = plain.verify(400, seeds=6)
    assert abs(check.z) < 3.5
    assert (check.dim, check.seeds, check.name) == (400, 6, "optimal")
    assert "z = " in str(check)
    assert repr(plain).splitlines()[2].startswith("optimal")


def test_gradients_are_finite_differences():
    times, values = (0.0, 2.0, 4.0), np.array([0.4, 0.3, 0.05])
    model = QUANTIZED.replace(learning_rate=Schedule(LogLinear(times, tuple(values))))
    function = limit_function(model, [4.0], intervals=128, teacher_values=2, tolerance=1e-5)
    with jax.enable_x64(True):
        error = jax.jit(lambda rates: function({"learning_rate": rates})["eps_g"][-1])
        slopes = np.asarray(jax.jit(jax.grad(error))(values))
        for index, value in enumerate(values):
            step = 1e-3 * value * np.eye(3)[index]
            difference = float(error(values + step) - error(values - step)) / (2e-3 * value)
            assert slopes[index] == pytest.approx(difference, rel=1e-3)


@pytest.fixture(scope="module")
def quantized():
    baselines = ("constant", "decay under quantization")
    return optimal_schedule(QUANTIZED, 12.0, knots=5, baselines=baselines, intervals=128, teacher_values=2)


def test_the_best_is_no_worse_than_every_baseline(quantized):
    # the schedule through knots holds every constant one
    assert quantized.optimal.eps_g <= quantized["constant"].eps_g + quantized["constant"].error
    assert quantized.best.eps_g == min(entry.eps_g for entry in quantized.schedules.values())


def test_errors_are_those_of_solve(quantized):
    for name in ("constant", "optimal"):
        found = solve(quantized[name].model, 12.0, times=[12.0], tolerance=1e-3)
        assert found["eps_g"][-1] == pytest.approx(quantized[name].eps_g, abs=3e-4)


def test_quantizers_switched_on_late_end_near_rounding(quantized):
    """One target between two levels: after full precision nearly every weight is in the cell of the nearer one."""
    chosen = quantized["decay under quantization"]
    nearest = deployments(QUANTIZED).rounded_target
    assert chosen.quantized_from > 0
    assert nearest < chosen.eps_g < 1.06 * nearest < quantized.optimal.eps_g
    assert abs(quantized.verify(300, seeds=6, name="decay under quantization").z) < 3.5


def test_limit_function_takes_the_values():
    """The schedule with traced numbers is the schedule: the closure of the model with the text gives the same error."""
    times, values = (0.0, 2.0, 4.0), np.array([0.4, 0.3, 0.05])
    model = QUANTIZED.replace(learning_rate=Schedule(LogLinear(times, (1.0, 1.0, 1.0))))
    function = limit_function(model, [4.0], method="gaussian")
    assert function.parameters["learning_rate"].shape == (3,)
    with jax.enable_x64(True):
        found = jax.jit(lambda rates: function({"learning_rate": rates})["eps_g"][-1])(values)
    text = QUANTIZED.replace(learning_rate=Schedule(LogLinear(times, tuple(values)).expression))
    assert float(found) == pytest.approx(solve(text, 4.0, times=[4.0], method="gaussian")["eps_g"][-1], rel=1e-6)


DITHERING = LinearModel(teacher=Normal(std=1.0), weight_quantizer=Uniform(bits=2, range=1.6), noise=0.1)


def test_dampening_is_tuned_with_the_rate():
    usual = ("constant", "cosine", "decay under quantization")
    alone = optimal_schedule(DITHERING, 20.0, knots=5, baselines=usual[:2])
    both = optimal_schedule(DITHERING, 20.0, over=("learning_rate", "dampening"), knots=5, baselines=usual)
    assert alone.best.eps_g == pytest.approx(0.075, abs=1e-3)
    for name in ("constant", "cosine", "optimal"):
        assert both[name].eps_g == pytest.approx(0.067, abs=1e-3)
    assert both.best.name == "decay under quantization"
    assert both.best.eps_g == pytest.approx(0.063, abs=1e-3)
    # what is returned is the schedule that was tuned
    model = both["cosine"].model
    again = solve(model, 20.0, times=[20.0], method="density", tolerance=1e-3)
    assert again["eps_g"][0] == pytest.approx(both["cosine"].eps_g, rel=2e-3)
    for factor in (0.5, 2.0):
        other = model.replace(dampening=Schedule(f"{factor}*({model.dampening.formula})"))
        worse = solve(other, 20.0, times=[20.0], method="density", tolerance=1e-3)
        assert worse["eps_g"][0] > both["cosine"].eps_g
    for name in ("cosine", "decay under quantization"):
        assert abs(both.verify(1000, seeds=16, name=name).z) < 4


@pytest.mark.representative
def test_values_of_a_dampening_schedule_are_parameters_of_the_limit():
    times = np.linspace(0.0, 4.0, 5)
    model = DITHERING.replace(dampening=Schedule(LogLinear(times, [0.1, 0.2, 0.4, 0.8, 1.6])))
    function = limit_function(model, [4.0], intervals=256, teacher_values=8)
    with jax.enable_x64(True):
        values = function.parameters["dampening"]
        np.testing.assert_allclose(values, [0.1, 0.2, 0.4, 0.8, 1.6])
        slopes = jax.grad(lambda values: function({"dampening": values})["eps_g"][-1])(values)
        for index in (0, 3):
            change = 1e-3 * values[index] * np.eye(5)[index]
            ends = [float(function({"dampening": values + sign * change})["eps_g"][-1]) for sign in (1, -1)]
            assert float(slopes[index]) == pytest.approx((ends[0] - ends[1]) / (2e-3 * values[index]), rel=1e-2)
        still = limit_function(model.replace(dampening=0.4), [4.0], intervals=256, teacher_values=8)({})
        # on another mesh, as fine as its own pull asks for
        np.testing.assert_allclose(function({"dampening": np.full(5, 0.4)})["eps_g"], still["eps_g"], rtol=5e-4)
