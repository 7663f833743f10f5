"""The integrator of the moment equations: its coefficients, its order, what it says of failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from steode.solvers import runge_kutta
from steode.solvers.runge_kutta import integrate


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def kepler(t, y):
    position, velocity = y
    return velocity, -position / jnp.sum(position**2) ** 1.5


ORBIT = (np.array([0.5, 0.0]), np.array([0.0, np.sqrt(3.0)]))
PERIOD = 2 * np.pi


def test_coefficients_are_those_of_scipy():
    reference = scipy.integrate.RK45
    assert np.array_equal(runge_kutta.TABLEAU[:-1, :5], reference.A)
    assert np.array_equal(runge_kutta.TABLEAU[-1, :6], reference.B)
    assert np.array_equal(runge_kutta.PLACES[:-1], reference.C)
    assert np.array_equal(runge_kutta.ERROR, reference.E)
    assert np.array_equal(runge_kutta.INTERPOLANT, reference.P)


def test_error_falls_like_the_tolerance_at_steps_and_between_them():
    times = np.linspace(0, PERIOD, 50)
    positions = []
    for rtol in (1e-6, 1e-8, 1e-10, 1e-13):
        (position, velocity), reached = integrate(kepler, ORBIT, times, rtol, rtol, 10_000)
        assert reached
        assert position.shape == velocity.shape == (50, 2)
        positions.append(np.asarray(position))
    # the orbit closes
    assert np.abs(positions[-1][-1] - ORBIT[0]).max() < 1e-11
    errors = [np.abs(position - positions[-1]).max() for position in positions[:-1]]
    # steps as long as tolerance^(1/5), each with that error: their sum falls like tolerance^(4/5) or faster
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert 0.5 * 100**0.8 < coarse / fine < 200


def test_rates_may_depend_on_time_and_are_not_asked_for_after_the_end():
    def rates(t, y):
        return jnp.where(t <= 2.0, jnp.cos(t), jnp.nan)

    times = jnp.array([0.0, 0.3, 0.3, 2.0, 2.0])
    values, reached = integrate(rates, jnp.zeros(()), times, 1e-9, 1e-9, 1000)
    assert reached
    assert np.abs(values - np.sin(times)).max() < 1e-7


def test_what_is_not_reached_is_not_a_number():
    # y' = y^2 from 1 ends at t = 1
    values, reached = integrate(lambda t, y: y**2, jnp.ones(()), jnp.array([0.5, 2.0]), 1e-8, 1e-8, 1000)
    assert not reached
    assert values[0] == pytest.approx(2.0, rel=1e-6)
    assert np.isnan(values[1])
    values, reached = integrate(lambda t, y: -y, jnp.ones(()), jnp.array([0.0, 1e3]), 1e-8, 1e-8, 10)
    assert not reached
    assert values[0] == 1.0
    assert np.isnan(values[1])


def test_many_at_once_are_those_one_by_one():
    times = jnp.linspace(0, 3, 5)

    def solution(rate):
        return integrate(lambda t, y: -rate * y, jnp.ones(3), times, 1e-8, 1e-8, 1000)[0]

    rates = jnp.array([0.1, 1.0, 30.0])
    together, single = jax.vmap(solution)(rates), jnp.stack([solution(rate) for rate in rates])
    assert np.abs(together - single).max() < 1e-14
    assert np.abs(together[:, :, 0] - np.exp(-np.asarray(rates)[:, None] * np.asarray(times))).max() < 1e-7
