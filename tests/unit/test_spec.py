"""The specification of the linear system: what it holds, and that changes are validated."""

import dataclasses

import numpy as np
import pytest
import sympy

from steode.errors import SpecificationError
from steode.parts.elementwise import Elementwise
from steode.parts.laws import Constant, Empirical, Normal
from steode.parts.quantizers import Identity, Levels, SignedInteger, Uniform
from steode.parts.stochastic import AdditiveNoise, StochasticMap
from steode.systems.linear.spec import ClippedSurrogate, IdentitySurrogate, LinearModel

x = sympy.Symbol("x", real=True)


def test_only_the_teacher_is_required():
    model = LinearModel(teacher=Constant(1.0))
    assert model.weight_quantizer == model.input_quantizer == Identity()
    assert model.surrogate == IdentitySurrogate()
    assert model.init == Normal(mean=0.0, std=1.0)
    assert (model.learning_rate, model.noise) == (0.1, 0.0)
    with pytest.raises(TypeError, match="teacher"):
        LinearModel()


def test_numbers_become_floats():
    model = LinearModel(teacher=Constant(1), learning_rate=1, noise=np.float32(0.5))
    assert type(model.learning_rate) is type(model.noise) is float
    assert type(ClippedSurrogate(2).bound) is float


def test_arguments_are_named():
    with pytest.raises(TypeError, match="positional"):
        LinearModel(Constant(1.0))


def test_a_model_is_immutable_and_a_value():
    model = LinearModel(teacher=Empirical([1.0, 2.0]), weight_quantizer=Uniform(2, 2.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.learning_rate = 0.2
    assert model == LinearModel(teacher=Empirical([1, 2]), weight_quantizer=Uniform(bits=2, range=2))
    assert hash(model) == hash(model.replace())
    assert model != model.replace(learning_rate=0.2)


def test_replace_changes_one_field_and_validates_it():
    model = LinearModel(teacher=Constant(1.0), learning_rate=0.3)
    changed = model.replace(noise=0.2)
    assert (changed.noise, changed.learning_rate, model.noise) == (0.2, 0.3, 0.0)
    with pytest.raises(SpecificationError, match="learning_rate"):
        model.replace(learning_rate=-1)
    with pytest.raises(SpecificationError, match="input_quantizer"):
        model.replace(input_quantizer=SignedInteger(2, 1.0))


@pytest.mark.parametrize("quantizer", [SignedInteger(2, 1.0), Levels((-1, 0, 2)), Elementwise(sympy.exp(x))], ids=repr)
def test_a_map_that_is_not_odd_is_for_weights_only(quantizer):
    assert LinearModel(teacher=Constant(1.0), weight_quantizer=quantizer).weight_quantizer == quantizer
    with pytest.raises(SpecificationError, match="an odd map"):
        LinearModel(teacher=Constant(1.0), input_quantizer=quantizer)


@pytest.mark.parametrize("quantizer", [Uniform(3, 1.0), Levels((-1, 0, 1)), Elementwise(sympy.tanh(x))], ids=repr)
def test_an_odd_map_is_for_weights_and_inputs(quantizer):
    model = LinearModel(teacher=Constant(1.0), weight_quantizer=quantizer, input_quantizer=quantizer)
    assert model.weight_quantizer == model.input_quantizer == quantizer


def test_a_bound_that_nearly_equals_a_threshold_is_refused():
    grid = Uniform(bits=2, range=1.1)
    threshold = float(grid.thresholds[-1])
    LinearModel(teacher=Constant(1.0), weight_quantizer=grid, surrogate=ClippedSurrogate(threshold))
    with pytest.raises(SpecificationError, match=r"surrogate\.bound: expected a bound equal to the threshold"):
        LinearModel(teacher=Constant(1.0), weight_quantizer=grid, surrogate=ClippedSurrogate(0.7333))
    LinearModel(teacher=Constant(1.0), weight_quantizer=grid, surrogate=ClippedSurrogate(0.5, -threshold))
    with pytest.raises(SpecificationError, match=r"surrogate\.lower: expected a bound equal to the threshold -"):
        LinearModel(teacher=Constant(1.0), weight_quantizer=grid, surrogate=ClippedSurrogate(0.5, -0.7333))


class _Unknown(StochasticMap):
    def variance(self, u):
        return 0 * u

    def sample(self, u, generator):
        return u


def test_only_stochastic_maps_whose_limit_is_derived_are_taken():
    assert LinearModel(teacher=Constant(1.0), weight_quantizer=AdditiveNoise(0.1)).options == ("weight_quantizer",)
    with pytest.raises(SpecificationError, match="label_quantizer: expected a stochastic map whose limit is derived"):
        LinearModel(teacher=Constant(1.0), label_quantizer=_Unknown())
