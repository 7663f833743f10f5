"""Schedules through given rates, and what `optimal_schedule` refuses before it computes anything."""

import dataclasses

import jax
import numpy as np
import pytest

from steode import (
    Constant,
    LinearModel,
    LogLinear,
    Normal,
    Schedule,
    SignSGD,
    SpecificationError,
    Ternary,
    Uniform,
    UnsupportedError,
    optimal_schedule,
)
from steode.parts.schedule import TAU

PLAIN = LinearModel(teacher=Normal(std=1.0), noise=0.5)
QUANTIZED = LinearModel(teacher=Constant(1.0), weight_quantizer=Ternary(1.5), noise=0.1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"over": ("range",)}, "learning_rate"),
        ({"over": "learning_rate"}, "tuple"),
        ({"over": ("learning_rate", "noise")}, "names among"),
        ({"knots": 1}, "knots"),
        ({"knots": 25}, "at most 24"),
        ({"rates": (0.5, 0.1)}, "highest rate"),
        ({"rates": 0.1}, "pair"),
        ({"baselines": ("sine",)}, "names among"),
        ({"t_end": 0.0}, "t_end"),
    ],
)
def test_bad_requests_are_refused(arguments, expected):
    with pytest.raises(SpecificationError, match=expected):
        optimal_schedule(QUANTIZED, **{"t_end": 5.0} | arguments)


def test_what_is_not_derived_is_refused():
    with pytest.raises(SpecificationError, match="dampening: expected 0 with Identity"):
        optimal_schedule(PLAIN, 5.0, over=("learning_rate", "dampening"))
    with pytest.raises(UnsupportedError, match="not quantized"):
        optimal_schedule(PLAIN, 5.0, baselines=("full precision first",))
    sign = dataclasses.replace(QUANTIZED, update_rule=SignSGD())
    with pytest.raises(UnsupportedError, match="does not train without quantizers"):
        optimal_schedule(sign, 5.0, baselines=("full precision first",))


@pytest.mark.parametrize(
    ("times", "values"), [((0.0,), (1.0,)), ((1.0, 0.0), (1.0, 1.0)), ((0.0, 1.0), (1.0, 0.0)), ((0.0, 1.0), (1.0,))]
)
def test_a_rate_through_knots_is_checked(times, values):
    with pytest.raises(SpecificationError, match="LogLinear"):
        LogLinear(times, values)


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_its_text_is_the_same_function(first):
    rate = LogLinear((first, 3.0, 5.0, 7.0), (0.2, 0.5, 0.5 * (1 + 1e-15), 0.01))
    text, times = Schedule(rate.expression), np.linspace(0, 9, 37)
    with jax.enable_x64(True):
        wanted = np.asarray(jax.vmap(rate)(times))
    found = np.array([float(text.formula.subs(TAU, time)) for time in times])
    assert found == pytest.approx(wanted, rel=1e-12)
    assert QUANTIZED.replace(weight_quantizer=Uniform(2, 1.0), learning_rate=text).learning_rate == text
