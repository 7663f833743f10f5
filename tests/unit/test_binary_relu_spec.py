"""Bad input of the binarized ReLU is refused with an error that names the argument."""

import numpy as np
import pytest
import sympy

from steode import SpecificationError, binary_relu
from steode.systems.binary_relu.surrogates import SURROGATES, X

GOOD = {"rows": 3, "filter_size": 4}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("rows", 0),
        ("filter_size", 1),
        ("output_teacher", (1.0, 2.0)),
        ("output_teacher", 0.0),
        ("output_teacher", (np.nan, 1, 1)),
        ("filter_teacher", np.zeros(4)),
        ("filter_teacher", np.ones(3)),
        ("filter_teacher", np.ones((2, 2))),
        ("step", 0.0),
        ("surrogate", "sigmoid"),
        ("surrogate", 0),
        ("surrogate", sympy.sin(X)),
        ("surrogate", -1.0),
        ("surrogate", 1 / (X - X)),
        ("surrogate", sympy.log(X)),
        ("surrogate", X + sympy.Symbol("z")),
        ("surrogate", np.tanh),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(SpecificationError, match=argument):
        binary_relu.BinaryReLUModel(**(GOOD | {argument: value}))


def test_negative_derivative_says_where():
    with pytest.raises(SpecificationError, match=r"mu'\(-30\) = -30"):
        binary_relu.BinaryReLUModel(**GOOD, surrogate=X)


def test_teacher_filter_has_length_one():
    model = binary_relu.BinaryReLUModel(rows=2, filter_size=2, filter_teacher=(3, 4), output_teacher=2)
    np.testing.assert_allclose(model.w_star, [0.6, 0.8])
    np.testing.assert_array_equal(model.v_star, [2, 2])
    assert hash(model) == hash(model.replace())


def test_kinks_and_sides_of_surrogates():
    z = sympy.Symbol("z")
    own = binary_relu.BinaryReLUModel(**GOOD, surrogate=sympy.Max(0, 1 - sympy.Abs(z))).surrogate
    assert own.kinks == (-1.0, 0.0, 1.0)
    assert [surrogate.is_one_sided for surrogate in SURROGATES.values()] == [False, True, True]
    assert SURROGATES["clipped relu"].kinks == (0.0, 1.0)
    np.testing.assert_array_equal(SURROGATES["identity"](np.zeros((2, 3))), np.ones((2, 3)))


def test_starts_have_the_given_angles_and_lengths():
    model = binary_relu.BinaryReLUModel(rows=2, filter_size=5, filter_teacher=(1, -2, 0.5, 1, 3))
    points = binary_relu.starts(model, np.ones(2), [0.0, 1.0, np.pi], [0.5, 1.0, 2.0])
    filters = points.filters(model)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=1), points.length)
    np.testing.assert_allclose(filters @ model.w_star, points.length * np.cos(points.theta), atol=1e-14)
