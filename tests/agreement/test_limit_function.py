"""The limit as a JAX function: gradients against finite differences, values against `solve`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import limit_function, solve
from tests.models import REFERENCE

TIMES = [1.0, 10.0]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("method", "accuracy"), [pytest.param("gaussian", 1e-5, marks=pytest.mark.representative), ("density", 2e-4)]
)
def test_gradients_agree_with_finite_differences(method, accuracy):
    model = REFERENCE.replace(noise=0.2)
    function = limit_function(model, TIMES, method=method, intervals=256, tolerance=1e-5)
    assert set(function.parameters) == {"learning_rate", "noise", "weight_range", "input_range"}
    final = jax.jit(lambda parameters: function(parameters)["eps_g"][-1])
    point = {name: jnp.asarray(value) for name, value in function.parameters.items()}
    gradient = jax.jit(jax.grad(final))(point)
    for name in point:
        shifts = [final(point | {name: point[name] + shift}) for shift in (1e-4, -1e-4)]
        difference = (shifts[0] - shifts[1]) / 2e-4
        assert abs(gradient[name] - difference) < accuracy * max(1.0, abs(difference)), name


def test_values_agree_with_solve_and_vmap_with_a_loop():
    function = limit_function(REFERENCE, TIMES)
    assert np.abs(function({})["eps_g"] - solve(REFERENCE, 10, times=TIMES)["eps_g"]).max() < 1e-4
    fast = limit_function(REFERENCE, TIMES, method="gaussian")
    rates = jnp.array([0.05, 0.1, 0.2])
    mapped = jax.jit(jax.vmap(lambda eta: fast({"learning_rate": eta})["eps_g"]))(rates)
    looped = [
        solve(REFERENCE.replace(learning_rate=float(eta)), 10, times=TIMES, method="gaussian")["eps_g"] for eta in rates
    ]
    assert np.abs(np.asarray(mapped) - np.array(looped)).max() < 1e-6
