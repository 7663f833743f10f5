"""What `solve`, `descend` and `simulate` return, and their files."""

import dataclasses
import pathlib

import numpy as np
import xarray

from steode import store
from steode.errors import SpecificationError, check_path
from steode.systems.binary_relu.configuration import from_toml, to_toml
from steode.systems.binary_relu.spec import BinaryReLUModel

OUTCOMES = ("running", "converged", "vanished")
"""Still moving at the last time; at rest; |w| reached the smallest length."""

METHODS = ("population", "online", "batch")
"""Steps on the population, on fresh samples, on a fixed sample."""

CURVE, END = ("start", "time"), ("start",)
FLOW_AXES = {"theta": CURVE, "length": CURVE, "v": (*CURVE, "row"), "loss": CURVE, "outcome": END, "end_time": END}
FLOW_AXES |= {"end_v": ("start", "row"), "end_length": END, "end_theta": END, "end_loss": END}

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
        return _dataset(self, FLOW_AXES, {"time": self.times}, {"kind": "flow"})

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write the dataset to a .nc file; `load` reads it, and so does `xarray.open_dataset`."""
        return store.save_netcdf(path, self.to_xarray())


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
        axes = _axes_of_runs(self.method, self.loss_error is not None)
        return _dataset(self, axes, {"step": self.steps}, {"kind": "runs", "method": self.method})

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write the dataset to a .nc file; `load` reads it, and so does `xarray.open_dataset`."""
        return store.save_netcdf(path, self.to_xarray())


def load(path: str | pathlib.Path) -> CoarseFlow | CoarseRuns:
    """Read what the method `save` of a `CoarseFlow` or `CoarseRuns` wrote.

    Raises `SpecificationError` if the file is missing, damaged or holds something else.
    """
    path = check_path("path", path)
    expected = "a .nc file of a CoarseFlow or CoarseRuns"
    dataset = store.read_netcdf("path", path, expected)
    try:
        return _from_dataset(dataset)
    except (KeyError, TypeError, ValueError) as error:
        raise SpecificationError("path", expected, str(path), f"Write one with the method save ({error}).") from None


def _from_dataset(dataset: xarray.Dataset) -> CoarseFlow | CoarseRuns:
    kind, model = dataset.attrs["kind"], from_toml(dataset.attrs["specification"])
    if dataset.sizes["row"] != model.v_star.size or kind not in ("flow", "runs"):
        raise ValueError("it is of another system")

    def arrays(axes):
        return {
            name: store.values_of(dataset, name, dims, "UTO" if name == "outcome" else "f")
            for name, dims in axes.items()
        }

    if kind == "flow":
        flow = CoarseFlow(model, store.values_of(dataset, "time", ("time",)), **arrays(FLOW_AXES))
        if not set(flow.outcome) <= set(OUTCOMES):
            raise ValueError(f"outcomes other than {', '.join(OUTCOMES)}")
        return flow
    method, steps = dataset.attrs["method"], store.values_of(dataset, "step", ("step",), "i")
    return CoarseRuns(model, method, steps, **arrays(_axes_of_runs(method, "loss_error" in dataset)))


def _axes_of_runs(method: str, with_error: bool) -> dict[str, tuple[str, ...]]:
    if method not in METHODS:
        raise ValueError(f"method {method!r} is none of {', '.join(METHODS)}")
    runs = ("start",) if method == "population" else ("seed", "start")
    axes = {"theta": (*runs, "step"), "length": (*runs, "step"), "v": (*runs, "step", "row")}
    axes["loss"] = (*runs, "step") if method == "population" else runs
    return axes | ({"loss_error": runs} if with_error else {})


def _dataset(result, names: dict, coordinates: dict, attributes: dict) -> xarray.Dataset:
    variables = {name: (dims, getattr(result, name), {"long_name": MEANINGS[name]}) for name, dims in names.items()}
    return xarray.Dataset(variables, coordinates, attributes | {"specification": to_toml(result.model)})
