"""The limit by populations of interacting particles: the check that shares no discretization with the density.

Freezing and averages give every particle a memory of its own, which no density of the weights has.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import ConvergenceError, SpecificationError
from steode.parts.quantizers import StepFunction
from steode.parts.remedies import Freezing, OscillationFreezing, RunningAverage
from steode.solvers.averages import Averaging
from steode.solvers.blocks import counts_of
from steode.solvers.domain import learning_rates
from steode.solvers.particles import evolve_particles
from steode.solvers.start import Start
from steode.solvers.stopping import Stopping
from steode.systems.linear.problem import blocks, make_problem, smoothed_descent
from steode.systems.linear.remedy_checks import threshold_function
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.step_length import step_ratio

POPULATIONS = 8
PARTICLES = 20_000
MOST_STEPS = 100_000
"""Time steps of particles beyond which a request is refused: minutes on a core."""


def solve_particles(
    model: LinearModel,
    start: Start,
    times: np.ndarray,
    freezing: Freezing | OscillationFreezing | None,
    average: RunningAverage | None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Observables of the limit at these times and their standard errors; 64-bit floats have to be on.

    Raises `SpecificationError` for more than 100,000 time steps, `ConvergenceError` if weights grow without bound.
    """
    problem = make_problem(model, start.rows(np.zeros(0), 2))
    if model.groups:
        weight_map, band = blocks(model, counts_of(model.shares, PARTICLES))
        problem = dataclasses.replace(problem, weight_map=weight_map, band=band)
    # a small part of the relaxation time, and as many equal steps as end exactly on each reported time
    fastest = float(learning_rates(problem, float(times[-1])).max())
    longest = min(0.02, 0.02 / (fastest * float(jnp.max(problem.alpha_2))))
    drawn = [start.draw(np.random.default_rng(seed), PARTICLES) for seed in range(POPULATIONS)]
    teacher, initial, eigenvalues = (
        None if arrays[0] is None else jnp.asarray(np.stack(arrays)) for arrays in zip(*drawn, strict=True)
    )
    descent = smoothed_descent(model)
    if descent is not None and isinstance(model.weight_quantizer, StepFunction):
        at_fastest = dataclasses.replace(problem, eta=jnp.asarray(fastest))
        longest = min(longest, float(descent.longest_step(at_fastest, teacher[0], initial[0])))
    if isinstance(freezing, OscillationFreezing):
        # bounds the error of the density at thresholds, of first order
        longest = longest / 2
    spans = np.diff(times, prepend=0.0)
    if float(times[-1]) > MOST_STEPS * longest:
        expected = f"at most {MOST_STEPS * longest:.3g}, {MOST_STEPS:,} steps of particles"
        remedy = f"One may not be longer than {longest:.1e}: lower the learning rate or, for SPSA, raise eps and ratio."
        raise SpecificationError("times", expected, float(times[-1]), remedy)
    steps = np.ceil(spans / longest).astype(int)
    dts = spans / np.maximum(steps, 1)
    keys = jax.random.split(jax.random.key(0), POPULATIONS)
    stopping = None if freezing is None else _stopping(problem, model, freezing, eigenvalues)
    averaging = None if average is None else Averaging(average.start, average.memory or np.inf)
    ratios = None if stopping is None or np.ndim(stopping.ratio) < 2 else stopping.ratio
    populations = (teacher, initial, eigenvalues, keys, ratios)
    spans = jnp.asarray(steps), jnp.asarray(dts)
    values = jax.device_get(_evolve_populations(problem, populations, *spans, descent, stopping, averaging))
    if not np.all(np.isfinite(values["std_w"])):
        # a step function hides weights that are not finite: its image of them is a level
        raise ConvergenceError("particles: the weights grow without bound; lower the learning rate, or stop before.")
    error = {name: value.std(axis=0, ddof=1) / np.sqrt(POPULATIONS) for name, value in values.items()}
    return {name: value.mean(axis=0) for name, value in values.items()}, error


def _stopping(problem, model, freezing, eigenvalues) -> Stopping:
    threshold, ratio = threshold_function(freezing), None
    if threshold is not None and eigenvalues is None:
        ratio = jnp.asarray(step_ratio(problem, model, None))
    elif threshold is not None:
        own, index = np.unique(np.asarray(eigenvalues), return_inverse=True)
        ratio = jnp.asarray(step_ratio(problem, model, own)[index].reshape(eigenvalues.shape))
    return Stopping(problem.weight_map, ratio, freezing, threshold)


@eqx.filter_jit
def _evolve_populations(problem, populations, steps, dts, descent, stopping, averaging):
    def one(population):
        teacher, initial, eigenvalues, key, ratio = population
        own = dataclasses.replace(problem, eigenvalues=eigenvalues)
        stops = stopping if ratio is None else dataclasses.replace(stopping, ratio=ratio)
        return evolve_particles(own, teacher, initial, steps, dts, key, descent, stops, averaging)

    return jax.lax.map(one, populations)
