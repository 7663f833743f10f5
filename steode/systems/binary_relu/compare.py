"""The verb `compare`: runs of coarse-gradient descent beside the flow, or beside the descent on the population."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import SpecificationError
from steode.systems.binary_relu.compiled import CompiledGradient, compile_gradient
from steode.systems.binary_relu.results import CoarseFlow, CoarseRuns
from steode.systems.linear.compare import normal_score

QUANTITIES = ("theta", "length", "loss")
TIME_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CoarseComparison:
    """One quantity of K starts at T times, of the expectation and of the runs.

    Attributes
    ----------
    quantity : "theta", "length" or "loss", the population's at the runs' weights.
    times : (T,); step size times number of steps.
    expected, runs : (K, T); of several seeds the mean. NaN after w vanished.
    deviation : (K, T), root mean square over the seeds of a run's distance from the expectation.
    standard_error, z : (K, T) of the mean over seeds, and the normal score of its gap (as for `steode.compare`); None
        for fewer than two seeds. Where the runs do not differ, as at time 0, z is NaN.
    """

    quantity: str
    times: np.ndarray
    expected: np.ndarray
    runs: np.ndarray
    deviation: np.ndarray
    standard_error: np.ndarray | None
    z: np.ndarray | None

    @property
    def largest_deviation(self) -> float:
        """Over starts and times, without those after w vanished."""
        return float(np.nanmax(self.deviation))

    @property
    def typical_deviation(self) -> np.ndarray:
        """Root mean square over the starts, (T,)."""
        there = np.isfinite(self.deviation)
        squares = np.where(there, self.deviation, 0) ** 2
        return np.sqrt(squares.sum(axis=0) / np.maximum(there.sum(axis=0), 1))

    @property
    def largest_z(self) -> float:
        """The largest |z|; NaN for fewer than two seeds."""
        known = self.z is not None and np.any(np.isfinite(self.z))
        return float(np.nanmax(np.abs(self.z))) if known else float("nan")

    def __repr__(self) -> str:
        shown = np.unique(np.linspace(0, self.times.size - 1, 11).round().astype(int))
        score = "" if self.z is None else f", largest |z| {self.largest_z:.2f}"
        rows = [f"{self.quantity}: {len(self.runs)} starts, largest deviation {self.largest_deviation:.3g}{score}"]
        rows.append(f"{'time':>10}{'rms deviation':>16}")
        rows += [f"{self.times[k]:10.4g}{self.typical_deviation[k]:16.3g}" for k in shown]
        return "\n".join(rows)


def compare(expected: CoarseFlow | CoarseRuns, runs: CoarseRuns, quantity: str = "theta") -> CoarseComparison:
    """Compare runs with what they should do, at the times that both recorded.

    Steps of finite size deviate from the flow in proportion to the step, and a finite batch deviates from the descent
    on the population: z tells how sure a gap is, not that there should be none. How both fall: `convergence`.

    Parameters
    ----------
    expected : from `solve` or `descend`.
    runs : from `descend` or `simulate`, from the same starts and with the same model; only the step may differ from
        that of a flow.
    quantity : "theta", "length" or "loss".

    Raises
    ------
    SpecificationError
        If the two do not belong together or have no time in common.
    """
    if quantity not in QUANTITIES:
        raise SpecificationError("quantity", "one of " + ", ".join(QUANTITIES), quantity, "Both have these.")
    _check_pair(expected, runs)
    here, there = _common(expected.times, runs.times)
    if here.size == 0:
        remedy = "Choose t_end and points of solve so that they meet the runs' records."
        raise SpecificationError("runs", "times that the expectation has", runs.times, remedy)
    wanted = getattr(expected, quantity)[:, here]
    measured = _population_loss(runs)[..., there] if quantity == "loss" else getattr(runs, quantity)[..., there]
    measured = measured if measured.ndim == 3 else measured[None]
    if measured.shape[1:] != wanted.shape or not np.allclose(expected.v[:, 0], _first(runs), rtol=0, atol=1e-9):
        raise SpecificationError("runs", "runs from the starts of the expectation", runs, "Give both the same starts.")
    seeds = len(measured)
    mean, deviation = measured.mean(axis=0), np.sqrt(np.mean((measured - wanted[None]) ** 2, axis=0))
    error = score = None
    if seeds > 1:
        error = measured.std(axis=0, ddof=1) / np.sqrt(seeds)
        random = error > 1e-12
        ratio = np.divide(mean - wanted, error, out=np.full(mean.shape, np.nan), where=random)
        score = np.where(np.isfinite(ratio), normal_score(np.nan_to_num(ratio), seeds - 1), np.nan)
    return CoarseComparison(quantity, runs.times[there], wanted, mean, deviation, error, score)


def _check_pair(expected, runs) -> None:
    known = isinstance(expected, CoarseFlow) or (isinstance(expected, CoarseRuns) and expected.method == "population")
    if not known:
        raise SpecificationError("expected", "a result of solve or descend", expected, "The runs come second.")
    if not isinstance(runs, CoarseRuns):
        raise SpecificationError("runs", "a result of descend or simulate", runs, "The expectation comes first.")
    # the flow does not know the step
    model = expected.model.replace(step=runs.model.step) if isinstance(expected, CoarseFlow) else expected.model
    if model != runs.model:
        raise SpecificationError("runs", "runs of the model of the expectation", runs.model, "Use one model for both.")


def _common(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the times that both have, up to rounding."""
    nearest = np.abs(first[None, :] - second[:, None]).argmin(axis=1)
    there = np.flatnonzero(np.abs(first[nearest] - second) <= TIME_TOLERANCE * max(first[-1], 1.0))
    return nearest[there], there


def _first(runs: CoarseRuns) -> np.ndarray:
    """Output weights at the start, (K, m)."""
    return runs.v[:, 0] if runs.method == "population" else runs.v[0, :, 0]


def _population_loss(runs: CoarseRuns) -> np.ndarray:
    """The population's loss at recorded weights, of the shape of theta."""
    if runs.method == "population":
        return runs.loss
    with jax.enable_x64(True):
        given = map(jnp.asarray, (runs.v.reshape(-1, runs.v.shape[-1]), runs.length.ravel(), runs.theta.ravel()))
        return np.asarray(_losses(compile_gradient(runs.model), *given)).reshape(runs.theta.shape)


@eqx.filter_jit
def _losses(compiled: CompiledGradient, v, length, theta):
    return jax.vmap(lambda v, R, theta: compiled.evaluate("loss", v, R, theta))(v, length, theta)
