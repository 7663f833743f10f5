"""The density equation to a tolerance: meshes are halved, and domains grown, until the result says it is good.

What the result says: `steode.solvers.refinement`. Several kinds of coordinates have meshes of their own, and move
under one force.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from steode.errors import ConvergenceError
from steode.solvers.companion import CoupledOperator, SecondMomentOperator
from steode.solvers.density import DensityOperator
from steode.solvers.domain import breakpoints_of, reach, resolution
from steode.solvers.entrywise import SmoothMap
from steode.solvers.equations import Problem
from steode.solvers.grouped import GroupedOperator
from steode.solvers.kinks import kinks_by_eigenvalue
from steode.solvers.march import march
from steode.solvers.mesh import Mesh, make_mesh
from steode.solvers.mirror import Mirror, find_mirror
from steode.solvers.moving_range import MovingRangeOperator, in_motion, moved
from steode.solvers.programs import bounded_jit, padded
from steode.solvers.refinement import DensitySolution, Law, error_of, within_reach
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

EDGE_MASS = 1e-9
"""Largest probability allowed in the outermost control volumes."""

MOST_UNKNOWNS = 2_000_000
"""Teacher values times nodes beyond which the solver gives up."""

MAX_STEPS = 20_000


def _operator(problem: Problem, nodes, *rest) -> tuple:
    """The operator, of NumPy's arrays where its maps are arithmetic: then no program computes what is constant."""
    if isinstance(problem, DensityOperator | GroupedOperator | tuple):
        return problem, nodes, *rest
    smooth = any(isinstance(entry, SmoothMap) for entry in (problem.weight_map, problem.input_map))
    if smooth or problem.mobility is not None:
        return (problem, nodes), *rest
    moments = problem.input_moments or (np.asarray(problem.alpha_1), np.asarray(problem.alpha_2))
    return DensityOperator(dataclasses.replace(problem, input_moments=moments), nodes), *rest


@functools.partial(bounded_jit, prepare=_operator)
def _evolve(operator, masses, times, snapshot_times, tolerance) -> dict:
    """What `march` returns, from a problem, nodes, masses and times; or from an operator, masses and times."""
    operator = DensityOperator(*operator) if isinstance(operator, tuple) else operator
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
    make_problems: Callable[[tuple[Rows, ...]], tuple[Problem, ...]],
    starts: tuple[Start, ...],
    times: np.ndarray,
    snapshot_times: np.ndarray,
    tolerance: float,
    shares: tuple[float, ...] = (1.0,),
) -> DensitySolution:
    """Solve to an estimated error of eps_g below `tolerance` times its largest value, tau = 0 included.

    Parameters
    ----------
    make_problems : rows of teacher values and eigenvalues, of each kind of coordinates -> its problem.
    starts : initial data of each kind (`steode.solvers.start.Start`).
    times, snapshot_times : increasing, the last of `snapshot_times` being the last of `times`.
    shares : fraction of the coordinates of each kind.

    Raises
    ------
    ConvergenceError
        If the tolerance is not reached at the largest mesh, or the integrator fails.
    """

    # cutting a large sample takes as long as a mesh of a few values
    @functools.cache
    def rows_of(count: int) -> tuple[Rows, ...]:
        return tuple(start.rows(kinks, count) for start, kinks in zip(starts, edges, strict=True))

    t_end = float(times[-1])
    probes = make_problems(tuple(start.rows(np.zeros(0), 2) for start in starts))
    edges = [kinks_by_eigenvalue(probe) for probe in probes]
    count = TEACHER_VALUES if probes[0].eigenvalues is None else TEACHER_VALUES // 2
    intervals = (1024 if _size(rows_of(count)) <= FEW_ROWS else 896) // (1 if tolerance < 5e-4 else 2)
    # finer rules of the teacher law reach further out
    ends = [
        reach(problem, start.extent, t_end)
        for problem, start in zip(make_problems(rows_of(count << 1)), starts, strict=True)
    ]
    solutions, estimate = [], np.inf
    while True:
        halvings = len(solutions)
        rows = rows_of(count << halvings)
        problems = make_problems(rows)
        meshes = [
            _mesh(problem, start, own, intervals, halvings, t_end)
            for problem, start, own in zip(problems, starts, ends, strict=True)
        ]
        unknowns = sum(own.teacher.size * mesh.fraction.size for own, mesh in zip(rows, meshes, strict=True))
        if unknowns > MOST_UNKNOWNS:
            raise ConvergenceError(
                f"density: estimated relative error {estimate:.1e} of eps_g at tolerance {tolerance:.1e}; the next "
                f"mesh has {unknowns} unknowns. Ask for a larger tolerance, or use method='particles'."
            )
        LOG.info("density equation to tau = %g: mesh %d, %d unknowns", t_end, halvings + 1, unknowns)
        own = TIME_FRACTION * tolerance * TIME_RATIO ** (1 - halvings)
        few = halvings == 0 and _size(rows) <= FEW_ROWS
        parts = [_part(*part, few) for part in zip(problems, rows, meshes, strict=True)]
        fine = _solve_once(parts, shares, times, snapshot_times, own)
        grown = [_grown(own, law, problem) for own, law, problem in zip(ends, fine.laws, problems, strict=True)]
        if grown != ends:
            ends, solutions = grown, []
            continue
        solutions.append(fine)
        error = error_of(solutions)
        if error is not None:
            estimate = error["eps_g"].max() / max(fine.largest_eps_g, 1e-300)
            if estimate <= tolerance:
                return dataclasses.replace(fine, error=error)
            best = within_reach(estimate, solutions, unknowns, MOST_UNKNOWNS)
            if best > tolerance:
                raise ConvergenceError(
                    f"density: estimated relative error {estimate:.1e} of eps_g at tolerance {tolerance:.1e}; meshes "
                    f"of at most {MOST_UNKNOWNS} unknowns would lead to about {best:.0e}. Ask for a larger "
                    f"tolerance, or use method='particles'."
                )


