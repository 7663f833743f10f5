"""From a request to trajectories: checks, draws, one engine run in this process, and the join of all processes."""

import dataclasses
import hashlib
import sys

import jax
import numpy as np
from tqdm import tqdm

from steode._version import __version__
from steode.bridge import check_schedules, entrywise_function
from steode.engine import engine, memory, processes
from steode.engine.checkpoint import Checkpoint
from steode.engine.request import (
    given_weights,
    histogram_edges,
    key_words,
    record_steps,
    rotation,
    seed_sequence,
    snapshot_steps,
)
from steode.errors import (
    LARGEST,
    DivergenceError,
    SpecificationError,
    check_integer,
    check_nonnegative,
    check_path,
    check_positive,
)
from steode.parts.quantizers import StepFunction
from steode.parts.range_rules import FixedRange
from steode.parts.remedies import Freezing, OscillationFreezing, RunningAverage
from steode.parts.schedule import check_writable
from steode.systems.linear import configuration
from steode.systems.linear.literal.averaging import averaging_system
from steode.systems.linear.literal.counting import CountingSystem
from steode.systems.linear.literal.freezing import freezing_system
from steode.systems.linear.literal.groups import draw_weights
from steode.systems.linear.literal.measurement import held_out_batches
from steode.systems.linear.literal.paired import paired_system
from steode.systems.linear.literal.storage import ROUNDINGS, SIGNIFICANT, StoredSystem
from steode.systems.linear.literal.system import linear_system
from steode.systems.linear.remedy_checks import check_remedies, remedies_written, threshold_function
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.trajectory import Provenance, Snapshots, Trajectory, device_name

