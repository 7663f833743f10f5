"""The measured plateau of the limit against the analytic estimate, over a sweep of ranges."""

import numpy as np
import pytest

from steode import Constant, LinearModel, Normal, Uniform, plateau, plateau_estimate, solve

RANGES = np.array([2.0, 3.2, 4.4])


def narrow_start(omega):
    return LinearModel(
        weight_quantizer=Uniform(bits=3, range=omega, kind="mid-tread"),
        teacher=Constant(1.0),
        init=Normal(std=0.05),
        learning_rate=0.01,
    )


@pytest.fixture(scope="module")
def sweep():
    models = [narrow_start(omega) for omega in RANGES]
    estimates = [plateau_estimate(model) for model in models]
    found = [plateau(solve(model, 110, tolerance=5e-4)) for model in models]
    return estimates, found


def test_measured_plateau_ends_within_a_quarter_of_the_predicted_spread(sweep):
    for estimate, found in zip(*sweep, strict=True):
        assert abs(found.length - estimate.length) < 0.25 * estimate.spread
        assert estimate.spread < 0.25 * estimate.length  # the band says something
        assert abs(found.longest.height - estimate.height) < 0.05 * estimate.height


def test_plateau_grows_linearly_with_the_range(sweep):
    """The line through the origin with the predicted slope 1/(6 eta), to three percent."""
    lengths = np.array([found.length for found in sweep[1]])
    assert np.abs(lengths / RANGES * 6 * 0.01 - 1).max() < 0.03


def test_length_hardly_depends_on_the_rule_s_tolerance(sweep):
    for found in sweep[1]:
        assert np.abs(np.array(found.longest.sensitivity) / found.length - 1).max() < 0.01
