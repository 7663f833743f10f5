"""The verb `simulate`: coarse-gradient training from fresh samples, several seeds."""

import functools
from collections.abc import Callable

import jax
import numpy as np
import scipy.stats
from tqdm import tqdm

from steode.bridge import compile_expression
from steode.engine import engine
from steode.engine.request import MAX_STEPS, key_words, seed_sequence
from steode.errors import SpecificationError, check_integer
from steode.systems.binary_relu.surrogates import Surrogate, X
from steode.systems.classification.results import ClassificationRuns
from steode.systems.classification.simulation import classification_system
from steode.systems.classification.spec import ClassificationModel, check_model

INIT, ROTATION, TRAINING, HELD_OUT = range(4)
"""What a seed needs random numbers for; each has a stream of its own."""
RECORDS = 30
"""Records of a run if none are asked for, besides the one at the start."""


def simulate(
    model: ClassificationModel,
    steps: int,
    *,
    seeds: int = 1,
    key: int | jax.Array = 0,
    record=None,
    init=None,
    test_samples: int = 2000,
    dtype: str = "float32",
    progress: bool = False,
) -> ClassificationRuns:
    """Run the update of `ClassificationModel`, with fresh samples in every step, for several seeds.

    Parameters
    ----------
    model : the specification.
    steps : number N >= 1 of steps.
    seeds : number of independent runs: initial weights, rotation and samples are their own.
    key : an integer in [0, 2^64) or a JAX PRNG key; the result is a function of (key, input dimension, seed number).
    record : increasing numbers of steps in [0, N] after which weights and losses are recorded; None: 0 and 30 steps
        at equal ratios up to N. The run ends at the last of them.
    init : initial weights in the coordinates of the subspaces, shape (K, sum of d_i), or (seeds, K, sum of d_i); None:
        drawn as the model says.
    test_samples : fresh samples for every record, >= 1, rounded up to whole batches.
    dtype : "float32" or "float64".
    progress : show a progress bar on stderr.

    Returns
    -------
    `ClassificationRuns`.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    DivergenceError
        If weights stop being finite.
    """
    check_model(model)
    steps = check_integer("steps", steps, 1, MAX_STEPS)
    seeds, test_samples = check_integer("seeds", seeds, 1), check_integer("test_samples", test_samples, 1)
    if dtype not in ("float32", "float64"):
        raise SpecificationError("dtype", '"float32" or "float64"', dtype, "float32 is accurate enough.")
    record = _record(record, steps)
    words = key_words(key)

    def stream(seed: int, purpose: int) -> np.random.SeedSequence:
        return seed_sequence(words, model.input_dimension, seed, purpose)

    basis = _bases(model, [stream(seed, ROTATION) for seed in range(seeds)])
    start = _initial(model, init, basis, [stream(seed, INIT) for seed in range(seeds)])
    keys = [[stream(seed, use).generate_state(2) for use in (TRAINING, HELD_OUT)] for seed in range(seeds)]
    with jax.enable_x64(dtype == "float64"), tqdm(total=int(record[-1]), unit="step", disable=not progress) as bar:
        system = classification_system(model, compiled_derivative(model.slope), dtype)
        plan = engine.Plan(record, np.array([0]), steps_per_unit=1, test_samples=-(-test_samples // system.batch))
        state = engine.Progress.begin((start.astype(dtype), np.zeros(seeds, np.int32)))
        fixed = None if basis is None else basis.astype(dtype)
        run = engine.run(system, fixed, np.array(keys, np.uint32), plan, state, advance=bar.update)
    if run.interrupted:
        # half a run says nothing about perfection
        raise KeyboardInterrupt
    found = dict(run.observables)
    last = found.pop("last_loss")[:, -1].astype(np.int64)
    weights = found.pop("weights").astype(np.float32 if dtype == "float32" else float)
    values = {name: array.astype(float) for name, array in found.items()}
    samples = plan.test_samples * system.batch
    return ClassificationRuns(model, run.records, weights, **values, last_loss=last, test_samples=samples,
                              key=tuple(int(word) for word in words))  # fmt: skip


def _record(record, steps: int) -> np.ndarray:
    if record is None:
        return np.unique(np.append(0, np.geomspace(1, steps, RECORDS).round())).astype(np.int64)
    array = np.asarray(record)
    if array.dtype.kind not in "iu" or array.ndim != 1 or not array.size or np.any(np.diff(array) <= 0):
        raise SpecificationError("record", "increasing numbers of steps", record, "For example (0, 10, 100).")
    if array[0] < 0 or array[-1] > steps:
        raise SpecificationError("record", f"numbers between 0 and {steps}", record, "Raise steps or remove them.")
    return array.astype(np.int64)


def _bases(model: ClassificationModel, streams) -> np.ndarray | None:
    """An orthonormal basis of the subspaces for each seed, (seeds, input dimension, sum of d_i); None for unit ones."""
    space = sum(model.dimensions)
    if model.rotated:
        turns = [scipy.stats.ortho_group(model.input_dimension, np.random.default_rng(one)).rvs() for one in streams]
        return np.stack(turns)[:, :, :space]
    if model.input_dimension == space:
        return None
    return np.broadcast_to(np.eye(model.input_dimension, space), (len(streams), model.input_dimension, space))


def _initial(model: ClassificationModel, init, basis, streams) -> np.ndarray:
    """Initial W as the inputs see it, (seeds, K, input dimension)."""
    space = sum(model.dimensions)
    if init is None:
        shape = (model.neurons, space)
        init = model.init_scale * np.stack([np.random.default_rng(one).standard_normal(shape) for one in streams])
    else:
        init = check_weights("init", model, init, len(streams))
    return init if basis is None else np.einsum("skd,sed->ske", init, basis)


def check_weights(argument: str, model: ClassificationModel, weights, seeds: int | None = None) -> np.ndarray:
    """Weights in the coordinates of the subspaces: (K, sum of d_i), or with `seeds` one set for each seed.

    Raises `SpecificationError` if they have another shape or are not finite.
    """
    shape = (model.neurons, sum(model.dimensions))
    try:
        array = np.asarray(weights, float)
    except (TypeError, ValueError):
        raise SpecificationError(argument, "an array of numbers", weights, f"Give shape {shape}.") from None
    if seeds is not None and array.shape == shape:
        array = np.broadcast_to(array, (seeds, *shape))
    wanted = shape if seeds is None else (seeds, *shape)
    if array.shape != wanted:
        remedy = "Neurons, in the order of the classes they vote for, by coordinates of the subspaces."
        raise SpecificationError(argument, f"shape {shape}", f"shape {array.shape}", remedy)
    if not np.all(np.isfinite(array)):
        raise SpecificationError(argument, "finite numbers", "NaN or infinity", "Remove them.")
    return array


@functools.lru_cache(maxsize=32)
def compiled_derivative(surrogate: Surrogate) -> Callable:
    """mu' as a JAX function; call it under the wanted precision."""
    # one function object for one surrogate, so that compiled programs are found again
    derivative = compile_expression(surrogate.derivative, (X,))
    return lambda x: derivative(x) + 0 * x
