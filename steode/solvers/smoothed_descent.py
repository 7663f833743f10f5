r"""The limit of plain SPSA: averages of a step function over a random direction, and the rates they make.

With t_j = (T_j - w)/eps, F the distribution function of u and K(t) = int_t^oo u dF(u),

    E[Q(w + eps u)] = L_0 + sum_j (L_j - L_{j-1}) (1 - F(t_j)),     E[u Q(w + eps u)] = sum_j (L_j - L_{j-1}) K(t_j),

the same with squared levels for Q^2, and E[Q(w + eps u) Q(w - eps u)] from the probabilities that both perturbed
weights lie above two thresholds, F(-t_i) - F(t_j) where that is positive. Derived here.
"""

import dataclasses
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from steode.solvers.entrywise import StepMap
from steode.solvers.equations import Problem

ROOT3, ROOT6 = math.sqrt(3), math.sqrt(6)
SCALE = ROOT3 / math.pi


def _uniform(t):
    inside = jnp.clip(t, -ROOT3, ROOT3)
    return (inside + ROOT3) / (2 * ROOT3), (3 - inside**2) / (4 * ROOT3)


def _triangular(t):
    size = jnp.minimum(jnp.abs(t), ROOT6)
    tail = (1 - size / ROOT6) ** 2 / 2
    moment = (1 - size**2 / 2 + size**3 / (3 * ROOT6)) / ROOT6
    return jnp.where(t < 0, tail, 1 - tail), moment


def _logistic(t):
    # int_t^oo u dF = t (1 - F(t)) + int_t^oo (1 - F)
    tail = jnp.exp(log_sigmoid(-t / SCALE))
    return 1 - tail, t * tail - SCALE * log_sigmoid(t / SCALE)


def _normal(t):
    return ndtr(t), jnp.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)


STEP_OVER_WIDTH = 0.5
"""Distance of one time step over the width of the smoothed thresholds: see `SmoothedDescent.longest_step`."""

LAWS: dict[str, Callable] = {
    "uniform": _uniform,
    "triangular": _triangular,
    "logistic": _logistic,
    "normal": _normal,
}
"""Law of u -> (t -> F(t) and K(t))."""


class Averages(eqx.Module):
    """Averages over u at each weight, shape (P,): Q, the slopes S_1 and S_2, and the squares of m_u and a_u."""

    image: Float[Array, " P"]
    slope: Float[Array, " P"]
    square_slope: Float[Array, " P"]
    mean_square: Float[Array, " P"]
    difference_square: Float[Array, " P"]


@dataclasses.dataclass(frozen=True)
class Dynamics:
    """Compiled coefficients: (eta, kappa, alpha_1, alpha_2, w*, S_1, S_2, w) and (eta, B, alpha_2, S_1, V_s, V_u, ...).

    The last two arguments of the diffusion are D_2 and nu.
    """

    drift: Callable
    diffusion: Callable


class SmoothedDescent(eqx.Module):
    """What SPSA makes of a problem's weights: numbers (traced) and equations (static)."""

    dynamics: Dynamics = eqx.field(static=True)
    eps: Float[Array, ""]
    ratio: Float[Array, ""]
    law: str = eqx.field(static=True)

    def averages(self, weight_map, w: Float[Array, " P"]) -> Averages:
        """Averages over a direction; a map that is not a step function is the identity."""
        if not isinstance(weight_map, StepMap):
            one = jnp.ones_like(w)
            return Averages(w, one, w, w**2, one)
        levels, jumps = weight_map.levels, jnp.diff(weight_map.levels)
        t = (weight_map.thresholds[None, :] - w[:, None]) / self.eps
        below, moment = LAWS[self.law](t)
        below_mirrored, _ = LAWS[self.law](-t)
        above, squares = 1 - below, jnp.diff(levels**2)
        image, own_square = levels[0] + above @ jumps, levels[0] ** 2 + above @ squares

        def add(product, threshold):
            # both w + eps u above T_j and w - eps u above T_i: t_j < u < -t_i; one threshold T_i at a time
            mirrored, jump = threshold
            return product + jump * (jnp.maximum(mirrored[:, None] - below, 0.0) @ jumps), None

        product, _ = jax.lax.scan(add, levels[0] * (2 * image - levels[0]), (below_mirrored.T, jumps))
        return Averages(
            image=image,
            slope=moment @ jumps / self.eps,
            square_slope=moment @ squares / (2 * self.eps),
            mean_square=(own_square + product) / 2,
            # zero far from every threshold, where rounding must not make it negative
            difference_square=jnp.maximum(own_square - product, 0.0) / (2 * self.eps**2),
        )

    def longest_step(self, problem: Problem, teacher: Float[Array, " P"], w: Float[Array, " P"]) -> Float[Array, ""]:
        """A time step in which no particle moves farther than a part of the width eps of the smoothed thresholds."""
        drift, diffusion = self.rates(problem, teacher, w)
        width = STEP_OVER_WIDTH * self.eps
        tiny = jnp.finfo(w.dtype).tiny
        return jnp.minimum(width / (jnp.max(jnp.abs(drift)) + tiny), width**2 / (jnp.max(diffusion) + tiny))

    def rates(self, problem: Problem, teacher: Float[Array, " P"], w: Float[Array, " P"]) -> tuple[Array, Array]:
        """Drift and variance rate of every particle of a population."""
        found = self.averages(problem.weight_map, w)
        m = jnp.mean(problem.equations.teacher_overlap(problem.alpha_1, teacher, found.image))
        smoothed, perturbed = (
            problem.loss(m, jnp.mean(problem.equations.self_overlap(problem.alpha_2, square)))
            for square in (found.image**2, found.mean_square)
        )
        decay = 0.0 if problem.decay is None else problem.decay
        alphas = problem.alpha_1, problem.alpha_2
        drift = self.dynamics.drift(problem.eta, decay, *alphas, teacher, found.slope, found.square_slope, w)
        averages = smoothed, perturbed, jnp.mean(found.difference_square), self.ratio
        return drift, self.dynamics.diffusion(problem.eta, problem.batch, alphas[1], found.slope, *averages)
