"""The verb `simulate`: coarse-gradient descent on samples, many seeds and starts at once."""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.bridge import compile_expression
from steode.errors import DivergenceError, check_integer
from steode.systems.binary_relu.results import CoarseRuns
from steode.systems.binary_relu.simulation import Network, draw, train
from steode.systems.binary_relu.solve import check_starts
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model
from steode.systems.binary_relu.starts import Starts
from steode.systems.binary_relu.surrogates import Surrogate, X

TEST_SAMPLES = 20_000


def simulate(
    model: BinaryReLUModel,
    starts: Starts,
    steps: int,
    *,
    batch: int = 1,
    samples: int | None = None,
    seeds: int = 1,
    every: int = 1,
    key: int = 0,
) -> CoarseRuns:
    """Train on drawn Z, from every start and for every seed.

    Parameters
    ----------
    model : the specification, with the step size.
    starts : from `steode.binary_relu.starts` or `random_starts`.
    steps : number of steps, >= 1, rounded down to a multiple of `every`.
    batch : online: fresh samples in every step. With `samples` it plays no part.
    samples : None for online; else the size of one fixed data set, all of it in every step.
    seeds : number of runs from every start, with samples of their own.
    every : steps between records.
    key : of the random numbers; the same key gives the same runs.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    DivergenceError
        If weights stop being finite.
    """
    check_model(model)
    check_starts(model, starts)
    steps, every = check_integer("steps", steps, 1), check_integer("every", every, 1, steps)
    batch, seeds = check_integer("batch", batch, 1), check_integer("seeds", seeds, 1)
    samples = None if samples is None else check_integer("samples", samples, 1)
    steps -= steps % every
    with jax.enable_x64(True):
        model_network = network(model)
        v, w = jnp.asarray(starts.v), jnp.asarray(starts.filters(model))
        # one run after the other: the arrays of one fill the processor
        pairs = np.repeat(np.arange(len(starts)), seeds), np.arange(seeds * len(starts))
        numbers = jax.random.key(key), *map(jnp.asarray, pairs)
        found = jax.device_get(_runs(model_network, v, w, *numbers, batch, samples, steps, every))
    shape = (len(starts), seeds)
    found = {name: np.swapaxes(value.reshape(*shape, *value.shape[1:]), 0, 1) for name, value in found.items()}
    bad = np.argwhere(~np.isfinite(found["length"]))
    if bad.size:
        seed, _, place = bad[0]
        raise DivergenceError("the filter w", int(place) * every, int(seed), model.filter_size)
    return CoarseRuns(model, "online" if samples is None else "batch", every * np.arange(steps // every + 1), **found)


@eqx.filter_jit
def _runs(given: Network, v, w, key, start, number, batch: int, samples: int | None, steps: int, every: int):
    def one(pair):
        training, testing = jax.random.split(jax.random.fold_in(key, pair[1]))
        data = None if samples is None else draw(training, samples, given)
        last, found = train(given, v[pair[0]], w[pair[0]], training, batch, steps, every, data)
        squares = given.residual(*last, draw(testing, TEST_SAMPLES, given)) ** 2 / 2
        return found | {"loss": jnp.mean(squares), "loss_error": jnp.std(squares) / np.sqrt(TEST_SAMPLES)}

    return jax.lax.map(one, (start, number))


def network(model: BinaryReLUModel) -> Network:
    """The model's numbers in arrays, and its mu' compiled; call it under `jax.enable_x64(True)` for float64."""
    star, filters, step = (jnp.asarray(value) for value in (model.v_star, model.w_star, model.step))
    return Network(star, filters, step, _derivative(model.surrogate))


@functools.lru_cache(maxsize=16)
def _derivative(surrogate: Surrogate) -> Callable:
    # one function object for one surrogate, so that compiled programs are found again
    derivative = compile_expression(surrogate.derivative, (X,))
    return lambda x: derivative(x) + 0 * x
