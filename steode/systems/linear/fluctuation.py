"""What `fluctuations` returns: d times the variance of observables over runs, by cause."""

import dataclasses

import numpy as np
import scipy
import xarray

from steode.errors import SpecificationError, UnsupportedError, check_integer
from steode.parts.laws import Empirical, Law
from steode.systems.linear.spec import LinearModel

CAUSES = {"teacher": "w*", "initial": "w_0", "samples": "samples"}
TIME_TOLERANCE = 1e-9
TABLE_ROWS = 11


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Fluctuations:
    """d times the variance, over runs of one model at large dimension d, of observables at given times.

    Attributes
    ----------
    model, method, tolerance : as given to `fluctuations`.
    times : rescaled times tau, shape (T,).
    value : name -> the limit itself, shape (T,), or (T, n) for n levels, as all below.
    teacher, initial, samples : name -> the parts of d Var due to drawing the teacher w*, the initial weights w_0 given
        the teacher, and the training samples (the SGD noise). Their sum is the variance over runs that draw all three.
    error : name -> estimated discretization error of the sum; zero for method "moments".
    """

    model: LinearModel
    method: str
    tolerance: float
    times: np.ndarray
    value: dict[str, np.ndarray]
    teacher: dict[str, np.ndarray]
    initial: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]
    error: dict[str, np.ndarray]

    def instance(self, observable: str = "eps_g") -> np.ndarray:
        """d Var due to the instance (w*, w_0); zero for runs conditioned on it."""
        self._check(observable)
        return self.teacher[observable] + self.initial[observable]

    def variance(self, observable: str = "eps_g", *, instance: bool = True) -> np.ndarray:
        """d Var over runs; without `instance`, over runs of one teacher and one w_0 (the part of the samples)."""
        self._check(observable)
        return self.samples[observable] + (self.instance(observable) if instance else 0.0)

    def std(
        self, dim: int, observable: str = "eps_g", *, instance: bool = True, times: np.ndarray | None = None
    ) -> np.ndarray:
        """Predicted standard deviation over runs of dimension `dim`, sqrt(d Var/dim).

        Parameters
        ----------
        dim : input dimension d. An `Empirical` law of exactly that many values is not drawn, so its part is left out.
        observable, instance : as in `variance`.
        times : times between the first and the last of `self.times`, to which d Var is interpolated by a monotone
            cubic; None: `self.times`.

        Raises
        ------
        SpecificationError
            If `times` reach beyond `self.times`.
        UnsupportedError
            If the initial weights are the same in every run but the teacher is drawn, unless `instance` is False.
        """
        dim = check_integer("dim", dim, 1)
        variance = self.variance(observable, instance=False)
        if instance:
            fixed_teacher, fixed_init = (_is_fixed(law, dim) for law in (self.model.teacher, self.model.init))
            if fixed_init and not fixed_teacher:
                raise UnsupportedError(
                    "std: w_0 is fixed but w* is drawn, which is not split here; use instance=False."
                )
            variance = variance + (0 if fixed_init else self.initial[observable])
            variance = variance + (0 if fixed_teacher else self.teacher[observable])
        return np.sqrt(np.maximum(variance if times is None else self._at(times, variance), 0) / dim)

    def _at(self, times: np.ndarray, variance: np.ndarray) -> np.ndarray:
        nearest = np.abs(self.times[None, :] - times[:, None]).argmin(axis=1)
        if np.all(np.abs(self.times[nearest] - times) <= TIME_TOLERANCE):
            return variance[nearest]
        if times.min() < self.times[0] - TIME_TOLERANCE or times.max() > self.times[-1] + TIME_TOLERANCE:
            expected = f"times between {self.times[0]:g} and {self.times[-1]:g}"
            remedy = "Ask fluctuations for a longer span of times."
            raise SpecificationError("times", expected, [float(times.min()), float(times.max())], remedy)
        inside = np.clip(times, self.times[0], self.times[-1])
        return scipy.interpolate.PchipInterpolator(self.times, variance, axis=0)(inside)

    def __repr__(self) -> str:
        columns, rows = self._table()
        widths = [max(len(row[j]) for row in (columns, *rows)) for j in range(len(columns))]
        table = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in (columns, *rows)]
        return "\n".join([self._title(), *("  ".join(row) for row in table)])

    def _repr_markdown_(self) -> str:
        columns, rows = self._table()
        lines = ["| " + " | ".join(row) + " |" for row in (columns, ["---:"] * len(columns), *rows)]
        return "\n".join([self._title(), "", *lines])

    def to_xarray(self) -> xarray.Dataset:
        """d Var by cause, and the limit, as a labelled dataset with names such as eps_g_samples."""
        data = {}
        for part in ("value", "teacher", "initial", "samples", "error"):
            for name, array in getattr(self, part).items():
                data[f"{name}_{part}"] = (("time", "level")[: array.ndim], array)
        coords = {"time": ("time", self.times, {"long_name": "rescaled time tau = step/d"})}
        return xarray.Dataset(data, coords, {"method": self.method, "tolerance": self.tolerance})

    def _title(self) -> str:
        return f"d Var over runs at large d, by cause (method {self.method})"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """At most TABLE_ROWS times of every scalar observable, one block of columns each."""
        shown = np.unique(np.linspace(0, self.times.size - 1, TABLE_ROWS).round().astype(int))
        names = [name for name, array in self.value.items() if array.ndim == 1]
        columns = ["tau"]
        for name in names:
            columns += [name, *(f"of {cause}" for cause in CAUSES.values()), f"d Var {name}"]
        rows = []
        for i in shown:
            row = [f"{self.times[i]:g}"]
            for name in names:
                # a part that vanishes is left with rounding errors
                least = 1e-12 * self.variance(name).max()
                parts = [max(getattr(self, part)[name][i], 0.0) for part in CAUSES]
                parts = [number if number > least else 0.0 for number in parts]
                row += [f"{number:.4g}" for number in (self.value[name][i], *parts, self.variance(name)[i])]
            rows.append(row)
        return columns, rows

    def _check(self, observable: str) -> None:
        if observable not in self.value:
            remedy = "Name it in fluctuations(..., observable=...)."
            raise SpecificationError("observable", "one of " + ", ".join(self.value), observable, remedy)


def _is_fixed(law: Law, dim: int) -> bool:
    return isinstance(law, Empirical) and law.values.size == dim
