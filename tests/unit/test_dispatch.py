"""Verbs take what belongs to any system, and a system without one says which it has."""

import numpy as np
import pytest

import steode
from steode import SpecificationError, UnsupportedError, binary_relu, classification, gradient_flows, regression
from steode.parts.spectrum import Eigenvalues

REGRESSION = regression.RegressionModel(spectrum=Eigenvalues([1.0, 0.5]), step_size=0.1)
RELU = binary_relu.BinaryReLUModel(rows=2, filter_size=3, output_teacher=(1.0, -0.5), step=0.1)
CLASSES = classification.ClassificationModel(classes=2, batch=8)
FLOW = gradient_flows.DiagonalModel(scale=1.0)


@pytest.mark.parametrize(
    ("model", "own"),
    [
        (REGRESSION, regression.derive),
        (RELU, binary_relu.derive),
        (CLASSES, classification.derive),
        (FLOW, gradient_flows.derive),
    ],
)
def test_derive_takes_every_system(model, own):
    assert type(steode.derive(model)) is type(own(model))
    assert steode.derive(model).derivation.markdown() == own(model).derivation.markdown()


def test_runs_and_their_comparison_are_those_of_the_system():
    plan = {"seeds": 2, "key": 3, "record": [0, 20]}
    runs, own = steode.simulate(REGRESSION, 20, **plan), regression.simulate(REGRESSION, 20, **plan)
    np.testing.assert_array_equal(runs.values["raw_last"], own.values["raw_last"])
    exact = regression.risk(REGRESSION, 20, record=[0, 20])
    assert steode.compare(exact, runs).largest_z == regression.compare(exact, own).largest_z
    assert steode.stability(REGRESSION).stable == regression.stability(REGRESSION).stable


def test_fixed_points_of_another_system():
    assert [point.kind for point in steode.fixed_points(RELU)] == [
        point.kind for point in binary_relu.fixed_points(RELU)
    ]


@pytest.mark.parametrize(
    ("verb", "model", "has"),
    [
        (steode.solve, REGRESSION, "steode.regression has .*risk.*simulate"),
        (steode.fixed_points, FLOW, "steode.gradient_flows has .*solve"),
        (steode.solve, CLASSES, "steode.classification has .*examine"),
    ],
)
def test_a_system_without_the_verb_says_which_it_has(verb, model, has):
    with pytest.raises(UnsupportedError, match=rf"{verb.__name__}: .* has none; {has}"):
        verb(model, 1.0)


def test_the_first_argument_may_be_given_by_name():
    model = steode.LinearModel(teacher=steode.Constant(1.0))
    theory = steode.solve(model=model, t_end=1.0, times=[1.0])
    runs = steode.simulate(model=model, dim=20, t_end=1.0, seeds=2, times=[1.0])
    assert steode.compare(theory=theory, runs=runs).gap.shape == (1,)
    (point,) = steode.fixed_points(model=model.replace(noise=0.1))
    assert steode.stability(point=point).eigenvalues is not None
    assert type(steode.derive(model=REGRESSION)) is type(regression.derive(REGRESSION))


@pytest.mark.parametrize("verb", [steode.derive, steode.fixed_points])
def test_what_is_no_specification_is_refused(verb):
    with pytest.raises(SpecificationError, match="model"):
        verb("reference")
