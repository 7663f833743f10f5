"""The verb `fixed_points` of a committee machine: states of rest of its overlaps.

Where weights are not quantized, by relaxation and Newton's method on the exact equations. Where they are, by relaxation
of the Gaussian closure: weights whose target lies beyond the outermost level move away for ever, so that overlaps come
to rest and laws do not, and there is no root to look for.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import ConvergenceError, UnsupportedError
from steode.parts.schedule import Schedule
from steode.systems.committee.fixed_point import CommitteeFixedPoint, CommitteeFixedPoints
from steode.systems.committee.problem import make_problem
from steode.systems.committee.relaxation import relaxed
from steode.systems.committee.solve import check_method, initial_state, states
from steode.systems.committee.spec import CommitteeModel, check_model

SPANS = np.append(0.0, np.geomspace(1.0, 400.0, 60))
"""Times of a relaxation, in units of 1/(eta alpha_2)."""
SHIFT = 1e-6
"""Of central differences, relative to the size of the state."""
WANTED, MOST_NEWTON = 1e-9, 40
"""Relative residual, and steps, of Newton's method."""
SAME = 1e-4
"""States that differ by less, but for an exchange of units, are one."""


def fixed_points(model: CommitteeModel) -> CommitteeFixedPoints:
    """States of rest of a committee machine: of the exact equations of the overlaps, or of the Gaussian closure.

    They are followed from three starts, the model's own, one without asymmetry and one at the teacher. Exact equations:
    where the motion is slowest on the way, as on a plateau, and at the end Newton's method takes over, and stability is
    that of the linearized equations. Closure: the overlaps at the end, if they have come to rest; growth is that of a
    small asymmetry where units are alike, and the rate of the last approach, negative, where they are not. That there
    are no other fixed points is not proved, nor how far the closure is off.

    Raises
    ------
    SpecificationError
        If `model` is not a CommitteeModel.
    UnsupportedError
        For a learning rate that is a schedule, or a clipped surrogate.
    ConvergenceError
        If no start leads to a state of rest.
    """
    check_model(model)
    if isinstance(model.learning_rate, Schedule) or isinstance(model.output_learning_rate, Schedule):
        raise UnsupportedError("fixed_points: a schedule has none; give the last rate.")
    if not model.has_exact_order_parameters:
        check_method(model, "gaussian")
    starts = {
        "own": model,
        "symmetric": model.replace(alignment=0.0),
        "specialized": model.replace(alignment=1.0),
    }
    found = []
    with jax.enable_x64(True):
        for name, started in starts.items():
            points = _from_start(started, name) if model.has_exact_order_parameters else relaxed(started, name)
            for point in points:
                if not any(_same(point, other) for other in found):
                    found.append(point)
    if not found:
        raise ConvergenceError("fixed_points: no start came to rest; at this learning rate the error may grow.")
    return CommitteeFixedPoints(model, tuple(sorted(found, key=lambda point: point.eps_g)))


def _from_start(model: CommitteeModel, name: str) -> list[CommitteeFixedPoint]:
    problem = make_problem(model)
    equations, state = initial_state(model, problem, "order parameters")
    times = SPANS / (model.learning_rate * float(problem.alpha_2))
    path = states(equations, state, times)
    if path is None:
        return []
    system = _System(equations, state, model.output_learning_rate is not None)
    along = [jax.tree.map(lambda leaf, k=k: leaf[k], path) for k in range(times.size)]
    packed = [system.pack(one) for one in along]
    speed = np.array([system.residual(x) for x in packed])
    slow = [k for k in range(1, times.size - 1) if speed[k] <= min(speed[k - 1], speed[k + 1]) and speed[k] < 1e-2]
    found = []
    for k in [*slow, times.size - 1]:
        x = system.newton(packed[k])
        if x is not None:
            found.append(_point(system, x, name))
    return found


class _System:
    """The equations in the independent numbers of a state: matrices by their lower triangles, v where it is trained."""

    def __init__(self, equations, state, trained: bool):
        self.equations, self.trained, self.last = equations, trained, state[2]
        self.first = np.shape(state[0])
        self.triangle = np.tril_indices(self.last.size)

    def pack(self, state) -> np.ndarray:
        """The independent numbers of a state."""
        first, second, readout = map(np.asarray, state)
        parts = [first.ravel(), second[self.triangle]]
        return np.concatenate([*parts, readout] if self.trained else parts)

    def unpack(self, x):
        """The state of these numbers."""
        cut, hidden = int(np.prod(self.first)), self.last.size
        rest = x[cut : x.size - hidden] if self.trained else x[cut:]
        second = np.zeros((hidden, hidden))
        second[self.triangle] = rest
        second.T[self.triangle] = rest
        return x[:cut].reshape(self.first), second, x[x.size - hidden :] if self.trained else self.last

    def rates(self, x: np.ndarray) -> np.ndarray:
        """dx/dtau."""
        return self.pack(jax.device_get(_rates(self.equations, self.unpack(x))))

    def residual(self, x: np.ndarray) -> float:
        """The largest rate, relative to the size of the state."""
        return float(np.abs(self.rates(x)).max() / max(np.abs(x).max(), 1e-300))

    def newton(self, x: np.ndarray) -> np.ndarray | None:
        """The root near x, or None."""
        for _ in range(MOST_NEWTON):
            if self.residual(x) < WANTED * 1e-2:
                break
            step = np.linalg.lstsq(self.jacobian(x), -self.rates(x), rcond=1e-12)[0]
            # damped where a whole step does not help
            for share in (1.0, 0.5, 0.1):
                if self.residual(x + share * step) < self.residual(x):
                    break
            else:
                break
            x = x + share * step
        return x if self.residual(x) < WANTED else None

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Of the rates, by central differences."""
        size = SHIFT * max(np.abs(x).max(), 1e-300)
        moved = [size * column for column in np.eye(x.size)]
        return np.stack([(self.rates(x + move) - self.rates(x - move)) / (2 * size) for move in moved], axis=1)

    def eigenvalues(self, x: np.ndarray) -> np.ndarray:
        """Of the linearized equations, by decreasing real part."""
        values = np.linalg.eigvals(self.jacobian(x))
        return values[np.argsort(-values.real)]


@eqx.filter_jit
def _rates(equations, state):
    return equations.rates(jnp.zeros(()), tuple(map(jnp.asarray, state)))


@eqx.filter_jit
def _observables(equations, state):
    return equations.observables(tuple(map(jnp.asarray, state)))


def _point(system: _System, x: np.ndarray, name: str) -> CommitteeFixedPoint:
    values = jax.device_get(_observables(system.equations, system.unpack(x)))
    rates = system.eigenvalues(x)
    numbers = {key: float(values[key]) for key in ("eps_g", "V", "specialization")}
    matrices = {key: values[key] for key in ("student_overlap", "teacher_overlap", "output_weights")}
    return CommitteeFixedPoint(
        **numbers,
        **matrices,
        growth=float(rates[0].real),
        rates=rates,
        residual=system.residual(x),
        exact=True,
        found_from=name,
    )


def _same(one: CommitteeFixedPoint, other: CommitteeFixedPoint) -> bool:
    """Up to an exchange of units."""

    def seen(point):
        lengths = np.linalg.eigvalsh(point.student_overlap)
        numbers = np.append(lengths, [point.eps_g, point.specialization])
        return np.concatenate([numbers, np.sort(point.teacher_overlap.ravel()), np.sort(point.output_weights)])

    return np.abs(seen(one) - seen(other)).max() < SAME * max(1.0, np.abs(one.student_overlap).max())
