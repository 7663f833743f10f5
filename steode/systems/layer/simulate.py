"""The verb `simulate` of a layer: training itself, all rows at once."""

import dataclasses
import hashlib
import sys

import jax
import numpy as np
from tqdm import tqdm

from steode._version import __version__
from steode.bridge import check_learning_rate, entrywise_function
from steode.engine import engine
from steode.engine.checkpoint import Checkpoint
from steode.engine.request import key_words, record_steps, seed_sequence
from steode.errors import (
    LARGEST,
    SpecificationError,
    check_finite,
    check_integer,
    check_nonnegative,
    check_path,
    check_positive,
)
from steode.parts.remedies import Dampening, Freezing
from steode.parts.schedule import Schedule
from steode.systems.layer.runs import LayerRuns
from steode.systems.layer.simulation import layer_system
from steode.systems.layer.spec import LayerModel, check_model

TRAINING, HELD_OUT, ORDER = 2, 3, 5
"""What a seed needs random numbers for; each has a stream of its own."""


def simulate(
    model: LayerModel,
    t_end: float,
    *,
    data: str | None = None,
    seeds: int = 1,
    key: int | jax.Array = 0,
    times=None,
    dtype: str = "float32",
    learning_rate: Schedule | None = None,
    remedy: Dampening | Freezing | None = None,
    average_from: float | None = None,
    test_samples: int = 0,
    checkpoint=None,
    checkpoint_seconds: float = 30.0,
    progress: bool | None = None,
) -> LayerRuns:
    """Train the layer with the straight-through estimator, t_end * d steps, for several seeds.

    Recorded are V of every row, from the second moment of the inputs that are trained on, how often weights changed
    their level, and the shares of weights at the levels. Seeds share weights and activations; samples and label noise
    are their own.

    Parameters
    ----------
    model : the specification.
    t_end : rescaled time tau = step/d, > 0.
    data : "epochs": the model's activations, all once in a new order in every epoch (what is left over of a batch is
        dropped); "online": one drawn at random every time; "gaussian": fresh Gaussian inputs with the model's K (with
        its damping). None: epochs where there are activations.
    seeds : number of independent runs.
    key : an integer in [0, 2^64) or a JAX PRNG key; the result is a function of (key, d, seed number).
    times : increasing record times in [0, t_end]; None: 201 equally spaced ones; "log": equally spaced logarithms.
    dtype : "float32" or "float64".
    learning_rate : a `Schedule` in place of the model's rate.
    remedy : `Dampening` or `Freezing`.
    average_from : time from which latent weights are averaged; "V_average" is V of their mean, rounded.
    test_samples : if > 0, record also "V_test", on so many fresh batches, of Gaussian data.
    checkpoint : a path; what is done is written there at least every `checkpoint_seconds`, and a run of the same
        request goes on from there.
    progress : show a progress bar on stderr; None: if stderr is a terminal and the run takes longer than a second.

    Returns
    -------
    `LayerRuns`.

    Raises
    ------
    SpecificationError
        If an argument does not make sense, or the run does not fit into memory.
    DivergenceError
        If weights stop being finite.
    """
    check_model(model)
    data = _data(model, data)
    seeds, test_samples = check_integer("seeds", seeds, 1), check_integer("test_samples", test_samples, 0)
    t_end = check_positive("t_end", t_end)
    every = check_nonnegative("checkpoint_seconds", checkpoint_seconds)
    if dtype not in ("float32", "float64"):
        raise SpecificationError("dtype", '"float32" or "float64"', dtype, "float32 is accurate enough.")
    if test_samples and data != "gaussian":
        remedy_text = "V is the exact average over activations as it is."
        raise SpecificationError("test_samples", "0 with activations", test_samples, remedy_text)
    functions = _functions(learning_rate, remedy, t_end)
    records = record_steps(times, t_end, model.dim)
    if average_from is not None:
        average_from = round(check_finite("average_from", average_from) * model.dim)
        if not 0 <= average_from < records[-1]:
            expected = f"a time in [0, {records[-1] / model.dim:g})"
            raise SpecificationError("average_from", expected, average_from / model.dim, "The run ends there.")
    plan = engine.Plan(records, np.unique([0, records[-1]]), steps_per_unit=model.dim, test_samples=test_samples)
    words = key_words(key)
    streams = [[seed_sequence(words, model.dim, s, use) for use in (TRAINING, HELD_OUT, ORDER)] for s in range(seeds)]
    keys = np.array([[stream.generate_state(2) for stream in three] for three in streams], np.uint32)
    with jax.enable_x64(dtype == "float64"):
        system = layer_system(model, data, dtype, **functions, remedy=remedy, average_from=average_from)
        state = system.begin(np.asarray(model.start, dtype))
        begin = engine.Progress.begin(jax.tree.map(lambda leaf: np.broadcast_to(leaf, (seeds, *leaf.shape)), state))
        saving = {}
        if checkpoint is not None:
            given = [data, seeds, dtype, learning_rate, remedy, average_from, test_samples]
            request = _request(model, given, (records, keys))
            file = Checkpoint(check_path("checkpoint", checkpoint), request, plan, every)
            begin = file.load(begin)
            saving = {"save": file.save, "due": file.due}
        visible = sys.stderr.isatty() if progress is None else progress
        delay = 1.0 if progress is None else 0.0
        with tqdm(total=plan.steps, unit="step", desc="simulate", delay=delay, disable=not visible) as bar:
            run = engine.run(system, keys[:, 2], keys[:, :2], plan, begin, advance=bar.update, **saving)
    values = {name: array.astype(np.float64) for name, array in run.observables.items()}
    weights = np.asarray(run.states["w"][:, -1], float)
    return LayerRuns(model, run.records / model.dim, values, weights, data, run.interrupted)


