"""A range that is always at its optimum does not exist at a start that knows nothing of the teacher."""

import numpy as np
import pytest

from steode import Uniform

POINTS = np.linspace(-12.0, 12.0, 200_001)
WEIGHTS = np.exp(-(POINTS**2) / 2) / np.exp(-(POINTS**2) / 2).sum()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("gradient", ["lsq", "pact"])
def test_no_range_balances_the_gradient_of_the_range(bits, gradient):
    """With w* independent of w the mean gradient of the range is E[l Q], l = dQ/d range: it pulls down at every one."""
    balances = []
    for scale in np.geomspace(0.05, 20.0, 200):
        grid = Uniform(bits, scale)
        image = grid(POINTS)
        inside = np.abs(POINTS) < grid.levels[-1]
        slope = np.where(inside, (image - POINTS) * (gradient == "lsq"), image) / scale
        balances.append(WEIGHTS @ (slope * image))
    # on fine grids a wide PACT range has no weight beyond it, and no gradient at all
    assert min(balances) > 0 if gradient == "lsq" else min(balances) >= 0
