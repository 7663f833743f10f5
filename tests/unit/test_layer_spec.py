"""The specification of a layer: what makes no sense is refused, grids and ranges are what they say."""

import itertools

import numpy as np
import pytest
import scipy.integrate

from steode import Elementwise, Levels, SignedInteger, SpecificationError, Uniform, UnsupportedError, layer
from steode.systems.layer import input_moments

RNG = np.random.default_rng(1)
DIM, ROWS = 12, 3
WEIGHTS = RNG.normal(size=(ROWS, DIM))
INPUTS = RNG.normal(size=(50, DIM)) @ RNG.normal(size=(DIM, DIM))
MOMENT = INPUTS.T @ INPUTS / 50


def model(**changes):
    given = {"second_moment": MOMENT, "bits": 3, "learning_rate": 0.1} | changes
    return layer.LayerModel(given.pop("weights", WEIGHTS), **given)


def spoiled(array, value=np.nan):
    array = array.copy()
    array[1, 2] = value
    return array


REFUSED = {
    "weights with NaN": ({"weights": spoiled(WEIGHTS)}, "weights"),
    "weights without an axis": ({"weights": WEIGHTS[0]}, "weights"),
    "K with infinity": ({"second_moment": spoiled(MOMENT, np.inf)}, "second_moment"),
    "K not symmetric": ({"second_moment": spoiled(MOMENT, 0.0)}, "second_moment"),
    "K with a negative eigenvalue": ({"second_moment": MOMENT - 20 * np.eye(DIM)}, "second_moment"),
    "K of other inputs": ({"second_moment": MOMENT[:-1, :-1]}, "second_moment"),
    "activations of other inputs": ({"second_moment": None, "activations": INPUTS[:, :-1]}, "activations"),
    "both": ({"activations": INPUTS}, "activations"),
    "neither": ({"second_moment": None}, "activations"),
    "groups that do not divide": ({"granularity": 5}, "granularity"),
    "unknown granularity": ({"granularity": "column"}, "granularity"),
    "unknown rule": ({"range": "best"}, "range"),
    "negative range": ({"range": -1.0}, "range"),
    "ranges of other rows": ({"range": np.ones(ROWS + 1)}, "range"),
    "no bits": ({"bits": 0}, "bits"),
    "one bit with zero": ({"bits": 1, "kind": "mid-tread"}, "bits"),
    "unknown kind": ({"kind": "mid"}, "kind"),
    "ends the wrong way": ({"kind": "asymmetric", "range": (1.0, -1.0)}, "range"),
    "no rate": ({"learning_rate": 0.0}, "learning_rate"),
    "no batch": ({"batch_size": 0}, "batch_size"),
    "initial of another shape": ({"initial": WEIGHTS[:-1]}, "initial"),
    "no quantizer": ({"input_quantizer": 3}, "input_quantizer"),
    "percentile": ({"range": "percentile", "percentile": 0.0}, "percentile"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name):
    changes, argument = REFUSED[name]
    with pytest.raises(SpecificationError) as caught:
        model(**changes)
    assert caught.value.argument == argument


def test_smooth_input_quantizers_need_activations():
    with pytest.raises(UnsupportedError, match="activations"):
        model(input_quantizer=Elementwise("tanh(x)"))
    assert model(second_moment=None, activations=INPUTS, input_quantizer=Elementwise("tanh(x)")).quantizes_inputs
    with pytest.raises(UnsupportedError, match="pairs of thresholds"):
        model(input_quantizer=Uniform(12, 3.0))


def test_a_model_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        model().weights[0, 0] = 1
    with pytest.raises(AttributeError):
        model().bits = 2


@pytest.mark.parametrize("kind", ["mid-rise", "mid-tread", "signed"])
def test_grids_are_those_of_the_linear_system(kind):
    scale = 1.7
    found = model(kind=kind, range=scale).grid(WEIGHTS)
    expected = SignedInteger(3, scale) if kind == "signed" else Uniform(3, scale, kind)
    np.testing.assert_allclose(found, expected(WEIGHTS), atol=1e-14)


def test_asymmetric_grids_hold_zero_and_span_the_weights():
    shifted = WEIGHTS + 0.7
    grid = model(weights=shifted, kind="asymmetric", bits=4).grid
    np.testing.assert_allclose(grid(np.zeros((ROWS, DIM))), 0, atol=1e-15)
    assert np.all(np.abs(grid(shifted) - shifted) <= grid.step * (1 + 1e-9))
    assert np.all(grid.high - grid.low >= np.ptp(np.append(shifted, np.zeros((ROWS, 1)), 1), axis=1)[:, None] * 0.999)


@pytest.mark.parametrize("rule", layer.RULES)
def test_groups_are_those_of_a_loop(rule):
    found = model(range=rule, granularity=4).grid(WEIGHTS)
    for start in range(0, DIM, 4):
        part = slice(start, start + 4)
        alone = model(weights=WEIGHTS[:, part], second_moment=MOMENT[part, part], range=rule)
        np.testing.assert_allclose(found[:, part], alone.grid(WEIGHTS[:, part]), atol=1e-13)


@pytest.mark.parametrize(("rule", "weighting"), [("mean square", 0), ("weighted mean square", 1)])
def test_ranges_of_least_square_error_are_the_least(rule, weighting):
    importance = np.diag(MOMENT) ** weighting

    def error(scale):
        return (model(range=scale).grid(WEIGHTS) - WEIGHTS) ** 2 @ importance

    chosen = np.sum((model(range=rule).grid(WEIGHTS) - WEIGHTS) ** 2 * importance, axis=1)
    scanned = np.min([error(scale * np.abs(WEIGHTS).max(axis=1)) for scale in np.linspace(0.1, 1.2, 400)], axis=0)
    assert np.all(chosen <= scanned * 1.02)


def test_one_range_for_the_layer_is_the_largest_weight():
    assert model(granularity="layer").grid.high == pytest.approx(np.abs(WEIGHTS).max())


def test_single_precision_activations_are_kept_and_checked():
    own = model(second_moment=None, activations=INPUTS.astype(np.float32))
    assert own.activations.dtype == np.float32
    np.testing.assert_allclose(own.inputs.plain, MOMENT, rtol=1e-4, atol=1e-5)
    with pytest.raises(SpecificationError, match="inf at"):
        model(second_moment=None, activations=spoiled(INPUTS, np.inf).astype(np.float32))


def test_few_samples_are_damped_and_said_to_be():
    few = model(second_moment=None, activations=INPUTS[:5])
    assert few.rank == 5
    assert few.inputs.damping == pytest.approx(input_moments.DAMPING * np.mean(INPUTS[:5] ** 2))
    assert "damped" in repr(few)
    assert "damped" not in repr(model())
    assert model(damping=0.1).inputs.damping == pytest.approx(0.1 * np.trace(MOMENT) / DIM)


@pytest.mark.parametrize("quantizer", [Uniform(2, 1.5), Levels((-1.0, 0.2, 2.0))])
def test_moments_of_quantized_gaussian_inputs(quantizer):
    second = np.array([[1.0, 0.6, 0.3], [0.6, 2.0, -0.9], [0.3, -0.9, 0.5]])
    _, image, cross = input_moments.of_gaussian(second, quantizer)
    for i in range(3):
        for j in range(3):
            assert image[i, j] == pytest.approx(_mean(second, i, j, quantizer, quantizer), abs=1e-6)
            assert cross[i, j] == pytest.approx(_mean(second, i, j, quantizer, lambda x: x), abs=1e-6)


def _mean(second, i, j, left, right):
    """E[left(x_i) right(x_j)] by panels of x_i between thresholds, x_j given x_i in closed form."""
    slope = second[i, j] / second[i, i]
    rest = np.sqrt(max(second[j, j] - slope * second[i, j], 0))
    edges = [-np.inf, *left.thresholds, np.inf]

    def inner(x):
        if right is not left:
            return slope * x
        z = (left.thresholds - slope * x) / rest if rest > 1e-12 else np.where(slope * x < left.thresholds, 40.0, -40.0)
        return left.levels[-1] - np.diff(left.levels) @ scipy.special.ndtr(z)

    deviation = np.sqrt(second[i, i])

    def integrand(x):
        return inner(x) * np.exp(-(x**2) / (2 * second[i, i])) / np.sqrt(2 * np.pi) / deviation

    parts = [scipy.integrate.quad(integrand, a, b, limit=200)[0] for a, b in itertools.pairwise(edges)]
    return float(np.dot(left.levels, parts))


@pytest.mark.parametrize(
    ("loss", "over", "factor"), [("mean square", "mean", 2 / ROWS), ("half mean square", "sum", 1)]
)
def test_a_training_step_in_its_own_units_is_one_of_the_equations(loss, over, factor):
    """The gradient of the script's loss by finite differences moves the weights as the model's update does."""
    own = layer.from_training_units(
        WEIGHTS, activations=INPUTS, learning_rate=0.3, loss=loss, over_outputs=over, bits=3
    )
    x, start = INPUTS[0], WEIGHTS + 0.1
    scale = {"mean square": 1, "half mean square": 0.5}[loss] / (ROWS if over == "mean" else 1)

    def value(weights):
        return scale * np.sum((weights @ x - WEIGHTS @ x) ** 2)

    step = np.zeros_like(start)
    for place in np.ndindex(*start.shape):
        shift = np.zeros_like(start)
        shift[place] = 1e-4
        step[place] = -0.3 * (value(start + shift) - value(start - shift)) / 2e-4
    z = own.activations[0]
    residual = (start - WEIGHTS) @ z / np.sqrt(DIM)
    np.testing.assert_allclose(-own.learning_rate / np.sqrt(DIM) * np.outer(residual, z), step, rtol=1e-6, atol=1e-9)
    assert own.learning_rate == pytest.approx(0.3 * factor)
