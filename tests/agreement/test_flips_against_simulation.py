"""Flips counted in runs against the exact stationary density, at two dimensions whose gaps are one and two."""

import numpy as np
import pytest

from steode import Constant, Eigenvalues, LinearModel, Normal, SignSGD, Uniform, fixed_points, flips, simulate

pytestmark = pytest.mark.representative

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(
    teacher=Constant(1.0),
    weight_quantizer=GRID,
    input_quantizer=GRID,
    noise=0.3,
    learning_rate=0.5,
    init=Normal(mean=1.2, std=0.3),
)


SIGN = {"update_rule": SignSGD(), "learning_rate": 0.3}


@pytest.mark.parametrize(
    ("changes", "begin", "end"),
    [
        ({}, 10.0, 22.0),
        ({"batch_size": 2}, 10.0, 22.0),
        (SIGN, 25.0, 45.0),
        ({"spectrum": Eigenvalues((0.5, 1.5))}, 10.0, 22.0),
    ],
    ids=["one sample", "two samples", "sign", "spectrum"],
)
def test_flips_at_stationarity(changes, begin, end):
    model = MODEL.replace(**changes)
    wanted = flips(fixed_points(model)[0])
    near, far = (
        flips(simulate(model, dim, end, seeds=8, times=[begin, end], flips=True, dtype="float64")) for dim in (576, 144)
    )
    # the density has a cusp at the threshold, and over a step of length d^-1/2 it falls: a gap of that order
    extrapolated = 2 * near.total[0] - far.total[0]
    error = np.hypot(2 * near.total_error[0], far.total_error[0])
    assert abs(extrapolated - wanted.total) < 3.5 * error
