"""The rows of the equation linearized at a stationary state: teacher values at every eigenvalue, and their meshes."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from steode.parts.laws import Paired
from steode.solvers.equations import Problem
from steode.solvers.kinks import kinks_by_eigenvalue
from steode.solvers.start import kinks_at
from steode.solvers.stationary_mesh import stationary_nodes
from steode.systems.linear.problem import NO_ROWS, make_problem, nominal_start
from steode.systems.linear.spec import LinearModel

TEACHER_VALUES = 192
UNKNOWNS = 100_000
"""Teacher values times nodes of the finer mesh, which has between 512 and 4096 intervals a row."""


def linearized_rows(model: LinearModel, force=None, fraction: float = 1.0) -> tuple[Problem, bool]:
    """The equations with a fraction of the teacher values, and whether those stand for a continuous law.

    For a continuous law, the ends of its support and the kinks inside are added with probability zero, at every
    eigenvalue: the edge of the continuous spectrum is found there.
    """
    bare = make_problem(model, NO_ROWS)
    if force is not None:
        bare, _ = bare.under(jnp.asarray(force))
    start, values = nominal_start(model), np.unique(model.spectrum.values)
    bare = bare if model.spectrum.is_isotropic else dataclasses.replace(bare, eigenvalues=jnp.ones(()))
    points, count = kinks_by_eigenvalue(bare), int(fraction * TEACHER_VALUES)
    if values.size > 1:
        # as many rows as without a spectrum: few eigenvalues or few teacher values are taken as they are
        atoms = model.teacher.quadrature(kinks_at(points, values[0]), count)[0].size
        few = min(values.size, atoms)
        count = count if values.size * atoms <= count else count // few if few**2 <= count else int(count**0.5)
    rows = start.rows(points, count)
    problem = make_problem(model, rows)
    if isinstance(model.teacher, Paired) or start.rows(points, 2 * count).teacher.size == rows.teacher.size:
        return problem, False
    low, high = model.teacher.support(1e-13)
    own = [None] if problem.eigenvalues is None else np.unique(np.append(rows.eigenvalues, values[[0, -1]]))
    extra, at = [], []
    for value in own:
        inner = kinks_at(points, 1.0 if value is None else value)
        extra.append(np.concatenate([[low, high], inner[(inner > low) & (inner < high)]]))
        at.append(np.full(extra[-1].size, value))
    extra = np.concatenate(extra)
    eigenvalues = None if problem.eigenvalues is None else np.append(rows.eigenvalues, np.concatenate(at))
    return _with_rows(problem, np.append(rows.teacher, extra), np.append(rows.weights, 0 * extra), eigenvalues), True


def _with_rows(problem: Problem, values, weights, eigenvalues) -> Problem:
    return dataclasses.replace(
        problem,
        teacher=jnp.asarray(values),
        teacher_weights=jnp.asarray(weights),
        eigenvalues=None if eigenvalues is None else jnp.asarray(eigenvalues),
    )


def mesh_of(problem: Problem, confined: np.ndarray, force, rows: int) -> tuple[Problem, np.ndarray]:
    """The rows that have a stationary law, repeated with weight zero up to the number asked for, and their nodes."""
    kept = np.flatnonzero(confined)
    index = np.concatenate([kept, np.full(max(rows - kept.size, 0), kept[0])])
    weights = np.asarray(problem.teacher_weights)[index] * (np.arange(index.size) < kept.size)
    eigenvalues = None if problem.eigenvalues is None else np.asarray(problem.eigenvalues)[index]
    padded = _with_rows(problem, np.asarray(problem.teacher)[index], weights, eigenvalues)
    intervals = int(np.clip(UNKNOWNS // index.size, 512, 4096))
    held, strength = padded.under(jnp.asarray(force))
    return padded, stationary_nodes(held, float(strength), intervals)
