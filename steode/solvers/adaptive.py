"""The density equation to a tolerance: meshes are halved, and domains grown, until the result says it is good.

Every halving of the mesh comes with twice the teacher values and time steps about half as long, so that the differences
between successive solutions hold every part of the error. The scheme is of second order where the layers at the
thresholds are resolved, and a third of the last difference is the error of the finest solution. Where V becomes so
small that they are not, the scheme turns into first-order upwind: then three solutions tell the order. The observables
returned are the finest ones, not extrapolated.
"""

import dataclasses
import functools
import logging

import jax
import numpy as np

from steode.errors import ConvergenceError
from steode.solvers.companion import CoupledOperator, SecondMomentOperator
from steode.solvers.density import DensityOperator
from steode.solvers.domain import breakpoints_of, reach, resolution
from steode.solvers.entrywise import SmoothMap
from steode.solvers.equations import Problem
from steode.solvers.kinks import kinks_by_eigenvalue
from steode.solvers.march import march
from steode.solvers.mesh import Mesh, make_mesh
from steode.solvers.mirror import Mirror, find_mirror
from steode.solvers.moving_range import MovingRangeOperator, in_motion, moved
from steode.solvers.programs import bounded_jit, padded
from steode.solvers.start import Rows, Start

LOG = logging.getLogger(__name__)

TEACHER_VALUES = 28
"""Wanted of a continuous law on the first mesh; half as many at each eigenvalue of a spectrum."""

FEW_ROWS = 4
"""Teacher values up to which a mesh costs less than a program's compilation."""

TIME_FRACTION = 0.02
"""Tolerance of one time step on the second mesh as a fraction of the requested tolerance."""

TIME_RATIO = 8
"""Ratio of this tolerance between two meshes: local errors are of third order, so that time steps are halved."""

RESOLVED, FALLING = 2.0, 0.6
"""Cell Peclet number |f| h/D at the thresholds, and its ratio between two meshes, up to which the scheme is taken to be
of second order. Where V is nothing but numerical diffusion, it is proportional to h, and |f| h/D stays where it is.
"""

LEAST_RATIO = 1.5
"""Ratio of successive differences, 4 at second and 2 at first order, below which no order is believed."""

HOPE = 1.2
"""Factor by which the ratio may grow before the layers are resolved; what even this does not save is given up early."""

EDGE_MASS = 1e-9
"""Largest probability allowed in the outermost control volumes."""

MOST_UNKNOWNS = 2_000_000
"""Teacher values times nodes beyond which the solver gives up."""

MAX_STEPS = 20_000


@dataclasses.dataclass(frozen=True)
class DensitySolution:
    """Observables (T, ...) with error estimates, and the masses (U, K, N) on the finest mesh."""

    observables: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    masses: np.ndarray
    nodes: np.ndarray
    volumes: np.ndarray
    rows: Rows
    steps: int
    largest_eps_g: float  # over the initial state and all times
    peclet: float  # largest cell Peclet number at a threshold


def _operator(problem: Problem, nodes, *rest) -> tuple:
    """The operator, of NumPy's arrays where its maps are arithmetic: then no program computes what is constant."""
    if isinstance(problem, DensityOperator):
        return problem, nodes, *rest
    smooth = any(isinstance(entry, SmoothMap) for entry in (problem.weight_map, problem.input_map))
    if smooth or problem.mobility is not None:
        return (problem, nodes), *rest
    moments = problem.input_moments or (np.asarray(problem.alpha_1), np.asarray(problem.alpha_2))
    return DensityOperator(dataclasses.replace(problem, input_moments=moments), nodes), *rest


@functools.partial(bounded_jit, prepare=_operator)
def _evolve(operator, masses, times, snapshot_times, tolerance) -> dict:
    """What `march` returns, from a problem, nodes, masses and times; or from an operator, masses and times."""
    operator = operator if isinstance(operator, DensityOperator) else DensityOperator(*operator)
    beside = _beside(operator.problem)
    if beside is not None:
        operator = beside(operator)
        masses = operator.begin(masses)
    return march(operator, masses, times, snapshot_times, tolerance, 1e-3 * times[-1], MAX_STEPS)


