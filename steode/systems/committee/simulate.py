"""The verb `simulate` of a committee machine: online training at finite dimension, several seeds."""

import hashlib
import sys

import jax
import numpy as np
from tqdm import tqdm

from steode._version import __version__
from steode.bridge import check_learning_rate, entrywise_function
from steode.engine import engine
from steode.engine.checkpoint import Checkpoint
from steode.engine.request import key_words, record_steps, seed_sequence, snapshot_steps
from steode.errors import LARGEST, SpecificationError, check_integer, check_nonnegative, check_path, check_positive
from steode.parts.schedule import check_writable
from steode.systems.committee import rows
from steode.systems.committee.averages import unit_functions
from steode.systems.committee.configuration import to_dict
from steode.systems.committee.simulation import committee_system
from steode.systems.committee.spec import CommitteeModel, check_model
from steode.systems.committee.trajectory import CommitteeTrajectory
from steode.systems.linear.trajectory import Provenance, Snapshots, device_name

TEACHER, INIT, TRAINING, HELD_OUT = range(4)
"""What a seed needs random numbers for; each has a stream of its own."""


def simulate(
    model: CommitteeModel,
    dim: int,
    t_end: float,
    *,
    seeds: int = 1,
    key: int | jax.Array = 0,
    times=None,
    snapshot_times=(),
    dtype: str = "float32",
    test_samples: int = 0,
    checkpoint=None,
    checkpoint_seconds: float = 30.0,
    progress: bool | None = None,
) -> CommitteeTrajectory:
    """Run the training algorithm itself: t_end * dim steps of `CommitteeModel`, fresh samples in each, several seeds.

    Every seed draws its own teacher and initial weights and its own samples. eps_g is measured from the weights by
    numerical integration over the Gaussian pre-activations that they make, which shares nothing with the limit.

    Parameters
    ----------
    model : the specification.
    dim : input dimension d >= 1.
    t_end : rescaled time tau = step/d, > 0.
    seeds : number of independent runs.
    key : an integer in [0, 2^64) or a JAX PRNG key; the result is a function of (key, dim, seed number).
    times : increasing record times in [0, t_end]; None: 201 equally spaced ones; "log": equally spaced logarithms.
    snapshot_times : times at which the weights are kept; time 0 always is, with the teacher.
    dtype : "float32" or "float64".
    test_samples : if > 0, record also "eps_g_test", on so many fresh batches.
    checkpoint : a path; what is done is written there at least every `checkpoint_seconds`, and a run of the same
        request goes on from there.
    progress : show a progress bar on stderr; None: if stderr is a terminal and the run takes longer than a second.

    Returns
    -------
    `CommitteeTrajectory` of kind "simulation"; observables have shape (seeds, times, ...).

    Raises
    ------
    SpecificationError
        If an argument does not make sense, or the run does not fit into memory.
    DivergenceError
        If weights stop being finite.
    """
    check_model(model)
    dim, seeds = check_integer("dim", dim, 1), check_integer("seeds", seeds, 1)
    t_end = check_positive("t_end", t_end)
    every = check_nonnegative("checkpoint_seconds", checkpoint_seconds)
    test_samples = check_integer("test_samples", test_samples, 0)
    if dtype not in ("float32", "float64"):
        raise SpecificationError("dtype", '"float32" or "float64"', dtype, "float32 is accurate enough.")
    for rate in (model.learning_rate, model.output_learning_rate):
        if rate is not None:
            check_learning_rate(rate, t_end, largest=LARGEST)
    records, snapshots = record_steps(times, t_end, dim), snapshot_steps(snapshot_times, t_end, dim)
    plan = engine.Plan(records, snapshots, steps_per_unit=dim, test_samples=test_samples)
    words = key_words(key)

    def stream(seed: int, purpose: int) -> np.random.SeedSequence:
        return seed_sequence(words, dim, seed, purpose)

    teacher, weights = _drawn(model, dim, [(stream(seed, TEACHER), stream(seed, INIT)) for seed in range(seeds)])
    keys = np.array(
        [[stream(seed, use).generate_state(2) for use in (TRAINING, HELD_OUT)] for seed in range(seeds)], np.uint32
    )
    settings = {"dim": dim, "t_end": t_end, "seeds": seeds, "key": [int(word) for word in words], "dtype": dtype}
    settings |= {"test_samples": test_samples}
    specification = to_dict(model)
    with jax.enable_x64(dtype == "float64"):
        function, _, surrogate = unit_functions(model)
        system = committee_system(model, dim, dtype, (function, surrogate), entrywise_function)
        readout = np.broadcast_to(model.readout, (seeds, model.hidden))
        begin = engine.Progress.begin((weights.astype(dtype), readout.astype(dtype)))
        saving = {}
        if checkpoint is not None:
            check_writable(specification)
            request = _request(specification, settings, (records, snapshots, teacher, weights, keys))
            file = Checkpoint(check_path("checkpoint", checkpoint), request, plan, every)
            begin = file.load(begin)
            saving = {"save": file.save, "due": file.due}
        visible = sys.stderr.isatty() if progress is None else progress
        delay = 1.0 if progress is None else 0.0
        with tqdm(total=plan.steps, unit="step", desc="simulate", delay=delay, disable=not visible) as bar:
            run = engine.run(system, teacher.astype(dtype), keys, plan, begin, advance=bar.update, **saving)
    observables = {name: values.astype(np.float64) for name, values in run.observables.items()}
    kept = Snapshots(run.snapshots / dim, np.asarray(run.states[0]), teacher.astype(dtype))
    settings |= {"interrupted": run.interrupted}
    provenance = Provenance("simulation", "sgd", specification, settings, __version__, device_name(), model)
    return CommitteeTrajectory(run.records / dim, observables, {}, None, kept, provenance)


def _drawn(model: CommitteeModel, dim: int, streams: list) -> tuple[np.ndarray, np.ndarray]:
    """Teachers (S, M, d) and initial weights (S, K, d)."""
    teachers = [rows.draw_teacher(model, np.random.default_rng(one), dim) for one, _ in streams]
    starts = [
        rows.draw_start(model, np.random.default_rng(one), teacher)
        for (_, one), teacher in zip(streams, teachers, strict=True)
    ]
    return np.stack(teachers), np.stack(starts)


def _request(specification: dict, settings: dict, arrays: tuple) -> dict:
    """All that the numbers of a run depend on."""
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
    return {"version": __version__, "specification": specification, "settings": settings, "arrays": digest}
