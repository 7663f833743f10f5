"""Teacher values of a problem's stationary states: quadratures cut at the kinks of its own maps and eigenvalues."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from steode.laws import Law
from steode.solvers.equations import Problem
from steode.solvers.fixed_point import kinks
from steode.solvers.spectral_start import eigenvalue_rule
from steode.solvers.teacher import MOST_ATOMS, make_teacher


def with_rows(problem: Problem, law: Law, values: np.ndarray | None, nodes: int, odd: bool, part: float = 1) -> Problem:
    """The problem with the rows of a teacher law at each eigenvalue, cut at the kinks that it has at its response.

    Parameters
    ----------
    values : eigenvalues (n,) of the input covariance; None where all are 1.
    nodes : Gauss points in each panel of a continuous law.
    odd : True if the map of the weights is odd, so that half of a symmetric law will do.
    part : fraction of the points of every rule that is not exact: laws, large samples, many eigenvalues.
    """
    count, atoms = int(part * nodes), int(part * MOST_ATOMS)
    own, shares = (np.ones(1), np.ones(1)) if values is None else eigenvalue_rule(values, 2 * count)
    rows = []
    for value in own:
        at = kinks(dataclasses.replace(problem, eigenvalues=None if values is None else jnp.asarray(value)))
        rows.append(make_teacher(law, count, np.asarray(at), odd, atoms).rows(at, 1.0))
    sizes = [points.size for points, _ in rows]
    return dataclasses.replace(
        problem,
        teacher=jnp.concatenate([points for points, _ in rows]),
        teacher_weights=jnp.concatenate([share * weights for (_, weights), share in zip(rows, shares, strict=True)]),
        rho=jnp.asarray(law.second_moment * (1.0 if values is None else float(np.mean(values)))),
        eigenvalues=None if values is None else jnp.asarray(np.repeat(own, sizes)),
    )
