"""The verb `resting_ranges`: where a learned quantization range comes to rest, together with the weights.

In a stationary state the mean of l (Q - a) is that of its derivative times half the diffusion over the speed, so that

    E[l (Q - a)] = theta/2 E[dl/dw],    E[dl/dw] = sum_j J_j mu(T_j) - P(w between the outermost levels)/omega,

with J_j the jumps of l, at the thresholds and the outermost levels, and mu the stationary density; weights whose
targets lie beyond the range sit on the last level, where l is that level over omega. The range rests where the sum of
both vanishes. Derived here; see docs/optimizers.md.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import SpecificationError, check_integer
from steode.parts.range_rules import FixedRange, LearnedRange
from steode.solvers import stationary
from steode.solvers.equations import Problem
from steode.systems.linear.fixed_point import FixedPoint
from steode.systems.linear.fixed_point_function import FixedPointFunction, fixed_point_function
from steode.systems.linear.fixed_points import fixed_points
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import LinearModel

SPAN = (0.1, 10.0)
"""Ranges that are looked at, in units of the root mean square of the teacher weights and of their targets."""
PRECISION = 1e-9
"""Relative, of a range at rest."""


@dataclasses.dataclass(frozen=True)
class RestingRange:
    """A range at which the mean of its gradient vanishes.

    Attributes
    ----------
    range : where it rests.
    point : the fixed point of the weights at this range, that of smallest error.
    attracts : True if the gradient pushes the range back from both sides.
    """

    range: float
    point: FixedPoint
    attracts: bool

    @property
    def eps_g(self) -> float:
        """Generalization error there."""
        return self.point.eps_g

    def __repr__(self) -> str:
        how = "attracts" if self.attracts else "repels"
        return f"RestingRange(range={self.range:.6g}, eps_g={self.eps_g:.6g}, {how})"


def resting_ranges(model: LinearModel, points: int = 32) -> tuple[RestingRange, ...]:
    """Every range found at which a `LearnedRange` rests, increasing.

    The sign of the gradient's mean at the fixed point of the weights is looked at on `points` ranges, equally spaced in
    their logarithm between a tenth and ten times the root mean square of the teacher weights; between two points
    another pair of rests may hide. A range that shrinks without end, or that grows, has none there.

    Parameters
    ----------
    model : a model whose `range_rule` is a `LearnedRange`, updated simultaneously; its rate does not matter.
    points : >= 2.

    Raises
    ------
    SpecificationError
        If the range is not learned, or stepped after the weights.
    UnsupportedError
        Where `fixed_point_function` raises it.
    """
    check_model(model)
    rule = model.range_rule
    if not isinstance(rule, LearnedRange) or rule.sequential:
        remedy = "For example model.replace(range_rule=LearnedRange(rate=0.1))."
        raise SpecificationError("model.range_rule", "a LearnedRange that is not sequential", rule, remedy)
    points = check_integer("points", points, 2)
    still = model.replace(range_rule=FixedRange())
    function = fixed_point_function(still)
    scale = model.teacher.second_moment**0.5
    grid = np.geomspace(SPAN[0] * scale, SPAN[1] * scale, points)
    slopes = _slopes(function, rule, grid)
    found = []
    for index in np.flatnonzero(slopes[:-1] * slopes[1:] < 0):
        root = _refined(function, rule, grid[index : index + 2], slopes[index] > 0, points)
        at_root = still.replace(weight_quantizer=dataclasses.replace(still.weight_quantizer, range=root))
        point = min(fixed_points(at_root).points, key=lambda point: point.V)
        found.append(RestingRange(root, point, bool(slopes[index] > 0)))
    return tuple(found)


def _refined(function: FixedPointFunction, rule: LearnedRange, bracket: np.ndarray, falls: bool, points: int) -> float:
    """The zero in a bracket, which is cut into equal parts again and again: one program serves every cut."""
    while bracket[1] - bracket[0] > PRECISION * bracket[1]:
        grid = np.linspace(*bracket, points)
        beyond = (_slopes(function, rule, grid) > 0) != falls
        first = max(int(np.argmax(beyond)), 1) if beyond.any() else points - 1
        bracket = grid[first - 1 : first + 1]
    return float(bracket.mean())


def _slopes(function: FixedPointFunction, rule: LearnedRange, ranges: np.ndarray) -> np.ndarray:
    """The rate of every range, over its learning rate, where the weights are stationary; NaN where they are not."""
    variances = function.many({"weight_range": ranges})["V"]
    with jax.enable_x64(True):
        problems = [function.problem({"weight_range": value}) for value in ranges]
        # at V = 0 every weight rests on its level, whatever the range does
        rates = [
            float(_mean_gradient(problem, variance, value, rule.gradient)) if variance > 0 else 0.0
            for problem, variance, value in zip(problems, variances, ranges, strict=True)
        ]
    return np.array(rates)


@eqx.filter_jit
def _mean_gradient(problem: Problem, variance, value, gradient: str):
    levels, thresholds = problem.weight_map.levels, problem.weight_map.thresholds
    low, high = levels[0], levels[-1]
    density = stationary.density(problem, variance, jnp.concatenate([thresholds, levels[jnp.array([0, -1])]]))
    at_thresholds, at_ends = density[:, :-2], density[:, -2:]
    # half the diffusion over the speed at which weights move toward their targets
    speed = problem.drift(0.0, 0.0, 0.0) - problem.drift(0.0, 1.0, 0.0)
    half = problem.diffusion(variance) / (2 * speed)
    unit = levels / value
    if gradient == "lsq":
        # at the outermost level l goes from 0 to that level, and at the other end back
        steps = at_thresholds @ jnp.diff(unit) + at_ends @ jnp.stack([-unit[0], unit[-1]])
        slope = steps - _inside(problem, variance, at_ends) / value
    else:
        slope = at_ends @ jnp.stack([-unit[0], unit[-1]])
    a = stationary.targets(problem)
    beyond = jnp.where(a >= high, unit[-1] * (high - a), unit[0] * (low - a))
    own = jnp.where(stationary.is_confined(problem), half * slope, beyond)
    return -problem.teacher_weights @ (problem.alpha_2 * own)


def _inside(problem: Problem, variance, at_ends):
    """P(w between the outermost levels | w*): the cells without their exponential tails beyond."""
    levels = problem.weight_map.levels
    a = stationary.inner_targets(problem)
    arguments = (*problem.training, problem.alpha_2, variance, a)
    below, above = (problem.equations.log_slope(*arguments, level, 0.0) for level in (levels[0], levels[-1]))
    return 1 - at_ends[:, 0] / below + at_ends[:, 1] / above
