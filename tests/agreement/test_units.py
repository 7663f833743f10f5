"""The unit of the weights changes errors by its square and nothing else: of fixed points, proofs and curves."""

import pytest

from steode import (
    AdditiveNoise,
    CommonFactor,
    Discrete,
    Identity,
    LinearModel,
    Normal,
    fixed_points,
    fluctuations,
    solve,
)

pytestmark = pytest.mark.representative

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


@pytest.mark.parametrize("method", ["moments", "gaussian"])
@pytest.mark.parametrize("quantizer", ["identity", "common factor"])
def test_moments_keep_the_tolerance_in_every_unit(quantizer, method):
    # an absolute tolerance of the integrator would leave those of small weights to chance
    def curve(unit: float, tolerance: float = 1e-3):
        model = model_in(unit, quantizer, init=Normal(std=0.9 * unit), weight_decay=0.1)
        return solve(model, 6.0, times=[0.5, 2.0, 6.0], method=method, tolerance=tolerance)["eps_g"] / unit**2

    exact = curve(1.0, 1e-8)
    for unit in (1.0, *UNITS):
        assert curve(unit) == pytest.approx(exact, abs=1e-3 * exact.max())


def test_fluctuations_keep_the_tolerance_in_every_unit():
    def variance(unit: float):
        model = model_in(unit, "identity", init=Normal(std=0.9 * unit))
        return fluctuations(model, 6.0, times=[0.5, 2.0, 6.0]).variance() / unit**4

    assert variance(1e-4) == pytest.approx(variance(1.0), rel=1e-3)
