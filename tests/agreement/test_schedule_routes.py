"""Learning-rate schedules by two routes: glued limits of constant rates, and the limit as a JAX function."""

import dataclasses

import jax
import numpy as np
import pytest

from steode import SpecificationError, limit_function, solve
from steode.parts.schedule import Schedule
from tests.theory.test_schedule_in_the_limit import PLAIN, QUANTIZED, WAVE, start_with_moments

pytestmark = pytest.mark.representative


def test_a_piecewise_constant_rate_is_two_limits_glued():
    jump, model = 1.3, PLAIN.replace(learning_rate=Schedule("Piecewise((0.9, tau < 1.3), (0.1, True))"))
    start = start_with_moments(0.1, 0.6)
    whole = solve(model, 4.0, times=[jump, 4.0], method="moments", tolerance=1e-7, start=start)

    def part(rate, span, start):
        model = PLAIN.replace(learning_rate=rate)
        return solve(model, span, times=[span], method="moments", tolerance=1e-7, start=start)

    first = part(0.9, jump, start)
    second = part(0.1, 4.0 - jump, start_with_moments(float(first["m"][0]), float(first["q"][0])))
    assert np.abs(whole["V"] - [first["V"][0], second["V"][0]]).max() < 1e-7


def test_limit_function_follows_the_schedule():
    model = dataclasses.replace(QUANTIZED, learning_rate=WAVE)
    function = limit_function(model, [1.0, 2.0], method="gaussian", tolerance=1e-8)
    assert set(function.parameters) == {"noise", "weight_range", "weight_decay"}
    with jax.enable_x64(True):
        found = jax.jit(function)(function.parameters)["eps_g"]
        with pytest.raises(SpecificationError, match="learning_rate is a schedule, which is fixed"):
            function({"learning_rate": 0.1})
    wanted = solve(model, 2.0, times=[1.0, 2.0], method="gaussian", tolerance=1e-8)["eps_g"]
    # two integrators, each at a tolerance that allows it
    assert np.abs(np.asarray(found) - wanted).max() < 1e-9
