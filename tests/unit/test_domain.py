"""Ends and spacings of the density's mesh: estimates that have to hold in every unit of the weights."""

import jax
import numpy as np
import pytest

from steode import Constant, LinearModel, Normal, Uniform
from steode.solvers.domain import reach
from steode.systems.linear.problem import make_problem, nominal_start


def ends(unit: float, target: float) -> np.ndarray:
    """Ends of the domain of one model whose weights are measured in `unit`, in that unit."""
    model = LinearModel(
        teacher=Constant(target * unit),
        weight_quantizer=Uniform(2, 2.0 * unit),
        init=Normal(std=unit),
        noise=unit,
        learning_rate=0.5,
    )
    with jax.enable_x64(True):
        start = nominal_start(model)
        return np.array(reach(make_problem(model, start.rows(np.zeros(0), 2)), start.extent, 3.0)) / unit


@pytest.mark.parametrize("target", [1.0, 3.0])
@pytest.mark.parametrize("unit", [1e-2, 1e6])
def test_the_domain_scales_with_the_weights(unit, target):
    """Also where nothing pulls the weights back, so that they have no tail to stop at."""
    assert ends(unit, target) == pytest.approx(ends(1.0, target), rel=1e-12)
