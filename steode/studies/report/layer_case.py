"""Everything that a layer's report shows about one model."""

import dataclasses
import math
import warnings

import numpy as np
import xarray

from steode import layer

RECORDS = 80
"""Times at which the runs behind the figure are measured, equally spaced in their logarithm."""


@dataclasses.dataclass(frozen=True, eq=False)
class LayerCase:
    """One model of a study and what was computed for it.

    Attributes
    ----------
    label : for example "bits = 2"; empty if there is one case.
    model : the specification, all rows.
    once, late : rounding and fixed points of all rows.
    advice : for the study's number of steps, of the rows looked at.
    runs : "epochs", "gaussian" -> runs of the rows looked at, of this length; without activations the latter alone.
    path : the closure for the same rows and times.
    """

    label: str
    model: layer.LayerModel
    once: layer.LayerRounding
    late: layer.LayerFixedPoints
    advice: layer.LayerAdvice
    runs: dict[str, layer.LayerRuns]
    path: layer.LayerPath

    @property
    def values(self) -> dict[str, np.ndarray]:
        """Method -> V of every row, (rows,); "training" is the fixed point."""
        return {**self.once.V, "training": self.late.V}

    @property
    def text(self) -> str:
        """Advice, rounding and fixed points as they are printed."""
        return "\n\n".join(map(repr, (self.advice, self.once, self.late)))

    def to_xarray(self) -> xarray.Dataset:
        """V of every row by method."""
        return xarray.Dataset({name.replace(" ", "_"): ("row", value) for name, value in self.values.items()})

    def numbers(self) -> dict:
        """What summary.json holds of the case."""
        ends = {data: runs["V"][:, -1].mean(axis=-1) for data, runs in self.runs.items()}
        return {
            "mean V of all rows": {name: float(value.mean()) for name, value in self.values.items()},
            "V and its error": {name: list(value) for name, value in self.advice.errors.items()},
            "rows looked at": self.advice.chosen.tolist(),
            "V at the end of runs, each": {data: value.tolist() for data, value in ends.items()},
            "findings": {
                # JSON has no infinity
                finding.name: finding.value if math.isfinite(finding.value) else str(finding.value)
                for finding in self.advice.findings
            },
            "notes": list(self.advice.notes),
        }


def run_case(label: str, model: layer.LayerModel, settings) -> LayerCase:
    """Compute a case; `settings` are the `RunSettings` of its study.

    Raises as `steode.layer.advise`.
    """
    with warnings.catch_warnings():
        # notes are part of what is shown
        warnings.simplefilter("ignore", layer.LayerWarning)
        once, late = layer.rounding(model), layer.fixed_points(model)
        options = {"seeds": settings.seeds, "key": settings.key}
        advice = layer.advise(model, settings.steps, rows=settings.rows, **options)
    part, dim = advice.model, model.dim
    steps = np.unique(np.geomspace(1, settings.steps, RECORDS).round())
    times = np.append(0, steps) / dim
    kinds = ("gaussian",) if model.activations is None else ("epochs", "gaussian")
    runs = {data: layer.simulate(part, times[-1], data=data, times=times, progress=False, **options) for data in kinds}
    return LayerCase(label, model, once, late, advice, runs, layer.solve(part, times[-1], times=times))
