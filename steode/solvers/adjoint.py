r"""The density equation linearized around its own solution, transposed: how a mass at (w*, w) changes a later average.

With p the masses given w* and <f, p> = sum over teacher values of probability times sum over nodes of f p, the equation
p' = A(V) p, V = <v, p> + const (c_2 for V where output or residual add noise of their own), has the linearization
J = A + b v^T, b = dA/dV p. An average <f_T, p_T> changes by <f_t, change of p_t> with

    - df_t/dt = J^T f_t = A(V_t)^T f_t + v <b_t, f_t>,    f at t = T given.

One step back is the exact transpose of the linearized TR-BDF2 step forward (`DensityOperator.step`), so that <f, dp> is
the same at every time to rounding. It inherits L-stability, which an f with jumps needs; the rank-one part is solved
for by the Sherman-Morrison formula.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.density import DensityOperator, divergence
from steode.solvers.equations import rows
from steode.solvers.time_step import GAMMA, Masses

Values = Float[Array, "K N R"]
"""R functions on the teacher values and nodes of a mesh."""

STAGE_ITERATIONS = 3


class Linearization(eqx.Module):
    """J at one state: rates of the Markov chain on the nodes, and b = dA/dV p."""

    rates: tuple[Float[Array, "K N-1"], Float[Array, "K N-1"]]
    response: Masses  # b
    overlap: Masses  # v
    weights: Float[Array, " K"]

    def mean(self, masses: Masses, values: Values) -> Float[Array, " R"]:
        """<f, p>."""
        return jnp.einsum("k,kn,knr->r", self.weights, masses, values)

    def transposed(self, values: Values) -> Values:
        """J^T f."""
        right, left = self.rates
        steps = jnp.diff(values, axis=1)
        zero = jnp.zeros((values.shape[0], 1, values.shape[2]))
        generator = jnp.concatenate([right[..., None] * steps, zero], 1)
        generator = generator - jnp.concatenate([zero, left[..., None] * steps], 1)
        return generator + self.overlap[..., None] * self.mean(self.response, values)[None, None, :]

    def implicit(self, step, values: Values) -> Values:
        """Solve (1 - step J^T) f = values."""
        right, left = self.rates
        zero = jnp.zeros((right.shape[0], 1))
        upper, lower = jnp.concatenate([right, zero], 1), jnp.concatenate([zero, left], 1)
        known = jnp.concatenate([values, self.overlap[..., None]], axis=-1)
        solved = jax.lax.linalg.tridiagonal_solve(-step * lower, 1 + step * (upper + lower), -step * upper, known)
        found, direction = solved[..., :-1], solved[..., -1:]
        gain = step * self.mean(self.response, direction)[0]
        factor = step * self.mean(self.response, found) / (1 - gain)
        return found + direction * factor[None, None, :]


def linearize(operator: DensityOperator, overlap: Masses, masses: Masses) -> Linearization:
    """J at a state; `overlap` is v, the derivative of c_2 (V for a plain output) with respect to the law.

    With the diffusivity D and the ratio x = drift h/D, both rates of a pair of nodes have the derivative
    (x/2)^2/sinh(x/2)^2/h with respect to D, before division by the volumes.
    """
    strength = operator.force(masses)
    half_diffusion = jax.jvp(lambda x: operator.problem.diffusion(x) / 2, (strength,), (jnp.ones(()),))
    diffusivity, slope = (rows(value, 2) for value in half_diffusion)
    widths = jnp.diff(operator.nodes)[None, :]
    half = jnp.clip(operator.speed * widths / (2 * diffusivity + 1e-300), -300, 300)
    sensitivity = slope / widths / _sinhc(half) ** 2
    mobile = masses * (operator.mobile / operator.volumes)[None, :]
    response = divergence(sensitivity * (mobile[:, :-1] - mobile[:, 1:]))
    return Linearization(operator.rates(strength), response, overlap, operator.problem.teacher_weights)


def middle_stage(before: DensityOperator, inside: DensityOperator, masses: Masses, dt) -> Masses:
    """The state after the first stage of a TR-BDF2 step, from the operators at its start and at the stage's time."""
    half = GAMMA / 2 * dt
    strength = before.force(masses)
    right_hand_side = masses + half * before.apply(before.rates(strength), masses)

    def iterate(_, carry):
        middle = inside.implicit(inside.rates(carry[1]), half, right_hand_side)
        return middle, inside.force(middle)

    return jax.lax.fori_loop(0, STAGE_ITERATIONS, iterate, (masses, strength))[0]


def step_back(start: Linearization, middle: Linearization, end: Linearization, dt, values: Values) -> Values:
    """f at the start of a step from f at its end."""
    half, part = GAMMA / 2 * dt, np.sqrt(2) / 4 * dt
    last = end.implicit(half, values)
    through = middle.implicit(half, middle.transposed(part * last))
    return last + through + start.transposed(part * last + half * through)


def _sinhc(x):
    """sinh(x)/x."""
    small = jnp.abs(x) < 1e-3
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1 + x**2 / 6, jnp.sinh(safe) / safe)
