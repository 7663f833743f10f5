"""Stationary states of an output that is not linear: c_h, c_* and c_2 by Newton's method from several starts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy

from steode.solvers import self_consistency
from steode.solvers.equations import Problem

NOTHING = 1e-200
"""A c_2 below is taken as this."""
RESIDUAL = 1e-8
"""Largest relative residual of a root."""
STARTS = (1.0, 0.3, 3.0, 0.1)
"""Factors of c_2 at the start of Newton's method."""
SETTLING = 30
"""Replacements of the force by the one it implies, before Newton's method."""
PROOF = f"found by Newton's method from {len(STARTS)} starts; it is not proved that there are no others"


class ForceEquation(self_consistency.StationaryEquation):
    """c_h, c_* and c_2 of the problem's output."""

    problem: Problem
    tolerance = RESIDUAL

    def force(self, x):
        return x

    def implied(self, x):
        """The force that the stationary state under a force implies."""
        return self_consistency.implied_force(self.problem, x)


@eqx.filter_jit
def implied_by(problem: Problem, force):
    """The force that the stationary state under a force implies."""
    return self_consistency.implied_force(problem, force)


@eqx.filter_jit
def _slope(problem: Problem, force):
    return jax.jacfwd(lambda force: self_consistency.implied_force(problem, force))(force)


def newton_roots(problem: Problem) -> list[np.ndarray]:
    """The forces found, by increasing c_2."""
    # a student that has learned half of the teacher
    first = np.asarray(problem.force(problem.rho / 2, problem.rho / 2))
    roots = []
    for factor in STARTS:
        force = _settled(problem, first * np.array([1.0, 1.0, factor]))
        found = None if force is None else refined(problem, force)
        if found is not None and not any(np.allclose(found, root, rtol=1e-6) for root in roots):
            roots.append(found)
    return sorted(roots, key=lambda root: root[2])


def refined(problem: Problem, force: np.ndarray) -> np.ndarray | None:
    """The root that Newton's method reaches from a force; None if it reaches none with c_h > 0."""

    def gap(values):
        force = jnp.asarray([values[0], values[1], np.exp(values[2])])
        implied, slope = implied_by(problem, force), _slope(problem, force)
        scale = np.array([1.0, 1.0, float(force[2])])
        # where nothing reaches the weights the implied c_2 is 0, which has no logarithm and divides nothing
        strength = max(float(implied[2]), NOTHING)
        difference = np.append(np.asarray(implied[:2]) - values[:2], np.log(strength) - values[2])
        matrix = np.asarray(slope) * scale[None, :]
        matrix[2] /= strength
        return difference, matrix - np.eye(3)

    solution = scipy.optimize.root(gap, np.append(force[:2], np.log(force[2])), jac=True, tol=1e-13)
    found = np.append(solution.x[:2], np.exp(solution.x[2]))
    return found if np.abs(gap(solution.x)[0]).max() < RESIDUAL and found[0] > 0 else None


def _settled(problem: Problem, force: np.ndarray) -> np.ndarray | None:
    """The force after some replacements by the one it implies; None where weights are not held at all (c_h <= 0)."""
    for _ in range(SETTLING):
        # halfway, so that a response that overshoots settles
        force = (force + np.asarray(implied_by(problem, jnp.asarray(force)))) / 2
        if not (np.isfinite(force).all() and force[2] > 0 and force[0] > 0):
            return None
    return force
