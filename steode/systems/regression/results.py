"""What the verbs of quantized regression return."""

import dataclasses
import pathlib

import numpy as np
import xarray

from steode import store
from steode.errors import SpecificationError
from steode.systems.regression.configuration import to_toml
from steode.systems.regression.spec import RegressionModel

QUANTITIES = {
    "raw_last": "risk of the last iterate against w* on raw inputs",
    "raw_average": "risk of the average against w* on raw inputs",
    "quantized_last": "risk of the last iterate against w* on quantized inputs",
    "quantized_average": "risk of the average against w* on quantized inputs",
    "excess_last": "excess risk of the last iterate on quantized inputs",
    "excess_average": "excess risk of the average on quantized inputs",
}
"""Name -> meaning. The risk on raw inputs is E[(x.w - x.w*)^2]/2, on quantized inputs E[(z.w - x.w*)^2]/2 with z =
Q_d(x), both without label noise; the excess is the latter minus its smallest value over w, E|w - w^q|^2/2 in the metric
of E[z z^T]."""

ON_TESTS = {
    "raw_test": "risk of the last iterate against w* on raw test inputs",
    "quantized_test": "risk of the last iterate against w* on quantized test inputs",
}
"""What `simulate` measures besides, if asked for test samples."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class RegressionRisk:
    """The exact expected risk along a run.

    Attributes
    ----------
    model : the specification.
    steps : numbers of steps after which it is given, (T,).
    values : name of QUANTITIES -> (T,); infinite where it overflowed.
    averaged_from : first iterate in the average; up to there the average is the iterate itself.
    largest_step_size : at and beyond it the risk grows without bound.
    approximation : E[(z.w^q - x.w*)^2]/2, what quantized inputs leave to the best weights.
    """

    model: RegressionModel
    steps: np.ndarray
    values: dict[str, np.ndarray]
    averaged_from: int
    largest_step_size: float
    approximation: float

    @property
    def stable(self) -> bool:
        """True if the risk stays bounded."""
        return self.model.step_size < self.largest_step_size

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[_known(name)]

    def __repr__(self) -> str:
        state = "stable" if self.stable else "UNSTABLE: the risk grows without bound"
        head = f"Exact risk, d = {self.model.dim}, step size {self.model.step_size:g}, {state}"
        return "\n".join([f"{head} (largest {self.largest_step_size:.6g})", *_table(self.steps, self.values)])

    def to_xarray(self) -> xarray.Dataset:
        """All numbers as a dataset with the coordinate `step`."""
        dataset = _dataset(("step",), self.steps, self.values, self.model)
        names = ("largest_step_size", "approximation", "averaged_from")
        return dataset.assign_attrs({name: getattr(self, name) for name in names} | {"stable": int(self.stable)})

    def save(self, path) -> pathlib.Path:
        """Write the dataset to a .nc file; `xarray.open_dataset` reads it."""
        return store.save_netcdf(path, self.to_xarray())


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class RegressionRuns:
    """Simulated runs of one specification.

    Attributes
    ----------
    model : the specification.
    steps : numbers of steps after which it was measured, (T,).
    values : name -> (seeds, T), the four of QUANTITIES that are no excess, measured from the weights, and those on
        test inputs, if there were any.
    averaged_from : first iterate in the average; up to there the average is the iterate itself.
    key : the random key.
    """

    model: RegressionModel
    steps: np.ndarray
    values: dict[str, np.ndarray]
    averaged_from: int
    key: tuple[int, int]

    @property
    def seeds(self) -> int:
        """Number of runs."""
        return next(iter(self.values.values())).shape[0]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[_known(name, self.values)]

    def mean(self, name: str) -> np.ndarray:
        """Mean over the runs, (T,)."""
        return self[name].mean(axis=0)

    def standard_error(self, name: str) -> np.ndarray:
        """Standard error of `mean`, (T,); nan for one run."""
        if self.seeds == 1:
            return np.full(self.steps.shape, np.nan)
        return self[name].std(axis=0, ddof=1) / np.sqrt(self.seeds)

    def __repr__(self) -> str:
        head = f"{self.seeds} runs of quantized SGD, d = {self.model.dim}, means over the runs"
        return "\n".join([head, *_table(self.steps, {name: self.mean(name) for name in self.values})])

    def to_xarray(self) -> xarray.Dataset:
        """All numbers as a dataset with dimensions `seed` and `step`."""
        dataset = _dataset(("seed", "step"), self.steps, self.values, self.model)
        return dataset.assign_attrs({"averaged_from": self.averaged_from, "key": list(self.key)})

    def save(self, path) -> pathlib.Path:
        """Write the dataset to a .nc file; `xarray.open_dataset` reads it."""
        return store.save_netcdf(path, self.to_xarray())


def _known(name: str, values=QUANTITIES) -> str:
    if name not in values:
        raise SpecificationError(
            "name", "one of " + ", ".join(values), name, "See steode.systems.regression.QUANTITIES."
        )
    return name


def _table(steps: np.ndarray, values: dict[str, np.ndarray]) -> list[str]:
    shown = np.unique(np.linspace(0, steps.size - 1, 11).round().astype(int))
    rows = [f"{'step':>9}" + "".join(f"{name:>18}" for name in values)]
    rows += [f"{steps[k]:9d}" + "".join(f"{array[k]:18.6g}" for array in values.values()) for k in shown]
    return rows


def _dataset(dims, steps, values, model) -> xarray.Dataset:
    variables = {name: (dims, array, {"long_name": (QUANTITIES | ON_TESTS)[name]}) for name, array in values.items()}
    return xarray.Dataset(variables, {"step": steps}, {"specification": to_toml(model)})
