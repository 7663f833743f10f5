"""Grids of toolkits by name, against levels measured in the toolkit and, where it is installed, against the toolkit."""

import numpy as np
import pytest

from steode.errors import SpecificationError
from steode.parts.formats import float4_e2m1fn, float8_e4m3fn, float8_e5m2
from steode.parts.quantizers import Uniform
from steode.parts.surrogates import ClippedSurrogate
from steode.parts.toolkit_grid import TOOLKIT_GRIDS, TOOLKIT_SURROGATES, toolkit_grid, toolkit_surrogate

QWIX_FIXED = {
    "int2": [-2.66666675, -1.33333337, 0.0, 1.33333337],
    "int3": [-2.28571439, -1.71428585, -1.14285719, -0.5714286, 0.0, 0.5714286, 1.14285719, 1.71428585],
}
"""Levels of qwix 0.1.8, float32: distinct values of `rounded_by_qwix(np.linspace(-6, 6, 24001), qtype, "fixed,-2,2")`.

With np.linspace(-2, 2, 24001) and "absmax" instead, int3 (7 levels) and int4 (15) lose the lowest one; int2 keeps it
for the single point -2, whose quotient -1.5 is rounded to even.
"""


def rounded_by_qwix(points: np.ndarray, qtype, calibration: str) -> np.ndarray:
    """Quantized and dequantized by qwix, one scale for the whole array."""
    import jax.numpy as jnp
    from qwix._src.core import qarray

    how = qarray.HowToQuantize(qtype=qtype, channelwise_axes=(), tiled_axes={}, calibration_method=calibration)
    return np.asarray(qarray.dequantize(qarray.quantize(jnp.asarray(points, jnp.float32), how)), float)


@pytest.mark.parametrize("qtype", QWIX_FIXED)
def test_qwix_grid_has_the_measured_levels(qtype):
    np.testing.assert_allclose(toolkit_grid("qwix", int(qtype[3:]), 2.0).levels, QWIX_FIXED[qtype], rtol=1e-6)