def _beside(problem: Problem) -> type[CoupledOperator] | None:
    """The operator of a problem with a number that moves beside the law; None without."""
    if problem.moving_range is not None:
        return MovingRangeOperator
    return None if problem.memory is None else SecondMomentOperator


def solve_density(
    make_problem, start: Start, times: np.ndarray, snapshot_times: np.ndarray, tolerance: float
) -> DensitySolution:
    """Solve to an estimated error of eps_g below `tolerance` times its largest value, tau = 0 included.

    Parameters
    ----------
    make_problem : rows of teacher values and eigenvalues -> Problem.
    start : initial data (`steode.solvers.start.Start`).
    times, snapshot_times : increasing, the last of `snapshot_times` being the last of `times`.

    Raises
    ------
    ConvergenceError
        If the tolerance is not reached at the largest mesh, or the integrator fails.
    """
    probe = make_problem(start.rows(np.zeros(0), 2))
    edges = kinks_by_eigenvalue(probe)
    count = TEACHER_VALUES if probe.eigenvalues is None else TEACHER_VALUES // 2
    rows = start.rows(edges, count)
    intervals = (1024 if rows.teacher.size <= FEW_ROWS else 896) // (1 if tolerance < 5e-4 else 2)
    ends, solutions, estimate = None, [], np.inf
    while True:
        halvings = len(solutions)
        rows = start.rows(edges, count << halvings)
        problem = make_problem(rows)
        # finer rules of the teacher law reach further out
        ends = ends or reach(make_problem(start.rows(edges, count << 1)), start.extent, float(times[-1]))
        mesh = _mesh(problem, start, ends, intervals, halvings, float(times[-1]))
        unknowns = rows.teacher.size * mesh.fraction.size
        if unknowns > MOST_UNKNOWNS:
            raise ConvergenceError(
                f"density: estimated relative error {estimate:.1e} of eps_g at tolerance {tolerance:.1e}; the next "
                f"mesh has {unknowns} unknowns. Ask for a larger tolerance, or use method='particles'."
            )
        LOG.info("density equation to tau = %g: mesh %d, %d unknowns", times[-1], halvings + 1, unknowns)
        own = TIME_FRACTION * tolerance * TIME_RATIO ** (1 - halvings)
        size = _program_size(mesh.fraction.size, rows.teacher.size, halvings)
        fine = _solve_once(problem, rows, mesh, times, snapshot_times, own, size)
        low_mass, high_mass = (rows.weights @ fine.masses[-1, :, end].sum(-1) for end in (slice(2), slice(-2, None)))
        if problem.bound is None and max(low_mass, high_mass) > EDGE_MASS:
            length = ends[1] - ends[0]
            ends = (ends[0] - length * (low_mass > EDGE_MASS) / 2, ends[1] + length * (high_mass > EDGE_MASS) / 2)
            solutions = []
            continue
        solutions.append(fine)
        error = _error(solutions)
        if error is not None:
            estimate = error["eps_g"].max() / max(fine.largest_eps_g, 1e-300)
            if estimate <= tolerance:
                return dataclasses.replace(fine, error=error)
            best = _within_reach(estimate, solutions, rows.teacher.size * mesh.fraction.size)
            if best > tolerance:
                raise ConvergenceError(
                    f"density: estimated relative error {estimate:.1e} of eps_g at tolerance {tolerance:.1e}; meshes "
                    f"of at most {MOST_UNKNOWNS} unknowns would lead to about {best:.0e}. Ask for a larger "
                    f"tolerance, or use method='particles'."
                )


def _within_reach(estimate: float, solutions: list[DensitySolution], unknowns: int) -> float:
    """The error that the finest mesh would have, if differences fall as they do, and by 4 where layers are resolved."""
    if len(solutions) < 3:
        return 0.0
    coarse, middle, fine = (solution.observables["eps_g"] for solution in solutions[-3:])
    ratio = HOPE * _ratio(np.abs(middle - coarse).max(), np.abs(fine - middle).max())
    peclet = solutions[-1].peclet
    while 4 * unknowns <= MOST_UNKNOWNS:
        unknowns, peclet = 4 * unknowns, peclet / 2
        estimate /= 4.0 if peclet <= RESOLVED else min(ratio, 4.0)
    return estimate


