"""The numbers of a sweep as they come in: a labelled dataset, and a file that is whole at every moment."""

import dataclasses
import json
import pathlib

import numpy as np
import xarray

from steode import store
from steode._version import __version__
from steode.errors import SpecificationError
from steode.studies.sweep.grid import Grid
from steode.studies.sweep.labels import axis_attributes, variable_attributes
from steode.studies.sweep.request import Request
from steode.systems.linear.configuration import to_dict
from steode.systems.linear.trajectory import device_name

PENDING, UNCONVERGED, CONVERGED = range(3)

IDENTITY = ("specification", "axes", "measures", "settings", "version")
"""What a file has to agree in to be resumed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """Arrays, filled in place, with one entry for each point of the grid.

    values : variable -> numbers, NaN where there is none (yet).
    status : job -> PENDING, UNCONVERGED or CONVERGED.
    """

    grid: Grid
    request: Request
    values: dict[str, np.ndarray]
    status: dict[str, np.ndarray]

    @classmethod
    def empty(cls, grid: Grid, request: Request) -> "Results":
        """Nothing computed yet."""
        values = {name: np.full(grid.size, np.nan) for job in request.jobs for name in job.variables}
        return cls(grid, request, values, {job.name: np.zeros(grid.size, np.int8) for job in request.jobs})

    @property
    def complete(self) -> bool:
        """Whether every point was computed."""
        return all(np.all(status != PENDING) for status in self.status.values())

    @property
    def identity(self) -> dict[str, str]:
        """What defines the sweep, as texts."""
        axes = {", ".join(axis.keys): axis.values for axis in self.grid.axes}
        parts = {"specification": to_dict(self.grid.base), "axes": axes}
        parts |= {"measures": self.request.measures, "settings": self.request.settings}
        return {name: json.dumps(part) for name, part in parts.items()} | {"version": __version__}

    def to_xarray(self) -> xarray.Dataset:
        """The dataset so far; the status of each job is in it until all is computed."""
        grid, dims = self.grid, tuple(axis.name for axis in self.grid.axes)

        def shaped(array: np.ndarray, attributes: dict) -> tuple:
            # a copy: the dataset is the caller's, and these arrays are filled in place
            return dims, array.reshape(grid.shape).copy(), attributes

        data = {name: shaped(array, variable_attributes(name)) for name, array in self.values.items()}
        converged = np.all([status == CONVERGED for status in self.status.values()], axis=0)
        data["converged"] = shaped(converged, {"long_name": "whether every number of the point converged"})
        if not self.complete:
            meanings = {"flag_values": np.arange(3, dtype=np.int8), "flag_meanings": "pending unconverged converged"}
            data |= {_status(name): shaped(status, meanings) for name, status in self.status.items()}
        coords = {axis.name: (axis.name, axis.labels, axis_attributes(axis)) for axis in grid.axes}
        unconverged = int(np.any([status == UNCONVERGED for status in self.status.values()], axis=0).sum())
        attributes = {"device": device_name(), "unconverged": unconverged, "complete": self.complete}
        return xarray.Dataset(data, coords, self.identity | attributes)

    def save(self, path: pathlib.Path) -> None:
        """Write the dataset; the file is replaced in one step, so that it is whole whenever the process dies.

        Raises `WriteError` if that fails, as on a full disk.
        """
        write_dataset(self.to_xarray(), path)

    def load(self, path: pathlib.Path) -> None:
        """Take over what a file holds.

        Raises `SpecificationError` if it is not the file of a sweep, or that of another one, saying in what it differs.
        """
        expected = "a file written by sweep, or a new one"
        dataset = store.read_netcdf("path", path, expected)
        try:
            self._check_identity(path, {name: dataset.attrs[name] for name in IDENTITY})
            for name, array in self.values.items():
                array[:] = self._flat(dataset, name, "f")
            for name, status in self.status.items():
                # without its status every job is complete; one job's flag is that of the dataset
                whole = dataset.attrs["complete"]
                found = 1 + self._flat(dataset, "converged", "b") if whole else self._flat(dataset, _status(name), "i")
                status[:] = found
                if not np.all(np.isin(status, (PENDING, UNCONVERGED, CONVERGED))):
                    raise ValueError(f"{_status(name)} holds other numbers")
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, SpecificationError):
                raise
            remedy = f"Choose another name: this file is left alone ({error})."
            raise SpecificationError("path", expected, str(path), remedy) from None

    def _flat(self, dataset: xarray.Dataset, name: str, kind: str) -> np.ndarray:
        values = store.values_of(dataset, name, tuple(axis.name for axis in self.grid.axes), kind)
        if values.shape != self.grid.shape:
            raise ValueError(f"{name} has shape {values.shape} instead of {self.grid.shape}")
        return values.ravel()

    def _check_identity(self, path: pathlib.Path, held: dict[str, str]) -> None:
        for name, wanted in self.identity.items():
            if held[name] != wanted:
                here, there = (_difference(text, other) for text, other in ((wanted, held[name]), (held[name], wanted)))
                remedy = f"The file has {there}. Choose another file name, or delete the file to start anew."
                raise SpecificationError("path", f"a file of the same sweep, with {name} {here}", str(path), remedy)


def write_dataset(dataset: xarray.Dataset, path: pathlib.Path) -> None:
    """Write the dataset of a sweep, for `Results.load` to read."""
    # netCDF has no truth values among its attributes
    plain = dataset.assign_attrs(complete=int(dataset.attrs["complete"]))
    store.write(path, store.netcdf_bytes(plain))


def _status(job: str) -> str:
    return f"{job}_status"


def _difference(text: str, other: str) -> str:
    """The entries of a table in JSON that another one does not have; a text that is no table as it is."""
    try:
        table, others = json.loads(text), json.loads(other)
    except (ValueError, RecursionError):
        return text
    if isinstance(table, dict) and isinstance(others, dict):
        table = {key: value for key, value in table.items() if key not in others or others[key] != value}
    return json.dumps(table)
