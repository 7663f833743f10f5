"""The limit of committee machines without quantization beside values of another program."""

import numpy as np
import pytest

from steode import Normal, committee, solve

pytestmark = pytest.mark.representative

TIMES = [0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0]
PLAIN = committee.CommitteeModel(learning_rate=0.5, noise=0.1, init=Normal(std=0.5))


def test_values_of_an_independent_program_without_quantization():
    """Theory, section 16: 60,000 particles of a program of its own, about 1 %."""
    found = solve(PLAIN, 80.0, times=TIMES)
    np.testing.assert_allclose(found["eps_g"], [0.463, 0.120, 0.0309, 0.0176, 0.0168, 0.0166, 0.0165], rtol=0.012)
    assert found["specialization"] == pytest.approx(np.zeros(7), abs=1e-8)
