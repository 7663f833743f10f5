"""The analytic estimate of the plateau length: its formula, and where there is none."""

import pytest

from steode import (
    ClippedSurrogate,
    Constant,
    LinearModel,
    Normal,
    TwoPoint,
    Uniform,
    UnsupportedError,
    plateau,
    plateau_estimate,
    solve,
)

RANGES = (2.0, 3.2, 4.4)


def narrow_start(omega, teacher=None):
    return LinearModel(
        weight_quantizer=Uniform(bits=3, range=omega, kind="mid-tread"),
        teacher=teacher or Constant(1.0),
        init=Normal(std=0.05),
        learning_rate=0.01,
    )


def test_estimate_is_step_over_twice_rate_and_teacher():
    for omega in RANGES:
        step = omega / 3
        assert abs(plateau_estimate(narrow_start(omega)).length - step / (2 * 0.01)) < 1e-10
        assert abs(plateau_estimate(narrow_start(omega, TwoPoint(0.5))).length - step / (2 * 0.01 * 0.5)) < 1e-10


def test_wide_initial_weights_have_no_plateau():
    model = narrow_start(2.0).replace(init=Normal(std=1.0), learning_rate=0.1)
    assert len(plateau(solve(model, 20, tolerance=5e-4))) == 0


def test_weights_that_freeze_before_the_threshold_have_no_estimate():
    with pytest.raises(UnsupportedError, match="do not leave their cell"):
        plateau_estimate(narrow_start(2.0).replace(surrogate=ClippedSurrogate(0.2)))


def test_estimate_refuses_what_has_no_plateau():
    with pytest.raises(UnsupportedError, match="start on the threshold 0"):
        plateau_estimate(narrow_start(2.0).replace(weight_quantizer=Uniform(bits=2, range=2.0)))
    with pytest.raises(UnsupportedError, match="needs weights quantized by a step function"):
        plateau_estimate(LinearModel(teacher=Constant(1.0)))
    with pytest.raises(UnsupportedError, match="do not leave their cell"):
        plateau_estimate(narrow_start(2.0, Constant(0.0)))
