"""Observables as functionals of the law: what one coordinate with (w*, w) adds to each of them.

An observable F of the order parameters has the derivative f(w*, w) = dF/dm alpha_1 w* Q + dF/dq alpha_2 Q^2 +
dF/drho lambda w*^2 with respect to the law. rho counts too: it is an average over the teacher weights that were drawn.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.parts.laws import Law
from steode.solvers.density import DensityOperator
from steode.solvers.domain import thresholds_of
from steode.solvers.equations import Problem

SCALARS = ("eps_g", "V", "m", "q", "mean_w")
STRENGTH = "strength"
"""c_2, what the noise of a step is proportional to: V where output and residual add none of their own."""
START_NODES = 1000
"""Values of each law with a density in averages over the start."""


class Functionals(eqx.Module):
    """R functions of (w*, w) on the K teacher values and N nodes of a mesh.

    A function that jumps at a node has two values there, on the `sides`; the control volume belongs to them in
    proportion to `shares`. `average` and `square` are the means of f and f^2 over the control volume.
    """

    sides: Float[Array, "2 K N R"]
    shares: Float[Array, "2 N"]

    @property
    def average(self) -> Float[Array, "K N R"]:
        """f averaged over each control volume."""
        return jnp.einsum("sn,sknr->knr", self.shares, self.sides)

    @property
    def square(self) -> Float[Array, "K N R"]:
        """f^2 averaged over each control volume; not the square of the average where f jumps."""
        return jnp.einsum("sn,sknr->knr", self.shares, self.sides**2)


def functionals(operator: DensityOperator, masses: Float[Array, "K N"], names: tuple[str, ...]) -> Functionals:
    """Derivatives of the named observables, one after the other; "level_fraction" takes one column a level."""
    problem, nodes = operator.problem, operator.nodes
    widths, middles = jnp.diff(nodes), (nodes[1:] + nodes[:-1]) / 2
    shares = jnp.stack([jnp.append(0.0, widths), jnp.append(widths, 0.0)]) / (2 * operator.volumes)[None, :]
    # weights frozen at the bound have just crossed it: they are on the side away from 0
    frozen, outside = operator.at_bound == 1, nodes > 0
    between = [jnp.append(middles[:1], middles), jnp.append(middles, middles[-1:])]
    sides = jnp.stack([jnp.where(frozen, jnp.where(outside, between[1], between[0]), side) for side in between])
    m, q, _ = operator.overlaps(masses)
    teacher = problem.teacher[None, :, None]
    return Functionals(_derivatives(problem, (m, q), names, teacher, sides[:, None, :], nodes[None, None, :]), shares)


def _derivatives(problem: Problem, overlaps, names, teacher, inside, w):
    """f at (w*, w), stacked along a new last axis; `inside` is a point of the cell w is in, or on the side of w."""
    image, shape = problem.weight_map(inside), jnp.broadcast_shapes(teacher.shape, inside.shape, w.shape)
    columns = []
    for name in names:
        if name == "mean_w":
            columns.append(w)
        elif name == "level_fraction":
            cell = jnp.searchsorted(problem.weight_map.thresholds, inside, side="right")
            columns += [(cell == level) * 1.0 for level in range(problem.weight_map.levels.size)]
        else:
            by_m, by_q, by_rho = jax.grad(_observable, argnums=(2, 3, 4))(problem, name, *overlaps, problem.rho)
            # teacher values along the last axis but one
            alphas = problem.alpha_1, problem.alpha_2, 1.0 if problem.eigenvalues is None else problem.eigenvalues
            leading = (1,) * (jnp.ndim(teacher) - 2)
            alpha_1, alpha_2, variance = (jnp.reshape(a, (*leading, -1, 1)) if jnp.ndim(a) else a for a in alphas)
            m_part = problem.equations.teacher_overlap(alpha_1, teacher, image)
            q_part = problem.equations.self_overlap(alpha_2, problem.weight_map.square(inside))
            columns.append(by_m * m_part + by_q * q_part + by_rho * variance * teacher**2)
    return jnp.stack([jnp.broadcast_to(column, shape) for column in columns], axis=-1)


def _observable(problem: Problem, name: str, m, q, rho):
    problem = dataclasses.replace(problem, rho=rho)
    if name == STRENGTH:
        return problem.force(m, q)
    variance = problem.equations.residual_variance(problem.output, m, q, rho, problem.sigma)
    return problem.observables(m, q, variance)[name]


def columns(names: tuple[str, ...], problem: Problem) -> dict[str, slice]:
    """The columns of each observable."""
    found, end = {}, 0
    for name in names:
        begin, end = end, end + (problem.weight_map.levels.size if name == "level_fraction" else 1)
        found[name] = slice(begin, end)
    return found


@dataclasses.dataclass(frozen=True)
class StartNoise:
    """The limit at time 0 and d times the variance of R functions there, by cause: shape (R,) each."""

    value: np.ndarray
    teacher: np.ndarray
    initial: np.ndarray


def start_noise(problem: Problem, teacher: Law, initial: Law, names: tuple[str, ...], spectrum=None) -> StartNoise:
    """Coordinates are independent at time 0: averages over the laws themselves, without a mesh.

    Exact for laws on finitely many points, and to the accuracy of their quadrature, cut at the thresholds, for others.
    `spectrum` are the eigenvalues (n,) of equally many coordinates each; None: all are 1.
    """
    eigenvalues, counts = (np.ones(1), np.ones(1)) if spectrum is None else np.unique(spectrum, return_counts=True)
    nodes = START_NODES // int(np.ceil(np.sqrt(eigenvalues.size)))
    law, chances = teacher.quadrature(np.zeros(0), nodes)
    w, shares = initial.quadrature(thresholds_of(problem), nodes)
    # the rows of each eigenvalue, one after the other
    values, weights = np.tile(law, eigenvalues.size), np.kron(counts / counts.sum(), chances)
    carried = None if spectrum is None else jnp.asarray(np.repeat(eigenvalues, law.size))
    numbers = {"teacher": jnp.asarray(values), "teacher_weights": jnp.asarray(weights), "eigenvalues": carried}
    problem = dataclasses.replace(problem, **numbers)
    point, everywhere = jnp.asarray(w)[None, :], jnp.ones(values.size)
    images = (shares @ problem.weight_map(point[0]), shares @ problem.weight_map.square(point[0]))
    m, q, _ = problem.overlaps(*(image * everywhere for image in images))
    f = np.asarray(_derivatives(problem, (m, q), names, problem.teacher[:, None], point, point))
    mean = np.einsum("i,kir->kr", shares, f)
    own = np.einsum("i,kir->kr", shares, (f - mean[:, None, :]) ** 2)
    value = shares @ f[0]
    for name, column in columns(names, problem).items():
        if name not in ("mean_w", "level_fraction"):
            value[column] = _observable(problem, name, m, q, problem.rho)
    return StartNoise(value, np.asarray(between_teachers(problem, mean)), weights @ own)


def between_teachers(problem: Problem, means: Float[Array, "K R"]) -> Float[Array, " R"]:
    """E_lambda Var(E[f | w*, lambda]): teacher weights are drawn, the eigenvalues of the coordinates are not."""
    weights = problem.teacher_weights
    if problem.eigenvalues is None:
        return weights @ (means - (weights @ means)[None, :]) ** 2
    same = (problem.eigenvalues[:, None] == problem.eigenvalues[None, :]) * weights[None, :]
    around = (same @ means) / jnp.sum(same, axis=1)[:, None]
    return weights @ (means - around) ** 2
