r"""Particles that stop: in the order of certainty, or where they oscillate.

Weights flip about sqrt(d) times in a unit of tau. In the limit the flips of one weight through a threshold T, over
sqrt(d), are a multiple of its local time there: with L_tau the occupation density of w at T, a step of mean length
kappa/sqrt(d) passes T with probability kappa times the density, so that the flips are sqrt(d) kappa L_tau to leading
order, and so are the oscillations, as a weight passes one threshold in alternating directions. Both forms below are in
units of the diffusion D: with ratio = kappa/sqrt(D), what every weight has is (ratio/sqrt(D)) D L_tau.

Given both ends of a time step, x and y, the path between is a Brownian bridge, and

    P(D L > l) = exp(-((|x - T| + |y - T| + l)^2 - (x - y)^2) / (2 D dt)),

so that local times are drawn exactly. Derived here from the law of local time and end of a Brownian motion (Borodin and
Salminen, Handbook of Brownian Motion).
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steode.parts.remedies import Freezing, OscillationFreezing
from steode.solvers.entrywise import StepMap

LOCAL_TIME = 1
"""The stream of a step's key that draws it; noise has the key itself."""
ROUNDING = 1e-9
"""Of times in units of that between two rounds."""


class Stopped(NamedTuple):
    """Running means of Q(w) and of oscillations per step times sqrt(d), and what is frozen, (P,) each."""

    visited: Float[Array, " P"]
    frozen: Bool[Array, " P"]
    frequency: Float[Array, " P"]


class Stopping(eqx.Module):
    """Weights of a step map that stop according to a plan.

    `ratio` is the mean length of a step over its root mean square, a number for all or one a particle; `threshold` is
    that of oscillations in time.
    """

    image: StepMap
    ratio: Float[Array, "..."] | None
    plan: Freezing | OscillationFreezing = eqx.field(static=True)
    threshold: Callable | None = eqx.field(static=True, default=None)

    @property
    def counts_flips(self) -> bool:
        """True if weights stop where they oscillate."""
        return self.threshold is not None

    def begin(self, w: Float[Array, " P"]) -> Stopped:
        """Nothing is frozen."""
        return Stopped(self.image(w), jnp.zeros(w.shape, bool), jnp.zeros(w.shape))

    def step(self, state: Stopped, old, new, diffusion, time, dt, key) -> tuple[Float[Array, " P"], Stopped]:
        """Weights and state after a step of length dt from `time`, in which free weights went from `old` to `new`."""
        new = jnp.where(state.frozen, old, new)
        forgotten = -jnp.expm1(-dt / self.plan.memory)
        visited = state.visited + forgotten * (self.image(new) - state.visited)
        end = time + dt
        if not self.counts_flips:
            frequency, frozen = state.frequency, self._in_order(state, visited, time, end)
        else:
            flips = self._flips(old, new, diffusion, dt, key)
            frequency = state.frequency * (1 - forgotten) + flips / self.plan.memory
            frozen = state.frozen | ((frequency > self.threshold(end)) & (end > self.plan.start))
        new = jnp.where(frozen & ~state.frozen, self._nearest(visited), new)
        return new, Stopped(visited, frozen, frequency)

    def _in_order(self, state: Stopped, visited, time, end) -> Bool[Array, " P"]:
        plan = self.plan
        share = jnp.clip((end - plan.start) / (plan.stop - plan.start), 0, 1)
        rounds = [jnp.floor(at / plan.every + ROUNDING) for at in (time, end)]

        def more():
            doubt = jnp.where(state.frozen, -1.0, jnp.abs(visited - self._nearest(visited)))
            rank = jnp.argsort(jnp.argsort(doubt))
            return state.frozen | (rank < jnp.ceil(share * doubt.size))

        return jax.lax.cond((rounds[1] > rounds[0]) & (share > 0), more, lambda: state.frozen)

    def _flips(self, old, new, diffusion, dt, key):
        """Flips of each weight in a step, over sqrt(d)."""
        thresholds = self.image.thresholds
        threshold = thresholds[jnp.argmin(jnp.abs(old[:, None] - thresholds[None, :]), axis=1)]
        log_chance = jnp.log(jax.random.uniform(jax.random.fold_in(key, LOCAL_TIME), old.shape, minval=1e-300))
        spread = jnp.maximum(diffusion * dt, 1e-300)
        local = jnp.sqrt((new - old) ** 2 - 2 * spread * log_chance) - jnp.abs(old - threshold)
        local = jnp.maximum(local - jnp.abs(new - threshold), 0.0)
        return self.ratio * local / jnp.sqrt(spread / dt)

    def _nearest(self, value):
        levels = self.image.levels
        return levels[jnp.argmin(jnp.abs(value[:, None] - levels[None, :]), axis=1)]
