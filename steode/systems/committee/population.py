"""Particles of a model, refined until their estimated error is what is wanted."""

import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import ConvergenceError
from steode.parts.schedule import Schedule
from steode.systems.committee import rows
from steode.systems.committee.particles import evolve_populations, extrapolated
from steode.systems.committee.problem import Problem
from steode.systems.committee.spec import CommitteeModel

POPULATIONS = 8
FIRST, MOST = 4096, 2**19
"""Particles of a population at first, and where refinement ends."""
LONGEST, SHORTEST = 0.1, 1e-3
"""Steps at first, in units of the fastest relaxation time 1/(eta alpha_2 sum v^2), and where refinement ends."""
MOST_WORK = 4e10
"""Particles times steps of one refinement: minutes on a core."""
CAREFUL = 1.5
"""Particles are raised beyond what the estimated error asks for by this factor, so that one refinement does."""


def particles(model: CommitteeModel, problem: Problem, times: np.ndarray, tolerance: float, start, count, key: int):
    """Observables at the times, and error estimates; see `solve`. Raises `ConvergenceError` if it stays too large."""
    size = FIRST if count is None else count
    longest = LONGEST / _speed(model, problem, times)
    shortest = longest * SHORTEST / LONGEST
    while True:
        pairs, dts = _spans(times, longest)
        work = POPULATIONS * size * max(pairs.sum(), 1) * 4
        if work > MOST_WORK:
            raise ConvergenceError(
                f"particles: error {tolerance:g} asks for {size} particles in {2 * pairs.sum()} steps, more than "
                f"minutes; raise tolerance, or give count and a shorter t_end."
            )
        fine, coarse = _run(model, problem, size, pairs, dts, start, key)
        if not all(np.all(np.isfinite(value)) for value in fine.values()):
            raise ConvergenceError("particles: the weights grow without bound; lower the learning rate.")
        values, step_error = {}, {}
        for name in fine:
            values[name], step_error[name] = extrapolated(fine[name], coarse[name], problem.band is not None)
        spread = {name: value.std(axis=0, ddof=1) / np.sqrt(POPULATIONS) for name, value in values.items()}
        own = {name: np.abs(value.mean(axis=0)) for name, value in step_error.items()}
        scale = tolerance * np.abs(values["eps_g"].mean(axis=0)).max()
        statistics, step = spread["eps_g"].max() / scale, own["eps_g"].max() / scale
        too_few, too_rough = statistics > 0.8 and count is None, step > 0.5
        if too_few:
            size = int(size * max(2.0, CAREFUL * statistics**2))
        if too_rough:
            longest /= 2
        # not after minutes of particles that cannot be enough
        if (too_few and size > MOST) or (too_rough and longest < shortest):
            break
        if too_few or too_rough:
            continue
        mean = {name: value.mean(axis=0) for name, value in values.items()}
        return mean, {name: np.hypot(spread[name], own[name]) for name in mean}
    worst = times[int(np.argmax(np.hypot(spread["eps_g"], own["eps_g"])))]
    raise ConvergenceError(
        f"particles: the error of eps_g is {max(statistics, step) * scale:.2g} at tau = {worst:g}, wanted {scale:.2g}. "
        "Raise tolerance, or give the number of particles by count and read .error; from a start without asymmetry "
        "the particles' own fluctuations decide when units become different."
    )


def _spans(times: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of equal steps that end exactly on each time, and their lengths."""
    spans = np.diff(times, prepend=0.0)
    pairs = np.ceil(spans / (2 * longest)).astype(int)
    return pairs, spans / np.maximum(2 * pairs, 1)


def _run(model, problem, size: int, pairs, dts, start, key: int):
    generators = [np.random.default_rng([key, number]) for number in range(POPULATIONS)]
    if start is None:
        teacher = [rows.draw_teacher(model, generator, size) for generator in generators]
        weights = [rows.draw_start(model, generator, own) for generator, own in zip(generators, teacher, strict=True)]
    else:
        # every coordinate as often as any other
        copies = max(1, round(size / start[0].shape[1]))
        teacher, weights = ([np.tile(part, copies)] * POPULATIONS for part in start)
    arrays = (jnp.asarray(np.stack(part).swapaxes(1, 2), jnp.float32) for part in (teacher, weights))
    keys = jax.random.split(jax.random.key(key), POPULATIONS)
    return jax.device_get(
        evolve_populations(problem, *arrays, jnp.asarray(model.readout), jnp.asarray(pairs), jnp.asarray(dts), keys)
    )


def _speed(model: CommitteeModel, problem: Problem, times: np.ndarray) -> float:
    """The fastest rate at which weights relax, roughly: eta alpha_2 times the sum of the squared output weights."""
    rate = model.learning_rate
    if isinstance(rate, Schedule):
        rate = max(float(problem.learning_rate(time)) for time in np.linspace(0, times[-1], 201))
    return rate * float(problem.alpha_2) * max(float(np.sum(model.readout**2)), 1.0) / model.hidden**0.5