def _data(model: LayerModel, data: str | None) -> str:
    known = ("gaussian",) if model.activations is None else ("epochs", "online", "gaussian")
    if data is None:
        return known[0]
    if not isinstance(data, str) or data not in known:
        remedy = "Epochs and online training need activations." if model.activations is None else ""
        raise SpecificationError("data", " or ".join(f'"{name}"' for name in known), data, remedy)
    if data == "epochs" and model.activations.shape[0] < model.batch_size:
        expected = f"at least a batch of {model.batch_size} activations"
        raise SpecificationError(
            "data", expected, f"{model.activations.shape[0]}", 'Take "online", or smaller batches.'
        )
    return data


def _functions(learning_rate, remedy, t_end: float) -> dict:
    """The compiled functions of time among the options."""
    found = {"schedule": None, "strength": None}
    if learning_rate is not None:
        if not isinstance(learning_rate, Schedule):
            hint = "A constant belongs to the model: model.replace(learning_rate=...)."
            raise SpecificationError("learning_rate", "a Schedule or None", learning_rate, hint)
        check_learning_rate(learning_rate, t_end, largest=LARGEST)
        found["schedule"] = entrywise_function(learning_rate)
    if remedy is not None and not isinstance(remedy, Dampening | Freezing):
        raise SpecificationError("remedy", "Dampening, Freezing or None", remedy, 'Dampening(Schedule("tau/10")).')
    if isinstance(remedy, Dampening):
        strength = remedy.strength
        constant = not isinstance(strength, Schedule)
        found["strength"] = (lambda time: strength) if constant else entrywise_function(strength)
    return found


def _request(model: LayerModel, options: list, arrays: tuple) -> dict:
    """All that the numbers of a run depend on."""
    digest = hashlib.sha256()
    plain = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if isinstance(value, np.ndarray):
            digest.update(field.name.encode() + np.ascontiguousarray(value).tobytes())
        else:
            plain[field.name] = repr(value)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "version": __version__,
        "model": plain,
        "options": [repr(option) for option in options],
        "arrays": digest.hexdigest(),
    }
