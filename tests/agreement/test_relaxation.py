"""Late times of the limit, solved from the nominal start, against the spectrum at its fixed point."""

import numpy as np

from steode import fixed_points, solve
from steode.stability import stability
from tests.models import REFERENCE


def test_late_decay_is_the_leading_eigenvalue():
    """Differences in time remove the limit, a combination of two of them the second mode."""
    result = stability(fixed_points(REFERENCE)[0])
    leading, second = result.eigenvalues[:2].real
    assert result.eigenvalue_error[0] < 1e-4
    step = 10.0
    values = solve(REFERENCE, 140, times=110 + step * np.arange(4), tolerance=1e-5)["eps_g"]
    differences = np.diff(values)
    first_mode = differences[1:] - np.exp(second * step) * differences[:-1]
    measured = np.log(first_mode[1] / first_mode[0]) / step
    assert abs(measured / leading - 1) < 0.005
