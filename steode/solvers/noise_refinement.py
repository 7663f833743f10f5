"""`linear_noise` to a tolerance: mesh, teacher values and time steps are refined together until two results agree.

Steps follow the limit's own error control. Before every observation time they shrink geometrically: there the adjoint
of an observable that jumps is smoothed like the square root of the time that is left.
"""

import dataclasses

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import ConvergenceError
from steode.solvers.adaptive import EDGE_MASS, MAX_STEPS
from steode.solvers.controlled_steps import PositiveTRBDF2, adaptive_controller
from steode.solvers.density import DensityOperator
from steode.solvers.domain import breakpoints_of, reach, resolution
from steode.solvers.equations import Problem
from steode.solvers.functionals import columns
from steode.solvers.kinks import kinks_by_eigenvalue
from steode.solvers.linear_noise import LinearNoise, linear_noise
from steode.solvers.mesh import make_mesh
from steode.solvers.start import Start

STEP_TOLERANCE = 3e-5
"""Error of one time step (L1) on the coarsest mesh; on a mesh twice as fine an eighth, so that steps are halved."""
LARGEST_FRACTION = 0.5
"""Largest step as a fraction of the time left to an observation, on the coarsest mesh."""
LEAST_STEP = 0.01
"""Last step before an observation as a fraction of the limit's own."""
STEPS_QUANTUM = 128
"""Numbers of steps are filled up to multiples of it, so that few programs are compiled."""
MOST_NUMBERS = 2e9
"""Steps times nodes times functions beyond which the solver gives up."""
PARTS = ("teacher", "initial", "samples")


@dataclasses.dataclass(frozen=True)
class NoiseSolution:
    """The finest result with the estimated error of the sum of its parts, shape (T, R)."""

    noise: LinearNoise
    error: np.ndarray
    intervals: int


def solve_noise(
    make_problem, start: Start, times: np.ndarray, names: tuple[str, ...], tolerance: float
) -> NoiseSolution:
    """Refine until no variance is off by more than `tolerance` times the largest of its observable over `times`.

    Parameters
    ----------
    make_problem : rows of teacher values -> Problem.
    start : initial data (`steode.solvers.start.Start`).
    times : increasing, in [0, infinity), at least one > 0.
    names : observables, see `steode.solvers.functionals`.

    Raises
    ------
    ConvergenceError
        If the tolerance is not reached on the largest mesh, or the limit's integration fails.
    """
    edges = kinks_by_eigenvalue(make_problem(start.rows(np.zeros(0), 2)))
    count = 12
    rows = start.rows(edges, count)
    intervals, ends, coarse, level = (256 if rows.teacher.size <= 4 else 128), None, None, 0
    estimate = np.inf
    while True:
        problem = make_problem(rows)
        ends = ends or reach(problem, start.extent, float(times[-1]))
        fineness = resolution(problem, start.extent, float(times[-1]))
        mesh = make_mesh(breakpoints_of(problem), problem.band, *ends, fineness, intervals, level)
        nodes = mesh.nodes(jnp.asarray(breakpoints_of(problem)), problem.band)
        initial = rows.masses(nodes, problem.band)
        dts, indices = time_steps(problem, nodes, initial, times, STEP_TOLERANCE / 8**level)
        if dts.size * rows.teacher.size * nodes.size * times.size > MOST_NUMBERS:
            raise ConvergenceError(
                f"fluctuations: estimated relative error {estimate:.1e} with {(nodes.size - 1) // 2} intervals and "
                f"tolerance {tolerance:.1e}; ask for a larger tolerance or for fewer times."
            )
        fine = jax.device_get(linear_noise(problem, nodes, initial, dts, indices, names))
        if not all(np.all(np.isfinite(getattr(fine, part))) for part in PARTS):
            raise ConvergenceError("fluctuations: the linearized limit is not finite on this model; V may vanish.")
        low, high = fine.edge_mass > EDGE_MASS
        if problem.band is None and (low or high):
            length = ends[1] - ends[0]
            ends, coarse = (ends[0] - length * low / 2, ends[1] + length * high / 2), None
            continue
        if coarse is not None:
            error = sum(np.abs(getattr(fine, part) - getattr(coarse, part)) for part in PARTS) / 3
            total = sum(getattr(fine, part) for part in PARTS)
            # levels are judged by the one that fluctuates most
            estimate = max(
                float(error[:, column].max() / max(total[:, column].max(), 1e-300))
                for column in columns(names, problem).values()
            )
            if estimate <= tolerance:
                return NoiseSolution(fine, error, nodes.size - 1)
        coarse, count, level = fine, 2 * count, level + 1
        rows = start.rows(edges, count)


def time_steps(problem: Problem, nodes, initial, times: np.ndarray, tolerance: float):
    """Step lengths (S,) and the number of steps before each of `times`."""
    positive = times[times > 0]
    solution = _adaptive(problem, nodes, initial, jnp.asarray(positive), tolerance)
    if solution.result != diffrax.RESULTS.successful:
        raise ConvergenceError(f"fluctuations: the limit's integration failed before tau = {times[-1]:g}.")
    grid = np.asarray(solution.ts)
    grid = np.union1d(np.concatenate([[0.0], grid[np.isfinite(grid)]]), positive)
    # rounding of accumulated steps must not leave tiny ones beside an observation time
    near = np.isclose(grid[:, None], positive[None, :], rtol=1e-9, atol=0)
    grid = np.union1d(grid[~near.any(axis=1)], positive)
    last = positive - grid[np.searchsorted(grid, positive) - 1]
    # a step is at most this fraction of the time left to an observation
    fraction = LARGEST_FRACTION * np.cbrt(tolerance / STEP_TOLERANCE)
    count = int(np.ceil(np.log(1 / (fraction * LEAST_STEP)) / np.log1p(fraction)))
    left = LEAST_STEP * last[:, None] * (1 + fraction) ** np.arange(count)[None, :]
    graded = (positive[:, None] - left)[left < positive[:, None]]
    grid = np.union1d(grid, graded)
    # steps of length zero come first, so that an observation at time 0 is before all others
    filling = -(grid.size - 1) % STEPS_QUANTUM
    indices = np.where(times > 0, np.searchsorted(grid, times) + filling, 0)
    return jnp.concatenate([jnp.zeros(filling), jnp.diff(jnp.asarray(grid))]), jnp.asarray(indices)


@eqx.filter_jit
def _adaptive(problem: Problem, nodes, initial, times, tolerance) -> diffrax.Solution:
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: y),  # not used: the solver steps with the operator itself
        PositiveTRBDF2(),
        t0=0.0,
        t1=times[-1],
        dt0=1e-3 * times[-1],
        y0=initial,
        args=DensityOperator(problem, nodes),
        saveat=diffrax.SaveAt(steps=True, fn=lambda t, y, args: t),
        stepsize_controller=adaptive_controller(tolerance, times),
        max_steps=MAX_STEPS,
        throw=False,
    )
