"""The online-SGD engine: one compiled loop over steps for any system of the `System` form.

Time is cut into segments at block ends (a block of samples is generated at once), at record steps and at snapshot
steps. A fixed number of segments makes a chunk, one call of one compiled program: whatever the length of the run and
the times recorded, nothing is compiled again, and between chunks there is room for a progress bar, a checkpoint, an
interruption, and the check that the weights are finite.

A step's randomness is addressed by (key, seed, step), never by what runs beside it, and chunks are cut at the same
steps whether or not a run was interrupted between them. `steode.engine.placement` says where seeds are computed.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol

import jax
import numpy as np
from jaxtyping import Array, PyTree, UInt32

from steode.engine.memory import check, need
from steode.engine.placement import place
from steode.engine.program import HEALTHY, Segments
from steode.errors import DivergenceError

SEGMENTS_PER_CHUNK = 64
BLOCK_NUMBERS = {"cpu": 2**16}
"""Normal numbers generated at once for one seed: what stays in a core's cache on a CPU."""
ACCELERATOR_BLOCK_NUMBERS = 2**18
"""The same on an accelerator: few enough for a thousand seeds side by side."""


class System(Protocol):
    """What the engine runs: a JAX pytree with these methods. `fixed` is what a seed keeps, such as its teacher."""

    @property
    def normals(self) -> int:
        """Standard normal numbers in one sample."""

    def sample(self, fixed: PyTree, normals: Array) -> PyTree:
        """Samples from a block of normals (B, normals): arrays with leading axis B."""

    def step(self, fixed: PyTree, state: PyTree, sample: PyTree, index: Array) -> tuple[PyTree, Array]:
        """The state after step number `index` (0 is the first), and a number that is finite as long as all is well."""

    def observe(self, fixed: PyTree, state: PyTree) -> dict[str, Array]:
        """What is recorded."""

    def held_out(self, fixed: PyTree, state: PyTree, normals: Array) -> dict[str, Array]:
        """Values (B, ...) on a block of fresh samples; recorded are their means."""


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
class Progress:
    """What is done of a plan: the state (leaves (S, ...)) after `steps` steps and all that was recorded on the way.

    `observables`: name -> (S, T, ...); `snapshots`: leaves (S, n, ...). `steps` is -1 before anything is recorded.
    """

    steps: int
    state: PyTree
    observables: dict[str, np.ndarray]
    snapshots: PyTree

    @classmethod
    def begin(cls, state: PyTree) -> "Progress":
        """Nothing done yet: the snapshot at step 0 is the initial state itself."""
        return cls(-1, jax.tree.map(np.asarray, state), {}, _with_time_axis(state))


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run recorded: observables name -> (S, T, ...), snapshots of the state with axes (S, T)."""

    records: np.ndarray
    observables: dict[str, np.ndarray]
    snapshots: np.ndarray
    states: PyTree
    interrupted: bool


def run(
    system: System,
    fixed: PyTree,
    keys: UInt32[np.ndarray, "seeds 2 2"],
    plan: Plan,
    progress: Progress,
    *,
    advance: Callable[[int], None] = lambda steps: None,
    save: Callable[[Progress], None] | None = None,
    due: Callable[[], bool] = lambda: False,
) -> Run:
    """Run all seeds through what is left of the plan.

    Parameters
    ----------
    fixed : arrays with a leading axis of seeds.
    keys : for each seed the key of the training samples and the key of the held-out samples.
    progress : where to start: `Progress.begin(state)`, or what `save` was given in an earlier run.
    advance : called after each chunk with the number of steps done in it.
    save : called with the progress after a chunk when `due()` says so, and at the end, however it comes.

    An interruption from the keyboard ends the run early, with what was recorded before it. Raises `SpecificationError`
    if the run does not fit into memory, `DivergenceError` when the state, or what is recorded of it, is not finite.
    """
    platform = jax.default_backend()
    # not cut down to a short run: rounding inside a block, and so the result, must not depend on what is recorded
    rows = max(1, BLOCK_NUMBERS.get(platform, ACCELERATOR_BLOCK_NUMBERS) // system.normals)
    devices = jax.local_devices()
    check(need(system, fixed, progress.state, plan, rows, keys.shape[0], devices), devices)
    placement = place(system, fixed, keys, rows, plan.test_samples)
    done = [_Done(progress.steps, placement.put(progress.state), progress.observables, progress.snapshots)]
    interrupted = False
    advance(max(progress.steps, 0))
    try:
        for chunk in chunks(plan, rows, progress.steps):
            state, bad, observed = placement.advance(done[-1].state, chunk)
            kept, stop = np.flatnonzero(chunk.record), int(chunk.stop[-1])
            recorded = {name: value[:, kept] for name, value in observed.items()}
            fault = _fault(bad, recorded, chunk.stop[kept])
            if fault:
                # run again up to the step before: the residual of a step is finite only if the weights before it are
                last = max(fault[1] - 1, done[-1].steps, 0)
                state, _, _ = placement.advance(done[-1].state, chunk.until(last))
                raise DivergenceError(*fault, plan.steps_per_unit, last, placement.fetch(state))
            taken = placement.fetch(state) if stop > 0 and np.isin(stop, plan.snapshots) else None
            before = max(done[-1].steps, 0)
            # one operation: an interruption leaves whole chunks
            done.append(_Done(stop, state, recorded, None if taken is None else _with_time_axis(taken)))
            done[-2].state = None
            advance(stop - before)
            if save is not None and due():
                collected = _collect(done, placement.fetch)
                save(collected)
                done[:] = [_Done(stop, state, collected.observables, collected.snapshots)]
    except KeyboardInterrupt:
        if done[-1].steps < 0:
            raise
        interrupted = True
    finally:
        placement.close()
        if save is not None and done[-1].steps >= 0:
            save(_collect(done, placement.fetch))
    final = _collect(done, placement.fetch)
    count = next(iter(final.observables.values())).shape[1]
    taken = jax.tree.leaves(final.snapshots)[0].shape[1]
    return Run(plan.records[:count], final.observables, plan.snapshots[:taken], final.snapshots, interrupted)


@dataclasses.dataclass
class _Done:
    """Whole chunks: the state after them where it is computed, and what they recorded."""

    steps: int
    state: PyTree
    observables: dict[str, np.ndarray]
    snapshots: PyTree | None


def _collect(done: list[_Done], fetch: Callable[[PyTree], PyTree]) -> Progress:
    names = done[-1].observables
    observables = {
        name: np.concatenate([part.observables[name] for part in done if name in part.observables], axis=1)
        for name in names
    }
    taken = [part.snapshots for part in done if part.snapshots is not None]
    snapshots = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *taken)
    return Progress(done[-1].steps, fetch(done[-1].state), observables, snapshots)


def _with_time_axis(state: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:, None], state)


def chunks(plan: Plan, rows: int, done: int) -> Iterator[Segments]:
    """Cut what is left of the plan into chunks of segments.

    A chunk ends early at a snapshot and is filled up with empty segments. Where chunks begin does not depend on `done`,
    as long as that is the end of one.
    """
    marks = np.union1d(plan.records, plan.snapshots)
    start = max(done, 0)
    first_mark = -1 if done < 0 else start
    while first_mark < plan.steps:
        horizon = min(start + SEGMENTS_PER_CHUNK * rows, plan.steps)
        inside = marks[(marks > first_mark) & (marks <= horizon)]
        ends = np.union1d(np.arange(start - start % rows + rows, horizon + 1, rows), inside)[:SEGMENTS_PER_CHUNK]
        # a snapshot is the state at the end of a chunk; the one at step 0 is the initial state
        cuts = np.flatnonzero((ends > 0) & np.isin(ends, plan.snapshots))
        stop = ends[: cuts[0] + 1] if cuts.size else ends
        stop = np.concatenate([stop, np.full(SEGMENTS_PER_CHUNK - stop.size, stop[-1])]).astype(np.int32)
        first = np.concatenate([[start], stop[:-1]]).astype(np.int32)
        fresh = (first % rows == 0) & (stop > first)
        fresh[np.flatnonzero(stop > first)[:1]] = True
        record = np.isin(stop, plan.records) & (
            (stop > first) | (np.arange(stop.size) == 0) & (done < 0) & (start == 0)
        )
        yield Segments(first, stop, fresh, record)
        start = first_mark = int(stop[-1])


def _fault(bad: np.ndarray, recorded: dict[str, np.ndarray], steps: np.ndarray) -> tuple[str, int, int] | None:
    """What is not finite first, at which step, in which seed; None if all is well."""
    faults = [(int(step), seed, "the residual") for seed, step in enumerate(bad) if step != HEALTHY]
    for name, values in recorded.items():
        finite = np.isfinite(values).all(axis=tuple(range(2, values.ndim)))
        faults += [(int(steps[record]), int(seed), name) for seed, record in np.argwhere(~finite)]
    if not faults:
        return None
    step, seed, quantity = min(faults)
    return quantity, step, seed
