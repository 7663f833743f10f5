"""The online-SGD engine: one compiled loop over steps, seeds batched, for any system of the `System` form.

Time is cut into segments at block ends (a block of samples is generated at once), at record steps and at snapshot
steps. A fixed number of segments makes a chunk, one call of one compiled program: whatever the length of the run and
the times recorded, nothing is compiled again, and between chunks there is room for a progress bar, snapshots, an
interruption, and the check that the weights are finite.

A step's randomness is addressed by (key, seed, step), never by what runs beside it. On a CPU the seeds go one after the
other through the same compiled loop, which is faster than a batched one there (the cache holds one seed) and makes
each seed's result independent, to the bit, of how many there are. On accelerators they advance together.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, PyTree, UInt32

from steode.errors import DivergenceError
from steode.simulate.noise import normals, threefry2x32

SEGMENTS_PER_CHUNK = 64
BLOCK_NUMBERS = {"cpu": 2**16}
"""Normal numbers generated at once for one seed: what stays in a core's cache on a CPU."""
ACCELERATOR_BLOCK_NUMBERS = 2**21
HEALTHY = np.int32(-1)


class System(Protocol):
    """What the engine runs: a JAX pytree with these methods. `fixed` is what a seed keeps, such as its teacher."""

    @property
    def normals(self) -> int:
        """Standard normal numbers in one sample."""

    def sample(self, fixed: PyTree, normals: Array) -> PyTree:
        """Samples from a block of normals (B, normals): arrays with leading axis B."""

    def step(self, fixed: PyTree, state: PyTree, sample: PyTree) -> tuple[PyTree, Array]:
        """The next state, and a number that is finite as long as all is well."""

    def observe(self, fixed: PyTree, state: PyTree) -> dict[str, Array]:
        """What is recorded."""

    def held_out(self, fixed: PyTree, state: PyTree, normals: Array) -> dict[str, Array]:
        """Values (B,) on a block of fresh samples; recorded are their means."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Recorded after `records` steps, snapshots after `snapshots` steps: both increasing, and snapshots begin with 0.

    A unit of rescaled time has `steps_per_unit` steps. Every record uses `test_samples` held-out samples, if not 0.
    """

    records: np.ndarray
    snapshots: np.ndarray
    steps_per_unit: int
    test_samples: int = 0

    @property
    def steps(self) -> int:
        """The last step needed."""
        return int(max(self.records[-1], self.snapshots[-1]))


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run recorded, up to `steps`: observables name -> (S, T, ...), snapshots of the state with axes (S, T)."""

    records: np.ndarray
    observables: dict[str, np.ndarray]
    snapshots: np.ndarray
    states: PyTree
    interrupted: bool


def run(
    system: System,
    fixed: PyTree,
    state: PyTree,
    keys: UInt32[np.ndarray, "seeds 2 2"],
    plan: Plan,
    advance: Callable[[int], None] = lambda steps: None,
) -> Run:
    """Run all seeds through the plan.

    Parameters
    ----------
    fixed, state : arrays with a leading axis of seeds.
    keys : for each seed the key of the training samples and the key of the held-out samples.
    advance : called after each chunk with the number of steps done in it.

    An interruption from the keyboard ends the run early, with what was recorded before it. Raises `DivergenceError`
    when the state, or what is recorded of it, is not finite.
    """
    platform = jax.default_backend()
    budget = BLOCK_NUMBERS.get(platform, ACCELERATOR_BLOCK_NUMBERS)
    # not cut down to a short run: rounding inside a block, and so the result, must not depend on what is recorded
    rows = max(1, budget // system.normals)
    compiled = functools.partial(_chunk, rows=rows, test_samples=plan.test_samples, one_by_one=platform == "cpu")
    keys = jnp.asarray(keys)
    recorded: list[dict[str, np.ndarray]] = []
    saved = [jax.tree.map(np.asarray, state)]
    bad = jnp.full(keys.shape[0], HEALTHY)
    done, interrupted = 0, False
    try:
        for chunk in _chunks(plan, rows):
            state, bad, observed = compiled(system, fixed, state, bad, keys, jax.tree.map(jnp.asarray, chunk))
            _check_healthy(np.asarray(bad), plan.steps_per_unit)
            kept = np.flatnonzero(chunk.record)
            rows_kept = {name: np.asarray(value)[:, kept] for name, value in observed.items()}
            _check_finite(rows_kept, chunk.stop[kept], plan.steps_per_unit)
            snapshot = jax.tree.map(np.asarray, state) if chunk.stop[-1] in plan.snapshots[len(saved) :] else None
            # from here to the end of the loop body nothing waits for the device: an interruption leaves whole chunks
            recorded.append(rows_kept)
            if snapshot is not None:
                saved.append(snapshot)
            advance(int(chunk.stop[-1]) - done)
            done = int(chunk.stop[-1])
    except KeyboardInterrupt:
        if not recorded:
            raise
        interrupted = True
    observables = {name: np.concatenate([part[name] for part in recorded], axis=1) for name in recorded[0]}
    count = next(iter(observables.values())).shape[1]
    states = jax.tree.map(lambda *parts: np.stack(parts, axis=1), *saved)
    return Run(plan.records[:count], observables, plan.snapshots[: len(saved)], states, interrupted)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Segments:
    """Consecutive stretches of steps, each inside one block of samples: arrays of shape (SEGMENTS_PER_CHUNK,)."""

    start: Int32[Array, " G"]
    stop: Int32[Array, " G"]
    fresh: Array  # the block of samples must be generated first
    record: Array  # observables are recorded at the end


def _chunks(plan: Plan, rows: int):
    """Cut the plan into chunks of segments; a chunk ends early at a snapshot and is filled up with empty segments."""
    ends = np.unique(np.concatenate([np.arange(rows, plan.steps, rows), plan.records, plan.snapshots, [plan.steps]]))
    start = 0
    while ends.size:
        take = SEGMENTS_PER_CHUNK
        # a snapshot is the state at the end of a chunk; the one at step 0 is the initial state
        cuts = np.flatnonzero(np.isin(ends[:take], plan.snapshots[plan.snapshots > 0]))
        if cuts.size:
            take = int(cuts[0]) + 1
        stop, ends = ends[:take], ends[take:]
        stop = np.concatenate([stop, np.full(SEGMENTS_PER_CHUNK - stop.size, stop[-1])]).astype(np.int32)
        first = np.concatenate([[start], stop[:-1]]).astype(np.int32)
        fresh = (first % rows == 0) & (stop > first)
        fresh[np.flatnonzero(stop > first)[:1]] = True
        record = np.isin(stop, plan.records) & ((stop > first) | (np.arange(stop.size) == 0) & (stop == 0))
        yield _Segments(first, stop, fresh, record)
        start = int(stop[-1])


@functools.partial(jax.jit, static_argnames=("rows", "test_samples", "one_by_one"))
def _chunk(system, fixed, state, bad, keys, segments, *, rows, test_samples, one_by_one):
    def one_seed(seed):
        return _run_segments(system, *seed, segments, rows, test_samples)

    seeds = (fixed, state, bad, keys)
    return lax.map(one_seed, seeds) if one_by_one else jax.vmap(one_seed)(seeds)


def _run_segments(system, fixed, state, bad, keys, segments, rows, test_samples):
    dtype = jax.tree.leaves(state)[0].dtype
    block = jax.eval_shape(system.sample, fixed, jax.ShapeDtypeStruct((rows, system.normals), dtype))

    def generate(start):
        return system.sample(fixed, _numbers(keys[0], start - start % rows, rows, system.normals, dtype))

    def measure(state, step):
        observed = system.observe(fixed, state)
        if test_samples:
            observed |= _held_out(system, fixed, state, keys[1], step, rows, test_samples)
        return observed

    def segment(carry, now):
        samples, state, bad = carry
        samples = lax.cond(now.fresh, lambda: generate(now.start), lambda: samples)

        def step(k, carry):
            state, bad = carry
            sample = jax.tree.map(lambda values: lax.dynamic_index_in_dim(values, k % rows, keepdims=False), samples)
            state, health = system.step(fixed, state, sample)
            return state, jnp.where(jnp.isfinite(health) | (bad != HEALTHY), bad, k)

        state, bad = lax.fori_loop(now.start, now.stop, step, (state, bad))
        nothing = _zeros(jax.eval_shape(measure, state, now.stop))
        return (samples, state, bad), lax.cond(now.record, lambda: measure(state, now.stop), lambda: nothing)

    (_, state, bad), observed = lax.scan(segment, (_zeros(block), state, bad), segments)
    return state, bad, observed


def _zeros(shapes):
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), shapes)


def _numbers(key, first_row, rows, columns, dtype):
    # one pass of a loop, so that the numbers are computed once: XLA otherwise fuses the generator into each of their
    # uses, which is up to 10 times slower on a CPU; an optimization barrier does not prevent it there
    empty = jnp.zeros((rows, columns), dtype)
    return lax.fori_loop(first_row, first_row + 1, lambda row, _: normals(key, row, rows, columns, dtype), empty)


def _held_out(system, fixed, state, key, step, rows, count):
    """Means of `system.held_out` over `count` fresh samples, of a stream of its own for each record step."""
    key = jnp.stack(threefry2x32(key, step.astype(jnp.uint32), jnp.uint32(0)))
    dtype = jax.tree.leaves(state)[0].dtype
    rows = min(rows, count)

    def add(index, totals):
        numbers = _numbers(key, index * rows, rows, system.normals, dtype)
        values = system.held_out(fixed, state, numbers)
        wanted = index * rows + jnp.arange(rows) < count
        return {name: totals[name] + jnp.sum(jnp.where(wanted, value, 0)) for name, value in values.items()}

    shapes = jax.eval_shape(system.held_out, fixed, state, jax.ShapeDtypeStruct((rows, system.normals), dtype))
    totals = lax.fori_loop(0, -(-count // rows), add, {name: jnp.zeros((), dtype) for name in shapes})
    return {name: total / count for name, total in totals.items()}


def _check_healthy(bad: np.ndarray, steps_per_unit: int) -> None:
    if np.any(bad != HEALTHY):
        step = int(bad[bad != HEALTHY].min())
        raise DivergenceError("the residual", step, step / steps_per_unit, seed=int(np.flatnonzero(bad == step)[0]))


def _check_finite(observed: dict[str, np.ndarray], steps: np.ndarray, steps_per_unit: int) -> None:
    for name, values in observed.items():
        finite = np.isfinite(values).all(axis=tuple(range(2, values.ndim)))
        if not finite.all():
            record = int(np.flatnonzero(~finite.all(axis=0))[0])
            step, seed = int(steps[record]), int(np.flatnonzero(~finite[:, record])[0])
            raise DivergenceError(name, step, step / steps_per_unit, seed)
