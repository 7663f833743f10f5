"""The verb `simulate`: quantized SGD for linear regression itself, from fresh samples."""

import jax
import numpy as np
from tqdm import tqdm

from steode.engine import engine
from steode.engine.request import MAX_STEPS, key_words, seed_sequence
from steode.errors import SpecificationError, check_integer
from steode.systems.regression.results import RegressionRuns
from steode.systems.regression.risk import record_steps
from steode.systems.regression.simulation import regression_system
from steode.systems.regression.spec import RegressionModel, check_model

TRAINING, HELD_OUT = 2, 3
"""What a seed needs random numbers for; each has a stream of its own."""


def simulate(
    model: RegressionModel,
    steps: int,
    *,
    seeds: int = 1,
    key: int | jax.Array = 0,
    record=None,
    dtype: str = "float32",
    test_samples: int = 0,
    progress: bool = False,
) -> RegressionRuns:
    """Run the literal update of `RegressionModel`, a fresh batch each step, for several seeds.

    Seeds share teacher and start, which are part of the model; samples, label noise and quantizers are their own. The
    risks are averages over the inputs of the weights that training produced, in closed sums over coordinates.

    Parameters
    ----------
    model : the specification; any of its quantizers.
    steps : number N >= 1 of SGD steps; it also decides which iterates are averaged.
    seeds : number of independent runs.
    key : an integer in [0, 2^64) or a JAX PRNG key; the result is a function of (key, d, seed number).
    record : increasing numbers of steps in [0, N] after which the risk is measured; None: as in `risk`.
    dtype : "float32" or "float64".
    test_samples : if > 0, measure also "raw_test" and "quantized_test", the risks of the last iterate on this many
        fresh batches.
    progress : show a progress bar on stderr.

    Returns
    -------
    `RegressionRuns`.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    UnsupportedError
        For a random quantizer of the user's own.
    DivergenceError
        If weights stop being finite, as they do long after the start at an unstable step size.
    """
    check_model(model)
    steps = check_integer("steps", steps, 1, MAX_STEPS)
    seeds, test_samples = check_integer("seeds", seeds, 1), check_integer("test_samples", test_samples, 0)
    if dtype not in ("float32", "float64"):
        raise SpecificationError("dtype", '"float32" or "float64"', dtype, "float32 is accurate enough.")
    record = record_steps(record, steps)
    words = key_words(key)
    keys = [[seed_sequence(words, model.dim, seed, use) for use in (TRAINING, HELD_OUT)] for seed in range(seeds)]
    keys = np.array([[stream.generate_state(2) for stream in pair] for pair in keys], np.uint32)
    first = model.averaged_from(steps)
    start = np.broadcast_to(model.initial_weights.astype(dtype), (seeds, model.dim))
    state = start, start, np.zeros(seeds, np.int32)
    plan = engine.Plan(record, np.array([0]), steps_per_unit=1, test_samples=test_samples)
    with jax.enable_x64(dtype == "float64"), tqdm(total=int(record[-1]), unit="step", disable=not progress) as bar:
        system = regression_system(model, first, dtype)
        unused = np.zeros((seeds, 1), dtype)
        run = engine.run(system, unused, keys, plan, engine.Progress.begin(state), advance=bar.update)
    values = {name: array.astype(np.float64) for name, array in run.observables.items()}
    return RegressionRuns(model, run.records, values, first, tuple(int(word) for word in words))
