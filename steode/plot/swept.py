"""What figures of sweeps share: a variable over its parameters, the words for it, and how values lie on an axis."""

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from steode.errors import SpecificationError
from steode.studies.sweep.axes import resolve

DECADES = 1.3
"""Spread of the values, in decades, from which colors are logarithmic."""
RATIO = 5
"""Largest over smallest value from which an axis may be logarithmic."""


def sweep_field(ds: xarray.Dataset, variable: str | None, dims: tuple[str, ...]) -> xarray.DataArray:
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


def dimension(ds: xarray.Dataset, name: str, argument: str) -> str:
    """The dimension of this name, or of the key into the specification that `steode.sweep` was given for it."""
    dims = [str(dim) for dim in ds.dims]
    keyed = [dim for dim in dims if dim in ds.coords and name in ds[dim].attrs.get("keys", "").split(", ")]
    return keyed[0] if keyed else resolve(name, dims, argument)


def words(array: xarray.DataArray) -> str:
    """Label of an axis or color bar: meaning and letter, as `steode.sweep` gives them."""
    parts = [array.attrs.get("long_name", str(array.name)), array.attrs.get("symbol", "")]
    return " ".join(part for part in parts if part)


class Scale:
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
        """Give `axis` of `ax` this scale, its ticks and its limits."""
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


def color_norm(values: np.ma.MaskedArray) -> Normalize:
    """Logarithmic where positive values span many factors."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > low * 10**DECADES:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + max(abs(low), 1.0))
