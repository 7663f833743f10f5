"""Where the weights can be, and how finely: the first guess of a mesh's ends and spacings.

These are estimates, not limits: the solver checks the mass at the ends and the error of the result, and tries again.
"""

import dataclasses

import jax
import numpy as np

from steode.solvers.entrywise import SmoothMap, StepMap
from steode.solvers.equations import Problem
from steode.solvers.mesh import LAYER_FRACTION, Resolution
from steode.solvers.programs import bounded_jit

TAIL = 1e-13
"""Probability of the initial law left outside the domain on each side."""

TAIL_LENGTHS = 30
"""Decay lengths of an exponential tail kept beyond the outermost threshold: exp(-30) = 1e-13."""

SPREADS = 8
"""Standard deviations of diffusive spreading kept."""

RATE_TIMES = 1001
"""Equally spaced times at which a learning-rate schedule is looked at."""


@dataclasses.dataclass(frozen=True)
class Extent:
    """Initial support [low, high], mean and standard deviation of the latent weights."""

    low: float
    high: float
    mean: float
    std: float


def thresholds_of(problem: Problem) -> np.ndarray:
    """The weight map's thresholds; none if it is not a step function."""
    if isinstance(problem.weight_map, StepMap):
        return np.asarray(problem.weight_map.thresholds)
    return np.zeros(0)


def breakpoints_of(problem: Problem) -> np.ndarray:
    """Where the weight map is not smooth, each a node of the mesh: thresholds, or the levels of stochastic rounding."""
    return np.asarray(problem.weight_map.breaks)


def typical_variances(problem: Problem, extent: Extent) -> tuple[float, float]:
    """Rough smallest and largest V of a trajectory: the dithering floor, and a Gaussian start."""
    variance, force = _force_at_start(problem, extent)
    largest, strength = float(variance), float(problem.under(force)[1])
    alpha_1, alpha_2 = float(np.max(problem.alpha_1)), float(np.max(problem.alpha_2))
    floor = float(problem.rho) * max(0.0, 1 - alpha_1**2 / alpha_2) + float(problem.sigma) ** 2
    if isinstance(problem.weight_map, StepMap) and not _is_recoverable(problem):
        floor += alpha_2 * float(np.mean(np.diff(problem.weight_map.levels)) ** 2) / 12
    if problem.equations.force is not None:
        floor, largest = min(floor, strength), strength
    largest = max(largest, floor)
    return max(floor, 1e-3 * largest), largest


def _is_recoverable(problem: Problem) -> bool:
    """True if every target is a level, so that weights need not dither between two of them and V may vanish."""
    levels = np.asarray(problem.weight_map.levels)
    targets = np.asarray(problem.alpha_1 / problem.alpha_2 * problem.teacher)
    distances = np.min(np.abs(targets[:, None] - levels[None, :]), axis=1)
    return not problem.is_pulled and bool(np.all(distances <= 1e-9 * np.ptp(levels)))


def _gaussian_start(problem: Problem, mean, variance) -> tuple:
    """V, and the force, if all weights are N(mean, variance)."""
    start = 0 * problem.teacher + mean, 0 * problem.teacher + variance
    overlaps = problem.overlaps(problem.weight_map.gaussian_mean(*start), problem.weight_map.gaussian_square(*start))
    return overlaps[2], problem.gaussian_force(*start)


_compiled_start = bounded_jit(_gaussian_start)


def _force_at_start(problem: Problem, extent: Extent) -> tuple:
    # averages of smooth maps and of outputs are JAX's, those of levels are NumPy's
    arithmetic = problem.output is None and not isinstance(problem.weight_map, SmoothMap)
    found = (_gaussian_start if arithmetic else _compiled_start)(problem, extent.mean, max(extent.std, 1e-6) ** 2)
    return tuple(map(np.asarray, found))


def _at_the_start(problem: Problem, extent: Extent) -> Problem:
    """The problem with the response of its output at the start."""
    return problem.under(_force_at_start(problem, extent)[1])[0]


