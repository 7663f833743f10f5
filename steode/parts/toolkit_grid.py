"""The verbs `toolkit_grid` and `toolkit_surrogate`: what a quantization toolkit means by "b bits, range omega"."""

from collections.abc import Callable

from steode.errors import SpecificationError, check_positive
from steode.parts.formats import IntegerFormat
from steode.parts.quantizers import SignedInteger, StepFunction, Uniform
from steode.parts.surrogates import ClippedSurrogate


def _signed(bits: int, range: float) -> StepFunction:
    return SignedInteger(bits, range)


def _narrow(bits: int, range: float) -> StepFunction:
    return Uniform(bits, range, "mid-tread")


def _middle(bits: int, range: float) -> StepFunction:
    return IntegerFormat(bits, range, range_at="middle")


def _narrow_middle(bits: int, range: float) -> StepFunction:
    return IntegerFormat(bits, range, narrow=True, range_at="middle")


def _positive(bits: int, range: float) -> StepFunction:
    return IntegerFormat(bits, range, range_at="positive")


def _mid_rise(bits: int, range: float) -> StepFunction:
    return Uniform(bits, range)


def _centers(bits: int, range: float) -> StepFunction:
    grid = Uniform(bits, check_positive("range", range))
    return Uniform(bits, (1 - 2.0**-grid.bits) * grid.range)


TOOLKIT_GRIDS: dict[str, Callable[[int, float], StepFunction]] = {
    "brevitas": _signed,
    "brevitas-narrow": _narrow,
    "pytorch": _middle,
    "pytorch-narrow": _narrow,
    "torchao": _middle,
    "torchao-no-clipping": _positive,
    "qwix": _middle,
    "qwix-absmax": _narrow_middle,
    "aqt": _narrow_middle,
    "aqt-preserve-max": _narrow,
    "dorefa": _mid_rise,
    "paretoq": _centers,
}
"""Constructors by name; what each name means is in `toolkit_grid` and, with measurements, in the guide."""


def toolkit_grid(name: str, bits: int, range: float) -> StepFunction:
    """The weight grid of a toolkit for `bits` bits when its clipping range, or largest magnitude, is `range`.

    - brevitas: two's complement, step range/2^(bits-1), as for its activations;
    - brevitas-narrow (its weights), pytorch-narrow (-127, ..., 127), aqt-preserve-max: without the lowest code, step
      range/(2^(bits-1) - 1);
    - pytorch, torchao (symmetric), qwix (fixed range): two's complement, step 2 range/(2^bits - 1);
    - aqt, qwix-absmax: without the lowest code, step 2 range/(2^bits - 1);
    - torchao-no-clipping: two's complement, step range/(2^(bits-1) - 1);
    - dorefa: 2^bits levels from -range to range, step 2 range/(2^bits - 1), none at zero;
    - paretoq (its stretched elastic quantizer, two bits): 2^bits levels at the centers of as many equal cells of
      (-range, range), step 2 range/2^bits, none at zero.

    The signed grids of Brevitas put the lowest code at -range. PyTorch's symmetric observers, torchao's symmetric
    mapping and qwix divide the range by half the distance of the outermost codes, so that the lowest level lies beyond
    -range; where the range is the largest weight, as for qwix-absmax, only that weight itself can reach it. Grids
    without the lowest code, dorefa's and paretoq's are odd.

    Parameters
    ----------
    name : one of the names above, as strings in `steode.toolkit_grid.TOOLKIT_GRIDS`.
    bits : width of a weight.
    range : largest magnitude that the toolkit maps onto its codes.

    Raises `SpecificationError` for another name, and what the grid raises for other bits or ranges.
    """
    if name not in TOOLKIT_GRIDS:
        remedy = "Others are IntegerFormat, FloatFormat and Levels."
        raise SpecificationError("name", "one of " + ", ".join(TOOLKIT_GRIDS), name, remedy)
    return TOOLKIT_GRIDS[name](bits, range)


def _unclamped(grid: StepFunction, range: float) -> ClippedSurrogate:
    # a weight is clamped from half a step beyond the outermost code on
    low, high = grid.levels[0], grid.levels[-1]
    half = (high - low) / (grid.levels.size - 1) / 2
    return ClippedSurrogate(high + half, None if grid.is_odd else low - half)


def _in_range(grid: StepFunction, range: float) -> ClippedSurrogate:
    return ClippedSurrogate(range)


def _nearly_in_range(grid: StepFunction, range: float) -> ClippedSurrogate:
    return ClippedSurrogate(0.99 * range)


TOOLKIT_SURROGATES: dict[str, Callable[[StepFunction, float], ClippedSurrogate]] = {
    "pytorch": _unclamped,
    "pytorch-narrow": _unclamped,
    "qwix": _in_range,
    "paretoq": _nearly_in_range,
}
"""Which weights pass the gradient, by the names of `TOOLKIT_GRIDS`; of the others it is not known here."""


def toolkit_surrogate(name: str, bits: int, range: float) -> ClippedSurrogate:
    """The surrogate derivative that goes with `toolkit_grid` of the same arguments.

    - pytorch, pytorch-narrow (fake quantization): 1 where the code is not clamped, up to half a step beyond the
      outermost codes, so that two's complement passes more below zero than above: (-8.5, 7.5) steps with four bits;
    - qwix (fixed range): 1 within (-range, range);
    - paretoq: 1 within 0.99 of the range, where its quantizer clips.

    Raises `SpecificationError` for another name, and what `toolkit_grid` raises.
    """
    if name not in TOOLKIT_SURROGATES:
        remedy = "IdentitySurrogate() is the plain straight-through estimator."
        raise SpecificationError("name", "one of " + ", ".join(TOOLKIT_SURROGATES), name, remedy)
    return TOOLKIT_SURROGATES[name](toolkit_grid(name, bits, range), range)