@pytest.mark.parametrize("qtype", ["int2", "int3", "int4", "int5", "int6", "int7", "int8"])
@pytest.mark.parametrize("calibration", ["fixed,-2,2", "absmax"])
def test_qwix_itself_rounds_to_these_grids(qtype, calibration):
    pytest.importorskip("qwix", reason="qwix is not installed; its measured levels are compared instead")
    # the largest point sets the scale of absmax; no other comes near a threshold of any of these grids
    points = np.append(np.random.default_rng(0).uniform(-1.99, 1.99, 5000), 2.0)
    if calibration.startswith("fixed"):
        points *= 2
    grid = toolkit_grid("qwix" if calibration.startswith("fixed") else "qwix-absmax", int(qtype[3:]), 2.0)
    points = points[np.abs(points[:, None] - grid.thresholds).min(axis=1) > 1e-5]
    np.testing.assert_allclose(rounded_by_qwix(points, qtype, calibration), grid(points), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("fmt", [float8_e4m3fn(2.0), float8_e5m2(2.0), float4_e2m1fn(2.0)])
def test_qwix_itself_rounds_to_the_float_formats(fmt):
    pytest.importorskip("qwix", reason="qwix is not installed")
    import jax.numpy as jnp

    qtype = {3: jnp.float8_e4m3fn, 2: jnp.float8_e5m2, 1: jnp.float4_e2m1fn}[fmt.mantissa_bits]
    points = np.random.default_rng(0).normal(size=5000)
    edges = fmt.thresholds[np.searchsorted(fmt.thresholds, points).clip(1) - 1], points
    points = points[np.abs(edges[0] / edges[1] - 1) > 1e-5]
    np.testing.assert_allclose(rounded_by_qwix(points, qtype, "fixed,-2,2"), fmt(points), rtol=1e-6)


def test_two_bits_and_range_two_by_toolkit():
    third = 4 / 3
    expected = {
        "brevitas": [-2, -1, 0, 1],
        "brevitas-narrow": [-2, 0, 2],
        "pytorch": [-2 * third, -third, 0, third],
        "pytorch-narrow": [-2, 0, 2],
        "torchao": [-2 * third, -third, 0, third],
        "torchao-no-clipping": [-4, -2, 0, 2],
        "qwix": [-2 * third, -third, 0, third],
        "qwix-absmax": [-third, 0, third],
        "aqt": [-third, 0, third],
        "aqt-preserve-max": [-2, 0, 2],
        "dorefa": [-2, -third / 2, third / 2, 2],
        "paretoq": [-1.5, -0.5, 0.5, 1.5],
    }
    assert expected.keys() == TOOLKIT_GRIDS.keys()
    for name, levels in expected.items():
        np.testing.assert_allclose(toolkit_grid(name, 2, 2.0).levels, levels, rtol=1e-15, atol=1e-15)


def test_torchao_documents_its_two_symmetric_mappings():
    """Weights in (-10.2, 10.2) and codes -8, ..., 7: scale 20.4/15, or 10.2/7 where no weight is clipped.

    The example of https://docs.pytorch.org/ao/stable/generated/torchao.quantization.MappingType.html.
    """
    for name, scale in [("torchao", 20.4 / 15), ("torchao-no-clipping", 10.2 / 7)]:
        np.testing.assert_allclose(toolkit_grid(name, 4, 10.2).levels, scale * np.arange(-8, 8), rtol=1e-14)


def test_the_constructors_check_their_arguments():
    with pytest.raises(SpecificationError, match=r"name: expected one of brevitas, .*received 'tensorflow'"):
        toolkit_grid("tensorflow", 4, 1.0)
    with pytest.raises(SpecificationError, match="range"):
        toolkit_grid("qwix", 4, 0.0)
    with pytest.raises(SpecificationError, match="bits"):
        toolkit_grid("aqt", 1, 1.0)


def test_paretoq_rounds_as_its_quantizer_does():
    """round(clip(w/alpha, -0.99, 0.99) 2^(b-1) - 1/2) + 1/2, over 2^(b-1), times alpha (arXiv 2502.02631)."""
    alpha, w = 0.7, np.random.default_rng(0).normal(size=1000)
    for bits in (1, 2, 3, 4):
        half = 2 ** (bits - 1)
        expected = alpha * (np.round(np.clip(w / alpha, -0.99, 0.99) * half - 0.5) + 0.5) / half
        np.testing.assert_allclose(toolkit_grid("paretoq", bits, alpha)(w), expected, rtol=1e-14)
    assert toolkit_grid("paretoq", 2, alpha) == Uniform(2, 0.75 * alpha)
    assert toolkit_surrogate("paretoq", 2, alpha) == ClippedSurrogate(0.99 * alpha)


@pytest.mark.parametrize(("name", "low", "high"), [("pytorch", -8, 7), ("pytorch-narrow", -7, 7)])
def test_pytorch_passes_the_gradient_of_codes_that_are_not_clamped(name, low, high):
    """A code is clamped if round(w/step) lies beyond the outermost ones."""
    grid, surrogate = toolkit_grid(name, 4, 2.0), toolkit_surrogate(name, 4, 2.0)
    step, w = grid.levels[1] - grid.levels[0], np.random.default_rng(0).normal(0, 3, size=1000)
    codes = np.round(w / step)
    below, above = surrogate.band
    np.testing.assert_array_equal((w > below) & (w < above), (codes >= low) & (codes <= high))
    np.testing.assert_allclose(surrogate.band, ((low - 0.5) * step, (high + 0.5) * step), rtol=1e-14)


def test_surrogates_are_known_by_names_of_grids():
    assert TOOLKIT_SURROGATES.keys() <= TOOLKIT_GRIDS.keys()
    assert toolkit_surrogate("qwix", 4, 2.0) == ClippedSurrogate(2.0)
    with pytest.raises(SpecificationError, match=r"name: expected one of pytorch, .*received 'aqt'"):
        toolkit_surrogate("aqt", 4, 1.0)
