"""The error of a quantizer on Gaussian numbers: against quadrature, draws, and constants of the idealized models."""

import numpy as np
import pytest
import scipy.stats
import sympy

from steode.errors import SpecificationError, UnsupportedError
from steode.parts.elementwise import Elementwise
from steode.parts.format_error import format_error
from steode.parts.formats import FloatFormat, IntegerFormat, bfloat16, float4_e2m1fn, float8_e4m3fn, float8_e5m2, int4
from steode.parts.quantizers import Identity, Levels, Sign, SignedInteger, Uniform
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding

pytestmark = pytest.mark.representative

GRIDS = [
    Uniform(3, 2.0),
    SignedInteger(3, 1.5),
    Levels((-1.0, 0.2, 0.5), thresholds_at=(-1.5, 0.9)),
    Sign(0.7),
    int4(1.0),
    IntegerFormat(6, 3.0, range_at="middle"),
    float4_e2m1fn(2.0),
    float8_e4m3fn(2.5),
    float8_e5m2(),
]
QUANTIZERS = [*GRIDS, *(StochasticRounding(grid) for grid in GRIDS), AdditiveNoise(0.1), MultiplicativeNoise(0.2)]


def squared_error(quantizer, x):
    """E[(Q(x) - x)^2 | x] from the mean map and the variance map."""
    if isinstance(quantizer, (StochasticRounding, AdditiveNoise, MultiplicativeNoise)):
        return quantizer.variance(x) + (quantizer.mean(x) - x) ** 2
    return (quantizer(x) - x) ** 2


