r"""The verb `solve` of a layer: how the error moves, by the Gaussian closure or the dynamical mean-field theory.

The latter is in `dmft` and `extrapolation`. The closure:

A row's weights are taken to be Gaussian with means M and a covariance that is diagonal in the eigenvectors O of K_q
(c_l in direction l), and the quantizer is linear around the means with one slope g, the mean over the weights, where
the covariance is concerned:

    M' = -eta K_q (E Q - a),      c_l' = -2 eta g lambda_l c_l + eta^2 V lambda_l/B,      S_i = sum_l O_il^2 c_l,
    V = floor + (1/d) [(E Q - a)^T K_q (E Q - a) + sum_i K_ii (Var Q_i - g_i^2 S_i) + g^2 sum_l lambda_l c_l].

E Q, Var Q and g_i = E Q_i' are those of N(M_i, S_i). Derived here. It is an approximation, measured on correlated
inputs in docs/layer.md: from weights far from their targets within 2 % at four bits and until weights have gathered at
thresholds at two; started from the trained weights too low, by 15 % at four bits and up to half at two, because there
few weights near thresholds have all of the slope that the closure spreads over all of them.
"""

import dataclasses

import numpy as np
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.special

from steode.errors import ConvergenceError, SpecificationError, check_array, check_integer, check_positive
from steode.systems.layer.mean_field import extrapolated
from steode.systems.layer.results import table
from steode.systems.layer.spec import LayerModel, check_model
from steode.systems.layer.targets import target

