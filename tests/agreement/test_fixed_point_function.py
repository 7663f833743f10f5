"""The fixed point as a JAX function: values, jit, vmap, and derivatives against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steode import (
    ClippedSurrogate,
    Constant,
    Discrete,
    Elementwise,
    Identity,
    Levels,
    LinearModel,
    Normal,
    SpecificationError,
    TwoPoint,
    Uniform,
    UnsupportedError,
    fixed_point_function,
    fixed_points,
)
from tests.models import REFERENCE

EVERYTHING = LinearModel(
    teacher=TwoPoint(0.7, 0.3),
    weight_quantizer=Uniform(2, 1.5),
    input_quantizer=Uniform(2, 2.0),
    learning_rate=0.8,
    noise=0.2,
    batch_size=4,
    weight_decay=0.2,
)
NORMAL = LinearModel(teacher=Normal(mean=0.1, std=0.8), weight_quantizer=Uniform(2, 1.5), learning_rate=0.6, noise=0.3)
SMOOTH = EVERYTHING.replace(weight_quantizer=Elementwise("tanh(x)"))


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_parameters(generator, count):
    """Parameters of EVERYTHING, shape (count, ...), with levels and thresholds of their own."""
    levels = np.cumsum(generator.uniform(0.2, 1.5, (count, 4)), axis=1)
    levels -= levels.mean(axis=1, keepdims=True)
    low, high = levels[:, :-1], levels[:, 1:]
    return {
        "learning_rate": generator.uniform(0.1, 1.5, count),
        "noise": generator.uniform(0.0, 0.5, count),
        "weight_decay": 10 ** generator.uniform(-3, 0, count),
        "batch_size": generator.integers(2, 9, count).astype(float),
        "input_range": generator.uniform(1.0, 3.0, count),
        "teacher_scale": generator.uniform(0.3, 2.0, count),
        "levels": levels,
        "thresholds": low + (high - low) * generator.uniform(0.2, 0.8, (count, 3)),
    }


def model_with(parameters) -> LinearModel:
    return EVERYTHING.replace(
        teacher=TwoPoint(0.7 * parameters["teacher_scale"], 0.3),
        weight_quantizer=Levels(parameters["levels"].tolist(), parameters["thresholds"].tolist()),
        input_quantizer=Uniform(2, float(parameters["input_range"])),
        learning_rate=float(parameters["learning_rate"]),
        noise=float(parameters["noise"]),
        batch_size=int(parameters["batch_size"]),
        weight_decay=float(parameters["weight_decay"]),
    )


def test_mapped_over_thirty_random_models_it_is_their_smallest_fixed_point():
    parameters = random_parameters(np.random.default_rng(0), 30)
    function = fixed_point_function(EVERYTHING)
    values = jax.jit(jax.vmap(function))(parameters)
    assert values["converged"].all()
    for index in range(30):
        point = fixed_points(model_with({name: value[index] for name, value in parameters.items()}))[0]
        for name in ("V", "eps_g", "input_term", "dithering_term", "clipping_term", "decay_term"):
            assert abs(values[name][index] - getattr(point, name)) < 1e-11 * point.V, name


def central_difference(function, parameters, name, relative=1e-5):
    """Derivative of a scalar with respect to every entry of one parameter."""
    value = np.asarray(parameters[name], dtype=float)
    steps = relative * np.maximum(np.abs(value), 0.1) * np.ones_like(value)
    shifts = np.eye(value.size).reshape(value.size, *value.shape) * steps

    def along(sign):
        shifted = {key: np.broadcast_to(v, (value.size, *np.shape(v))) for key, v in parameters.items()}
        return np.asarray(function(shifted | {name: value + sign * shifts}))

    return ((along(1) - along(-1)) / (2 * steps.ravel())).reshape(value.shape)


@pytest.mark.parametrize(
    ("model", "left_out"),
    [
        (EVERYTHING, {"levels", "thresholds"}),
        (EVERYTHING, {"weight_range"}),
        (NORMAL, {"levels", "thresholds"}),
        (SMOOTH, set()),
    ],
    ids=["range", "levels and thresholds", "Gaussian teacher", "tanh"],
)
def test_gradients_agree_with_central_differences(model, left_out):
    function = fixed_point_function(model)
    parameters = {name: value for name, value in function.parameters.items() if name not in left_out}
    expected_names = {"learning_rate", "noise", "batch_size", "teacher_scale"}
    assert expected_names <= set(parameters)

    def error(p):
        return function(p)["eps_g"]

    gradient = jax.jit(jax.grad(error))({name: jnp.asarray(value) for name, value in parameters.items()})
    many = jax.jit(jax.vmap(error))
    for name in parameters:
        difference = central_difference(many, parameters, name)
        scale = np.abs(difference).max()
        assert scale > 1e-6, name
        assert np.abs(gradient[name] - difference).max() < 1e-6 * scale, name


def test_second_derivative_with_respect_to_the_range():
    function = fixed_point_function(EVERYTHING)

    def error(weight_range):
        return function({"weight_range": weight_range})["eps_g"]

    second = jax.jit(jax.hessian(error))(1.5)
    slope = jax.jit(jax.grad(error))
    difference = (slope(1.5 + 1e-4) - slope(1.5 - 1e-4)) / 2e-4
    assert abs(second - difference) < 1e-6 * abs(difference)


def test_stable_recovery_is_found_as_zero_and_unstable_recovery_is_left():
    model = LinearModel(weight_quantizer=Levels(range(-3, 4)), teacher=Discrete((1.0, -2.0)), learning_rate=0.9)
    function = jax.jit(fixed_point_function(model))
    recovered, lost = function({}), function({"learning_rate": 1.2})
    assert recovered["converged"]
    assert recovered["V"] == 0
    assert lost["converged"]
    assert abs(lost["V"] - fixed_points(model.replace(learning_rate=1.2))[1].V) < 1e-12


@pytest.mark.representative
def test_where_there_is_no_fixed_point_it_says_so_and_gives_no_number():
    function = jax.jit(fixed_point_function(LinearModel(teacher=Normal(), learning_rate=0.5, noise=0.1)))
    inside, outside = function({"learning_rate": 1.9}), function({"learning_rate": 2.0})
    assert inside["converged"]
    assert abs(inside["V"] - 0.01 / (1 - 1.9 / 2)) < 1e-12
    assert not outside["converged"]
    assert all(np.isnan(value) for name, value in outside.items() if name != "converged")


@pytest.mark.representative
def test_bad_requests_are_refused():
    with pytest.raises(SpecificationError, match="a LinearModel"):
        fixed_point_function("model")
    with pytest.raises(SpecificationError, match="teacher_nodes"):
        fixed_point_function(REFERENCE, teacher_nodes=1)
    with pytest.raises(UnsupportedError, match="clipped surrogate"):
        fixed_point_function(REFERENCE.replace(surrogate=ClippedSurrogate(1.0)))
    with pytest.raises(UnsupportedError, match="decreases somewhere"):
        fixed_point_function(REFERENCE.replace(weight_quantizer=Elementwise("tanh(x) - x/10")))
    function = fixed_point_function(REFERENCE)
    with pytest.raises(SpecificationError, match="names among learning_rate"):
        function({"weight_decay": 0.1})  # its equations have none
    with pytest.raises(SpecificationError, match="a dictionary"):
        function([0.1])
    with pytest.raises(SpecificationError, match=r"levels.*shape \(4,\)"):
        function({"levels": jnp.arange(3.0)})
    with jax.enable_x64(False), pytest.raises(SpecificationError, match="64-bit floats"):
        function({})
    without = fixed_point_function(LinearModel(teacher=Constant(1.0), weight_quantizer=Identity()))
    with pytest.raises(SpecificationError, match="names among"):
        without({"weight_range": 1.0})
