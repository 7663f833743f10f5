"""Figures of sweeps over one parameter: a curve with its smallest value, several curves with runs on them."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from steode.errors import SpecificationError
from steode.plot import style
from steode.plot.swept import Scale, color_norm, dimension, sweep_field, words


@style.styled
def profile(ds: xarray.Dataset, x: str, variable: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw a variable of a sweep over one of its parameters, with its smallest value marked where smaller is better.

    Arguments and errors as of `phase_diagram`.
    """
    field = _row(ds, x, variable)
    ax = style.axes(ax)
    across, values = Scale(field[field.dims[0]]), np.ma.masked_invalid(field.values)
    ax.plot(across.centers, values, "-o", color=style.COLORS[0], markersize=4)
    if field.attrs.get("better") == "smaller":
        best = values.argmin()
        label = across.labels[best]
        name = f"smallest, at {label:.4g}" if across.numeric else f"smallest, {label}"
        ax.plot(across.centers[best], values[best], "*", color=style.COLORS[1], markersize=14, label=name)
    across.apply(ax, ax.xaxis)
    if isinstance(color_norm(values), LogNorm):
        ax.set_yscale("log")
    ax.set(xlabel=words(field[field.dims[0]]), ylabel=words(field))
    style.legend(ax)
    return ax


@style.styled
def profiles(
    found: Mapping[str, xarray.Dataset],
    x: str,
    variable: str | None = None,
    runs: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]] | None = None,
    *,
    limits: Mapping[str, float] | None = None,
    bounds: Mapping[str, float] | None = None,
    bound: str = "bound",
    log: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a variable of several sweeps over the same parameter as lines, and simulated values as markers on them.

    Parameters
    ----------
    found : datasets from `steode.sweep` by name; a value that is not finite leaves a gap.
    x, variable : as of `phase_diagram`.
    runs : simulated values by one of these names: their places, means and standard errors.
    limits : by name, the value of the parameter beyond which there is nothing to draw, such as the largest stable
        learning rate: a vertical line.
    bounds, bound : by name, a value that the variable tends to or cannot pass, a horizontal line; and what it is
        called.
    log : draw the variable on a logarithmic axis.

    Raises
    ------
    SpecificationError
        If a name of `runs`, `limits` or `bounds` is not in `found`, or as of `phase_diagram`.
    """
    for argument, values in (("runs", runs), ("limits", limits), ("bounds", bounds)):
        for name in values or {}:
            if name not in found:
                raise SpecificationError(argument, "names among " + ", ".join(found), name, "Give its sweep too.")
    ax = style.axes(ax)
    across = None
    for number, (name, ds) in enumerate(found.items()):
        field = _row(ds, x, variable)
        across, look = Scale(field[field.dims[0]]), style.look(number)
        ax.plot(across.centers, np.ma.masked_invalid(field.values), label=name, **look)
        if runs and name in runs:
            places, mean, error = (np.asarray(values, dtype=float) for values in runs[name])
            ax.errorbar(
                places, mean, error, marker=style.MARKERS[number % len(style.MARKERS)], color=look["color"],
                markerfacecolor="white", markersize=6, capsize=2.5, linestyle="none", zorder=3,
            )  # fmt: skip
        if limits and np.isfinite(limits.get(name, np.nan)):
            ax.axvline(limits[name], color=look["color"], linewidth=1.0, dashes=(4, 3), zorder=1)
        if bounds and np.isfinite(bounds.get(name, np.nan)):
            ax.axhline(bounds[name], color=look["color"], linewidth=1.0, linestyle=":", zorder=1)
    if runs:
        look = {"color": style.GRAY, "markerfacecolor": "white", "markersize": 6}
        ax.plot([], [], "o", label="simulation", **look)
    if limits:
        ax.plot([], [], color=style.GRAY, linewidth=1.0, dashes=(4, 3), label="largest value with a fixed point")
    if bounds:
        ax.plot([], [], color=style.GRAY, linewidth=1.0, linestyle=":", label=bound)
    if across is not None:
        across.apply(ax, ax.xaxis)
        ax.set(xlabel=words(field[field.dims[0]]), ylabel=words(field), yscale="log" if log else "linear")
    style.legend(ax)
    return ax


def _row(ds: xarray.Dataset, x: str, variable: str | None) -> xarray.DataArray:
    if not isinstance(ds, xarray.Dataset):
        raise SpecificationError("ds", "a dataset from sweep", ds, "See steode.sweep.")
    return sweep_field(ds, variable, (dimension(ds, x, "x"),))