def panels(edges, function) -> float:
    """Integral of a function that is smooth between the edges: Gauss-Legendre with 20 nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges) / 2
    x = (edges[1:] + edges[:-1])[:, None] / 2 + half[:, None] * nodes
    return float(np.sum(half[:, None] * weights * function(x)))


def integrated(quantizer, std, function) -> float:
    """E function(x), between all levels and thresholds."""
    grid = getattr(quantizer, "grid", quantizer)
    kinks = np.concatenate([grid.levels, grid.thresholds]) if hasattr(grid, "levels") else []
    edges = np.unique(np.concatenate([kinks, std * np.linspace(-12, 12, 97)]))
    edges = edges[np.abs(edges) <= 12 * std]
    return panels(edges, lambda x: function(x) * scipy.stats.norm.pdf(x, scale=std))


@pytest.mark.parametrize("std", [0.01, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=repr)
def test_error_and_gain_against_quadrature(quantizer, std):
    error = format_error(quantizer, std)
    assert error.absolute == pytest.approx(integrated(quantizer, std, lambda x: squared_error(quantizer, x)), rel=1e-10)
    assert error.gain == pytest.approx(integrated(quantizer, std, lambda x: x * quantizer(x)) / std**2, rel=1e-10)
    assert error.relative == error.absolute / std**2
    assert error.absolute == error.granular + error.saturated


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=repr)
def test_error_against_draws(quantizer):
    generator = np.random.default_rng(7)
    x = 0.8 * generator.standard_normal(200_000)
    image = quantizer(x) if quantizer in GRIDS else quantizer.sample(x, generator)
    square = (image - x) ** 2
    z = (square.mean() - format_error(quantizer, 0.8).absolute) / (square.std(ddof=1) / np.sqrt(x.size))
    assert abs(z) < 4


@pytest.mark.parametrize("quantizer", [Uniform(3, 2.0), float4_e2m1fn(2.0), StochasticRounding(int4(1.0))])
def test_saturation_is_the_error_beyond_the_outermost_levels(quantizer):
    low, high = getattr(quantizer, "grid", quantizer).levels[[0, -1]]

    def beyond(x):
        return np.where((x < low) | (x > high), squared_error(quantizer, x), 0.0)

    assert format_error(quantizer, 1.5).saturated == pytest.approx(integrated(quantizer, 1.5, beyond), rel=1e-10)


def test_the_closed_form_and_the_quadrature_of_narrow_cells_meet():
    """Steps just below and just above a tenth of std: the error per squared step is smooth across the change."""
    stds = np.array([0.31, 0.3125 - 1e-9, 0.3125 + 1e-9, 0.315])
    grid = IntegerFormat(10, 16.0)
    assert grid.step == 0.1 * 0.3125
    for quantizer, constant in [(grid, 12), (StochasticRounding(grid), 6)]:
        np.testing.assert_allclose(format_error(quantizer, stds).absolute, grid.step**2 / constant, rtol=1e-12)


def test_sixteen_bits_lose_no_digits():
    grid = IntegerFormat(16, 12.0)
    assert format_error(grid, 1.0).absolute == pytest.approx(grid.step**2 / 12, rel=1e-12)
    assert format_error(StochasticRounding(grid), 1.0).absolute == pytest.approx(grid.step**2 / 6, rel=1e-12)


def test_an_integer_grid_much_coarser_than_the_numbers():
    """Delta std sqrt(2/pi) - std^2 by stochastic rounding: not the flat Delta^2/6; nearest rounding erases them."""
    grid = int4(8.0)
    stds = np.geomspace(1e-6, 0.1, 6)
    stochastic = format_error(StochasticRounding(grid), stds)
    np.testing.assert_allclose(stochastic.absolute, stds * np.sqrt(2 / np.pi) - stds**2, rtol=1e-12)
    np.testing.assert_allclose(stochastic.gain, 1, rtol=1e-12)
    nearest = format_error(grid, stds[:-1])
    np.testing.assert_allclose(nearest.relative, 1, rtol=1e-12)
    np.testing.assert_allclose(nearest.gain, 0, atol=1e-12)


@pytest.mark.parametrize("mantissa_bits", [1, 2, 3, 5, 7])
def test_floating_point_noise_relative_to_the_numbers(mantissa_bits):
    """Averaged over the binade of std the law of |x| is log-uniform: the error is an integral over one binade.

    For many mantissa bits 4^-m/(16 ln 2) = 0.0902 4^-m by stochastic rounding, half of it by nearest rounding.
    """
    fmt = FloatFormat(8, mantissa_bits)
    stds = 2 ** np.linspace(0, 1, 32, endpoint=False)
    edges = np.linspace(1, 2, 2 ** (mantissa_bits + 1) + 1)  # levels and midpoints
    for quantizer, constant in [(StochasticRounding(fmt), 16), (fmt, 32)]:
        relative = format_error(quantizer, stds).relative
        binade = panels(edges, lambda x, quantizer=quantizer: squared_error(quantizer, x) / x**3) / np.log(2)
        assert relative.mean() == pytest.approx(binade, rel=1e-9)
        assert np.ptp(relative) < 0.016 * relative.mean()
        ideal = 4.0**-mantissa_bits / (constant * np.log(2))
        assert 0 < 1 - relative.mean() / ideal < 0.25 * 4.0**-mantissa_bits


def test_common_models_and_arrays():
    stds = np.array([[0.5, 1.0], [2.0, 4.0]])
    assert format_error(Identity(), 1.0).absolute == 0
    np.testing.assert_array_equal(format_error(AdditiveNoise(0.1), stds).absolute, np.full((2, 2), 0.1))
    np.testing.assert_allclose(format_error(CommonFactor(0.1), stds).relative, np.full((2, 2), 0.1))
    both = format_error(float8_e4m3fn(), stds)
    assert both.absolute.shape == both.gain.shape == (2, 2)
    assert both.absolute[1, 0] == format_error(float8_e4m3fn(), 2.0).absolute
    assert str(both).splitlines()[0].split() == ["std", "absolute", "relative", "granular", "saturated", "gain"]
    assert len(str(both).splitlines()) == 5


def test_bfloat16_is_within_reach():
    assert format_error(bfloat16(), 1.0).relative * 4**7 == pytest.approx(1 / (32 * np.log(2)), rel=0.01)


@pytest.mark.parametrize("std", [0.0, -1.0, np.nan, "one", [1.0, 0.0]])
def test_wrong_std_is_refused(std):
    with pytest.raises(SpecificationError, match="std"):
        format_error(int4(), std)


def test_smooth_maps_are_refused():
    with pytest.raises(UnsupportedError, match=r"neither a step function.*quad"):
        format_error(Elementwise(sympy.tanh(sympy.Symbol("x"))), 1.0)
