"""The verb `convergence_in_dim`: at which power of the dimension runs approach the limit.

The statistic is the root-mean-square deviation of a single run from the limit,

    R(d) = sqrt( mean over seeds and record times of (eps_g of the run - eps_g of the limit)^2 ).

A run's eps_g is the limit plus a fluctuation of standard deviation A/sqrt(d) (teacher, initial weights, samples) plus
a systematic shift b/d, so R = sqrt(A^2/d + b^2/d^2): the power -1/2, with a relative correction b^2/(2 A^2 d). A wrong
limit shows as a power above -1/2, because R then stops falling. The mean gap would have the power -1, but at sizes one
can run it is hidden by its own standard error. Squares are averaged over times and seeds first and the logarithm is
taken last: at a single time a mean of log |deviation| is ruled by the runs that happen to cross the limit there.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray

from steode.errors import ConvergenceError, SpecificationError, check_integer, check_positive
from steode.systems.dispatch import for_every_system
from steode.systems.linear.simulate import simulate
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import LinearModel

RECORDS = 20
"""Record times, equally spaced in (0, t_end]."""
NEGLIGIBLE = 0.2
"""Largest ratio of the limit's own error to R: it then changes R by less than 2 %."""


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class DimensionScaling:
    """Deviation of runs from the limit over a ladder of dimensions.

    Attributes
    ----------
    dims : shape (D,).
    times : record times of each dimension, shape (D, T): whole steps, so equal up to 1/(2 dim).
    deviations : eps_g of each run minus that of the limit, shape (D, S, T).
    numerical_error : largest estimated error of the limit's eps_g over the record times.
    """

    dims: np.ndarray
    times: np.ndarray
    deviations: np.ndarray
    numerical_error: float

    predicted = -0.5
    """The power of dim that the theory predicts for `deviation`."""

    @property
    def deviation(self) -> np.ndarray:
        """R(d), root-mean-square deviation of a single run, shape (D,)."""
        return np.sqrt(self._squares.mean(axis=1))

    @property
    def standard_error(self) -> np.ndarray:
        """Standard error of R(d) over seeds, shape (D,).

        The law of R^2 over seeds has, to leading order, the same shape at every dimension, so that its coefficient of
        variation is pooled: with few seeds each dimension's own would be poor, and low where R happens to be low.
        """
        squares = self._squares
        seeds = squares.shape[1]
        variation = np.sqrt(np.mean(squares.var(axis=1, ddof=1) / squares.mean(axis=1) ** 2))
        return self.deviation * variation / (2 * np.sqrt(seeds))

    @property
    def mean_gap(self) -> np.ndarray:
        """Mean over seeds of the deviation, shape (D, T): systematic, of order 1/dim (FOGZO: dim^-1/2), plus noise."""
        return self.deviations.mean(axis=1)

    @property
    def power(self) -> float:
        """Fitted power of dim in R(d): weighted least squares of log R against log dim."""
        return self._fit[0]

    @property
    def power_error(self) -> float:
        """Standard error of `power`."""
        return self._fit[1]

    @property
    def z(self) -> float:
        """(power - predicted)/power_error."""
        return (self.power - self.predicted) / self.power_error

    @property
    def _squares(self) -> np.ndarray:
        return np.mean(self.deviations**2, axis=2)

    @property
    def _fit(self) -> tuple[float, float]:
        weights = (self.deviation / self.standard_error) ** 2
        x, y = np.log(self.dims), np.log(self.deviation)
        x = x - weights @ x / weights.sum()
        information = weights @ x**2
        return float(weights @ (x * y) / information), float(1 / np.sqrt(information))

    def __repr__(self) -> str:
        lines = [f"{'dim':>7}  {'rms deviation':>13}  {'standard error':>14}"]
        rows = zip(self.dims, self.deviation, self.standard_error, strict=True)
        lines += [f"{dim:7d}  {deviation:13.5f}  {error:14.5f}" for dim, deviation, error in rows]
        fit = f"fitted power {self.power:.3f} +- {self.power_error:.3f}, predicted {self.predicted} (z = {self.z:.2f})"
        return "\n".join([f"eps_g of {self.deviations.shape[1]} runs a dimension against the limit; {fit}", *lines])

    def to_xarray(self) -> xarray.Dataset:
        """The arrays as a labelled dataset, with the fit in its attributes."""
        data = {
            "record_time": (("dim", "record"), self.times),
            "deviations": (("dim", "seed", "record"), self.deviations),
            "deviation": ("dim", self.deviation),
            "standard_error": ("dim", self.standard_error),
        }
        attrs = {name: getattr(self, name) for name in ("power", "power_error", "predicted", "z", "numerical_error")}
        return xarray.Dataset(data, {"dim": self.dims}, attrs)


@for_every_system
def convergence_in_dim(
    model: LinearModel,
    dims: Sequence[int] = (250, 500, 1000, 2000, 4000),
    *,
    t_end: float,
    seeds: int = 16,
    key=0,
    method: str = "density",
    tolerance: float = 1e-4,
) -> DimensionScaling:
    """Simulate at several dimensions and fit the power at which runs approach the limit.

    Parameters
    ----------
    model : the specification.
    dims : at least two increasing input dimensions.
    t_end : last rescaled time, in units of tau.
    seeds, key : those of `simulate`, for every dimension.
    method, tolerance : those of `solve`.

    Every dimension has its own random streams. The cost is that of its runs, about seeds * t_end * sum(dims^2) * 5 ns.

    Raises
    ------
    SpecificationError
        If there are fewer than two increasing dims, fewer than two seeds, or the smallest dim has too few steps.
    ConvergenceError
        If the limit's own error is not small beside the deviation of the runs: lower `tolerance`.
    """
    t_end = check_positive("t_end", t_end)
    seeds = check_integer("seeds", seeds, 2, remedy="A standard error needs the spread over runs.")
    dims = np.array([check_integer("dims", dim, 1) for dim in dims])
    if dims.size < 2 or np.any(np.diff(dims) <= 0):
        remedy = "For example (250, 500, 1000)."
        raise SpecificationError("dims", "at least two increasing dimensions", dims.tolist(), remedy)
    if dims[0] * t_end < 2 * RECORDS:
        remedy = f"dim * t_end must be at least {2 * RECORDS} steps."
        raise SpecificationError("dims", f"dimensions >= {2 * RECORDS / t_end:g}", int(dims[0]), remedy)
    wanted = np.linspace(0, t_end, RECORDS + 1)[1:]
    steps = [np.rint(wanted * dim).astype(int) for dim in dims]
    times = np.stack([step / dim for step, dim in zip(steps, dims, strict=True)])
    distinct = np.unique(times)
    limit = solve(model, float(distinct[-1]), times=distinct, method=method, tolerance=tolerance)
    deviations = []
    for dim, at in zip(dims, times, strict=True):
        runs = simulate(model, int(dim), float(at[-1]), seeds=seeds, key=key, times=at)
        deviations.append(runs["eps_g"] - limit["eps_g"][np.searchsorted(distinct, at)])
    error = float(np.max(limit.error.get("eps_g", 0.0)))
    result = DimensionScaling(dims, times, np.stack(deviations), error)
    if error > NEGLIGIBLE * result.deviation.min():
        raise ConvergenceError(
            f"the limit's own error, {error:.1e}, is not small beside the deviation of the runs, "
            f"{result.deviation.min():.1e}: lower tolerance, now {tolerance:g}"
        )
    return result
