"""The unit of the weights changes no fixed point but by its square, nor what is proved of it."""

import pytest

from steode import (
    AdditiveNoise,
    CommonFactor,
    Discrete,
    Identity,
    LinearModel,
    fixed_points,
)

UNITS = (1e-6, 1e6)


def model_in(unit: float, quantizer: str, **options) -> LinearModel:
    """A model whose weights, teacher and label noise are measured in `unit`."""
    quantizers = {
        "identity": Identity(),
        "common factor": CommonFactor(0.2),
        "additive": AdditiveNoise(0.1 * unit**2),
    }
    teacher = Discrete((-0.8 * unit, 0.3 * unit, 1.1 * unit), (0.25, 0.25, 0.5))
    return LinearModel(
        teacher=teacher, weight_quantizer=quantizers[quantizer], noise=0.3 * unit, learning_rate=0.7, **options
    )


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("quantizer", ["identity", "common factor", "additive"])
def test_fixed_points_scale_with_the_square_of_the_unit(quantizer, decay):
    (point,) = expected = fixed_points(model_in(1.0, quantizer, weight_decay=decay))
    for unit in UNITS:
        (scaled,) = found = fixed_points(model_in(unit, quantizer, weight_decay=decay))
        for name in ("V", "eps_g", "dithering_term", "decay_term", "noise_term"):
            value = getattr(scaled, name) / unit**2
            assert value == pytest.approx(getattr(point, name), rel=1e-9, abs=1e-12 * point.V)
        assert (found.complete, found.proof.partition("up to")[0]) == (
            expected.complete,
            expected.proof.partition("up to")[0],
        )