def _size(rows: tuple[Rows, ...]) -> int:
    return sum(own.teacher.size for own in rows)


def _grown(ends: tuple[float, float], law: Law, problem: Problem) -> tuple[float, float]:
    """The ends of the domain, moved where there is mass."""
    low_mass, high_mass = (law.rows.weights @ law.masses[-1, :, end].sum(-1) for end in (slice(2), slice(-2, None)))
    if problem.band is not None or max(low_mass, high_mass) <= EDGE_MASS:
        return ends
    length = ends[1] - ends[0]
    return ends[0] - length * (low_mass > EDGE_MASS) / 2, ends[1] + length * (high_mass > EDGE_MASS) / 2


def _mesh(problem: Problem, start: Start, ends, intervals: int, halvings: int, t_end: float) -> Mesh:
    fineness = resolution(problem, start.extent, t_end)
    return make_mesh(breakpoints_of(problem), problem.band, *ends, fineness, intervals, halvings)


class _Part(NamedTuple):
    """What one kind of coordinates is solved with."""

    given: tuple  # an operator, or a problem and nodes, which a program makes one of; and masses
    operator: DensityOperator  # of all rows
    mirror: Mirror | None
    rows: Rows


def _part(problem: Problem, rows: Rows, mesh: Mesh, few: bool) -> _Part:
    """`few` says that this is the first mesh, and a small one: its program is that of the second, which is to come."""
    nodes = mesh.nodes(breakpoints_of(problem), problem.band)
    masses = rows.masses(nodes, problem.band)
    if problem.moving_range is not None:
        # the law of weights in units of the range, under the map of range 1
        unit = 1 / problem.moving_range.start
        nodes, problem = nodes * unit, dataclasses.replace(problem, weight_map=moved(problem.weight_map, unit))
    (operator,) = _operator(problem, nodes)
    if not isinstance(operator, DensityOperator):
        return _Part((operator, masses), DensityOperator(problem, nodes), None, rows)
    mirror = find_mirror(operator, masses)
    if mirror is not None:
        return _Part((_half(operator, mirror), masses[mirror.rows]), operator, mirror, rows)
    size = 2 * nodes.size - 1 if few else nodes.size
    given = operator.padded(size), np.pad(masses, [(0, 0), (0, size - nodes.size)])
    return _Part(given, operator, None, rows)


def _solve_once(parts: list[_Part], shares, times, snapshot_times, tolerance) -> DensitySolution:
    if len(parts) == 1:
        given = parts[0].given
    else:
        operators, masses = zip(*(part.given for part in parts), strict=True)
        squares = np.array([share * part.rows.rho for share, part in zip(shares, parts, strict=True)])
        given = GroupedOperator(operators, shares, squares), masses
    found = jax.device_get(_evolve(*given, padded(times), snapshot_times, tolerance))
    observables = {name: values[: times.size] for name, values in found["observables"].items()}
    steps = int(found["steps"])
    if not found["succeeded"]:
        reason = f"more than {MAX_STEPS} steps" if steps >= MAX_STEPS else "a step that cannot be made small enough"
        raise ConvergenceError(f"density: the time integration failed before tau = {times[-1]:g}: {reason}.")
    kept = found["densities"] if len(parts) > 1 else (found["densities"],)
    laws = tuple(_law(*pair) for pair in zip(parts, kept, strict=True))
    largest = max(float(found["initial"]["eps_g"]), float(observables["eps_g"].max()))
    # of the last state, taken to the time when V was smallest
    variance, late = np.maximum(observables["V"], 1e-300), 0.0
    for part, law in zip(parts, laws, strict=True):
        problem = part.operator.problem
        motion = (found["force"],) if problem.moving_range is None else in_motion(problem, found["force"])
        late = max(late, float(part.operator.at(times[-1]).layer_peclet(law.masses[-1], *motion)))
    return DensitySolution(observables, {}, laws, steps, largest, float(late * (variance[-1] / variance.min())))


def _law(part: _Part, densities: np.ndarray) -> Law:
    nodes = np.asarray(part.operator.nodes)
    masses = densities[..., : nodes.size]
    masses = masses if part.mirror is None else part.mirror.unfold(masses, part.rows.teacher.size)
    return Law(masses, nodes, np.asarray(part.operator.volumes), part.rows)


def _half(operator: DensityOperator, mirror: Mirror) -> DensityOperator:
    """The operator of the rows that are solved for themselves and their mirror images."""
    problem, rows = operator.problem, mirror.rows
    own = {"teacher": problem.teacher[rows], "teacher_weights": mirror.weights}
    if problem.eigenvalues is not None:
        own["eigenvalues"] = problem.eigenvalues[rows]
        own["input_moments"] = tuple(moment[rows] for moment in problem.input_moments)
    return DensityOperator(dataclasses.replace(problem, **own), operator.nodes, mirrored=True)
