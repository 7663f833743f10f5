"""The density equation to a tolerance: meshes are doubled, and domains grown, until the result says it is good.

Two meshes with spacings h and h/2 (and K and 2K teacher values) give the error of the finer one as a third of their
difference, since the scheme is of second order; the observables returned are the finer ones, not extrapolated.
"""

import dataclasses

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import ConvergenceError
from steode.solvers.density import DensityOperator, adaptive_controller, evolve
from steode.solvers.domain import reach, resolution, thresholds_of
from steode.solvers.equations import Problem
from steode.solvers.fixed_point import kinks_by_eigenvalue
from steode.solvers.mesh import make_mesh
from steode.solvers.start import Rows, Start

TIME_FRACTION = 0.02
"""Tolerance of one time step as a fraction of the requested tolerance."""

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


@eqx.filter_jit
def _evolve(problem: Problem, nodes, masses, times, density_times, tolerance) -> tuple[diffrax.Solution, jax.Array]:
    operator = DensityOperator(problem, nodes)
    controller = adaptive_controller(tolerance, times)
    solution = evolve(operator, masses, times, density_times, controller, 1e-3 * times[-1], MAX_STEPS)
    return solution, operator.observables(masses)["eps_g"]


def solve_density(
    make_problem, start: Start, times: np.ndarray, density_times: np.ndarray, tolerance: float
) -> DensitySolution:
    """Solve to an estimated error of eps_g below `tolerance` times its largest value, tau = 0 included.

    Parameters
    ----------
    make_problem : rows of teacher values and eigenvalues -> Problem.
    start : initial data (`steode.solvers.start.Start`).
    times, density_times : increasing, the last of `density_times` being the last of `times`.

    Raises
    ------
    ConvergenceError
        If the tolerance is not reached at the largest mesh, or the integrator fails.
    """
    probe = make_problem(start.rows(np.zeros(0), 2))
    edges = kinks_by_eigenvalue(probe)
    rows = start.rows(edges, 24 if probe.eigenvalues is None else 12)
    intervals = (1024 if rows.teacher.size <= 4 else 512) // (1 if tolerance < 5e-4 else 2)
    ends, coarse, estimate = None, None, np.inf
    while True:
        problem = make_problem(rows)
        ends = ends or reach(problem, start.extent, float(times[-1]))
        fine = _solve_once(problem, rows, start, ends, intervals, times, density_times, tolerance)
        low_mass, high_mass = fine.masses[-1, :, :2].sum(-1).max(), fine.masses[-1, :, -2:].sum(-1).max()
        if problem.bound is None and max(low_mass, high_mass) > EDGE_MASS:
            length = ends[1] - ends[0]
            ends = (ends[0] - length * (low_mass > EDGE_MASS) / 2, ends[1] + length * (high_mass > EDGE_MASS) / 2)
            coarse = None
            continue
        if coarse is not None:
            error = {name: np.abs(value - coarse.observables[name]) / 3 for name, value in fine.observables.items()}
            estimate = error["eps_g"].max() / max(fine.largest_eps_g, 1e-300)
            if estimate <= tolerance:
                return dataclasses.replace(fine, error=error)
        coarse, intervals = fine, 2 * intervals
        rows = start.rows(edges, 2 * rows.fineness)
        if intervals * rows.teacher.size > MOST_UNKNOWNS:
            raise ConvergenceError(
                f"density: estimated relative error {estimate:.1e} of eps_g with {intervals // 2} intervals and "
                f"tolerance {tolerance:.1e}; ask for a larger tolerance, or use method='particles'."
            )


def _solve_once(problem, rows, start, ends, intervals, times, density_times, tolerance) -> DensitySolution:
    bound = None if problem.bound is None else float(problem.bound)
    fineness = resolution(problem, start.extent, float(times[-1]))
    mesh = make_mesh(thresholds_of(problem), bound, *ends, fineness, intervals)
    nodes = mesh.nodes(jnp.asarray(thresholds_of(problem)), problem.bound)
    masses = rows.masses(nodes)
    solution, first = _evolve(
        problem, nodes, masses, jnp.asarray(times), jnp.asarray(density_times), TIME_FRACTION * tolerance
    )
    if solution.result != diffrax.RESULTS.successful:
        raise ConvergenceError(f"density: the time integration failed before tau = {times[-1]:g} ({solution.result}).")
    observables, densities = jax.device_get(solution.ys)
    widths = np.diff(np.asarray(nodes))
    volumes = (np.concatenate([[0], widths]) + np.concatenate([widths, [0]])) / 2
    steps = int(solution.stats["num_steps"])
    largest = max(float(first), float(observables["eps_g"].max()))
    return DensitySolution(observables, {}, densities, np.asarray(nodes), volumes, rows, steps, largest)
