"""The staircase itself: an entrywise map of weights or inputs."""

import numpy as np
from matplotlib.axes import Axes

from steode.errors import SpecificationError
from steode.parts.quantizers import EntrywiseMap, StepFunction
from steode.plot import style

BEYOND = 1.35
"""The axis of a step function reaches this far beyond its outermost levels and thresholds."""


@style.styled
def quantizer(
    entrywise: EntrywiseMap, *, of: str = "w", span: float | None = None, label: str = "", color: int = 0,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw an entrywise map: levels as treads, thresholds as dotted lines, no quantization as a thin diagonal.

    Parameters
    ----------
    entrywise : a quantizer or another map of `LinearModel`.
    of : "w" for a map of the weights, "x" for one of the inputs.
    span : the axis reaches from -span to span; None: a third beyond the outermost level or threshold (3 where there is
        none).
    label, color : name and number of the map where an Axes holds several.

    Raises
    ------
    SpecificationError
        If `entrywise` is no such map, or `of` is another letter.
    """
    if not isinstance(entrywise, EntrywiseMap):
        raise SpecificationError("entrywise", "an entrywise map", entrywise, "For example Uniform(bits=2, range=2.0).")
    if of not in ("w", "x"):
        raise SpecificationError("of", '"w" or "x"', of, "w: map of the weights; x: map of the inputs.")
    ax = style.axes(ax)
    grid = _edges(entrywise)
    span = span or (BEYOND * float(np.abs(grid).max()) if grid.size else 3.0)
    new = not ax.lines
    if new:
        ax.axline((0, 0), slope=1, color=style.GRAY, linewidth=0.8, zorder=1)
    if isinstance(entrywise, StepFunction):
        thresholds = entrywise.thresholds[np.abs(entrywise.thresholds) < span]
        ends = np.concatenate([[-span], thresholds, [span]])
        values = entrywise((ends[:-1] + ends[1:]) / 2)
        ax.stairs(values, ends, baseline=None, linewidth=1.8, label=label or None, **style.look(color))
        for threshold in thresholds if new else ():
            ax.axvline(threshold, color=style.GRAY, linewidth=0.9, linestyle=":", zorder=1)
    else:
        points = np.linspace(-span, span, 401)
        ax.plot(points, entrywise(points), linewidth=1.8, label=label or None, **style.look(color))
    name = "latent weight" if of == "w" else "input coordinate"
    image = "quantized weight" if of == "w" else "quantized input"
    ax.set(xlabel=f"{name} ${of}$", ylabel=f"{image} $Q_{of}({of})$", xlim=(-span, span))
    style.legend(ax)
    return ax


def _edges(entrywise: EntrywiseMap) -> np.ndarray:
    if not isinstance(entrywise, StepFunction):
        return np.zeros(0)
    return np.concatenate([entrywise.levels, entrywise.thresholds])
