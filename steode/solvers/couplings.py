"""What couples the rows of the linearized density equation: their rates by the force, and the force by their masses."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.solvers.density import DensityOperator
from steode.solvers.entrywise import interval_images, interval_squares
from steode.solvers.equations import Problem


@eqx.filter_jit
def chains(problem: Problem, force, nodes):
    """Of every row on its own nodes: rates and their derivatives by the force; m, q and mean slope by mass.

    Then m and q by mass between the nodes.
    """

    def chain(teacher, eigenvalue, row_nodes):
        own = None if eigenvalue is None else eigenvalue[None]
        alone = dataclasses.replace(problem, teacher=teacher[None], teacher_weights=jnp.ones(1), eigenvalues=own)
        operator = DensityOperator(alone, row_nodes)
        rates, slopes = operator.rates(force), jax.jacfwd(operator.rates)(force)
        slopes = [jnp.reshape(slope, (row_nodes.size - 1, force.size)) for slope in slopes]

        def functionals(masses):
            m, q, _ = operator.overlaps(masses)
            return jnp.stack([m, q, operator.mean_slope(masses)] if problem.needs_slope else [m, q])

        gradients = jax.jacrev(functionals)(jnp.zeros((1, row_nodes.size)))[:, 0]
        images = [interval(alone.weight_map, row_nodes) for interval in (interval_images, interval_squares)]
        between = jax.vmap(lambda mean, square: jnp.stack(alone.overlaps(mean[None], square[None])[:2]))(*images)
        return rates[0][0], rates[1][0], *slopes, gradients.T, between

    return jax.vmap(chain, in_axes=(0, None if problem.eigenvalues is None else 0, 0))(
        problem.teacher, problem.eigenvalues, nodes
    )


def couplings_of(problem: Problem, functionals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives of the coupling y by m, q (and the mean slope), of the force by y, and of V by m and q."""

    def force(values):
        return jnp.atleast_1d(problem.force(*values))

    at = jnp.asarray(functionals)
    by = np.asarray(jax.jacfwd(force)(at))
    of_loss = np.asarray(jax.jacfwd(lambda values: problem.loss(values[0], values[1]))(at[:2]))
    if problem.linear_response:
        return by, np.ones((1, 1)), of_loss
    if problem.needs_slope:
        # y = (c_2, p), and the force is p, -p and c_2
        return np.stack([by[2], [0.0, 0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]), of_loss
    return np.eye(2), by, of_loss
