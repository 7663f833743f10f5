"""The same surrogate written in two ways, with and without a point mass of weight zero, has the same limit."""

import pytest

from steode import Constant, LinearModel, Uniform, solve
from steode.parts.surrogates import DerivativeOf

GRID = Uniform(bits=2, range=2.0)


def test_both_ways_to_write_the_positive_part_have_the_same_limit():
    def final(proxy):
        model = LinearModel(
            teacher=Constant(1.0), weight_quantizer=GRID, activation_surrogate=DerivativeOf(proxy), learning_rate=0.5
        )
        return solve(model, 1.0, times=[1.0], tolerance=1e-2)["eps_g"][0]

    assert final("x*Heaviside(x)") == pytest.approx(final("Max(x, 0)"), rel=1e-9)
