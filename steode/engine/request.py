"""What a simulation is asked for, in the engine's terms: whole steps, and the entropy of every random stream."""

import numbers

import jax
import numpy as np
import scipy

from steode.errors import SpecificationError, check_array, check_increasing

MAX_STEPS = 2**31 - 1
"""Steps are counted in 32-bit integers on the device."""
RECORDS = 201
"""Record times where none are given."""
LARGEST_ROTATION = 4096
"""Dimension up to which data are rotated: a matrix of dim^2 numbers, applied to every input."""


def record_steps(times, t_end: float, dim: int) -> np.ndarray:
    """The distinct steps nearest to the record times, increasing.

    None asks for RECORDS equally spaced times, "log" for 0 and times equally spaced in their logarithm.
    """
    if times is None:
        times = np.linspace(0, t_end, RECORDS)
    elif isinstance(times, str):
        if times != "log":
            raise SpecificationError("times", '"log", or a sequence of numbers', times, "Leave it out for equal steps.")
        times = np.append(0, np.geomspace(min(1 / dim, t_end / 2), t_end, RECORDS - 1))
    return np.unique(_steps("times", _checked_times("times", times, t_end, at_least=1), dim))


def snapshot_steps(times, t_end: float, dim: int) -> np.ndarray:
    """The distinct steps nearest to the snapshot times, and step 0, increasing."""
    times = _checked_times("snapshot_times", times, t_end, at_least=0)
    return np.unique(np.concatenate([[0], _steps("snapshot_times", times, dim)]))


def histogram_edges(edges) -> np.ndarray | None:
    """Bin edges as an array, or None; `SpecificationError` unless there are at least two, increasing."""
    return None if edges is None else np.array(check_increasing("histogram_edges", edges, 2))


def given_weights(name: str, weights, seeds: int, dim: int) -> np.ndarray | None:
    """Weights of shape (dim,) or (seeds, dim) as (seeds, dim), or None; `SpecificationError` for anything else."""
    if weights is None:
        return None
    array = np.asarray(weights)
    if array.shape not in ((dim,), (seeds, dim)):
        expected = f"an array of shape ({dim},) or ({seeds}, {dim})"
        raise SpecificationError(name, expected, f"shape {array.shape}", "One number for each coordinate.")
    return np.broadcast_to(check_array(name, array, any_shape=True).reshape(array.shape), (seeds, dim))


def key_words(key: int | jax.Array) -> np.ndarray:
    """A key as two 32-bit words: an integer as `jax.random.key` would have them, so that both give the same runs.

    Raises `SpecificationError` unless `key` is an integer in [0, 2^64) or one JAX PRNG key.
    """
    remedy = "For example 0 or jax.random.key(0)."
    expected = "an integer between 0 and 2**64 - 1, or a JAX PRNG key"
    if isinstance(key, numbers.Integral) and not isinstance(key, bool):
        if not 0 <= key < 2**64:
            raise SpecificationError("key", expected, key, remedy)
        return np.array([int(key) >> 32, int(key) & 0xFFFFFFFF], np.uint32)
    if isinstance(key, jax.Array) and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        words = np.asarray(jax.random.key_data(key))
        single = key.ndim == 0
    elif isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32:
        words, single = np.asarray(key), key.shape == (2,)
    else:
        raise SpecificationError("key", expected, key, remedy)
    if not single:
        raise SpecificationError("key", "one key", f"an array of shape {key.shape}", "Seeds are derived from one key.")
    # keys of other generators have other sizes: hash them
    return words if words.size == 2 else np.random.SeedSequence(words.tolist()).generate_state(2)


def seed_sequence(words: np.ndarray, dim: int, seed: int, purpose: int) -> np.random.SeedSequence:
    """The entropy of one stream; `dim` is part of it, so that a ladder of dimensions is made of independent runs."""
    return np.random.SeedSequence([int(words[0]), int(words[1]), dim, seed, purpose])


def rotation(basis: str, dim: int, seed: np.random.SeedSequence) -> np.ndarray | None:
    """A random orthogonal matrix (dim, dim) for the basis "rotated", None for "eigenbasis"."""
    if basis not in ("eigenbasis", "rotated"):
        remedy = "It says in which axes the quantizers act."
        raise SpecificationError("basis", '"eigenbasis" or "rotated"', basis, remedy)
    if basis == "eigenbasis":
        return None
    if dim > LARGEST_ROTATION:
        remedy = 'A rotation needs dim^2 numbers, and as many operations for every input; use basis="eigenbasis" or a '
        remedy += "smaller dim."
        raise SpecificationError("dim", f'at most {LARGEST_ROTATION} with basis="rotated"', dim, remedy)
    return scipy.stats.ortho_group.rvs(dim, random_state=np.random.default_rng(seed))


def _checked_times(name: str, times, t_end: float, at_least: int) -> np.ndarray:
    try:
        array = np.array(times, dtype=float)
    except (TypeError, ValueError):
        raise SpecificationError(name, "a sequence of numbers", times, "For example (0, 1, 10).") from None
    if array.ndim != 1 or array.size < at_least:
        raise SpecificationError(name, "a one-dimensional, non-empty sequence", times, "For example (0, 1, 10).")
    if not np.all(np.isfinite(array)):
        raise SpecificationError(name, "finite numbers", times, "Remove NaN and infinite entries.")
    if np.any(np.diff(array) <= 0):
        raise SpecificationError(name, "strictly increasing numbers", times, "Sort them and remove repetitions.")
    if array.size and (array[0] < 0 or array[-1] > t_end * (1 + 1e-12)):
        raise SpecificationError(name, f"times between 0 and t_end = {t_end:g}", times, "Raise t_end or remove them.")
    return array


def _steps(name: str, times: np.ndarray, dim: int) -> np.ndarray:
    if times.size and times[-1] * dim > MAX_STEPS:
        remedy = "Lower dim or t_end."
        raise SpecificationError(name, f"at most {MAX_STEPS} steps", f"{times[-1] * dim:.3g} steps", remedy)
    return np.rint(times * dim).astype(np.int64)
