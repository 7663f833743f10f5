"""What `compare` returns: simulated runs beside their limit."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import xarray

TABLE_ROWS = 11


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """One observable of simulated runs beside its limit; arrays of shape (T,), or (T, n) for one with n levels.

    Attributes
    ----------
    observable, start, seeds : what was compared, from which initial condition the limit started, number of runs.
    times : rescaled times tau.
    theory, simulation : the limit (its mean over seeds if start is "drawn") and the mean over seeds of the runs.
    gap : simulation - theory.
    standard_error : of the gap, from its spread over seeds: of SGD noise and instance together if start is "nominal",
        of SGD noise alone if it is "drawn".
    instance_error : standard error of the mean limit over the drawn instances (teacher, initial weights); zero if start
        is "nominal", which does not tell the two apart.
    numerical_error : estimated discretization error of the limit plus rounding of the runs.
    resolution : what counting whole weights adds in quadrature to the standard error.
    z : normal score of the gap; see `steode.compare`.
    predicted_std, predicted_error : of one run and of the mean over the runs, the standard deviation that
        `fluctuations` predicts at the runs' dimension: of SGD noise and instance together if start is "nominal", of SGD
        noise alone if it is "drawn". NaN if no fluctuations were given.
    """

    observable: str
    start: str
    seeds: int
    times: np.ndarray
    theory: np.ndarray
    simulation: np.ndarray
    gap: np.ndarray
    standard_error: np.ndarray
    instance_error: np.ndarray
    numerical_error: np.ndarray
    resolution: np.ndarray
    z: np.ndarray
    predicted_std: np.ndarray
    predicted_error: np.ndarray

    @property
    def largest_z(self) -> float:
        """The largest |z| over all times."""
        return float(np.abs(self.z).max())

    def __repr__(self) -> str:
        columns, rows = self._table()
        widths = [max(len(row[j]) for row in (columns, *rows)) for j in range(len(columns))]
        table = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in (columns, *rows)]
        lines = ["  ".join(row) for row in table]
        return "\n".join([self._title(), *lines])

    def _repr_markdown_(self) -> str:
        columns, rows = self._table()
        lines = ["| " + " | ".join(row) + " |" for row in (columns, ["---:"] * len(columns), *rows)]
        return "\n".join([self._title(), "", *lines])

    def to_xarray(self) -> xarray.Dataset:
        """The arrays as a labelled dataset."""
        dims = ("time", "level")[: self.gap.ndim]
        names = [field.name for field in dataclasses.fields(self) if field.type is np.ndarray and field.name != "times"]
        data = {name: (dims, getattr(self, name)) for name in names}
        attrs = {"observable": self.observable, "start": self.start, "seeds": self.seeds}
        return xarray.Dataset(data, {"time": ("time", self.times, {"long_name": "rescaled time tau = step/d"})}, attrs)

    def _title(self) -> str:
        source = "the nominal laws" if self.start == "nominal" else "each run's drawn weights"
        times = f"{self.times.size} times" if self.times.size > 1 else "1 time"
        return (
            f"{self.observable}: mean of {self.seeds} runs against the limit from {source}; largest |z| "
            f"{self.largest_z:.2f} over {times}"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Header and at most TABLE_ROWS rows; of an observable with levels the level of largest |z| at each time."""
        shown = np.unique(np.linspace(0, self.times.size - 1, TABLE_ROWS).round().astype(int))
        columns = ["tau", "limit", "simulation", "gap", "standard error", "z"]
        names = ["theory", "simulation", "gap", "standard_error", "z"]
        if self.start == "drawn":
            columns, names = [*columns, "instance s.e."], [*names, "instance_error"]
        values = {name: getattr(self, name) for name in names}
        if not np.all(np.isnan(self.predicted_error)):
            columns, names = [*columns, "predicted s.e."], [*names, "predicted_error"]
            values["predicted_error"] = self.predicted_error
        if self.gap.ndim > 1:
            level = np.abs(self.z).argmax(axis=1)
            values = {name: array[np.arange(self.times.size), level] for name, array in values.items()}
            columns = [*columns, "level"]
        rows = []
        for i in shown:
            row = [f"{self.times[i]:g}", *(_rounded(values[name][i], 2 if name == "z" else 5) for name in names)]
            rows.append([*row, str(level[i])] if self.gap.ndim > 1 else row)
        return columns, rows


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Comparisons(Mapping):
    """Several comparisons by name, one row each: at the last time, and the largest |z| over all times.

    items_by_name : name -> `Comparison`, in order.
    """

    items_by_name: dict[str, Comparison]

    def __getitem__(self, name: str) -> Comparison:
        return self.items_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_by_name)

    def __len__(self) -> int:
        return len(self.items_by_name)

    @property
    def largest_z(self) -> float:
        """The largest |z| over all models and times."""
        return max(item.largest_z for item in self.values())

    def _rows(self) -> list[list[str]]:
        rows = [["model", "tau", "limit", "simulation", "gap", "standard error", "z", "largest |z|"]]
        for name, item in self.items():
            columns, cells = item._table()
            last = dict(zip(columns, cells[-1], strict=True))
            rows.append([name, *(last[column] for column in rows[0][1:-1]), f"{item.largest_z:.2f}"])
        return rows

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
        first = next(iter(self.values()))
        return "\n".join([f"{first.observable} of {len(self)} models at the last time", *lines])

    def _repr_markdown_(self) -> str:
        head, *rows = ["| " + " | ".join(row).replace("|z|", "abs z") + " |" for row in self._rows()]
        return "\n".join([head, "|" + " --- |" * 8, *rows])


def _rounded(value: float, digits: int) -> str:
    # adding 0 turns the -0 of a small negative number into 0
    return f"{round(float(value), digits) + 0.0:.{digits}f}"
