"""Particles in R^K for one coordinate: Euler steps with the force of their own population.

Every population runs twice on the same noise, with steps dt and 2 dt: their difference estimates what the step costs.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steode.solvers.entrywise import StepMap
from steode.systems.committee.problem import Problem

SELECTED = 128
"""Levels up to which a chain of selects is faster than a search."""
POWER = {False: 1.0, True: 0.5}
"""Order of the weak error in dt without and with weights that freeze at a bound, which steps overshoot."""


def evolve(
    problem: Problem,
    teacher: Float[Array, "N M"],
    start: Float[Array, "N K"],
    readout: Float[Array, " K"],
    pairs: Int[Array, " T"],
    dts: Float[Array, " T"],
    key: jax.Array,
) -> tuple[dict, dict]:
    """Observables after each of T spans of `pairs` times two steps of length `dts`: with single and with double steps.

    Weights are kept in single precision, their moments and forces in double.
    """
    light = start.dtype
    # sums over particles round by 1e-7 of what they are
    overlap = jnp.mean(teacher[:, :, None] * teacher[:, None, :], axis=0, dtype=float)
    problem = eqx.tree_at(lambda p: p.teacher, problem, overlap)

    def moments(image):
        own = (image.T @ image).astype(float) / image.shape[0]
        return own, (image.T @ teacher).astype(float) / image.shape[0]

    def quantized(w):
        weight_map = problem.weight_map
        if not isinstance(weight_map, StepMap) or weight_map.levels.size > SELECTED:
            return weight_map(w).astype(light)
        levels, thresholds = weight_map.levels.astype(light), weight_map.thresholds.astype(light)
        image = jnp.full_like(w, levels[0])
        for number in range(thresholds.size):
            image = jnp.where(w >= thresholds[number], levels[number + 1], image)
        return image

    def step(state, noise, time, dt):
        w, readout = state
        image = quantized(w)
        now, eta = problem.force(*moments(image), readout), problem.learning_rate(time)
        drift = image @ (problem.alpha_2 * now.student.T).astype(light)
        drift = drift + teacher @ (problem.alpha_1 * now.teacher.T).astype(light)
        drift = drift + problem.decay.astype(light) * w
        spread = _root(now.noise) * eta * jnp.sqrt(problem.alpha_2)
        change = -(eta * dt).astype(light) * drift + noise @ spread.T.astype(light)
        if problem.band is not None:
            low, high = problem.band
            change = jnp.where((w > low) & (w < high), change, 0)
        return w + change, readout + dt * problem.readout_rate(time, now)

    def double(index, carry, begin, dt):
        fine, coarse = carry
        time = begin + 2 * index * dt
        root = jnp.sqrt(dt).astype(light)
        first, second = root * jax.random.normal(jax.random.fold_in(key, index), (2, *start.shape), light)
        fine = step(step(fine, first, time, dt), second, time + dt, dt)
        return fine, step(coarse, first + second, time, 2 * dt)

    def to_next(carry, span):
        first, last, begin, dt = span
        carry = jax.lax.fori_loop(first, last, lambda n, c: double(n, c, begin - 2 * first * dt, dt), carry)
        return carry, tuple(observed(*state) for state in carry)

    def observed(w, readout):
        image = quantized(w)
        values = problem.observables(*moments(image), readout)
        if isinstance(problem.weight_map, StepMap):
            at = image[:, :, None] == problem.weight_map.levels.astype(light)[None, None, :]
            values["level_fraction"] = jnp.mean(at, axis=0, dtype=float)
        return values

    ends, lengths = jnp.cumsum(pairs), 2 * pairs * dts
    begins = jnp.cumsum(lengths) - lengths
    state = start, readout
    return jax.lax.scan(to_next, (state, state), (ends - pairs, ends, begins, dts))[1]


def _root(matrix: Float[Array, "K K"]) -> Float[Array, "K K"]:
    """A matrix whose square with its transpose is the given one, which may be singular."""
    values, vectors = jnp.linalg.eigh(matrix)
    return vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None, :]


@eqx.filter_jit
def evolve_populations(problem: Problem, teacher, start, readout, pairs, dts, keys) -> tuple[dict, dict]:
    """`evolve` for populations along a leading axis, one after the other."""

    def one(population):
        own_teacher, own_start, key = population
        return evolve(problem, own_teacher, own_start, readout, pairs, dts, key)

    return jax.lax.map(one, (teacher, start, keys))


def extrapolated(fine: Array, coarse: Array, freezes: bool) -> tuple[Array, Array]:
    """The value at dt = 0 by the order of the error, and an estimate of what is left of it."""
    gap = (fine - coarse) / (2 ** POWER[freezes] - 1)
    return fine + gap, abs(gap) / 2
