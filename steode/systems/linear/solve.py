"""The verb `solve`: the limit of a specification as a trajectory."""

import dataclasses
import functools
import logging
from collections.abc import Sequence

import jax
import numpy as np

from steode import bridge
from steode._version import __version__
from steode.errors import ConvergenceError, SpecificationError, check_positive
from steode.parts.remedies import Freezing, OscillationFreezing, RunningAverage
from steode.parts.schedule import Schedule
from steode.parts.update_rules import SPSA, KineticMomentum
from steode.solvers.adaptive import solve_density
from steode.solvers.programs import padded
from steode.solvers.start import Start
from steode.systems.dispatch import for_every_system
from steode.systems.linear import moment_programs
from steode.systems.linear.configuration import to_dict
from steode.systems.linear.derive import derive
from steode.systems.linear.populations import solve_particles
from steode.systems.linear.problem import drawn_start, make_problem, member_problems, nominal_start
from steode.systems.linear.properties import missing, require
from steode.systems.linear.remedy_checks import check_remedies, remedies_written
from steode.systems.linear.rotated import solve_rotated
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.step_length import check_steps
from steode.systems.linear.trajectory import Density, Provenance, Trajectory, device_name

LOG = logging.getLogger(__name__)

METHODS = ("density", "gaussian", "moments", "particles")
ROTATED = "dmft"
"""The method for axes in general position, where all others are for the eigenvectors."""


@for_every_system
def solve(
    model: LinearModel,
    t_end: float,
    *,
    times: Sequence[float] | None = None,
    method: str | None = None,
    tolerance: float = 1e-4,
    snapshot_times: Sequence[float] = (),
    start: tuple[np.ndarray, np.ndarray] | None = None,
    freezing: Freezing | OscillationFreezing | None = None,
    average: RunningAverage | None = None,
) -> Trajectory:
    """Solve the high-dimensional limit of `model` from tau = 0 to `t_end`.

    Parameters
    ----------
    model : the specification.
    t_end : last rescaled time tau = step/d, > 0.
    times : increasing times in [0, t_end] to report; 201 equally spaced ones if not given.
    method : None takes "moments" where those equations are exact and no density is asked for, and "density" otherwise;
        `.provenance.method` says which it was.
        "density": the exact limit, by the Fokker-Planck equation (any model);
        "gaussian": the Gaussian closure, approximate unless the weights are not quantized (identity surrogate only);
        "moments": the exact moment equations (weights whose quantized mean is w itself, identity surrogate);
        "particles": Euler-Maruyama with 8 populations of 20,000 particles, an independent check; its `error`
        is the standard error over populations and leaves out the bias of the time step;
        "dmft": another limit, that of `simulate(basis="rotated")`, where quantizers act on axes in general position to
        the eigenvectors: dynamical mean-field theory, a quarter of a minute or more (docs/linear_system.md).
    tolerance : wanted error of eps_g relative to its largest value on [0, t_end] (density), or of the integrator
        (gaussian, moments). For particles and dmft it does not apply.
    snapshot_times : times at which to keep mu(w | w*) in `.density` (density only).
    start : drawn (teacher, initial weights), each of shape (d,): start from their empirical joint law instead of the
        model's laws, by dmft as they are in the turned axes. None starts from the laws.

    freezing, average : as in `simulate`, which says what they add to the observables. The limit of oscillations is in
        docs/dithering.md.

    With SPSA, freezing and averages the only method is "particles".

    Returns
    -------
    Trajectory with observables eps_g, V, m, q, mean_w, std_w and, for density and particles with
    quantized weights, level_fraction; with FOGZO and density also mean_slope; range where it moves, second_moment
    with an Adam that remembers. `.error` holds error estimates for density, particles and dmft.

    Raises
    ------
    SpecificationError
        If an argument makes no sense, a learning-rate schedule is not positive and finite up to `t_end`, or particles
        would take more than 100,000 time steps.
    UnsupportedError
        If the method does not exist for this model; the message says which does.
    ConvergenceError
        If the tolerance cannot be reached.
    """
    check_model(model)
    t_end = check_positive("t_end", t_end)
    tolerance = check_positive("tolerance", tolerance)
    times = checked_times("times", np.linspace(0, t_end, 201) if times is None else times, t_end)
    snapshot_times = checked_times("snapshot_times", snapshot_times, t_end)
    check_remedies(model, t_end, freezing, average)
    remedies = remedies_written(freezing, average)
    if method is None and (remedies or isinstance(model.update_rule, SPSA | KineticMomentum)):
        closure = derive(model).gaussian_closure
        exact = not remedies and closure is not None and closure.exact
        method = "gaussian" if exact else "particles"
    if method is None:
        closed = derive(model).exact_moments is not None and missing(model, "solve, moments") is None
        method = "moments" if closed and not snapshot_times.size else "density"
    if method not in (*METHODS, ROTATED):
        expected = "one of " + ", ".join((*METHODS, ROTATED))
        raise SpecificationError("method", expected, method, "Leave it out for the exact limit.")
    if remedies and method != "particles":
        expected = f'"particles" with {" and ".join(remedies)}'
        raise SpecificationError("method", expected, method, "Each weight has a memory of its own there.")
    if snapshot_times.size and method != "density":
        raise SpecificationError(
            "snapshot_times", "method 'density'", method, "Other methods do not compute the density."
        )
    if snapshot_times.size:
        require(model, "solve, density kept")
    require(model, f"solve, {method}")
    if isinstance(freezing, OscillationFreezing):
        check_steps(model, "freezing")
    if start is not None:
        require(model, "solve, drawn start")
    bridge.check_schedules(model, t_end)
    with jax.enable_x64(True):
        LOG.info("solving by the method %s to tau = %g", method, t_end)
        if method == ROTATED:
            drawn = None if start is None else _checked_start(start)
            observables, error = solve_rotated(model, times, drawn)
            density = None
        else:
            initial = nominal_start(model) if start is None else drawn_start(model, *_checked_start(start))
            if method == "particles":
                (observables, error), density = solve_particles(model, initial, times, freezing, average), None
            else:
                observables, error, density = _SOLVERS[method](model, initial, times, snapshot_times, tolerance)
    settings = {"t_end": t_end, "tolerance": tolerance, "start": "nominal" if start is None else "drawn"} | remedies
    provenance = Provenance("limit", method, to_dict(model), settings, __version__, device_name(), model)
    return Trajectory(times, observables, error, density, None, provenance)


