"""Interacting particles: Euler-Maruyama on the stochastic differential equation with the empirical V.

A check of the density solver that shares its equations but none of its discretization. Statistical error of order
N^-1/2; weak error of first order in the time step, but of order one half where weights are absorbed at a clipping
bound, which Euler steps overshoot.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steode.solvers.averages import Averages, Averaging
from steode.solvers.blocks import Blocks
from steode.solvers.entrywise import StepMap
from steode.solvers.equations import Problem
from steode.solvers.grouped import error_by_block
from steode.solvers.moving_range import moved
from steode.solvers.smoothed_descent import SmoothedDescent
from steode.solvers.stopping import Stopping


def evolve_particles(
    problem: Problem,
    teacher: Float[Array, " P"],
    start: Float[Array, " P"],
    steps: Int[Array, " T"],
    dts: Float[Array, " T"],
    key: jax.Array,
    descent: SmoothedDescent | None = None,
    stopping: Stopping | None = None,
    averaging: Averaging | None = None,
) -> dict[str, Float[Array, "T ..."]]:
    """Named observables of one population of P particles after each of T spans: `steps` steps of length `dts` each.

    `descent` is the one of SPSA, whose drift and diffusion replace those of the problem; `stopping` freezes particles,
    `averaging` carries averages beside them.
    """
    variances = 1.0 if problem.eigenvalues is None else problem.eigenvalues
    # once for the run: with a spectrum they are one number for each particle
    moments = problem.alpha_1, problem.alpha_2
    problem = dataclasses.replace(problem, rho=jnp.mean(variances * teacher**2), input_moments=moments)

    moving = problem.moving_range

    def quantizer(w, companion):
        """The map of the weights, which moves where its range does."""
        if moving is None:
            return problem.weight_map
        now = companion[0] if moving.gradient else moving.rate * moving.followed(w)
        return moved(problem.weight_map, now / moving.start)

    def parts(state):
        """Weights, their mean gradients if they have inertia, and the number beside the law if there is one."""
        w, *others = state
        return (w, [], others) if problem.friction is None else (w, others, [])

    def overlaps(w, *companion):
        image = quantizer(w, companion)
        m = jnp.mean(problem.equations.teacher_overlap(problem.alpha_1, teacher, image(w)))
        q = jnp.mean(problem.equations.self_overlap(problem.alpha_2, image.square(w)))
        return m, q, problem.loss(m, q)

    def rates(state, time):
        """The drift as a function of the weights, and the rest of what moves them."""
        w, _, companion = parts(state)
        own = problem.at(time)
        if descent is not None:
            drift, diffusion = descent.rates(own, teacher, w)
            return (lambda w: drift), diffusion, ()
        m, q, _ = overlaps(w, *companion)
        image = quantizer(w, companion)
        if moving is not None:
            force = own.force(m, q)
            speeds = [_range_speed(own, force, teacher, w, *companion)] if companion else []
        else:
            force = (own.beside(*companion) if companion else own).force(m, q)
            speeds = [own.companion_rate(time, force, *companion)] if companion else []
        now, strength = own.under(force)
        return (lambda w: now.drift(teacher, image(w), w)), now.diffusion(strength), speeds

    def step(index, state, time, dt):
        weights, stopped, averages = state
        w, inertia, companion = parts(weights)
        drift_at, diffusion, speeds = rates(weights, time)
        drift, drawn = drift_at(w), jax.random.fold_in(key, index)
        if inertia:
            draws = jax.random.normal(drawn, (2, *w.shape), w.dtype)
            moved, *inertia = langevin(problem.at(time).eta, problem.friction, drift, diffusion, w, *inertia, dt, draws)
        else:
            moved, stopped = overdamped(w, stopped, drift_at, drift, diffusion, time, dt, drawn)
        companion = [value + rate * dt for value, rate in zip(companion, speeds, strict=True)]
        if averaging is not None:
            averages = averaging.step(averages, quantizer(moved, companion)(moved), moved, time + dt, dt)
        return (moved, *inertia, *companion), stopped, averages

    def overdamped(w, stopped, drift_at, drift, diffusion, time, dt, drawn):
        """Weights after a step of Euler and Maruyama, and which of them are frozen."""
        if problem.mobility is not None:
            slope = problem.mobility(w)
            drift, diffusion = slope * drift, slope**2 * diffusion
        noise = jax.random.normal(drawn, w.shape, w.dtype)
        change = drift * dt + jnp.sqrt(diffusion * dt) * noise
        if stopping is not None and stopping.counts_flips:
            # the density at thresholds, where the drift jumps, is then of first order in dt instead of one half
            change = change + (drift_at(w + change) - drift) * dt / 2
        if problem.band is not None:
            low, high = problem.band
            change = jnp.where((w > low) & (w < high), change, 0.0)
        return (
            (w + change, stopped)
            if stopping is None
            else stopping.step(stopped, w, w + change, diffusion, time, dt, drawn)
        )

    def error_of(mean, square):
        """The generalization error of weights with these means and mean squares given the particle."""
        m = jnp.mean(problem.equations.teacher_overlap(problem.alpha_1, teacher, mean))
        q = jnp.mean(problem.equations.self_overlap(problem.alpha_2, square))
        return problem.observables(m, q, problem.loss(m, q))["eps_g"]

    def observables(state):
        weights, stopped, averages = state
        w, _, companion = parts(weights)
        image_map = quantizer(w, companion)
        values = problem.observables(*overlaps(w, *companion)) | {"mean_w": jnp.mean(w), "std_w": jnp.std(w)}
        if isinstance(problem.weight_map, Blocks):
            values |= error_by_block(problem, teacher, 1 / teacher.size, image_map(w), image_map.square(w))
        elif isinstance(problem.weight_map, StepMap):
            levels, image = image_map.levels, image_map(w)
            values["level_fraction"] = jnp.mean((image[:, None] == levels[None, :]) * 1.0, axis=0)
        if moving is not None:
            values["range"] = image_map.levels[-1] / problem.weight_map.levels[-1] * moving.start
        elif companion:
            values["second_moment"] = companion[0]
        if stopping is not None:
            values["frozen_fraction"] = jnp.mean(stopped.frozen * 1.0)
        if averaging is not None:
            for name, mean in (("mean_q", averages.images), ("mean_w", averages.latent)):
                values[f"eps_g_{name}"] = error_of(mean, mean**2)
                values[f"eps_g_{name}_rounded"] = error_of(image_map(mean), image_map.square(mean))
        return values

    def to_next_record(state, span):
        first, last, begin, dt = span
        advance = lambda index, state: step(index, state, begin + (index - first) * dt, dt)  # noqa: E731
        state = jax.lax.fori_loop(first, last, advance, state)
        return state, observables(state)

    ends, lengths = jnp.cumsum(steps), steps * dts
    begin = (start,)
    if moving is not None and moving.gradient:
        begin = (start, jnp.asarray(moving.start, start.dtype))
    elif problem.memory is not None:
        begin = (start, problem.companion_start(*overlaps(start)[:2]))
    elif problem.friction is not None:
        begin = (start, 0 * start)
    stopped = None if stopping is None else stopping.begin(start)
    averages = None if averaging is None else Averages(quantizer(start, begin[1:])(start), start)
    spans = (ends - steps, ends, jnp.cumsum(lengths) - lengths, dts)
    return jax.lax.scan(to_next_record, (begin, stopped, averages), spans)[1]


def langevin(eta, friction, drift, diffusion, w: Float[Array, " P"], b: Float[Array, " P"], dt, draws) -> tuple:
    """Weights and mean gradients after a step, exact for a force that stands still; `draws` are two normal numbers.

    With F = -drift/eta, D = diffusion/eta^2 and gamma the friction, db = gamma (F - b) dtau + gamma sqrt(D) dB and
    dw = -eta b dtau: b and its integral over the step are normal together.
    """
    force, noise = -drift / eta, diffusion / eta**2
    lost = -jnp.expm1(-friction * dt)
    twice = -jnp.expm1(-2 * friction * dt)
    variance, common = noise * friction * twice / 2, noise * lost**2 / 2
    of_integral = noise * (dt - 2 * lost / friction + twice / (2 * friction))
    spread = jnp.sqrt(variance)
    # without noise there is nothing to share
    shared = common / jnp.where(spread > 0, spread, 1.0)
    integral = force * dt + (b - force) * lost / friction + shared * draws[0]
    integral = integral + jnp.sqrt(jnp.maximum(of_integral - shared**2, 0.0)) * draws[1]
    return w - eta * integral, b + (force - b) * lost + spread * draws[0]


def _range_speed(problem: Problem, force, teacher: Float[Array, " P"], w: Float[Array, " P"], range_now):
    """d omega/dtau of a learned range at these weights."""
    moving = problem.moving_range
    unit = moved(problem.weight_map, 1 / moving.start)
    u = w / range_now
    derivative = moving.derivative(unit, u)
    force = jnp.stack([jnp.ones(()), -jnp.ones(()), force]) if jnp.ndim(force) == 0 else force
    by_teacher = jnp.mean(problem.alpha_1 * teacher * derivative)
    by_weight = jnp.mean(problem.alpha_2 * derivative * unit(u))
    return moving.speed(problem, force, range_now, by_weight, by_teacher)
