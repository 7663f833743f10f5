"""Figures of sweeps: a phase diagram over two parameters, a curve over one."""

import numpy as np
import xarray
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.contour import ContourSet
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from steode.errors import SpecificationError
from steode.plot import style
from steode.sweep.axes import resolve

DECADES = 1.3
"""Spread of the values, in decades, from which colors are logarithmic."""
RATIO = 5
"""Largest over smallest value from which an axis may be logarithmic."""
MISSING = "#BDBDBD"
MOST_MARKS = 12
"""Rows up to which their optimum has a large mark."""


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
    field = _field(ds, variable, (y, x))
    ax = style.axes(ax)
    ax.grid(False)
    across, up = _Scale(field[x]), _Scale(field[y])
    values = np.ma.masked_invalid(field.values)
    norm = _norm(values)
    ax.set_facecolor(MISSING)
    # scales first: contour labels are cut out of lines where they are then
    across.apply(ax, ax.xaxis)
    up.apply(ax, ax.yaxis)
    mesh = ax.pcolormesh(across.edges, up.edges, values, norm=norm, cmap="viridis", rasterized=True)
    bar = ax.figure.colorbar(mesh, ax=ax, label=_words(field))
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
    ax.set(xlabel=_words(field[x]), ylabel=_words(field[y]))
    ax.spines[["top", "right"]].set_visible(True)
    style.legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)
    return ax


def profile(ds: xarray.Dataset, x: str, variable: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw a variable of a sweep over one of its parameters, with its smallest value marked where smaller is better.

    Arguments and errors as of `phase_diagram`.
    """
    if not isinstance(ds, xarray.Dataset):
        raise SpecificationError("ds", "a dataset from sweep", ds, "See steode.sweep.")
    x = resolve(x, [str(dim) for dim in ds.dims], "x")
    field = _field(ds, variable, (x,))
    ax = style.axes(ax)
    across, values = _Scale(field[x]), np.ma.masked_invalid(field.values)
    ax.plot(across.centers, values, "-o", color=style.COLORS[0], markersize=4)
    if field.attrs.get("better") == "smaller":
        best = values.argmin()
        name = f"smallest, at {field[x].values[best]:.4g}" if across.numeric else f"smallest, {field[x].values[best]}"
        ax.plot(across.centers[best], values[best], "*", color=style.COLORS[1], markersize=14, label=name)
    across.apply(ax, ax.xaxis)
    if isinstance(_norm(values), LogNorm):
        ax.set_yscale("log")
    ax.set(xlabel=_words(field[x]), ylabel=_words(field))
    style.legend(ax)
    return ax


def _field(ds: xarray.Dataset, variable: str | None, dims: tuple[str, ...]) -> xarray.DataArray:
    """The variable as an array over these dimensions in this order, numeric coordinates increasing."""
    known = [str(name) for name in ds.data_vars if ds[name].dtype.kind == "f"]
    variable = known[0] if variable is None and known else variable
    if variable not in known:
        raise SpecificationError("variable", "one of " + ", ".join(known), variable, "Sweep with another measure.")
    field = ds[variable]
    for dim in field.dims:
        if dim not in dims:
            remedy = f'Choose one value of it: ds.sel({{"{dim}": {ds[dim].values[0]!r}}}).'
            expected = "a dataset with dimensions " + " and ".join(dims)
            raise SpecificationError("ds", expected, [str(name) for name in field.dims], remedy)
    if not np.isfinite(field.values).any():
        raise SpecificationError("variable", "a variable with finite values", variable, "Nothing converged.")
    for dim in dims:
        if field[dim].dtype.kind in "iuf":
            field = field.sortby(dim)
    return field.transpose(*dims)


def _words(array: xarray.DataArray) -> str:
    words = [array.attrs.get("long_name", str(array.name)), array.attrs.get("symbol", "")]
    return " ".join(word for word in words if word)


class _Scale:
    """How the values of a coordinate lie on an axis: their centers, the edges between them, linear or logarithmic."""

    def __init__(self, coordinate: xarray.DataArray):
        self.labels = coordinate.values
        self.numeric = self.labels.dtype.kind in "iuf"
        self.centers = self.labels.astype(float) if self.numeric else np.arange(self.labels.size, dtype=float)
        self.whole = self.numeric and bool(np.all(self.centers == np.round(self.centers)))
        self.log = self.numeric and _is_geometric(self.centers)
        places = np.log(self.centers) if self.log else self.centers
        gaps = np.diff(places) if places.size > 1 else np.ones(1)
        middles = places[:-1] + np.diff(places) / 2
        edges = np.concatenate([[places[0] - gaps[0] / 2], middles, [places[-1] + gaps[-1] / 2]])
        self.edges = np.exp(edges) if self.log else edges

    def apply(self, ax: Axes, axis) -> None:
        name = axis.axis_name
        if self.log:
            getattr(ax, f"set_{name}scale")("log")
        if not self.numeric or (self.whole and self.centers.size <= 12):
            texts = [f"{label:g}" if self.numeric else str(label) for label in self.labels]
            axis.set_ticks(self.centers, texts)
            axis.set_ticks([], minor=True)
        elif self.log:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=self.whole))
        getattr(ax, f"set_{name}lim")(self.edges[0], self.edges[-1])


def _is_geometric(values: np.ndarray) -> bool:
    if values.size < 3 or values[0] <= 0 or values[-1] < RATIO * values[0]:
        return False
    spread = [np.ptp(steps) / np.mean(steps) for steps in (np.diff(np.log(values)), np.diff(values))]
    return bool(spread[0] < spread[1] - 1e-9)


def _norm(values: np.ma.MaskedArray) -> Normalize:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > low * 10**DECADES:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + max(abs(low), 1.0))


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
