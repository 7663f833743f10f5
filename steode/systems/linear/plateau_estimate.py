"""The verb `plateau_estimate`: how long the error stays flat, from the time weights need to reach a threshold."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from steode import bridge
from steode.errors import UnsupportedError
from steode.parts.surrogates import ClippedSurrogate
from steode.solvers import stationary
from steode.solvers.equations import Problem
from steode.solvers.kinks import kinks_by_eigenvalue
from steode.symbolic import symbols as sym
from steode.systems.linear.derive import derive
from steode.systems.linear.problem import make_problem, nominal_start
from steode.systems.linear.properties import require
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import LinearModel

TEACHER_VALUES = 200
SMALLEST = 1e-12
"""Least q at which the response of an output is evaluated, as a fraction of rho."""


@dataclasses.dataclass(frozen=True)
class PlateauEstimate:
    """When the cloud of weights, started at the mean of the initial law, reaches the next threshold.

    Attributes
    ----------
    length : time at which half of the change of error by the first crossings has happened: the median of the crossing
        times over the teacher law, weighted by the change each crossing makes (a fall, or a rise where the next level
        is farther from the target).
    spread : standard deviation of a weight at that time divided by its speed there: the cloud needs from about length
        - 2 spread to length + 2 spread to cross.
    height : the error while no weight has crossed.
    """

    length: float
    spread: float
    height: float


def plateau_estimate(model: LinearModel) -> PlateauEstimate:
    """The analytic plateau of a model whose initial weights are narrow and lie inside one cell of the quantizer.

    It compiles the step "plateau" of `derive(model)`. For one |w*|, w_0 = 0 and no weight decay, with Delta the step of
    the grid,

        length = Delta/(2 eta alpha_1 |w*|).

    Meaningful where spread is much smaller than length: with initial
    weights as wide as a cell there is no plateau to speak of.

    Raises
    ------
    UnsupportedError
        If the learning rate is a schedule, the weights are not quantized by a step function, start on a threshold on
        average, or no target pulls them out of their cell (with a pull they may come to rest inside it).
    """
    check_model(model)
    require(model, "plateau_estimate")
    with jax.enable_x64(True):
        start = nominal_start(model)
        edges = kinks_by_eigenvalue(make_problem(model, start.rows(np.zeros(0), 2)))
        problem = make_problem(model, start.rows(edges, TEACHER_VALUES))
        image = jnp.full(problem.teacher.shape, float(model.weight_quantizer(model.init.mean)))
        m, q, variance = problem.overlaps(image, image**2)
        # while no weight crosses the overlaps stand still, and with them what drives the weights
        # (with all weights at level zero the response to them has no value, and no part in their drift)
        problem, strength = problem.under(problem.force(m, jnp.maximum(q, SMALLEST * problem.rho)))
        level, speed, threshold = _motion(model, problem)
        times = np.where(np.isfinite(threshold), _crossing_times(model, problem, level, threshold), np.inf)
        change = _error_changes(model, problem, level, speed, threshold)
        share = np.asarray(problem.teacher_weights * problem.alpha_2)
        median = _weighted_median(times, share * change)
        if not np.isfinite(times[median]):
            raise UnsupportedError(
                "plateau_estimate: the weights do not leave their cell, so the error stays flat for ever."
            )
        height = float(problem.observables(m, q, variance)["eps_g"])
        diffusion = np.broadcast_to(problem.diffusion(strength), times.shape)[median]
        width = np.sqrt(_variance(problem, model.init.variance, float(diffusion), times[median]))
        # with a pull a weight is slower at the threshold than at its start
        arrival = float(np.asarray(problem.drift(problem.teacher, level, threshold))[median])
        return PlateauEstimate(float(times[median]), float(width / abs(arrival)), height)


def _motion(model: LinearModel, problem: Problem) -> tuple[float, np.ndarray, np.ndarray]:
    """Level at the initial mean, drift there for each teacher value, and the threshold it leads to (infinite if
    none).
    """
    thresholds, mean = np.asarray(problem.weight_map.thresholds), model.init.mean
    if np.any(np.isclose(thresholds, mean, rtol=0, atol=1e-12)):
        raise UnsupportedError(
            f"plateau_estimate: the initial weights start on the threshold {mean:g} on average, so there is no "
            f"plateau; "
            'use kind="mid-tread" or another initial mean.'
        )
    level = float(model.weight_quantizer(mean))
    speed = np.asarray(problem.drift(problem.teacher, level, mean))
    fences = np.concatenate([[-np.inf], thresholds, [np.inf]])
    cell = int(np.searchsorted(thresholds, mean, side="right"))
    threshold = np.where(speed > 0, fences[cell + 1], np.where(speed < 0, fences[cell], np.inf))
    if isinstance(model.surrogate, ClippedSurrogate):
        # weights freeze at a bound before they can cross a threshold beyond it
        low, high = model.surrogate.band
        moves = (low < mean < high) & (threshold >= low) & (threshold <= high)
        threshold = np.where(moves, threshold, np.inf)
    return level, speed, threshold


def _error_changes(model: LinearModel, problem: Problem, level: float, speed, threshold) -> np.ndarray:
    """Size of the change of (Q - a)^2 when a weight crosses its threshold, for each teacher value (0 without one)."""
    targets, levels = np.asarray(stationary.targets(problem)), model.weight_quantizer.levels
    cell = int(np.searchsorted(levels, level))
    beyond = levels[np.clip(cell + np.sign(speed).astype(int), 0, levels.size - 1)]
    return np.where(np.isfinite(threshold), np.abs((level - targets) ** 2 - (beyond - targets) ** 2), 0.0)


def _crossing_times(model: LinearModel, problem: Problem, level: float, threshold: np.ndarray) -> np.ndarray:
    limit = derive(model)
    training = (limit.rate, sym.kappa, sym.zeta, sym.batch, sym.c_h, sym.c_star)
    arguments = (*training, sym.alpha_1, sym.alpha_2, sym.wstar, sym.level, sym.w, sym.threshold)
    function = bridge.compile_expression(limit.plateau_time, arguments)
    hyperparameters = (*problem.training, problem.alpha_1, problem.alpha_2, problem.teacher)
    times = np.asarray(function(*hyperparameters, level, model.init.mean, threshold))
    # with a pull a weight may come to rest before its threshold: the logarithm in its time is then not real
    return np.where(np.isnan(times), np.inf, times)


def _variance(problem: Problem, start: float, diffusion: float, time: float) -> float:
    """Variance of a weight after a time in one cell: its drift is linear with slope -eta (kappa + zeta)."""
    rate = 2 * float(problem.eta) * float(sum(problem.training[1:3]))
    if rate == 0:
        return start + diffusion * time
    return start * np.exp(-rate * time) - diffusion * np.expm1(-rate * time) / rate


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> int:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return int(order[np.searchsorted(cumulative, cumulative[-1] / 2)])
