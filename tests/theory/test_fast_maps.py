"""Stationary laws under maps of the weights that grow by many orders of magnitude, and overflow far out."""

import numpy as np
import pytest

from steode import ConvergenceError, Elementwise, LinearModel, TwoPoint, fixed_points

ETA, NOISE = 0.2, 0.3


def implied(image, potential, variance: float) -> float:
    """V of the stationary law at V, by sums over a fine grid: targets 0.9 and -0.9."""
    w = np.linspace(-8, 8, 400_001)
    with np.errstate(over="ignore"):
        q, u = image(w), potential(w)
    total = NOISE**2
    for target, probability in ((0.9, 0.7), (-0.9, 0.3)):
        own = u - target * w
        law = np.exp(-2 * (own - own.min()) / (ETA * variance))
        inside = law > 0
        total += probability * np.sum(law[inside] * (q[inside] - target) ** 2) / law.sum()
    return total


@pytest.mark.parametrize(
    ("expression", "image", "potential"),
    [
        ("x*exp(x**2)", lambda w: w * np.exp(w**2), lambda w: np.exp(w**2) / 2),
        ("sinh(2*x)", lambda w: np.sinh(2 * w), lambda w: np.cosh(2 * w) / 2),
        ("exp(2*x) - exp(-x)", lambda w: np.exp(2 * w) - np.exp(-w), lambda w: np.exp(2 * w) / 2 + np.exp(-w)),
    ],
)
def test_fixed_points_of_fast_maps(expression, image, potential):
    model = LinearModel(
        teacher=TwoPoint(0.9, 0.7), weight_quantizer=Elementwise(expression), noise=NOISE, learning_rate=ETA
    )
    found = fixed_points(model)
    assert len(found) >= 1
    for point in found:
        assert point.converged
        assert implied(image, potential, point.V) == pytest.approx(point.V, rel=1e-7)


@pytest.mark.parametrize(
    ("expression", "limits", "nondecreasing"),
    [
        ("exp(x)", (0, np.inf), True),
        ("exp(-x)", (np.inf, 0), False),
        ("x*exp(x)", (0, np.inf), False),
        ("Max(x, exp(x))", (0, np.inf), True),
        ("Min(x, -exp(x))", (-np.inf, -np.inf), False),
        ("log(1 + exp(x))", (0, np.inf), True),
        ("x*exp(x**2)", (-np.inf, np.inf), True),
    ],
)
def test_maps_that_overflow_far_out(expression, limits, nondecreasing):
    mapped = Elementwise(expression)
    assert mapped.limits == limits
    assert mapped.is_nondecreasing is nondecreasing


def test_no_answer_from_what_is_not_a_number():
    """The quotient of two infinite numbers, far out, where the weights of a large V reach."""
    model = LinearModel(
        teacher=TwoPoint(300.0),
        weight_quantizer=Elementwise("x + (exp(x) - exp(-x))/(exp(x) + exp(-x))"),
        noise=300.0,
        learning_rate=0.5,
    )
    with pytest.raises(ConvergenceError, match="could not be averaged"):
        fixed_points(model)