def _solve_density(model, start: Start, times, snapshot_times, tolerance):
    kept = np.union1d(snapshot_times, times[-1:])
    starts = start.starts if model.groups else (start,)
    make_problems = functools.partial(member_problems, model)
    solution = solve_density(make_problems, starts, times, kept, tolerance, model.shares)
    density = None
    if snapshot_times.size:
        (law,) = solution.laws
        rows, masses = law.rows, law.masses[np.isin(kept, snapshot_times)]
        density = Density(snapshot_times, law.nodes, law.volumes, rows.teacher, rows.weights, masses)
    return solution.observables, solution.error, density


def _solve_gaussian(model, start: Start, times, snapshot_times, tolerance):
    rows = start.rows(np.zeros(0), 48)
    problem = make_problem(model, rows)
    found = moment_programs.gaussian_closure(problem, rows.mean, rows.variance, padded(times), tolerance)
    return _checked_ys(found, times.size, "gaussian", model), {}, None


def _solve_moments(model, start: Start, times, snapshot_times, tolerance):
    given = start.moments()
    arguments = (given.teacher_square, given.cross, given.square, given.mean, given.teacher_mean)
    problem = make_problem(model, start.rows(np.zeros(0), 48))
    if given.eigenvalues is not None:
        own = {"eigenvalues": given.eigenvalues, "teacher_weights": given.weights, "teacher": 0 * given.weights}
        problem = dataclasses.replace(problem, **own)
    found = moment_programs.exact_moments(problem, *map(np.asarray, arguments), padded(times), tolerance)
    return _checked_ys(found, times.size, "moments", model), {}, None


_SOLVERS = {
    "density": _solve_density,
    "gaussian": _solve_gaussian,
    "moments": _solve_moments,
}


def _checked_ys(found: tuple, count: int, method: str, model) -> dict[str, np.ndarray]:
    observables, reached = found
    observables = {name: values[:count] for name, values in jax.device_get(observables).items()}
    if not reached or not np.all(np.isfinite(observables["eps_g"])):
        rate = model.learning_rate
        if isinstance(rate, Schedule):
            remedy = f"while the learning rate {rate} is large the error may grow without bound: lower it."
        else:
            remedy = f"at learning rate {rate:g} the error may grow without bound: see fixed_points(model)."
        raise ConvergenceError(f"{method}: the integration failed; {remedy}")
    return observables


def check_model(model) -> None:
    """Raise `SpecificationError` unless `model` is a `LinearModel`."""
    if not isinstance(model, LinearModel):
        raise SpecificationError("model", "a LinearModel", model, "See steode.LinearModel.")


def checked_times(argument: str, times, t_end: float) -> np.ndarray:
    """`times` as an increasing float array within [0, t_end]; `times` itself must hold one > 0."""
    try:
        array = np.array(times, dtype=float)
    except (TypeError, ValueError):
        raise SpecificationError(
            argument, "a sequence of numbers", times, "For example numpy.linspace(0, 10)."
        ) from None
    if array.ndim != 1 or not np.all(np.isfinite(array)) or np.any(np.diff(array) <= 0):
        raise SpecificationError(argument, "a sequence of increasing finite numbers", times, "Sort them.")
    if argument == "times" and (array.size == 0 or array[-1] <= 0):
        raise SpecificationError(argument, "at least one time > 0", times, "For example numpy.linspace(0, 10).")
    if array.size and (array[0] < 0 or array[-1] > t_end * (1 + 1e-12)):
        raise SpecificationError(
            argument, f"times between 0 and t_end = {t_end:g}", times, "Extend t_end or drop the times beyond it."
        )
    return array


def _checked_start(start) -> tuple[np.ndarray, np.ndarray]:
    try:
        teacher, initial = (np.asarray(part, dtype=float) for part in start)
    except (TypeError, ValueError):
        remedy = "Give a pair of arrays of the same length."
        raise SpecificationError("start", "a pair (teacher weights, initial weights)", start, remedy) from None
    if teacher.ndim != 1 or teacher.shape != initial.shape or teacher.size == 0:
        shapes = f"shapes {teacher.shape} and {initial.shape}"
        raise SpecificationError("start", "two arrays of the same shape (d,)", shapes, "Use one seed's weights.")
    if not (np.all(np.isfinite(teacher)) and np.all(np.isfinite(initial))):
        raise SpecificationError("start", "finite weights", "NaN or infinity", "Remove them.")
    return teacher, initial