def learning_rates(problem: Problem, t_end: float) -> np.ndarray:
    """The learning rate at equally spaced times of [0, t_end]; a single value if it is constant."""
    if "eta" not in {**dict(problem.schedules), **problem.traced}:
        return np.asarray(problem.eta)[None]
    return np.asarray(jax.vmap(lambda time: problem.at(time).eta)(np.linspace(0.0, t_end, RATE_TIMES)))


@np.errstate(all="ignore")
def reach(problem: Problem, extent: Extent, t_end: float) -> tuple[float, float]:
    """Ends of the domain: initial support, thresholds, drift away from them, diffusion and exponential tails.

    Of a learning rate that changes, distances take the mean, spreading the mean square, and tails the largest value.
    """
    _, largest = typical_variances(problem, extent)
    problem = _at_the_start(problem, extent)
    rates = learning_rates(problem, t_end)
    problem, diffusing, strongest = (
        dataclasses.replace(problem, eta=np.asarray(rate))
        for rate in (rates.mean(), np.sqrt(np.mean(rates**2)), rates.max())
    )
    spread = SPREADS * np.sqrt(float(np.max(diffusing.diffusion(largest))) * t_end)
    thresholds = thresholds_of(problem)
    ends = []
    for side, start in ((-1, extent.low), (1, extent.high)):
        targets = np.asarray(problem.teacher)
        edge = max(side * start, *(side * thresholds), float(np.max(side * targets)), 0.0)
        if problem.band is not None:
            low, high = np.asarray(problem.band)
            bound = low if side < 0 else high
            ends.append(side * max(side * start, side * float(bound)) + side * 0.05 * float(high - low) / 2)
            continue
        # the drift outwards beyond every threshold, or at the edge for a map that is not a step function
        beyond_edge = np.full(targets.shape, side * (edge + 1.0))
        outward = side * np.asarray(problem.drift(targets, problem.weight_map(beyond_edge), beyond_edge))
        pull = side * np.asarray(strongest.drift(targets, problem.weight_map(beyond_edge), beyond_edge))
        # no stationary tail where nothing pulls back
        diffusion = np.broadcast_to(np.asarray(strongest.diffusion(largest)), pull.shape)
        tails = np.divide(TAIL_LENGTHS * diffusion, -2 * pull, out=np.full(pull.shape, np.inf), where=pull < 0)
        beyond = np.max(np.where(outward >= 0, outward * t_end + spread, np.minimum(spread, tails)))
        ends.append(side * (edge + float(beyond) + 0.05 * max(extent.high - extent.low, 1e-3)))
    return ends[0], ends[1]


@np.errstate(all="ignore")
def resolution(problem: Problem, extent: Extent, t_end: float = 0.0) -> Resolution:
    """Spacing at each threshold from the layer width eta V/(2 jump), and the largest spacing from the initial law.

    Layers follow a learning rate that changes within a time of order one: its smallest value up to `t_end` counts.
    """
    smallest, _ = typical_variances(problem, extent)
    points = breakpoints_of(problem)
    span = float(np.ptp(points)) if points.size > 1 else max(1.0, extent.high - extent.low) / 3
    largest = 0.1 * span
    if extent.std > 0:
        largest = min(largest, 0.25 * extent.std)
    slowest = float(learning_rates(problem, t_end).min())
    at_bound = np.inf
    if problem.band is not None:
        at_bound = min(LAYER_FRACTION * _layer_at_the_bound(problem, slowest, smallest), largest)
    if not isinstance(problem.weight_map, StepMap):
        return Resolution(np.full(points.size, largest), largest, at_bound)
    jumps = np.diff(np.asarray(problem.weight_map.levels))
    layers = slowest * smallest / (2 * jumps)
    return Resolution(np.minimum(LAYER_FRACTION * layers, largest), largest, at_bound)


def _layer_at_the_bound(problem: Problem, rate: float, variance: float) -> float:
    """Least width D/|f| of the layer that a drift f towards an absorbing bound forms there."""
    problem = dataclasses.replace(problem, eta=np.asarray(rate))
    inside = problem.band * (1 - 1e-6)
    drift = problem.drift(problem.teacher[:, None], problem.weight_map(inside)[None, :], inside[None, :])
    diffusivity = np.min(np.asarray(problem.diffusion(variance))) / 2
    return diffusivity / max(float(np.max(np.abs(drift))), 1e-300)
