"""The verb `optimal_range` of a layer: the best range of every row, for rounding and for training."""

import dataclasses

import jax
import numpy as np

from steode.errors import SpecificationError, check_array, check_integer
from steode.systems.layer import ranges
from steode.systems.layer.fixed_points import stationary_state
from steode.systems.layer.results import table
from steode.systems.layer.rounding import compensated
from steode.systems.layer.simulate import simulate
from steode.systems.layer.some_rows import ROWS, some_rows
from steode.systems.layer.spec import LayerModel, check_model
from steode.systems.layer.targets import target

FACTORS = np.linspace(0.3, 1.1, 17)
"""Ranges tried, in parts of the largest weight."""
PURPOSES = {
    "nearest": "rounding to nearest",
    "gptq": "rounding with compensation, in the order of the columns",
    "training": "the last iterate of training, late",
    "steps": "the last tenth of training for the given number of steps, runs",
}
RECORDS = 20
"""Times in the last tenth of a run at which V is measured."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerRanges:
    """Residual variance over a scan of ranges.

    Attributes
    ----------
    model : the specification; its own range plays no part in the scan. With a number of steps its few rows.
    factors : ranges tried, in parts of the largest weight of each row, group or layer, (F,).
    largest : the ranges at factor 1, (rows, groups), or (rows, groups, 2) with two ends.
    V : purpose -> residual variance of each row, (F, rows).
    """

    model: LayerModel
    factors: np.ndarray
    largest: np.ndarray
    V: dict[str, np.ndarray]

    def factor(self, purpose: str) -> np.ndarray:
        """The best factor of each row, (rows,). Raises `SpecificationError` for an unknown purpose."""
        return self.factors[self._of(purpose).argmin(axis=0)]

    def range(self, purpose: str) -> np.ndarray:
        """The best ranges, as `LayerModel` takes them with the granularity of the model, or of its rows."""
        factor = self.factor(purpose)
        return self.largest * factor.reshape(-1, *(1,) * (self.largest.ndim - 1))

    @property
    def present(self) -> float:
        """The model's own range in parts of the largest weight, the median over rows and groups."""
        grid = self.model.grid
        whole = ranges.place(self.largest, self.model.bits, self.model.kind, self.model.dim)
        return float(np.median((grid.high - grid.low) / (whole.high - whole.low)))

    def best(self, purpose: str) -> float:
        """The sum of V over rows, each at its best range."""
        return float(self._of(purpose).min(axis=0).sum())

    def _of(self, purpose: str) -> np.ndarray:
        if purpose not in self.V:
            raise SpecificationError("purpose", "one of " + ", ".join(self.V), purpose, "These were scanned.")
        return self.V[purpose]

    def __repr__(self) -> str:
        rows = [
            [name, *(float(q) for q in np.quantile(self.factor(name), (0, 0.5, 1))), self.best(name), PURPOSES[name]]
            for name in self.V
        ]
        head = ["range for", "least", "median", "largest", "sum of V", ""]
        edge = [name for name in self.V if np.any(self.factor(name) == self.factors[-1])]
        note = f"\nNOTE: some best ranges are the largest tried ({', '.join(edge)})." if edge else ""
        title = f"Best ranges, in parts of the largest weight, of {self.model}"
        return title + "\n" + table(head, rows) + note


def optimal_range(
    model: LayerModel,
    factors=None,
    *,
    steps: int | None = None,
    rows: int = ROWS,
    seeds: int = 2,
    key: int | jax.Array = 0,
) -> LayerRanges:
    """Scan the range of every row, in parts of its largest weight: which is best depends on what is done with it.

    Rows are independent, so one scan serves all; groups of a row share the factor. Free weights take over what clipped
    ones cannot, so that ranges which clip a few weights are best for training where inputs are correlated.

    With `steps`, some rows are also trained at every range, all on the same samples, and the purpose "steps" is V over
    the last tenth of them: short training has not yet come to where late training ends.

    Parameters
    ----------
    model : the specification.
    factors : increasing positive numbers; None: 17 from 0.3 to 1.1.
    steps : SGD steps of training, >= 1; None: none is done.
    rows : with `steps`, at most so many rows, equally spaced, are looked at.
    seeds, key : with `steps`, runs and their random key.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    ConvergenceError
        As `fixed_points`.
    """
    check_model(model)
    factors = FACTORS if factors is None else check_array("factors", factors)
    if factors[0] <= 0 or np.any(np.diff(factors) <= 0):
        raise SpecificationError("factors", "increasing positive numbers", factors, "For example (0.5, 0.75, 1).")
    # a layer's one range is that of all of its rows, not of some
    largest = ranges.largest_ranges(model.weights, model.kind, model.granularity)
    if steps is not None:
        steps, rows = check_integer("steps", steps, 1), check_integer("rows", rows, 1)
        seeds = check_integer("seeds", seeds, 1)
        chosen, part = some_rows(model, rows)
        largest, model = largest[chosen], part
    goal, order = target(model), np.arange(model.dim)
    V = {name: np.empty((factors.size, model.rows)) for name in PURPOSES if name != "steps"}
    for k, factor in enumerate(factors):
        grid = ranges.place(factor * largest, model.bits, model.kind, model.dim)
        V["nearest"][k] = goal.variance(grid(model.weights))
        V["gptq"][k] = goal.variance(compensated(goal.values, goal.image, grid, order))
        V["training"][k] = stationary_state(model, grid)["V"]
    if steps is not None:
        V["steps"] = _trained(model, factors, largest, steps, seeds, key)
    return LayerRanges(model, factors, largest, V)


def _trained(model: LayerModel, factors: np.ndarray, largest: np.ndarray, steps: int, seeds: int, key) -> np.ndarray:
    """V over the last tenth of so many steps, (F, rows): every row once for each range, all in one run."""
    every = np.concatenate([factor * largest for factor in factors])
    initial = None if model.initial is None else np.tile(model.initial, (factors.size, 1))
    copies = model.replace(weights=np.tile(model.weights, (factors.size, 1)), range=every, initial=initial)
    times = np.unique(np.linspace(0.9 * steps, steps, RECORDS).round()) / model.dim
    runs = simulate(copies, steps / model.dim, times=times, seeds=seeds, key=key, progress=False)
    return runs["V"].mean(axis=(0, 1)).reshape(factors.size, model.rows)
