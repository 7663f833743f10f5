"""The verb `compare` of a layer: predicted V beside that of training runs."""

import dataclasses

import numpy as np

from steode.errors import SpecificationError, check_finite
from steode.systems.layer.fixed_point import LayerFixedPoints
from steode.systems.layer.results import table
from steode.systems.layer.runs import LayerRuns
from steode.systems.layer.solve import LayerPath

TABLE_ROWS = 11
ROUNDING = 1e-5
"""Relative error of V in runs with single precision."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerComparison:
    """Predicted residual variance beside runs; arrays (T,) are sums over rows.

    Attributes
    ----------
    what : "Gaussian closure (approximate)", "Dynamical mean-field theory" or "Fixed points".
    times : rescaled times, (T,); for fixed points the start and the end of the average over time.
    theory, simulation : sums of V over rows; the latter the mean over seeds.
    gap : simulation/theory - 1.
    standard_error : of the gap, from its spread over seeds; NaN for one seed.
    z : gap in standard errors, with the rounding of runs and the error of the solution where it is known. An
        approximation has a gap of its own, which no number of runs makes smaller, and so has a finite layer.
    row_gap : simulation/theory - 1 of each row at the last time, (rows,).
    """

    what: str
    times: np.ndarray
    theory: np.ndarray
    simulation: np.ndarray
    gap: np.ndarray
    standard_error: np.ndarray
    z: np.ndarray
    row_gap: np.ndarray

    @property
    def largest_gap(self) -> float:
        """The largest relative gap in magnitude."""
        return float(np.abs(self.gap).max())

    def __repr__(self) -> str:
        shown = np.unique(np.linspace(0, self.theory.size - 1, TABLE_ROWS).round().astype(int))
        rows = [
            [
                f"{self.times[k]:g}",
                *(float(values[k]) for values in (self.theory, self.simulation)),
                *(f"{100 * values[k]:.2f} %" for values in (self.gap, self.standard_error)),
                f"{self.z[k]:.2f}",
            ]
            for k in shown
        ]
        title = f"{self.what} beside training: largest gap {100 * self.largest_gap:.1f} %"
        return title + "\n" + table(["tau", "theory", "simulation", "gap", "standard error", "z"], rows)


def compare(theory: LayerPath | LayerFixedPoints, runs: LayerRuns, *, since: float | None = None) -> LayerComparison:
    """Put a prediction beside training runs of the same layer.

    Parameters
    ----------
    theory : what `solve` or `fixed_points` returned.
    runs : what `simulate` returned; with several seeds the gap has a standard error.
    since : with fixed points, the time after which the runs are averaged; None: half of the run.

    Raises
    ------
    SpecificationError
        If the arguments are something else, of different layers, or the runs are longer than the path.
    """
    if not isinstance(theory, LayerPath | LayerFixedPoints):
        raise SpecificationError(
            "theory", "what solve or fixed_points returned for a layer", theory, "Runs come second."
        )
    if not isinstance(runs, LayerRuns):
        raise SpecificationError("runs", "what simulate returned for a layer", runs, "For example simulate(model, 50).")
    if theory.model.weights.shape != runs.model.weights.shape:
        shapes = f"{theory.model.weights.shape} and {runs.model.weights.shape}"
        raise SpecificationError("runs", "runs of the same layer", shapes, "Give both the same model.")
    own_error = 0.0
    if isinstance(theory, LayerPath):
        predicted, seen, what = theory.at(runs.times), runs["V"], theory.what
        times = runs.times
        if theory.total_error is not None:
            own_error = np.interp(times, theory.times, theory.total_error) / predicted.sum(axis=1)
    else:
        since = runs.times[-1] / 2 if since is None else check_finite("since", since)
        late = runs.times >= since
        if not late.any():
            expected = f"a time up to {runs.times[-1]:g}"
            raise SpecificationError("since", expected, since, "The runs end there.")
        predicted, seen, what = theory.V[None], runs["V"][:, late].mean(axis=1, keepdims=True), "Fixed points"
        times = runs.times[late][:1]
    total, own = predicted.sum(axis=1), seen.sum(axis=2)
    seeds = own.shape[0]
    mean = own.mean(axis=0)
    gap = mean / total - 1
    error = own.std(axis=0, ddof=1) / np.sqrt(seeds) / total if seeds > 1 else np.full(total.shape, np.nan)
    return LayerComparison(
        what,
        times,
        total,
        mean,
        gap,
        error,
        gap / np.sqrt(error**2 + ROUNDING**2 + own_error**2),
        seen[:, -1].mean(axis=0) / predicted[-1] - 1,
    )