METHODS = {"gaussian": "Gaussian closure (approximate)", "dmft": "Dynamical mean-field theory"}
NARROW = 1e-9
"""Variance of a weight, in squared steps, below which it is taken as this."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerPath:
    """The error of a layer over rescaled time, approximated.

    Attributes
    ----------
    model : the specification.
    times : rescaled times tau = step/d, (T,).
    V : residual variance of each row, (T, rows).
    spread : mean variance of a row's latent weights, (T, rows); None by "dmft".
    method : "gaussian", the closure, which is approximate, or "dmft".
    error : estimated error of V as a solution of the theory, (T, rows), and
    total_error : of its sum over rows, (T,): not that of the theory for this layer. None for the closure, whose own
        error is unknown.
    """

    model: LayerModel
    times: np.ndarray
    V: np.ndarray
    spread: np.ndarray | None
    method: str
    error: np.ndarray | None = None
    total_error: np.ndarray | None = None

    def at(self, times) -> np.ndarray:
        """V of each row at other times inside the path, (n, rows), by monotone interpolation.

        Raises `SpecificationError` for times outside.
        """
        times = check_array("times", times)
        if times.min() < self.times[0] or times.max() > self.times[-1] * (1 + 1e-12):
            expected = f"times from {self.times[0]:g} to {self.times[-1]:g}"
            raise SpecificationError("times", expected, times, "Solve up to the last of them.")
        return scipy.interpolate.PchipInterpolator(self.times, self.V)(np.minimum(times, self.times[-1]))

    @property
    def lowest(self) -> tuple[float, float]:
        """The time at which the sum of V over rows is least, and that sum."""
        total = self.V.sum(axis=1)
        return float(self.times[total.argmin()]), float(total.min())

    @property
    def what(self) -> str:
        """The name of the theory."""
        return METHODS[self.method]

    def __repr__(self) -> str:
        shown = np.unique(np.linspace(0, self.times.size - 1, 11).round().astype(int))
        closure = self.error is None
        last = self.spread.mean(axis=1) if closure else self.total_error
        rows = [[f"{self.times[k]:g}", float(self.V[k].sum()), float(last[k])] for k in shown]
        heads = ["tau", "sum of V", "variance of a weight" if closure else "error"]
        return f"{self.what} of {self.model}\n" + table(heads, rows)


def solve(
    model: LayerModel,
    t_end: float,
    *,
    method: str = "gaussian",
    times=None,
    rtol: float = 1e-4,
    samples: int = 20_000,
    steps: int | None = None,
    key: int = 0,
) -> LayerPath:
    """V of every row over rescaled time, from the model's initial weights, approximated.

    The Gaussian closure is good where weights start far from their targets; started from the trained weights, the
    default, it shows how the error first falls below that of rounding, for the others adapt to what is rounded, and
    only later rises to the fixed point, but is too low (module docstring). The dynamical mean-field theory is the limit
    of many inputs if the eigenvectors of K are in general position, from any start, and takes seconds to minutes for
    each row; correlations that join neighbors it takes for correlations of all with all. `compare` shows how far
    either is from runs.

    Parameters
    ----------
    model : the specification.
    t_end : rescaled time tau = step/d, > 0.
    method : "gaussian", the closure, or "dmft", the dynamical mean-field theory, with an error of its own.
    times : increasing times in [0, t_end] to give V at; None: 201 equally spaced ones.
    rtol : relative tolerance of the closure's integration.
    samples : by "dmft" of one coordinate, about; at least 4 d are taken.
    steps : time steps of "dmft"; None: 200, or more where the largest eigenvalue of K asks for it.
    key : of the random numbers of "dmft", an integer >= 0.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    UnsupportedError
        By "dmft", for more rows or time steps than it can take.
    ConvergenceError
        If the integration fails.
    """
    check_model(model)
    if method not in METHODS:
        expected = " or ".join(f'"{name}"' for name in METHODS)
        raise SpecificationError("method", expected, method, "Late and exact is fixed_points; exact is simulate.")
    t_end, rtol = check_positive("t_end", t_end), check_positive("rtol", rtol)
    times = np.linspace(0, t_end, 201) if times is None else check_array("times", times)
    if np.any(np.diff(times) <= 0) or times[0] < 0 or times[-1] > t_end * (1 + 1e-12):
        raise SpecificationError("times", f"increasing times in [0, {t_end:g}]", times, "Sort them.")
    samples, key = check_integer("samples", samples, 1), check_integer("key", key, 0)
    if steps is not None:
        steps = check_integer("steps", steps, 8)
    if method == "dmft":
        V, error, total_error = extrapolated(model, t_end, np.minimum(times, t_end), samples, steps, key)
        return LayerPath(model, times, V, None, method, error, total_error)
    closure = Closure(model)
    found = scipy.integrate.solve_ivp(
        closure.rates,
        (0, t_end),
        closure.start(),
        t_eval=np.minimum(times, t_end),
        rtol=rtol,
        atol=closure.scale * rtol,
    )
    if not found.success:
        raise ConvergenceError(f"solve: the closure could not be integrated ({found.message}).")
    parts = [closure.measure(state) for state in found.y.T]
    V, spread = (np.stack(values) for values in zip(*parts, strict=True))
    return LayerPath(model, times, V, spread, method)


class Closure:
    """The closure's rates for all rows, as one vector of means M and variances c along the eigenvectors."""

    def __init__(self, model: LayerModel):
        self.model, self.goal = model, target(model)
        self.eigenvalues, self.basis = scipy.linalg.eigh(self.goal.image)
        self.eigenvalues = np.maximum(self.eigenvalues, 0.0)
        self.diagonal = np.diag(self.goal.image)
        grid = model.grid
        self.step, self.origin = grid.wide(grid.step), grid.wide(grid.origin)
        self.shape = model.weights.shape
        self.scale = float(grid.step.min())

    def start(self) -> np.ndarray:
        """The initial state: means at the initial weights, no variance."""
        return np.concatenate([self.model.start.ravel(), np.zeros(self.model.weights.size)])

    def rates(self, time: float, state: np.ndarray) -> np.ndarray:
        """The time derivative of the state."""
        model = self.model
        spread, offset, slope, V = self._averages(state)
        drift = -model.learning_rate * offset @ self.goal.image
        noise = model.learning_rate**2 * V[:, None] / model.batch_size * self.eigenvalues
        return np.concatenate(
            [drift.ravel(), (noise - 2 * model.learning_rate * slope[:, None] * self.eigenvalues * spread).ravel()]
        )

    def measure(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """V of each row, and the mean variance of its weights."""
        spread, _, _, V = self._averages(state)
        return V, spread.mean(axis=1)

    def _averages(self, state):
        """Variances c (rows, d), E Q - a (rows, d), the mean slope and V (rows,)."""
        mean, spread = (part.reshape(self.shape) for part in np.split(state, 2))
        spread = np.maximum(spread, 0.0)
        own = spread @ (self.basis**2).T
        width = np.sqrt(np.maximum(own / self.step**2, NARROW))
        first, square, slopes = quantized_moments(mean / self.step + self.origin, width, self.model.grid.count)
        variance = self.step**2 * (square - first**2)
        offset = self.step * (first - self.origin) - self.goal.values
        slope = slopes.mean(axis=1)
        together = slope**2 * np.sum(self.eigenvalues * spread, axis=1)
        alone = np.maximum(variance - slopes**2 * own, 0.0) @ self.diagonal
        square = np.einsum("ri,ri->r", offset @ self.goal.image, offset)
        return spread, offset, slope, self.goal.floor + (square + alone + together) / self.shape[1]


def quantized_moments(position: np.ndarray, width: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E j, E j^2 and the mean slope of the level number j of N(position, width^2), thresholds at 1/2, 3/2, ..."""
    first, square, slope = (np.zeros_like(position) for _ in range(3))
    for j in range(count - 1):
        z = (position - j - 0.5) / width
        above = scipy.special.ndtr(z)
        first += above
        square += (2 * j + 1) * above
        slope += np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * width)
    return first, square, slope
