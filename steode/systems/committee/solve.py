"""The verb `solve` of a committee machine: its limit as a trajectory, by one of three methods."""

from collections.abc import Sequence

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode._version import __version__
from steode.bridge import check_learning_rate
from steode.errors import ConvergenceError, SpecificationError, UnsupportedError, check_integer, check_positive
from steode.parts.quantizers import StepFunction
from steode.parts.schedule import Schedule
from steode.parts.surrogates import ClippedSurrogate
from steode.systems.committee import rows
from steode.systems.committee.configuration import to_dict
from steode.systems.committee.order_parameters import Closure, Overlaps
from steode.systems.committee.population import particles
from steode.systems.committee.problem import Problem, make_problem
from steode.systems.committee.spec import CommitteeModel, check_model
from steode.systems.committee.trajectory import CommitteeTrajectory
from steode.systems.linear.solve import checked_times
from steode.systems.linear.trajectory import Provenance, device_name

METHODS = ("particles", "gaussian", "order parameters")
TOLERANCE = {"particles": 0.01, "gaussian": 1e-6, "order parameters": 1e-8}
"""Where none is given."""
LOOSEST = 1e-5
"""Of the integrators, whatever is asked of particles: what their steps miss grows where a state is unstable."""
MOST_STEPS = 100_000
"""Steps of the order parameters' equations."""
MOST_LEVELS = 64
"""Of the weights in the closure, whose averages are sums over pairs of thresholds."""


def solve(
    model: CommitteeModel,
    t_end: float,
    *,
    times: Sequence[float] | None = None,
    method: str | None = None,
    tolerance: float | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    count: int | None = None,
    key: int = 0,
) -> CommitteeTrajectory:
    """Solve the limit d -> infinity of a committee machine from tau = 0 to `t_end`.

    Parameters
    ----------
    model : the specification.
    t_end : last rescaled time tau = step/d, > 0.
    times : increasing times in [0, t_end] to report; 201 equally spaced ones if not given.
    method : None takes "order parameters" where these are exact and "particles" otherwise.
        "order parameters": the closed equations of the overlaps, exact for weights that are neither quantized nor
        frozen by a clipped surrogate;
        "gaussian": the overlaps of weights that are Gaussian given w*, approximate where weights are quantized;
        "particles": the stochastic differential equation of a coordinate in R^K for 8 populations, each with the force
        of its own overlaps; exact as particles become many and steps short. The two are refined until the estimated
        error is within `tolerance`.
    tolerance : for particles the wanted error of eps_g relative to its largest value, 0.01 if not given; for the other
        methods the integrator's relative tolerance, at most 1e-5; 1e-6 and 1e-8 if not given.
    start : drawn (teacher (M, d), initial weights (K, d)): start from their empirical law instead of the model's. With
        the Gaussian closure there is none.
    count : particles of a population; given, they are not refined, only the step is.
    key : of the particles' random numbers.

    From a start without asymmetry the limit stays where units are alike for ever, while a population of N particles
    leaves it as a run of dimension N does; the error then grows, and says so.

    Returns
    -------
    `CommitteeTrajectory` with eps_g, V, specialization, student_overlap, teacher_overlap, output_weights, and for
    particles of quantized weights level_fraction. `.error` holds estimates for all methods: of the statistics and the
    step of particles, of the integrator of the others.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    UnsupportedError
        If the method does not exist for this model; the message says which does.
    ConvergenceError
        If the tolerance cannot be reached, or the error grows without bound.
    """
    check_model(model)
    t_end = check_positive("t_end", t_end)
    times = checked_times("times", np.linspace(0, t_end, 201) if times is None else times, t_end)
    if method is None:
        method = "order parameters" if model.has_exact_order_parameters else "particles"
    if method not in METHODS:
        raise SpecificationError("method", "one of " + ", ".join(METHODS), method, "Leave it out for the exact limit.")
    tolerance = check_positive("tolerance", TOLERANCE[method] if tolerance is None else tolerance)
    check_method(model, method)
    check_integer("key", key, 0)
    if count is not None:
        count = check_integer("count", count, 2, 10**7)
    if start is not None:
        start = _checked_start(model, start, method)
    for rate in (model.learning_rate, model.output_learning_rate):
        if rate is not None:
            check_learning_rate(rate, t_end)
    with jax.enable_x64(True):
        if method == "particles":
            observables, error = particles(model, make_problem(model), times, tolerance, start, count, key)
        else:
            observables, error = _integrated(model, times, tolerance, method, start)
    settings = {"t_end": t_end, "tolerance": tolerance, "start": "nominal" if start is None else "drawn"}
    provenance = Provenance("limit", method, to_dict(model), settings, __version__, device_name(), model)
    return CommitteeTrajectory(times, observables, error, None, None, provenance)