def _error(solutions: list[DensitySolution]) -> dict[str, np.ndarray] | None:
    """Estimated errors of the last of successive solutions; None where there are too few to tell."""
    if len(solutions) < 2:
        return None
    coarse, fine = solutions[-2:]
    resolved = fine.peclet <= min(RESOLVED, FALLING * coarse.peclet)
    if len(solutions) < 3 and not resolved:
        return None
    values = [solution.observables for solution in solutions[-3:]]
    error = {name: np.abs(value - values[-2][name]) for name, value in fine.observables.items()}
    if resolved:
        return {name: value / 3 for name, value in error.items()}
    before = {name: np.abs(value - values[-3][name]) for name, value in values[-2].items()}
    return {name: value / (_ratio(before[name], value) - 1) for name, value in error.items()}


def _ratio(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """By which the difference fell, at every time for itself, between no order at all and second order."""
    return np.clip(before / np.maximum(after, 1e-300), LEAST_RATIO, 4.0)


def _mesh(problem: Problem, start: Start, ends, intervals: int, halvings: int, t_end: float) -> Mesh:
    bound = None if problem.bound is None else float(problem.bound)
    fineness = resolution(problem, start.extent, t_end)
    return make_mesh(breakpoints_of(problem), bound, *ends, fineness, intervals, halvings)


def _program_size(nodes: int, rows: int, halvings: int) -> int:
    """Nodes of the compiled program: the first mesh, where it is small, takes that of the second, which is to come."""
    return 2 * nodes - 1 if halvings == 0 and rows <= FEW_ROWS else nodes


def _solve_once(problem, rows, mesh: Mesh, times, snapshot_times, tolerance, size: int) -> DensitySolution:
    nodes = mesh.nodes(breakpoints_of(problem), problem.bound)
    masses = rows.masses(nodes, problem.bound)
    if problem.moving_range is not None:
        # the law of weights in units of the range, under the map of range 1
        unit = 1 / problem.moving_range.start
        nodes, problem = nodes * unit, dataclasses.replace(problem, weight_map=moved(problem.weight_map, unit))
    (operator,), mirror = _operator(problem, nodes), None
    if isinstance(operator, DensityOperator):
        mirror = find_mirror(operator, masses)
        if mirror is None:
            given = operator.padded(size), np.pad(masses, [(0, 0), (0, size - nodes.size)])
        else:
            given = _half(operator, mirror), masses[mirror.rows]
    else:
        given, operator = (problem, nodes, masses), DensityOperator(problem, nodes)
    found = jax.device_get(_evolve(*given, padded(times), snapshot_times, tolerance))
    observables = {name: values[: times.size] for name, values in found["observables"].items()}
    steps = int(found["steps"])
    if not found["succeeded"]:
        reason = f"more than {MAX_STEPS} steps" if steps >= MAX_STEPS else "a step that cannot be made small enough"
        raise ConvergenceError(f"density: the time integration failed before tau = {times[-1]:g}: {reason}.")
    densities = found["densities"][..., : nodes.size]
    densities = densities if mirror is None else mirror.unfold(densities, rows.teacher.size)
    largest = max(float(found["initial"]["eps_g"]), float(observables["eps_g"].max()))
    # of the last state, taken to the time when V was smallest
    variance = np.maximum(observables["V"], 1e-300)
    motion = (found["force"],) if problem.moving_range is None else in_motion(problem, found["force"])
    late = operator.at(times[-1]).layer_peclet(densities[-1], *motion)
    peclet, volumes = float(late * (variance[-1] / variance.min())), np.asarray(operator.volumes)
    return DensitySolution(observables, {}, densities, nodes, volumes, rows, steps, largest, peclet)


def _half(operator: DensityOperator, mirror: Mirror) -> DensityOperator:
    """The operator of the rows that are solved for themselves and their mirror images."""
    problem, rows = operator.problem, mirror.rows
    own = {"teacher": problem.teacher[rows], "teacher_weights": mirror.weights}
    if problem.eigenvalues is not None:
        own["eigenvalues"] = problem.eigenvalues[rows]
        own["input_moments"] = tuple(moment[rows] for moment in problem.input_moments)
    return DensityOperator(dataclasses.replace(problem, **own), operator.nodes, mirrored=True)
