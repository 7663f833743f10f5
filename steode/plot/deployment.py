"""What is deployed after training, and what it costs: errors of averages and roundings over any parameter."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from steode.errors import SpecificationError
from steode.plot import style
from steode.systems.linear.deployments import Deployments

LABELS = {
    "last_iterate": "last iterate",
    "rounded_average": "latent weights averaged, then rounded",
    "averaged_iterates": "iterates averaged, full precision",
    "rounded_teacher": "rounding after training",
    "rounded_target": "nearest level",
    "unquantized": "no quantizers, last iterate",
}
LINES = {"rounded_average": (0, (6, 1.5, 1.2, 1.5)), "averaged_iterates": (0, (9, 2)), "rounded_teacher": "--"}
LINES |= {"rounded_target": ":", "unquantized": "-."}
"""In gray they differ by their dashes, through which a line below can be seen."""


@style.styled
def deployments(
    x: Sequence[float],
    found: Sequence[Deployments],
    runs: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    *,
    averaged: float | None = None,
    kinds: Sequence[str] = ("last_iterate", "rounded_average", "averaged_iterates", "rounded_teacher", "unquantized"),
    xlabel: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the errors of what may be deployed over a parameter, on a logarithmic axis.

    Parameters
    ----------
    x : values of the parameter.
    found : the result of `steode.deployments` at each of them.
    runs : simulated errors and their standard errors at each x, by name; NaN where there was no run.
    averaged : a time T; adds the error of quantized weights averaged over it, with the excess V/(2 B T).
    kinds : names of the errors drawn, as in `Deployments.errors`.
    xlabel : label of the horizontal axis.

    Raises `SpecificationError` if a name is not one of those errors, or `found` has another length than `x`.
    """
    for kind in (*kinds, *(runs or {})):
        if kind not in LABELS:
            raise SpecificationError("kinds", "names among " + ", ".join(LABELS), kind, "See Deployments.errors.")
    if len(x) != len(found):
        raise SpecificationError("found", f"{len(x)} results, one for each x", f"{len(found)}", "")
    ax = style.axes(ax)
    for number, kind in enumerate(kinds):
        color, marker = style.COLORS[number % len(style.COLORS)], style.MARKERS[number % len(style.MARKERS)]
        errors = np.array([result.errors[kind] for result in found])
        # a teacher recovered exactly has no place on a logarithmic axis
        errors = np.where(np.isfinite(errors) & (errors > 0), errors, np.nan)
        ax.plot(x, errors, linestyle=LINES.get(kind, "-"), color=color, linewidth=1.6, label=LABELS[kind])
        if averaged and kind == "averaged_iterates":
            over_time = [result.averaged_over(averaged) for result in found]
            ax.plot(x, over_time, ":", color=color, linewidth=1.6, label=rf"the same, over a time $T = {averaged:g}$")
        if runs and kind in runs:
            mean, error = (np.asarray(values, dtype=float) for values in runs[kind])
            # filled with white, so that of two on top of each other the smaller is seen on the larger
            look = {"color": color, "markerfacecolor": "white", "capsize": 2.5, "linestyle": "none"}
            look["markersize"] = 8.0 - 1.3 * number
            ax.errorbar(x, mean, error, marker=marker, zorder=3, **look)
    if runs:
        ax.plot([], [], "o", color=style.GRAY, markerfacecolor="white", markersize=6, label="simulation")
    ax.set(yscale="log", xlabel=xlabel, ylabel=style.SYMBOLS["eps_g"])
    style.legend(ax)
    return ax
