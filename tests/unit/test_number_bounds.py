"""Numbers of a specification: bounded by the same magnitudes everywhere, and by each other where both are resolved."""

import json

import pytest
import sympy

from steode import (
    Constant,
    Empirical,
    LinearModel,
    Normal,
    SpecificationError,
    Uniform,
    binary_relu,
    classification,
    solve,
)
from steode.errors import LARGEST, SMALLEST
from steode.parts.formats import FloatFormat
from steode.parts.schedule import Schedule
from steode.parts.surrogates import DerivativeOf
from steode.systems.linear.configuration import from_dict, to_dict
from steode.systems.linear.simulate import simulate
from steode.systems.regression import RegressionModel

x = sympy.Symbol("x", real=True)

NUMBERS = {
    "teacher": lambda value: LinearModel(teacher=Constant(value)),
    "values": lambda value: Empirical([1.0, value]),
    "step_size": lambda value: RegressionModel(spectrum=[1.0], step_size=value),
    "regression noise": lambda value: RegressionModel(spectrum=[1.0], step_size=0.1, noise=value),
    "binary step": lambda value: binary_relu.BinaryReLUModel(rows=1, filter_size=2, step=value),
    "vote": lambda value: classification.ClassificationModel(vote=value),
    "expression": lambda value: Schedule(f"{value!r}*tau + 0.1"),
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_every_specification_bounds_its_numbers(make):
    with pytest.raises(SpecificationError, match=r"1e.50"):
        make(2 * LARGEST)


POSITIVE = {name: NUMBERS[name] for name in ("step_size", "regression noise", "binary step", "vote", "expression")}


@pytest.mark.parametrize("make", POSITIVE.values(), ids=POSITIVE)
def test_what_has_to_be_positive_is_no_smaller_than_the_bound(make):
    with pytest.raises(SpecificationError, match="1e-50"):
        make(SMALLEST / 2)


def test_the_limit_refuses_a_rate_at_which_training_only_diverges():
    with pytest.raises(SpecificationError, match=r"up to 1e\+12"):
        solve(LinearModel(teacher=Constant(1.0), learning_rate=1e13), 1.0)


@pytest.mark.parametrize("rate", ["1e49*tau + 0.1", lambda tau: 1e300 * tau + 0.1])
def test_a_schedule_that_gets_too_large_is_refused_before_anything_is_computed(rate):
    model = LinearModel(teacher=Constant(1.0), learning_rate=Schedule(rate))
    with pytest.raises(SpecificationError, match=r"up to 1e\+12"):
        solve(model, 1.0)
    if callable(rate):
        with pytest.raises(SpecificationError, match=r"up to 1e\+50"):
            simulate(model, 4, 1.0)


def test_a_model_comes_back_from_a_file_with_all_digits():
    model = LinearModel(teacher=Constant(1 / 3), learning_rate=Schedule("0.1 + tau"))
    assert from_dict(json.loads(json.dumps(to_dict(model)))) == model


GRID = Uniform(bits=2, range=2.0)
FAR_APART = {
    "learning_rate": ({"learning_rate": 1e-13},),
    "weight_decay": ({"weight_decay": 1e13},),
    "weight_quantizer": ({"weight_quantizer": Uniform(2, 1e-30)}, {"weight_quantizer": Uniform(2, 1e30)}),
    "input_quantizer": ({"input_quantizer": Uniform(2, 1e-30)},),
    "init": ({"init": Normal(std=1e-30)}, {"init": Normal(mean=1.0, std=1e-20)}),
    "noise": ({"noise": 1e9},),
}


@pytest.mark.parametrize(("argument", "changes"), [(name, change) for name, all in FAR_APART.items() for change in all])
def test_lengths_too_far_apart_are_refused_at_construction(argument, changes):
    with pytest.raises(SpecificationError) as caught:
        LinearModel(**({"teacher": Constant(1.0), "weight_quantizer": GRID} | changes))
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 1e-12},
        {"weight_quantizer": FloatFormat(8, 3)},
        {"weight_quantizer": Uniform(2, 1e-11)},
        {"teacher": Constant(1e40), "init": Normal(std=1e40), "weight_quantizer": Uniform(2, 1e40), "noise": 1e40},
        {"teacher": Constant(0.0), "init": Constant(0.0), "noise": 1.0},
    ],
)
def test_what_can_be_resolved_is_allowed_in_any_units(changes):
    model = LinearModel(**({"teacher": Constant(1.0), "weight_quantizer": GRID} | changes))
    assert from_dict(json.loads(json.dumps(to_dict(model)))) == model


VANISHING = {
    "x*Heaviside(x)": sympy.Heaviside(x),
    "x*sign(x)": sympy.sign(x),
    "(x + 1)*Heaviside(x) - Heaviside(x)": sympy.Heaviside(x),
    "(x**2 - 1)*Heaviside(x**2 - 1)": 2 * x * sympy.Heaviside(x**2 - 1),
    "tanh(x*Heaviside(x))": (1 - sympy.tanh(x * sympy.Heaviside(x)) ** 2) * sympy.Heaviside(x),
    "x**3*Heaviside(x)**2": 3 * x**2 * sympy.Heaviside(x) ** 2,
}


@pytest.mark.parametrize("text", VANISHING)
def test_a_point_mass_of_weight_zero_is_none(text):
    assert sympy.simplify(DerivativeOf(text).derivative - VANISHING[text]) == 0


@pytest.mark.parametrize("text", ["tanh(x) + 1e-7*sign(x)", "x*Heaviside(x + tanh(x))"])
def test_a_point_mass_that_may_have_a_weight_is_refused_with_the_remedy(text):
    with pytest.raises(SpecificationError, match="Max, Min, Abs or Piecewise"):
        DerivativeOf(text)


def test_both_ways_to_write_the_positive_part_are_the_same_surrogate():
    assert DerivativeOf("x*Heaviside(x)").derivative == DerivativeOf("Max(x, 0)").derivative
