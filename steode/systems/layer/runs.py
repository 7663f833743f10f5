"""What `simulate` of a layer returns."""

import dataclasses

import numpy as np
import xarray

from steode import store
from steode.errors import SpecificationError
from steode.systems.layer.results import table
from steode.systems.layer.spec import LayerModel

QUANTITIES = {
    "V": "residual variance E(yhat - y)^2 of each row",
    "V_average": "residual variance after rounding the mean of the latent weights",
    "V_test": "mean square residual of each row on fresh batches",
    "flips": "level changes of a weight so far, mean of each row",
    "level_fraction": "share of each row's weights at each level",
}
"""Name -> meaning."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerRuns:
    """Training runs of one layer.

    Attributes
    ----------
    model : the specification.
    times : rescaled times tau = step/d, (T,).
    values : name of QUANTITIES -> (seeds, T, rows), with an axis of levels more for "level_fraction".
    weights : latent weights at the end, (seeds, rows, d).
    data : "gaussian", "epochs" or "online".
    interrupted : whether the keyboard ended the runs early.
    """

    model: LayerModel
    times: np.ndarray
    values: dict[str, np.ndarray]
    weights: np.ndarray
    data: str
    interrupted: bool

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.values:
            raise SpecificationError("quantity", "one of " + ", ".join(self.values), name, "These were recorded.")
        return self.values[name]

    @property
    def flip_rate(self) -> np.ndarray:
        """Level changes of a weight in a unit of tau between two records, (seeds, T - 1, rows)."""
        return np.diff(self.values["flips"], axis=1) / np.diff(self.times)[None, :, None]

    def late(self, name: str = "V", since: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """Mean over the records after `since` times the last time, and its standard error over seeds, each (rows,)."""
        chosen = self.times >= since * self.times[-1]
        means = self[name][:, chosen].mean(axis=1)
        seeds = means.shape[0]
        error = means.std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.full(means.shape[1:], np.nan)
        return means.mean(axis=0), error

    def __repr__(self) -> str:
        seeds = self.values["V"].shape[0]
        shown = np.unique(np.linspace(0, self.times.size - 1, 9).round().astype(int))
        names = [name for name in ("V", "V_average", "V_test", "flips") if name in self.values]
        totals = {name: self.values[name].mean(axis=0).sum(axis=-1) for name in names}
        totals["flips"] = self.values["flips"].mean(axis=(0, 2))
        heads = [f"sum of {name}" if name != "flips" else "flips of a weight" for name in names]
        rows = [[f"{self.times[k]:g}", *(float(totals[name][k]) for name in names)] for k in shown]
        title = f"{seeds} runs on {self.data} data of {self.model}" + (" (interrupted)" if self.interrupted else "")
        return title + "\n" + table(["tau", *heads], rows)

    def to_xarray(self) -> xarray.Dataset:
        """What was recorded as a labelled dataset."""
        dims = ("seed", "time", "row", "level")
        data = {
            name: (dims[: values.ndim], values, {"long_name": QUANTITIES[name]}) for name, values in self.values.items()
        }
        return xarray.Dataset(data, {"time": ("time", self.times, {"long_name": "rescaled time tau = step/d"})})

    def save(self, path):
        """Write the dataset to a .nc file; `xarray.open_dataset` reads it."""
        return store.save_netcdf(path, self.to_xarray())