TEACHER, INIT, TRAINING, HELD_OUT, ROTATION = range(5)
"""What random numbers are for; each has a stream of its own. One rotation serves all seeds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The keyword arguments of `simulate`, whose docstring explains them."""

    seeds: int = 1
    key: object = 0
    times: object = None
    snapshot_times: object = ()
    dtype: str = "float32"
    test_samples: int = 0
    basis: str = "eigenbasis"
    histogram_edges: object = None
    flips: bool = False
    weight_format: str | None = None
    weight_rounding: str = "nearest"
    freezing: Freezing | OscillationFreezing | None = None
    average: RunningAverage | None = None
    teacher_weights: object = None
    initial_weights: object = None
    checkpoint: object = None
    checkpoint_seconds: float = 30.0
    progress: bool | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A checked request, and what this process needs for its share of the seeds `mine`, of which there are S.

    `teacher` (S, d), `initial` (S, C, d) for C models, both in the axes that are quantized, `rotation` (d, d) into
    them, `keys` (S, 2, 2); `settings` is the part for the provenance.
    """

    models: tuple[LinearModel, ...]
    dim: int
    dtype: str
    plan: engine.Plan
    edges: np.ndarray | None
    mine: np.ndarray
    teacher: np.ndarray
    initial: np.ndarray
    rotation: np.ndarray | None
    keys: np.ndarray
    settings: dict


def simulate_models(
    models: tuple[LinearModel, ...], dim: int, t_end: float, options: Options
) -> tuple[Trajectory, ...]:
    """One trajectory for each model; several share their samples. See `simulate` and `simulate_paired`."""
    every = check_nonnegative("checkpoint_seconds", options.checkpoint_seconds)
    job = _prepare(models, dim, t_end, options)
    with jax.enable_x64(job.dtype == "float64"):
        # before the checkpoint is touched: a system may refuse the dimension
        build = job.dim, job.dtype, entrywise_function, job.edges, job.rotation
        system = paired_system(models, *build) if len(models) > 1 else linear_system(models[0], *build)
        if options.weight_format is not None:
            stochastic = options.weight_rounding == "stochastic"
            system = StoredSystem(system, SIGNIFICANT[options.weight_format], stochastic)
        if options.freezing is not None:
            threshold = threshold_function(options.freezing)
            system = freezing_system(system, models[0].weight_quantizer, options.freezing, threshold)
        if options.average is not None:
            system = averaging_system(system, options.average)
        if options.flips:
            system = CountingSystem(system, jax.numpy.asarray(models[0].weight_quantizer.thresholds, job.dtype))
        begin = engine.Progress.begin(system.begin(job.initial if len(models) > 1 else job.initial[:, 0]))
        checkpoint = None
        if options.checkpoint is not None:
            path = processes.own_file(check_path("checkpoint", options.checkpoint))
            checkpoint = Checkpoint(path, _fingerprint(job), job.plan, every)
            begin = checkpoint.load(begin)
        run = _run(job, system, begin, checkpoint, options.progress)
        teacher = processes.everywhere(job.teacher, job.settings["seeds"])
    taken = np.asarray(system.weights(run.states))
    return tuple(_trajectory(job, run, taken, teacher, index) for index in range(len(models)))


def _prepare(models: tuple[LinearModel, ...], dim: int, t_end: float, options: Options) -> Job:
    if not models:
        raise SpecificationError("models", "at least one model", models, "For example two learning rates.")
    for model in models:
        if not isinstance(model, LinearModel):
            raise SpecificationError("model", "a specification such as LinearModel", model, "See steode.LinearModel.")
    dim, seeds = check_integer("dim", dim, 1), check_integer("seeds", options.seeds, 1)
    t_end = check_positive("t_end", t_end)
    for model in models:
        # a rate at which training diverges is for the runs to find out
        check_schedules(model, t_end, largest=LARGEST)
        if options.checkpoint is not None:
            check_writable(configuration.to_dict(model) | remedies_written(options.freezing, None).get("freezing", {}))
    test_samples = check_integer("test_samples", options.test_samples, 0)
    dtype = options.dtype
    if dtype not in ("float32", "float64"):
        raise SpecificationError("dtype", '"float32" or "float64"', dtype, "float32 is accurate enough.")
    if options.flips:
        _check_flips(models)
    if options.weight_format is not None:
        _check_storage(models, options)
    if len(models) > 1 and (options.freezing or options.average):
        given = "freezing" if options.freezing else "average"
        raise SpecificationError(given, "None for several models", getattr(options, given), "Run each alone.")
    check_remedies(models[0], t_end, options.freezing, options.average)
    records, snapshots = record_steps(options.times, t_end, dim), snapshot_steps(options.snapshot_times, t_end, dim)
    edges = histogram_edges(options.histogram_edges)
    words = key_words(options.key)
    mine = processes.share(seeds)
    memory.check(memory.drawn(dim, mine.size, len(models), options.basis == "rotated"), jax.local_devices())
    turn = rotation(options.basis, dim, seed_sequence(words, dim, 0, ROTATION))
    test_samples = test_samples or max(held_out_batches(model, turn is not None) for model in models)
    given = {
        name: given_weights(name, getattr(options, name), seeds, dim) for name in ("teacher_weights", "initial_weights")
    }

    def draw(model, field, name, purpose):
        if given[name] is not None:
            weights = given[name][mine]
        else:
            generators = (np.random.default_rng(seed_sequence(words, dim, int(seed), purpose)) for seed in mine)
            weights = np.stack([draw_weights(model, field, generator, dim) for generator in generators])
        return (weights if turn is None else weights @ turn.T).astype(dtype)

    def seed_keys(seed):
        return [seed_sequence(words, dim, int(seed), purpose).generate_state(2) for purpose in (TRAINING, HELD_OUT)]

    settings = {
        "dim": dim,
        "t_end": t_end,
        "seeds": seeds,
        "key": [int(word) for word in words],
        "dtype": dtype,
        "test_samples": test_samples,
        "basis": options.basis,
        "given": [name for name, array in given.items() if array is not None],
        "paired": len(models),
    } | ({"flips": True} if options.flips else {})
    settings |= remedies_written(options.freezing, options.average)
    if options.weight_format is not None:
        settings |= {"weight_format": options.weight_format, "weight_rounding": options.weight_rounding}
    return Job(
        models=models,
        dim=dim,
        dtype=dtype,
        plan=engine.Plan(records, snapshots, steps_per_unit=dim, test_samples=test_samples),
        edges=edges,
        mine=mine,
        teacher=draw(models[0], "teacher", "teacher_weights", TEACHER),
        initial=np.stack([draw(model, "init", "initial_weights", INIT) for model in models], axis=1),
        rotation=turn,
        keys=np.array([seed_keys(seed) for seed in mine], np.uint32),
        settings=settings,
    )


def _check_storage(models: tuple[LinearModel, ...], options: Options) -> None:
    if len(models) > 1:
        raise SpecificationError("weight_format", "None for several models", options.weight_format, "Run each alone.")
    if options.weight_format not in SIGNIFICANT:
        raise SpecificationError("weight_format", "one of " + ", ".join(SIGNIFICANT), options.weight_format, "")
    if options.weight_rounding not in ROUNDINGS:
        raise SpecificationError("weight_rounding", "one of " + ", ".join(ROUNDINGS), options.weight_rounding, "")


def _check_flips(models: tuple[LinearModel, ...]) -> None:
    if len(models) > 1:
        raise SpecificationError("flips", "False for several models", True, "Run each with simulate.")
    quantizer = models[0].weight_quantizer
    if models[0].groups:
        raise SpecificationError("flips", "False with groups", True, "Every group has thresholds of its own.")
    if not isinstance(quantizer, StepFunction):
        remedy = "Only weights quantized by a step function change their level when they move."
        raise SpecificationError("flips", f"False with {quantizer}", True, remedy)
    if not isinstance(models[0].range_rule, FixedRange):
        remedy = "Its thresholds move as well as the weights."
        raise SpecificationError("flips", f"False with {models[0].range_rule}", True, remedy)


def _fingerprint(job: Job) -> dict:
    """All that the numbers of a run depend on."""
    arrays = [job.plan.records, job.plan.snapshots, job.teacher, job.initial, job.keys]
    arrays += [] if job.edges is None else [job.edges]
    return {
        "version": __version__,
        "specifications": [configuration.to_dict(model) for model in job.models],
        "settings": job.settings,
        "seeds of this process": job.mine.tolist(),
        "arrays": hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest(),
    }


def _run(
    job: Job, system: engine.System, begin: engine.Progress, checkpoint: Checkpoint | None, progress: bool | None
) -> engine.Run:
    visible = sys.stderr.isatty() if progress is None else progress
    delay = 1.0 if progress is None else 0.0
    saving = {} if checkpoint is None else {"save": checkpoint.save, "due": checkpoint.due}
    run = failure = None
    with tqdm(total=job.plan.steps, unit="step", desc="simulate", delay=delay, disable=not visible) as bar:
        try:
            run = engine.run(system, job.teacher, job.keys, job.plan, begin, advance=bar.update, **saving)
        except DivergenceError as error:
            failure = error
            failure.seed = int(job.mine[failure.seed])
            failure.last_state = system.weights(failure.last_state)
    return processes.gather(run, failure, job.plan, job.settings["seeds"])


def _trajectory(job: Job, run: engine.Run, taken: np.ndarray, teacher: np.ndarray, index: int) -> Trajectory:
    def own(array):  # (S, T, C, ...) where several models were run
        return array if len(job.models) == 1 else array[:, :, index]

    model = job.models[index]
    observables = {name: own(values).astype(np.float64) for name, values in run.observables.items()}
    if "level_fraction" in observables:  # paired models have as many columns as the finest of them
        levels = model.weight_quantizer.levels.size
        observables["level_fraction"] = observables["level_fraction"][..., :levels]
    return Trajectory(
        times=run.records / job.dim,
        observables=observables,
        error={},
        density=None,
        snapshots=Snapshots(run.snapshots / job.dim, own(taken), teacher),
        provenance=Provenance(
            kind="simulation",
            method="sgd",
            specification=configuration.to_dict(model),
            settings=job.settings | {"interrupted": run.interrupted},
            version=__version__,
            device=device_name(),
            model=model,
        ),
    )
