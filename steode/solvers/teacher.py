"""Teacher laws as quadratures whose panels follow the kinks, so that they can be traced and differentiated.

The stationary error is smooth in w* between the quantization levels but has kinks there, rounded over a width of order
theta. Every panel between the law's own points and the kinks gets a Gauss-Legendre rule in t with w = lo + (hi - lo) u,
u = t^3 (10 - 15 t + 6 t^2), whose nodes crowd at both ends.
"""

import abc

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from steode.parts.laws import ContinuousLaw, Law
from steode.solvers.libraries import library

MOST_KINKS = 300
REFINEMENT = 4
"""Beyond MOST_KINKS kinks each of them is weak: the panels of the law are cut into REFINEMENT parts instead."""
MOST_ATOMS = 4000
"""Values of an empirical law beyond which it is replaced by Gauss rules of the data between the kinks."""


class Teacher(eqx.Module):
    """A teacher law scaled by a factor: `rows` gives nodes and probabilities, `second_moment` E[w*^2]."""

    @abc.abstractmethod
    def rows(self, kinks: Float[Array, " n"], scale) -> tuple[Float[Array, " K"], Float[Array, " K"]]:
        """Nodes and probabilities for averages of functions that are smooth between the kinks."""


class AtomicTeacher(Teacher):
    """Finitely many values."""

    values: Float[Array, " K"]
    weights: Float[Array, " K"]

    def rows(self, kinks, scale):
        return scale * self.values, self.weights


class ContinuousTeacher(Teacher):
    """A law with a density; `nodes` Gauss points in every panel."""

    law: ContinuousLaw = eqx.field(static=True)
    nodes: int = eqx.field(static=True)
    even: bool = eqx.field(static=True)  # law and integrands are even: positive values stand for both signs

    def rows(self, kinks, scale):
        own = self.law.panels
        if self.even:
            own = np.concatenate([[0.0], own[own > 1e-9 * own[-1]]])
            kinks = kinks[kinks.size // 2 :]
        np_or_jnp = library(kinks, scale)
        if kinks.size > MOST_KINKS:
            own, kinks = _refined(own, REFINEMENT), kinks[np.array([0, -1])]
        inner = np_or_jnp.clip(kinks / scale, own[0], own[-1])
        edges = np_or_jnp.sort(np_or_jnp.concatenate([own, inner]))
        t, weights = np.polynomial.legendre.leggauss(self.nodes)
        t = (t + 1) / 2
        u, slope = t**2 * (3 - 2 * t), 6 * t * (1 - t)
        widths = np_or_jnp.diff(edges)[:, None]
        points = edges[:-1, None] + widths * u[None, :]
        masses = np_or_jnp.exp(self.law.log_density(points)) * widths * (slope * weights / 2)[None, :]
        return scale * points.reshape(-1), masses.reshape(-1) / masses.sum()


def _refined(edges, parts: int):
    shares = np.linspace(0, 1, parts, endpoint=False)
    inner = edges[:-1, None] + np.diff(edges)[:, None] * shares[None, :]
    return np.concatenate([inner.reshape(-1), edges[-1:]])


def make_teacher(law: Law, nodes: int, kinks: np.ndarray, odd_map: bool, atoms: int = MOST_ATOMS) -> Teacher:
    """The law as a quadrature with about `nodes` points a panel.

    `kinks` serve only empirical laws of more than `atoms` values, which are condensed once, around the kinks given
    here. If the map of the weights is odd and the law symmetric, its positive half is used.
    """
    if isinstance(law, ContinuousLaw):
        return ContinuousTeacher(law, nodes, odd_map and law.mean == 0)
    values, weights = law.quadrature(kinks, atoms)
    return AtomicTeacher(np.asarray(values), np.asarray(weights))
