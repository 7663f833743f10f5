"""The verb `fixed_points` of a committee machine: states of rest of its overlaps, by relaxation and Newton's method."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.sparse.linalg

from steode.errors import ConvergenceError, UnsupportedError
from steode.parts.schedule import Schedule
from steode.systems.committee.fixed_point import CommitteeFixedPoint, CommitteeFixedPoints
from steode.systems.committee.problem import make_problem
from steode.systems.committee.solve import check_method, initial_state, states
from steode.systems.committee.spec import CommitteeModel, check_model

SPANS = np.append(0.0, np.geomspace(1.0, 400.0, 60))
"""Times of a relaxation, in units of 1/(eta alpha_2)."""
FEW = 120
"""Unknowns up to which the Jacobian is made as a matrix."""
SHIFT = 1e-6
"""Of central differences, relative to the size of the state."""
WANTED, MOST_NEWTON = 1e-9, 40
"""Relative residual, and steps, of Newton's method."""
SAME = 1e-6
"""States whose overlaps differ by less are one."""


def fixed_points(model: CommitteeModel) -> CommitteeFixedPoints:
    """States of rest of a committee machine: of the exact equations of the overlaps, or of the Gaussian closure.

    Equations are those of `solve`: "order parameters" where these are exact, "gaussian" otherwise. They are followed
    from three starts, the model's own, one without asymmetry and one at the teacher; where the motion is slowest on the
    way, as on a plateau, and at the end Newton's method takes over. Stability is that of the linearized equations:
    exact where the equations are. That there are no other fixed points is not proved.

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
    method = "order parameters" if model.has_exact_order_parameters else "gaussian"
    check_method(model, method)
    starts = {
        "own": model,
        "symmetric": model.replace(alignment=0.0),
        "specialized": model.replace(alignment=1.0),
    }
    found = []
    with jax.enable_x64(True):
        for name, started in starts.items():
            for point in _from_start(started, method, name):
                if not any(_same(point, other) for other in found):
                    found.append(point)
    if not found:
        raise ConvergenceError("fixed_points: no start came to rest; at this learning rate the error may grow.")
    return CommitteeFixedPoints(model, tuple(sorted(found, key=lambda point: point.eps_g)))


def _from_start(model: CommitteeModel, method: str, name: str) -> list[CommitteeFixedPoint]:
    problem = make_problem(model)
    equations, state = initial_state(model, problem, method)
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
            found.append(_point(model, system, x, method, name))
    return found


class _System:
    """The equations in the independent numbers of a state: matrices by their lower triangles, v where it is trained."""

    def __init__(self, equations, state, trained: bool):
        self.equations, self.trained, self.last = equations, trained, state[2]
        self.first, second = np.shape(state[0]), np.shape(state[1])
        self.whole = second
        self.triangle = np.tril_indices(second[-1])

    def pack(self, state) -> np.ndarray:
        """The independent numbers of a state."""
        first, second, readout = map(np.asarray, state)
        parts = [first.ravel(), second[..., self.triangle[0], self.triangle[1]].ravel()]
        return np.concatenate([*parts, readout] if self.trained else parts)

    def unpack(self, x):
        """The state of these numbers."""
        cut = int(np.prod(self.first))
        hidden = self.whole[-1]
        rest = x[cut : x.size - hidden] if self.trained else x[cut:]
        half = rest.reshape(*self.whole[:-2], -1)
        low, high = self.triangle
        second = np.zeros(self.whole)
        second[..., low, high] = half
        second[..., high, low] = half
        readout = x[x.size - hidden :] if self.trained else self.last
        return x[:cut].reshape(self.first), second, readout

    def rates(self, x: np.ndarray) -> np.ndarray:
        """dx/dtau."""
        return self.pack(jax.device_get(_rates(self.equations, self.unpack(x))))

    def residual(self, x: np.ndarray) -> float:
        """The largest rate, relative to the size of the state."""
        return float(np.abs(self.rates(x)).max() / max(np.abs(x).max(), 1e-300))

    def newton(self, x: np.ndarray) -> np.ndarray | None:
        """The root near x, or None."""
        if x.size > FEW:
            try:
                x = scipy.optimize.newton_krylov(self.rates, x, f_tol=WANTED * np.abs(x).max(), maxiter=MOST_NEWTON)
            except (scipy.optimize.NoConvergence, ValueError, FloatingPointError):
                return None
            return x
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
        columns = [self.along(x, column, size) for column in np.eye(x.size)]
        return np.stack(columns, axis=1)

    def along(self, x: np.ndarray, direction: np.ndarray, size: float) -> np.ndarray:
        """The rates' derivative along a direction."""
        return (self.rates(x + size * direction) - self.rates(x - size * direction)) / (2 * size)

    def eigenvalues(self, x: np.ndarray) -> np.ndarray:
        """Of the linearized equations, by decreasing real part; the first few where there are many."""
        if x.size <= FEW:
            values = np.linalg.eigvals(self.jacobian(x))
        else:
            size = SHIFT * np.abs(x).max()

            def times(y):
                length = np.linalg.norm(y)
                return length * self.along(x, np.ravel(y) / length, size * np.sqrt(x.size))

            linear = scipy.sparse.linalg.LinearOperator((x.size, x.size), matvec=times, dtype=float)
            start = np.random.default_rng(0).standard_normal(x.size)
            values = scipy.sparse.linalg.eigs(
                linear, k=4, which="LR", v0=start, tol=1e-4, return_eigenvectors=False, maxiter=300
            )
        return values[np.argsort(-values.real)]


@eqx.filter_jit
def _rates(equations, state):
    return equations.rates(jnp.zeros(()), tuple(map(jnp.asarray, state)))


@eqx.filter_jit
def _observables(equations, state):
    return equations.observables(tuple(map(jnp.asarray, state)))


def _point(model: CommitteeModel, system: _System, x: np.ndarray, method: str, name: str) -> CommitteeFixedPoint:
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
        exact=method == "order parameters",
        found_from=name,
    )


def _same(one: CommitteeFixedPoint, other: CommitteeFixedPoint) -> bool:
    names = ("student_overlap", "teacher_overlap", "output_weights")
    gaps = [np.abs(getattr(one, name) - getattr(other, name)).max() for name in names]
    return max(gaps) < SAME * max(1.0, np.abs(one.student_overlap).max())
