"""What `solve`, `descend` and `simulate` return, and their files."""

import dataclasses
import pathlib

import numpy as np
import xarray

from steode.binary_relu.configuration import from_toml, to_toml
from steode.errors import SpecificationError, check_path
from steode.systems.binary_relu.spec import BinaryReLUModel

OUTCOMES = ("running", "converged", "vanished")
"""Still moving at the last time; at rest; |w| reached the smallest length."""

MEANINGS = {
    "theta": "angle between w and w*",
    "length": "length of w",
    "v": "output weights",
    "loss": "loss",
    "loss_error": "standard error of the loss",
    "outcome": "running, converged or vanished",
    "end_time": "time at which the flow ended",
    "end_v": "output weights where it ended",
    "end_length": "length of w where it ended",
    "end_theta": "angle where it ended",
    "end_loss": "population loss where it ended",
}


@dataclasses.dataclass(frozen=True, eq=False)
class CoarseFlow:
    """The flow from K starts.

    Attributes
    ----------
    model : the specification.
    times : (T,); step size times number of steps.
    v, length, theta, loss : (K, T, m) and (K, T); after the flow came to rest its last value, after |w| vanished NaN.
    outcome : (K,), one of "running" (still moving at the last time), "converged" and "vanished".
    end_time : (K,), when it ended.
    end_v, end_length, end_theta, end_loss : (K, m) and (K,), where it ended.
    """

    model: BinaryReLUModel
    times: np.ndarray
    v: np.ndarray
    length: np.ndarray
    theta: np.ndarray
    loss: np.ndarray
    outcome: np.ndarray
    end_time: np.ndarray
    end_v: np.ndarray
    end_length: np.ndarray
    end_theta: np.ndarray
    end_loss: np.ndarray

    def __repr__(self) -> str:
        counts = ", ".join(f"{int(np.sum(self.outcome == name))} {name}" for name in OUTCOMES)
        surrogate = self.model.surrogate.name
        return f"Coarse-gradient flow, surrogate {surrogate}: {len(self.outcome)} starts, {counts}"

    def to_xarray(self) -> xarray.Dataset:
        """All arrays as a dataset with dimensions `start`, `time` and `row`."""
        curve, end = ("start", "time"), ("start",)
        names = {"theta": curve, "length": curve, "v": (*curve, "row"), "loss": curve}
        names |= {"outcome": end, "end_time": end, "end_v": ("start", "row")}
        names |= {"end_length": end, "end_theta": end, "end_loss": end}
        return _dataset(self, names, {"time": self.times}, {"kind": "flow"})

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write the dataset to a .nc file; `load` reads it, and so does `xarray.open_dataset`."""
        return _save(self.to_xarray(), path)


@dataclasses.dataclass(frozen=True, eq=False)
class CoarseRuns:
    """Runs from K starts; simulations have a leading axis of seeds.

    Attributes
    ----------
    model : the specification.
    method : "population", "online" or "batch".
    steps : (T,) numbers of steps; `times` is steps times step size.
    theta, length : (..., K, T); v : (..., K, T, m).
    loss : (..., K, T) for "population", else (..., K): at the end, on fresh samples.
    loss_error : its standard error, None for "population".
    """

    model: BinaryReLUModel
    method: str
    steps: np.ndarray
    theta: np.ndarray
    length: np.ndarray
    v: np.ndarray
    loss: np.ndarray
    loss_error: np.ndarray | None = None

    @property
    def times(self) -> np.ndarray:
        """Time of the flow, (T,)."""
        return self.steps * self.model.step

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.theta.shape[:-1]))
        how = f"{self.method}, {self.model.surrogate.name}"
        return f"Coarse-gradient descent ({how}): {shape} runs, {self.steps[-1]} steps"

    def to_xarray(self) -> xarray.Dataset:
        """All arrays as a dataset with dimensions `start`, `step` and `row`, for simulations `seed` before them."""
        runs = ("start",) if self.method == "population" else ("seed", "start")
        names = {"theta": (*runs, "step"), "length": (*runs, "step"), "v": (*runs, "step", "row")}
        names["loss"] = (*runs, "step") if self.method == "population" else runs
        if self.loss_error is not None:
            names["loss_error"] = runs
        return _dataset(self, names, {"step": self.steps}, {"kind": "runs", "method": self.method})

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write the dataset to a .nc file; `load` reads it, and so does `xarray.open_dataset`."""
        return _save(self.to_xarray(), path)


def load(path: str | pathlib.Path) -> CoarseFlow | CoarseRuns:
    """Read what the method `save` of a `CoarseFlow` or `CoarseRuns` wrote.

    Raises `SpecificationError` if the file is missing or holds something else.
    """
    path = check_path("path", path)
    expected = "a .nc file of a CoarseFlow or CoarseRuns"
    try:
        with xarray.open_dataset(path, engine="h5netcdf") as opened:
            dataset = opened.load()
    except (OSError, ValueError, KeyError) as error:
        raise SpecificationError("path", expected, str(path), f"{error}.") from None
    kinds = {"flow": (CoarseFlow, ("times",)), "runs": (CoarseRuns, ("steps",))}
    if dataset.attrs.get("kind") not in kinds or "specification" not in dataset.attrs:
        raise SpecificationError("path", expected, str(path), "Write one with the method save.")
    kind, axis = kinds[dataset.attrs["kind"]]
    arrays = {name: dataset[name].values for name in dataset.data_vars}
    arrays |= {axis[0]: dataset[axis[0][:-1]].values} | ({} if kind is CoarseFlow else {"method": dataset.method})
    return kind(from_toml(dataset.specification), **arrays)


def _dataset(result, names: dict, coordinates: dict, attributes: dict) -> xarray.Dataset:
    variables = {name: (dims, getattr(result, name), {"long_name": MEANINGS[name]}) for name, dims in names.items()}
    return xarray.Dataset(variables, coordinates, attributes | {"specification": to_toml(result.model)})


def _save(dataset: xarray.Dataset, path: str | pathlib.Path) -> pathlib.Path:
    path = check_path("path", path)
    if path.suffix != ".nc":
        raise SpecificationError("path", "a file name ending in .nc", str(path), "For example flow.nc.")
    partial = path.with_name(path.name + ".partial")
    dataset.to_netcdf(partial, engine="h5netcdf")
    partial.replace(path)
    return path
