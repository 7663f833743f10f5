"""The verb `simulate`: online SGD itself, at finite dimension, from fresh samples."""

import sys

import jax
import numpy as np
from tqdm import tqdm

from steode import configuration
from steode._version import __version__
from steode.bridge import entrywise_function
from steode.errors import SpecificationError, check_integer, check_positive
from steode.simulate import engine
from steode.simulate.request import key_words, record_steps, seed_sequence, snapshot_steps
from steode.systems.linear.simulation import linear_system
from steode.systems.linear.spec import LinearModel
from steode.trajectory import Provenance, Snapshots, Trajectory, device_name

__all__ = ["simulate"]

TEACHER, INIT, TRAINING, HELD_OUT = range(4)
"""What a seed needs random numbers for; each has a stream of its own."""


def simulate(
    model: LinearModel,
    dim: int,
    t_end: float,
    *,
    seeds: int = 1,
    key: int | jax.Array = 0,
    times=None,
    snapshot_times=(),
    dtype: str = "float32",
    test_samples: int = 0,
    progress: bool | None = None,
) -> Trajectory:
    """Run the training algorithm itself: t_end * dim SGD steps, a fresh sample each, for several seeds.

    Every seed draws its own teacher and initial weights from the model's laws and its own samples. Nothing of the limit
    is used: `eps_g` is the exact input average of half the squared noiseless residual, computed from the weights (see
    `steode.systems.linear.simulation`).

    Parameters
    ----------
    model : the specification.
    dim : input dimension d >= 1.
    t_end : rescaled time tau = step/dim, > 0; the run ends at the last time recorded or kept.
    seeds : number of independent runs, batched in one compiled program.
    key : an integer in [0, 2^64) or a JAX PRNG key. The result is a function of (key, dim, seed number): the same to
        the bit on the same device, whatever is recorded and (on a CPU) however many seeds run.
    times : increasing record times in [0, t_end]; None: 201 equally spaced ones. They are rounded to whole steps, and
        the returned `times` are the exact step/dim, each once.
    snapshot_times : times at which the weights are kept; time 0 always is, with the teacher.
    dtype : "float32" or "float64".
    test_samples : if > 0, record also "eps_g_test", half the mean squared noiseless residual on this many fresh inputs.
    progress : show a progress bar on stderr; None: if stderr is a terminal and the run takes longer than a second.

    Returns
    -------
    Trajectory of kind "simulation"; observables have shape (seeds, times, ...). If interrupted from the keyboard, it
    ends early and `provenance.settings["interrupted"]` is true.

    Raises
    ------
    SpecificationError
        If an argument does not make sense; before anything is computed.
    DivergenceError
        If the weights, or what is measured of them, stop being finite; it names the step, tau and the seed.
    """
    if not isinstance(model, LinearModel):
        raise SpecificationError("model", "a specification such as LinearModel", model, "See steode.LinearModel.")
    dim, seeds = check_integer("dim", dim, 1), check_integer("seeds", seeds, 1)
    t_end = check_positive("t_end", t_end)
    test_samples = check_integer("test_samples", test_samples, 0)
    if dtype not in ("float32", "float64"):
        raise SpecificationError("dtype", '"float32" or "float64"', dtype, "float32 is accurate enough.")
    words = key_words(key)
    records, snapshots = record_steps(times, t_end, dim), snapshot_steps(snapshot_times, t_end, dim)
    plan = engine.Plan(records, snapshots, steps_per_unit=dim, test_samples=test_samples)

    def draw(law, purpose):
        generators = (np.random.default_rng(seed_sequence(words, dim, seed, purpose)) for seed in range(seeds))
        return np.stack([law.sample(generator, dim) for generator in generators]).astype(dtype)

    teacher, weights = draw(model.teacher, TEACHER), draw(model.init, INIT)
    keys = [
        [seed_sequence(words, dim, seed, purpose).generate_state(2) for purpose in (TRAINING, HELD_OUT)]
        for seed in range(seeds)
    ]
    visible = sys.stderr.isatty() if progress is None else progress
    delay = 1.0 if progress is None else 0.0
    with (
        jax.enable_x64(dtype == "float64"),
        tqdm(total=plan.steps, unit="step", desc="simulate", delay=delay, disable=not visible) as bar,
    ):
        system = linear_system(model, dim, dtype, entrywise_function)
        fixed, state = jax.numpy.asarray(teacher), jax.numpy.asarray(weights)
        run = engine.run(system, fixed, state, np.array(keys, np.uint32), plan, bar.update)
    settings = {
        "dim": dim,
        "t_end": t_end,
        "seeds": seeds,
        "key": [int(word) for word in words],
        "dtype": dtype,
        "test_samples": test_samples,
        "interrupted": run.interrupted,
    }
    return Trajectory(
        times=run.records / dim,
        observables={name: values.astype(np.float64) for name, values in run.observables.items()},
        error={},
        density=None,
        snapshots=Snapshots(run.snapshots / dim, run.states, teacher),
        provenance=Provenance(
            kind="simulation",
            method="sgd",
            specification=configuration.to_dict(model),
            settings=settings,
            version=__version__,
            device=device_name(),
        ),
    )
