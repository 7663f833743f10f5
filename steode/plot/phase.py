"""A sweep over two parameters: a phase diagram."""

import numpy as np
import xarray
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.contour import ContourSet
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from steode.errors import SpecificationError
from steode.plot import style
from steode.plot.swept import Scale, color_norm, sweep_field, words
from steode.studies.sweep.axes import resolve

MISSING = "#BDBDBD"
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
) -> Axes:
    """Draw a variable of a sweep over two of its parameters: colors, labeled contour lines, and the best `x`.

    Parameters
    ----------
    ds : from `steode.sweep`; dimensions other than the two are selected first, as in ds.sel(learning_rate=0.1).
    x, y : dimensions, by their dotted keys or unambiguous last parts such as "range".
    variable : what is drawn; the first of the dataset if not given.
    contours : draw contour lines (not along an axis of words).
    optimum : mark the `x` of the smallest value in each row, open where it is the first or last and a better one may
        lie beyond, and the smallest value of all by a star. None: where smaller is better.
    ax : drawn on, with a color bar beside it; a new figure if not given.

    Values that are not finite are gray. Colors are logarithmic where positive values span more than a factor of twenty,
    an axis where its values are closer to a geometric than to an arithmetic progression.

    Raises
    ------
    SpecificationError
        If a name is not in the dataset or not clear, a further dimension is left, or no value is finite.
    """
    if not isinstance(ds, xarray.Dataset):
        raise SpecificationError("ds", "a dataset from sweep", ds, "See steode.sweep.")
    x, y = (resolve(name, [str(dim) for dim in ds.dims], argument) for name, argument in ((x, "x"), (y, "y")))
    if x == y:
        raise SpecificationError("y", "another dimension than x", y, "A phase diagram has two.")
    field = sweep_field(ds, variable, (y, x))
    ax = style.axes(ax)
    ax.grid(False)
    across, up = Scale(field[x]), Scale(field[y])
    values = np.ma.masked_invalid(field.values)
    norm = color_norm(values)
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


def _mark_optimum(ax: Axes, across, up, values: np.ma.MaskedArray) -> None:
    rows = [row for row in range(up.size) if values[row].count()]
    best = np.array([values[row].argmin() for row in rows])
    inner = (best > 0) & (best < across.size - 1)
    color, size = style.COLORS[1], 6 if len(rows) <= MOST_MARKS else 3.5
    ax.plot(across[best], up[rows], color=color, linewidth=1.4, zorder=3)
    for chosen, face, label in ((inner, color, "best in each row"), (~inner, "white", "best at an end of the axis")):
        if chosen.any():
            look = {"color": color, "markerfacecolor": face, "markersize": size, "clip_on": False}
            ax.plot(across[best[chosen]], up[rows][chosen], "o", label=label, zorder=4, **look)
    row, column = np.unravel_index(values.argmin(), values.shape)
    look = {"color": color, "markeredgecolor": "white", "markersize": 17, "clip_on": False}
    ax.plot(across[column], up[row], "*", label="best", zorder=5, **look)