def check_method(model: CommitteeModel, method: str) -> None:
    """Raise `UnsupportedError` where a method has no equations for a model."""
    if method == "order parameters" and not model.has_exact_order_parameters:
        what = "weights are quantized" if model.quantizes_weights else "weights freeze at the surrogate's bound"
        raise UnsupportedError(f'order parameters: no closed equations where {what}; use "particles" or "gaussian".')
    if method == "gaussian":
        if isinstance(model.surrogate, ClippedSurrogate):
            raise UnsupportedError('gaussian: weights that freeze are not Gaussian; use "particles".')
        quantizer = model.weight_quantizer
        if isinstance(quantizer, StepFunction) and quantizer.levels.size > MOST_LEVELS:
            raise UnsupportedError(f'gaussian: at most {MOST_LEVELS} levels of weights; use "particles".')


def initial_state(model: CommitteeModel, problem: Problem, method: str, start=None):
    """The equations of a method and their state at tau = 0."""
    readout = jnp.asarray(model.readout)
    mixing, init = model.mixing, model.init
    if method == "order parameters":
        if start is not None:
            teacher, weights = start
            size = teacher.shape[1]
            own = eqx.tree_at(lambda p: p.teacher, problem, jnp.asarray(teacher @ teacher.T / size))
            return Overlaps(own), (weights @ teacher.T / size, weights @ weights.T / size, readout)
        overlap = rows.teacher_overlap(model)
        across = mixing @ rows.teacher_mean(model) * init.mean
        square = mixing @ overlap @ mixing.T + across[:, None] + across[None, :] + init.mean**2
        cross = mixing @ overlap + init.mean * rows.teacher_mean(model)[None, :]
        return Overlaps(problem), (
            jnp.asarray(cross),
            jnp.asarray(square + init.variance * np.eye(model.hidden)),
            readout,
        )
    nodes, weights = rows.teacher_nodes(model)
    spread = np.broadcast_to(init.variance * np.eye(model.hidden), (nodes.shape[0], model.hidden, model.hidden))
    # with its nodes' own second moment, which a rule of many units keeps only nearly
    own = eqx.tree_at(lambda p: p.teacher, problem, jnp.asarray(nodes.T @ (weights[:, None] * nodes)))
    equations = Closure(own, jnp.asarray(nodes), jnp.asarray(weights))
    return equations, (jnp.asarray(nodes @ mixing.T + init.mean), jnp.asarray(spread), readout)


def _integrated(model, times, tolerance, method, start):
    """Observables at the times, and their distance from a less careful integration, of other points."""
    careful = min(tolerance, LOOSEST)
    fine, coarse = (
        integrate(*initial_state(model, make_problem(model, draw), method, start), times, factor * careful)
        for draw, factor in ((0, 1), (1, 10))
    )
    if fine is None or coarse is None:
        raise ConvergenceError(f"{method}: the integration failed; {_growth(model)}")
    return fine, {name: np.abs(fine[name] - coarse[name]) for name in fine}


def integrate(equations: Overlaps | Closure, state, times: np.ndarray, tolerance: float) -> dict | None:
    """Observables of an integration, or None if it did not get to its end with finite numbers."""
    return _finite(_run(equations, state, jnp.asarray(times), jnp.asarray(tolerance), True))


def states(equations: Overlaps | Closure, state, times: np.ndarray, tolerance: float = 1e-8):
    """The states themselves along an integration, or None."""
    return _finite(_run(equations, state, jnp.asarray(times), jnp.asarray(tolerance), False))


def _finite(found):
    values, done = jax.device_get(found)
    return values if done and all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(values)) else None


@eqx.filter_jit
def _run(equations, state, times, tolerance, observed: bool):
    def shown(time, y, args):
        return equations.observables(y) if observed else y

    found = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda time, y, _: equations.rates(time, y)),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=state,
        saveat=diffrax.SaveAt(ts=times, fn=shown),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance * 1e-3),
        max_steps=MOST_STEPS,
        throw=False,
    )
    return found.ys, found.result == diffrax.RESULTS.successful


def _growth(model: CommitteeModel) -> str:
    if isinstance(model.learning_rate, Schedule):
        return f"while the learning rate {model.learning_rate} is large the error may grow without bound: lower it."
    return f"at learning rate {model.learning_rate:g} the error may grow without bound: lower it."


def _checked_start(model: CommitteeModel, start, method: str) -> tuple[np.ndarray, np.ndarray]:
    if method == "gaussian":
        raise UnsupportedError('gaussian: no drawn start; use "particles", or "order parameters" without quantization.')
    expected = f"arrays (teacher ({model.M}, d), weights ({model.hidden}, d))"
    remedy = "Those of one run's snapshots."
    try:
        teacher, weights = (np.asarray(part, dtype=float) for part in start)
    except (TypeError, ValueError):
        raise SpecificationError("start", expected, start, remedy) from None
    fits = teacher.ndim == weights.ndim == 2 and teacher.shape[1] == weights.shape[1] > 0
    if not fits or (teacher.shape[0], weights.shape[0]) != (model.M, model.hidden):
        raise SpecificationError("start", expected, f"shapes {teacher.shape} and {weights.shape}", remedy)
    if not (np.all(np.isfinite(teacher)) and np.all(np.isfinite(weights))):
        raise SpecificationError("start", "finite weights", "NaN or infinity", "Remove them.")
    return teacher, weights
