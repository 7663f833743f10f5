"""Equations of the overlaps: exact where weights are not quantized, closed by a Gaussian law where they are.

Not quantized: R = E[w w*^T] (K, M), S = E[w w^T] (K, K) and v close. Quantized: given w* the weights of a coordinate
are taken as Gaussian in R^K, with mean and covariance at nodes of w*; E[Q_k Q_l] is a bivariate normal average.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.entrywise import IdentityMap, StepMap
from steode.systems.committee.averages import trapezoid
from steode.systems.committee.problem import Problem

ANGLES, ANGLE_WEIGHTS = np.polynomial.legendre.leggauss(12)
"""Gauss points in the angle of a correlation."""
LEAST_VARIANCE = 1e-12
"""Of a point mass at the start, whose averages divide by it."""


class Overlaps(eqx.Module):
    """The exact equations of (R, S, v)."""

    problem: Problem

    def rates(self, time, state):
        """d(R, S, v)/dtau."""
        cross, own, readout = state
        p = self.problem
        now, eta = p.force(own, cross, readout), p.learning_rate(time)
        student, teacher = p.alpha_2 * now.student, p.alpha_1 * now.teacher
        moved = student @ own + teacher @ cross.T + p.decay * own
        return (
            -eta * (student @ cross + teacher @ p.teacher + p.decay * cross),
            -eta * (moved + moved.T) + eta**2 * p.alpha_2 * now.noise,
            p.readout_rate(time, now),
        )

    def observables(self, state):
        """Named observables of a state."""
        cross, own, readout = state
        return self.problem.observables(own, cross, readout)


class Closure(eqx.Module):
    """The Gaussian closure: state (means (n, K), covariances (n, K, K), v) at `nodes` (n, M) of w*."""

    problem: Problem
    nodes: Float[Array, "n M"]
    weights: Float[Array, " n"]

    def averages(self, state):
        """E[Q] at the nodes (n, K), and E[Q Q^T], E[Q w*^T] over all."""
        mean, spread, _ = state
        variance = jnp.maximum(jnp.diagonal(spread, axis1=1, axis2=2), LEAST_VARIANCE)
        image = self.problem.weight_map.gaussian_mean(mean, variance)
        within = pair_covariances(self.problem.weight_map, mean, spread, variance, image)
        own = jnp.einsum("n,nk,nl->kl", self.weights, image, image) + jnp.einsum("n,nkl->kl", self.weights, within)
        return image, variance, own, jnp.einsum("n,nk,nm->km", self.weights, image, self.nodes)

    def rates(self, time, state):
        """d(means, covariances, v)/dtau."""
        mean, spread, readout = state
        p = self.problem
        image, variance, own, cross = self.averages(state)
        now, eta = p.force(own, cross, readout), p.learning_rate(time)
        slope = p.weight_map.gaussian_slope(mean, variance)
        drift = p.alpha_2 * image @ now.student.T + p.alpha_1 * self.nodes @ now.teacher.T + p.decay * mean
        # Cov(w_k, Q(w_l)) = Cov(w_k, w_l) E[Q'(w_l)] by Stein
        moved = p.alpha_2 * (spread * slope[:, None, :]) @ now.student.T + p.decay * spread
        return (
            -eta * drift,
            -eta * (moved + jnp.swapaxes(moved, 1, 2)) + eta**2 * p.alpha_2 * now.noise[None],
            p.readout_rate(time, now),
        )

    def observables(self, state):
        """Named observables of a state."""
        _, _, own, cross = self.averages(state)
        return self.problem.observables(own, cross, state[2])


def pair_covariances(weight_map, mean, spread, variance, image) -> Float[Array, "n K K"]:
    """Cov(Q(w_k), Q(w_l)) of Gaussian weights: (n, K), (n, K, K), (n, K), (n, K) in."""
    if isinstance(weight_map, IdentityMap):
        return spread
    count, hidden = mean.shape
    low, high = np.tril_indices(hidden, -1)
    own = weight_map.gaussian_square(mean, variance) - image**2
    within = jnp.zeros((count, hidden, hidden)).at[:, np.arange(hidden), np.arange(hidden)].set(own)
    if hidden == 1:
        return within
    # all pairs of units of all nodes in one array
    flat = [jnp.stack([part[:, low], part[:, high]], axis=-1).reshape(-1, 2) for part in (mean, variance, image)]
    roots = jnp.sqrt(variance[:, low] * variance[:, high])
    correlation = jnp.clip(spread[:, low, high] / roots, -1.0, 1.0).reshape(-1)
    across = _pair(weight_map, flat[0], flat[1], correlation, flat[2]).reshape(count, -1)
    return within.at[:, low, high].set(across).at[:, high, low].set(across)


def _pair(weight_map, mean, variance, correlation, image):
    """Cov(Q(w_1), Q(w_2)) at correlations (n,); mean, variance and image are (n, 2)."""
    std = jnp.sqrt(variance)
    if not isinstance(weight_map, StepMap):
        nodes, weights = trapezoid()
        first = mean[:, :1] + jnp.multiply.outer(std[:, 0], nodes)
        rest = jnp.multiply.outer(jnp.sqrt(1 - correlation**2), nodes)
        second = jnp.multiply.outer(correlation, nodes)[:, :, None] + rest[:, None, :]
        inner = weight_map(mean[:, 1, None, None] + std[:, 1, None, None] * second) @ weights
        return (weight_map(first) * inner) @ weights - image[:, 0] * image[:, 1]
    # sum over pairs of jumps of the bivariate density, integrated over the correlation sin(phi) from 0
    jumps = jnp.diff(weight_map.levels)
    h = (weight_map.thresholds[None, :] - mean[:, :1]) / std[:, :1]
    k = (weight_map.thresholds[None, :] - mean[:, 1:]) / std[:, 1:]
    half = jnp.arcsin(correlation) / 2
    arch = half[None, :] * (1 + jnp.asarray(ANGLES)[:, None])

    def at(angle):
        sine = jnp.sin(angle)[:, None, None]
        form = h[:, :, None] ** 2 + k[:, None, :] ** 2 - 2 * sine * h[:, :, None] * k[:, None, :]
        density = jnp.exp(-form / (2 * jnp.maximum(1 - sine**2, 1e-14)))
        return jnp.einsum("nij,i,j->n", density, jumps, jumps)

    return half * (jnp.asarray(ANGLE_WEIGHTS) @ jax.lax.map(at, arch)) / (2 * np.pi)
