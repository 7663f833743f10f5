r"""The stationary state without noise: every weight rests where its image is its target, and c_2 = 0.

Whether it exists is a question to the maps alone. A weight rests on a target that is a level (step functions and
stochastic rounding), that the map attains, or anywhere (unquantized weights); with weight decay or dampening only where
the point at which these two balance has the target as its image: zero for weight decay, the target for dampening.

Whether it lasts is a question to small c_2. There the weights that leave their cells sit in layers at its ends, whose
mass is proportional to c_2 and whose width is small against the cell, so that F(x) = g x to all orders of x. The state
is stable if g < 1. For step functions, with g_1 and g_2 the jumps at the ends of the target's cell and W its width,

    g = (eta/B) E[alpha_2 (g_1 + g_2)/(2 W)],     with FOGZO   g = 2 alpha_2 eta (1 + c/n) E[(g_1 + g_2)/(2 W)]^2/B,

where targets on the last level are left out. Their weights spread in a cell without end: with mu(T) their density at
its threshold T and J the jump there, those outside the cell have the mass mu(T) eta V/(2 J B) and the share
V eta J alpha_2 mu(T)/(2 B) of V, which is multiplied by less than 1 as soon as mu(T) is small, and vanishes in a finite
time. While other noise keeps V above zero, mu(T) falls as tau^-1/2, and so does their share of V. Derived here.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from steode.solvers import self_consistency, stationary
from steode.solvers.all_roots import evaluate
from steode.solvers.entrywise import StepMap
from steode.solvers.equations import Problem
from steode.solvers.newton_roots import implied_by
from steode.solvers.random_maps import NoisyMap, RoundingMap
from steode.solvers.scalar_equations import ZERO, Equation, TemperatureEquation

SMALL = 1e-9
"""x at which the gain is taken, relative to the square of the smallest distance of levels or thresholds."""
SETTLED = 0.01
"""Largest relative change of the gain over a factor 1e-3 in x; else it tends to zero or infinity."""
OVERLAP_NOISE = 1e-6
"""c_2 of a nonlinear output that counts as zero, relative to that of a student without overlap."""
SMALL_FORCE = 1e-6
"""The same as SMALL for a nonlinear output, whose averages are differences of overlaps."""


@dataclasses.dataclass(frozen=True)
class Recovery:
    """c_2 = 0 is a stationary state.

    Attributes
    ----------
    gain : g, by which a small c_2 is multiplied for every relaxation of the weights; infinite where any c_2 grows.
    scale : the quantized weights over the teacher weights (or over the targets, for a linear output): 1, but for
        outputs such as signs that do not feel it.
    """

    gain: float
    scale: float = 1.0


def on_level(problem: Problem, a: np.ndarray) -> np.ndarray:
    """True where a target is a level to rounding, shape (K,)."""
    levels = np.asarray(problem.weight_map.levels)
    nearest = levels[np.abs(a[:, None] - levels[None, :]).argmin(axis=1)]
    return np.isclose(a, nearest, rtol=1e-12, atol=1e-14)


def share_on_last_level(problem: Problem) -> float:
    """Fraction of the targets that sit on an outermost level, where without a pull no stationary law exists."""
    if not isinstance(problem.weight_map, StepMap | RoundingMap) or problem.is_pulled:
        return 0.0
    a = np.asarray(stationary.targets(problem))
    levels = np.asarray(problem.weight_map.levels)
    last = on_level(problem, a) & (np.abs(a[:, None] - levels[[0, -1]][None, :]).min(axis=1) <= 1e-9 * np.ptp(levels))
    return float(np.asarray(problem.teacher_weights) @ last)


def rests(problem: Problem, a: np.ndarray) -> bool:
    """True if weights that feel no noise come to rest with all images on the targets a."""
    if problem.is_pulled:
        decay, dampening = problem.training[1:3]
        balance = jnp.asarray(a) * dampening / (decay + dampening)
        return np.allclose(a, np.asarray(problem.weight_map(balance)), rtol=0, atol=1e-14)
    if isinstance(problem.weight_map, StepMap | RoundingMap):
        return bool(on_level(problem, a).all())
    low, high = (float(end) for end in stationary.image_range(problem))
    return bool(((a >= low) & (a <= high)).all())


def scalar_recovery(equation: Equation) -> Recovery | None:
    """V = 0 of a linear response, if it is a stationary state."""
    problem, at_rest = equation.problem, [_at_rest(own) for _, own in equation.kinds]
    if None in at_rest:
        return None
    gap, overlap = self_consistency.mixed([share for share, _ in equation.kinds], at_rest)
    if float(problem.strength_of_gap(gap, overlap)) > ZERO * float(problem.rho):
        return None
    small = SMALL * min(_smallest(own) for _, own in equation.kinds) ** 2
    # theta = eta x/B, and x = theta^2 with FOGZO
    unit = small**2 if isinstance(equation, TemperatureEquation) else small * float(problem.batch / problem.eta)
    return Recovery(_limit(evaluate(equation, unit * np.array([1.0, 2.0, 1e-3, 2e-3])) / unit))


def _at_rest(problem: Problem) -> tuple[float, float] | None:
    """G and q of weights that all rest on their targets; None where they cannot."""
    a = np.asarray(stationary.targets(problem))
    if not rests(problem, a):
        return None
    weights = np.asarray(problem.teacher_weights * problem.alpha_2)
    drawn = np.zeros_like(a)
    if isinstance(problem.weight_map, NoisyMap):
        drawn = np.asarray(problem.weight_map.square(a)) - a**2
    return float(self_consistency.unreachable_gap(problem)) + weights @ drawn, weights @ (a**2 + drawn)


def _smallest(problem: Problem) -> float:
    """The smallest distance of levels or thresholds; for maps without either a length of the order of the weights."""
    if isinstance(problem.weight_map, StepMap | RoundingMap):
        values = [getattr(problem.weight_map, name, np.zeros(0)) for name in ("levels", "thresholds")]
        return float(min(np.diff(np.asarray(points)).min(initial=np.inf) for points in values))
    return float(np.sqrt(problem.rho)) or 1.0


def _limit(values) -> float:
    """Slope at zero from values at 1, 2, 1e-3 and 2e-3; what they have in common is no slope."""
    far, near = values[1] - values[0], (values[3] - values[2]) / 1e-3
    if abs(near - far) <= SETTLED * abs(far):
        return float(near)
    return np.inf if near > far else 0.0


def vector_recovery(problem: Problem) -> Recovery | None:
    """Perfect recovery of the teacher's output by an output that is not linear, if it is a stationary state.

    The pre-activations must agree up to a factor, weights rest there, and c_2 vanish. The gain is that of c_2 at the
    response c_h, c_* of the recovered output: what c_2 changes of it moves the targets, but a small c_2 is gone, or has
    grown, before the weights have followed.
    """
    w, weights = np.asarray(problem.teacher), np.asarray(problem.teacher_weights)
    alpha_1, alpha_2 = problem.alpha_1, problem.alpha_2
    at_random = float(problem.force(jnp.zeros(()), problem.rho)[2])
    for scale in _scales(problem, w):
        m, q = (weights @ np.asarray(factor * w**2 + 0 * w) for factor in (alpha_1 * scale, alpha_2 * scale**2))
        force = np.asarray(problem.force(jnp.asarray(m), jnp.asarray(q)))
        aligned = abs(m**2 - q * float(problem.rho)) <= 1e-12 * m**2 and force[0] > 0
        if not aligned or force[2] > OVERLAP_NOISE * at_random or not rests(problem, scale * w):
            continue
        targets = np.asarray(stationary.targets(problem.under(force)[0]))
        if np.allclose(targets, scale * w, rtol=1e-4, atol=1e-12):
            # to rounding, or the targets miss the levels by more than the layers
            response = force[0] * np.array([1.0, -scale * float(jnp.mean(alpha_2 / alpha_1))])
            return Recovery(_vector_gain(problem, response), scale)
    return None


def _scales(problem: Problem, w: np.ndarray) -> list[float]:
    if not isinstance(problem.weight_map, StepMap | RoundingMap) or not w.any():
        return [1.0]
    ratios = np.asarray(problem.weight_map.levels) / w[np.abs(w).argmax()]
    return sorted(float(ratio) for ratio in ratios if ratio > 0)


def _vector_gain(problem: Problem, response: Float[np.ndarray, " 2"]) -> float:
    unit = SMALL_FORCE * _smallest(problem) ** 2 * response[0] * float(problem.batch / problem.eta)
    sizes = unit * np.array([1.0, 1e-2])
    far, near = (float(implied_by(problem, jnp.asarray([*response, size]))[2]) / size for size in sizes)
    if abs(near - far) <= 0.1 * abs(far):
        return near
    return np.inf if near > far else 0.0
