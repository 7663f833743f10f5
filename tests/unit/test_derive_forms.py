"""Derivations are shared by models that differ in numbers alone; each keeps its own numbers."""

import dataclasses

import pytest

from steode import Constant, Identity, LinearModel, Schedule, Ternary, TwoPoint, Uniform, derive
from steode.systems.linear.derivations.derivation import derive_linear
from tests.models import REFERENCE

MODELS = {
    "reference": REFERENCE,
    "noise and ranges": REFERENCE.replace(noise=0.3, weight_quantizer=Uniform(2, 3.5), learning_rate=0.7),
    "wide inputs": REFERENCE.replace(input_quantizer=Uniform(3, 2.5), weight_quantizer=Identity()),
    "decay and batch": REFERENCE.replace(weight_quantizer=Ternary(1.2), weight_decay=0.1, batch_size=4, noise=0.2),
    "two levels": LinearModel(teacher=TwoPoint(0.7), weight_quantizer=Uniform(1, 1.5), noise=0.1, learning_rate=0.4),
    "schedule": REFERENCE.replace(learning_rate=Schedule("1/(2 + tau)"), noise=0.2),
    "no quantizers": LinearModel(teacher=Constant(1.0), noise=0.3, learning_rate=0.2),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_shared_derivation_is_that_of_the_model(name):
    model = MODELS[name]
    shared, own = derive(model), derive_linear(model)
    names = {field.name for field in dataclasses.fields(own)} - {"long_times"}
    for name in (*names, "plateau_time", "fixed_point_value"):
        assert getattr(shared, name) == getattr(own, name), name


def test_numbers_derive_nothing_again():
    changed = REFERENCE.replace(noise=0.31, weight_quantizer=Uniform(2, 2.7), learning_rate=0.17)
    assert derive(changed).derivation is derive(changed.replace(noise=0.52, learning_rate=0.3)).derivation
