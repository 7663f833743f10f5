"""A sweep over two parameters: a phase diagram."""

import numpy as np
import xarray
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from steode.errors import SpecificationError
from steode.plot import style
from steode.plot.swept import Scale, color_norm, dimension, sweep_field, words

MISSING = "#BDBDBD"
MOST_FACETS = 12
"""Values of a third dimension that are drawn side by side."""
MOST_MARKS = 12
"""Rows up to which their optimum has a large mark."""


@style.styled
def phase_diagram(
    ds: xarray.Dataset,
    x: str,
    y: str,
    variable: str | None = None,
    *,
    contours: bool = True,
    optimum: bool | None = None,
    ax: Axes | None = None,
) -> Axes | np.ndarray:
    """Draw a variable of a sweep over two of its parameters: colors, labeled contour lines, and the best `x`.

    Parameters
    ----------
    ds : from `steode.sweep`. A third dimension gives panels side by side, in the same colors; further ones are selected
        first, as in ds.sel(learning_rate=0.1).
    x, y : dimensions such as "range", or their keys in the specification.
    variable : what is drawn; the first of the dataset if not given.
    contours : draw contour lines (not along an axis of words).
    optimum : mark the `x` of the smallest value in each row, and the smallest value of all by a star. Rows in which it
        is the first or last `x`, so that a better one may lie beyond, share one open mark at the middle of their line.
        None: where smaller is better.
    ax : drawn on, with a color bar beside it; a new figure if not given.

    Returns the axes: of three dimensions an array of them, one for each panel.

    Values that are not finite are gray. Colors are logarithmic where positive values span more than a factor of twenty,
    an axis where its values are closer to a geometric than to an arithmetic progression.

    Raises
    ------
    SpecificationError
        If a name is not in the dataset or not clear, a further dimension is left, or no value is finite.
    """
    if not isinstance(ds, xarray.Dataset):
        raise SpecificationError("ds", "a dataset from sweep", ds, "See steode.sweep.")
    x, y = (dimension(ds, name, argument) for name, argument in ((x, "x"), (y, "y")))
    if x == y:
        raise SpecificationError("y", "another dimension than x", y, "A phase diagram has two.")
    others = [str(dim) for dim in ds.dims if dim not in (x, y)]
    if len(others) == 1 and ax is None and ds.sizes[others[0]] <= MOST_FACETS:
        return _facets(ds, x, y, others[0], variable, contours, optimum)
    return _diagram(ds, x, y, variable, contours, optimum, style.axes(ax))


def _facets(ds: xarray.Dataset, x: str, y: str, over: str, variable, contours: bool, optimum) -> np.ndarray:
    """One diagram for each value of a third dimension, all in the same colors."""
    values = ds[over].values
    figure = Figure(figsize=(4.6 * values.size, 3.9), layout="constrained")
    panels = figure.subplots(1, values.size, squeeze=False)[0]
    norm = color_norm(np.ma.masked_invalid(sweep_field(ds, variable, (over, y, x)).values))
    for number, (panel, value) in enumerate(zip(panels, values, strict=True)):
        part = ds.isel({over: number})
        if np.isfinite(sweep_field(ds, variable, (over, y, x)).isel({over: number}).values).any():
            _diagram(part, x, y, variable, contours, optimum, style.axes(panel), norm)
        text = f"{value:g}" if values.dtype.kind in "iuf" else str(value)
        panel.set_title(f"{words(ds[over])} = {text}", fontsize="medium", pad=22)
    return panels


def _diagram(ds: xarray.Dataset, x: str, y: str, variable, contours: bool, optimum, ax: Axes, norm=None) -> Axes:
    field = sweep_field(ds, variable, (y, x))
    ax.grid(False)
    across, up = Scale(field[x]), Scale(field[y])
    values = np.ma.masked_invalid(field.values)
    norm = color_norm(values) if norm is None else norm
    ax.set_facecolor(MISSING)
    # scales first: contour labels are cut out of lines where they are then
    across.apply(ax, ax.xaxis)
    up.apply(ax, ax.yaxis)
    mesh = ax.pcolormesh(across.edges, up.edges, values, norm=norm, cmap="viridis", rasterized=True)
    bar = ax.figure.colorbar(mesh, ax=ax, label=words(field))
    if isinstance(norm, LogNorm) and norm.vmax < 1e3 * norm.vmin:
        bar.ax.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}")
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    if contours and min(values.shape) > 1 and across.numeric and up.numeric:
        _contours(ax, across.centers, up.centers, values, norm)
    smaller_is_better = field.attrs.get("better") == "smaller"
    if smaller_is_better if optimum is None else optimum:
        _mark_optimum(ax, across.centers, up.centers, values)
    if values.mask.any():
        ax.plot([], [], "s", color=MISSING, markersize=8, label="no finite value")
    ax.set(xlabel=words(field[x]), ylabel=words(field[y]))
    ax.spines[["top", "right"]].set_visible(True)
    style.legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)
    return ax


def _contours(ax: Axes, across, up, values, norm: Normalize) -> ContourSet:
    """Lines at round values. On a logarithmic scale they are interpolated between logarithms, as the colors are."""
    if isinstance(norm, LogNorm):
        subs = (1, 2, 5) if norm.vmax < 1e3 * norm.vmin else (1,)
        ticks, to_height, to_value = LogLocator(subs=subs).tick_values(norm.vmin, norm.vmax), np.ma.log10, _power
    else:
        ticks, to_height, to_value = MaxNLocator(8).tick_values(norm.vmin, norm.vmax), np.asarray, float
    levels = [float(to_height(tick)) for tick in ticks if norm.vmin < tick < norm.vmax]
    lines = ax.contour(across, up, to_height(values), levels=levels, colors="white", linewidths=0.8, linestyles="solid")
    lines.set_path_effects([patheffects.withStroke(linewidth=1.8, foreground="#00000066")])
    for text in ax.clabel(lines, fmt=lambda level: f"{to_value(level):.4g}", fontsize="small"):
        text.set_path_effects([patheffects.withStroke(linewidth=1.8, foreground="#000000AA")])
    return lines


def _power(exponent: float) -> float:
    return 10.0**exponent


def _labeled(ax: Axes, text: str) -> bool:
    return text in ax.get_legend_handles_labels()[1]


def _mark_optimum(ax: Axes, across, up, values: np.ma.MaskedArray) -> None:
    rows = [row for row in range(up.size) if values[row].count()]
    best = np.array([values[row].argmin() for row in rows])
    inner = (best > 0) & (best < across.size - 1)
    color, size = style.COLORS[1], 6 if len(rows) <= MOST_MARKS else 3.5
    ax.plot(across[best], up[rows], color=color, linewidth=1.4, zorder=3)
    look = {"color": color, "markersize": size, "clip_on": False, "linestyle": "", "zorder": 4}
    if inner.any():
        ax.plot(across[best[inner]], up[rows][inner], "o", label="best in each row", **look)
    # a row of open marks along an end would say one thing many times
    for end in (0, across.size - 1):
        at_end = np.flatnonzero(best == end)
        for run in np.split(at_end, np.flatnonzero(np.diff(at_end) > 1) + 1):
            if run.size:
                label = "best at an end of the axis" if not _labeled(ax, "best at an end of the axis") else None
                place = up[rows][run[run.size // 2]]
                ax.plot(across[[end]], [place], "o", markerfacecolor="white", label=label, **look)
    row, column = np.unravel_index(values.argmin(), values.shape)
    look = {"color": color, "markeredgecolor": "white", "markersize": 17, "clip_on": False}
    ax.plot(across[column], up[row], "*", label="best", zorder=5, **look)
