"""Interacting particles: Euler-Maruyama on the stochastic differential equation with the empirical V.

A check of the density solver that shares its equations but none of its discretization. Statistical error of order
N^-1/2; weak error of first order in the time step, but of order one half where weights are absorbed at a clipping
bound, which Euler steps overshoot.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steode.solvers.entrywise import StepMap
from steode.solvers.equations import Problem
from steode.solvers.smoothed_descent import SmoothedDescent


def evolve_particles(
    problem: Problem,
    teacher: Float[Array, " P"],
    start: Float[Array, " P"],
    steps: Int[Array, " T"],
    dts: Float[Array, " T"],
    key: jax.Array,
    descent: SmoothedDescent | None = None,
) -> dict[str, Float[Array, "T ..."]]:
    """Named observables of one population of P particles after each of T spans: `steps` steps of length `dts` each.

    `descent` is the one of SPSA, whose drift and diffusion replace those of the problem.
    """
    variances = 1.0 if problem.eigenvalues is None else problem.eigenvalues
    # once for the run: with a spectrum they are one number for each particle
    moments = problem.alpha_1, problem.alpha_2
    problem = dataclasses.replace(problem, rho=jnp.mean(variances * teacher**2), input_moments=moments)

    def overlaps(w):
        m = jnp.mean(problem.equations.teacher_overlap(problem.alpha_1, teacher, problem.weight_map(w)))
        q = jnp.mean(problem.equations.self_overlap(problem.alpha_2, problem.weight_map.square(w)))
        return m, q, problem.loss(m, q)

    def rates(state, time):
        w, *companion = state
        own = problem.at(time)
        if descent is not None:
            return *descent.rates(own, teacher, w), ()
        m, q, _ = overlaps(w)
        force = (own.beside(*companion) if companion else own).force(m, q)
        now, strength = own.under(force)
        moving = [own.companion_rate(time, force, *companion)] if companion else []
        return now.drift(teacher, problem.weight_map(w), w), now.diffusion(strength), moving

    def step(index, state, time, dt):
        w, *companion = state
        drift, diffusion, moving = rates(state, time)
        noise = jax.random.normal(jax.random.fold_in(key, index), w.shape, w.dtype)
        change = drift * dt + jnp.sqrt(diffusion * dt) * noise
        if problem.bound is not None:
            change = jnp.where(jnp.abs(w) < problem.bound, change, 0.0)
        return w + change, *(value + rate * dt for value, rate in zip(companion, moving, strict=True))

    def observables(state):
        w, *companion = state
        values = problem.observables(*overlaps(w)) | {"mean_w": jnp.mean(w), "std_w": jnp.std(w)}
        if isinstance(problem.weight_map, StepMap):
            levels = problem.weight_map.levels
            image = problem.weight_map(w)
            values["level_fraction"] = jnp.mean((image[:, None] == levels[None, :]) * 1.0, axis=0)
        return values | ({"second_moment": companion[0]} if companion else {})

    def to_next_record(state, span):
        first, last, begin, dt = span
        advance = lambda index, state: step(index, state, begin + (index - first) * dt, dt)  # noqa: E731
        state = jax.lax.fori_loop(first, last, advance, state)
        return state, observables(state)

    ends, lengths = jnp.cumsum(steps), steps * dts
    begin = (start, problem.companion_start(*overlaps(start)[:2])) if problem.memory is not None else (start,)
    return jax.lax.scan(to_next_record, begin, (ends - steps, ends, jnp.cumsum(lengths) - lengths, dts))[1]
