"""Teacher values of a problem's stationary states: quadratures cut at the kinks of its own maps and eigenvalues."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.parts.laws import Law
from steode.solvers.equations import Problem
from steode.solvers.kinks import kinks
from steode.solvers.libraries import as_array
from steode.solvers.spectral_start import eigenvalue_rule
from steode.solvers.teacher import MOST_ATOMS, Teacher, make_teacher


class TeacherRows(eqx.Module):
    """A teacher law at each eigenvalue of the inputs, to be cut at the kinks of a problem.

    Attributes
    ----------
    teacher : the law.
    second_moment : E[w*^2] of the law itself.
    eigenvalues, shares : values and their probabilities; None where all are 1.
    mean_eigenvalue : of the spectrum itself.
    """

    teacher: Teacher
    second_moment: Float[Array, ""]
    eigenvalues: Float[Array, " E"] | None = None
    shares: Float[Array, " E"] | None = None
    mean_eigenvalue: Float[Array, ""] | float = 1.0

    def place(self, problem: Problem, scale=1.0) -> Problem:
        """The problem with the rows of the law, `scale` times its values, cut at the kinks at its own response."""
        rho = as_array(scale**2 * self.second_moment * self.mean_eigenvalue)
        if self.eigenvalues is None:
            nodes, weights = self.teacher.rows(kinks(problem), scale)
            return dataclasses.replace(problem, teacher=nodes, teacher_weights=weights, rho=rho)

        def at(value):
            return self.teacher.rows(kinks(dataclasses.replace(problem, eigenvalues=value)), scale)

        nodes, weights = jax.vmap(at)(self.eigenvalues)
        return dataclasses.replace(
            problem,
            teacher=nodes.ravel(),
            teacher_weights=(self.shares[:, None] * weights).ravel(),
            rho=rho,
            eigenvalues=jnp.repeat(self.eigenvalues, nodes.shape[1]),
        )


class PairedRows(eqx.Module):
    """Pairs of a teacher weight and its eigenvalue, (n,) each and equally likely."""

    teacher: Float[Array, " n"]
    eigenvalues: Float[Array, " n"]

    def place(self, problem: Problem, scale=1.0) -> Problem:
        """The problem with the pairs in it, the teacher weights times `scale`."""
        weights = np.full(self.teacher.shape, 1 / self.teacher.size)
        teacher = scale * self.teacher
        rho = as_array((self.eigenvalues * teacher**2).mean())
        numbers = {"teacher": teacher, "teacher_weights": weights, "eigenvalues": self.eigenvalues, "rho": rho}
        return dataclasses.replace(problem, **numbers)


def teacher_rows(
    problem: Problem, law: Law, values: np.ndarray | None, nodes: int, odd: bool, part: float = 1
) -> TeacherRows:
    """A law at the eigenvalues of a spectrum.

    Parameters
    ----------
    problem : gives the kinks around which large samples are condensed.
    values : eigenvalues (n,) of the input covariance; None where all are 1.
    nodes : Gauss points in each panel of a continuous law.
    odd : True if the map of the weights is odd, so that half of a symmetric law will do.
    part : fraction of the points of every rule that is not exact: laws, large samples, many eigenvalues.
    """
    count, atoms = int(part * nodes), int(part * MOST_ATOMS)
    if values is None:
        teacher = make_teacher(law, count, np.asarray(kinks(problem)), odd, atoms)
        return TeacherRows(teacher, np.asarray(law.second_moment))
    own, shares = (jnp.asarray(part) for part in eigenvalue_rule(values, 2 * count))
    at = jax.vmap(lambda value: kinks(dataclasses.replace(problem, eigenvalues=value)))(own)
    teacher = make_teacher(law, count, np.unique(np.asarray(at)), odd, atoms)
    return TeacherRows(teacher, jnp.asarray(law.second_moment), own, shares, float(np.mean(values)))
