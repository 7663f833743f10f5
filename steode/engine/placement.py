"""Where seeds are computed: one after the other on the cores of a CPU, or side by side on several devices.

A CPU runs one seed per call of a one-threaded program, as many calls at a time as there are cores: a seed's weights and
its block of samples stay in the cache of a core, its result does not depend on how many seeds there are, and XLA's own
threads, which lose time on operations this small, are left out (docs/simulation.md has the measurement). Accelerators
advance all seeds together, vectorized, with the axis of seeds sharded over the devices of this process; a CPU that was
split into several devices shards too, and maps over the seeds of each.
"""

import concurrent.futures
import functools
import os
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PyTree

from steode.engine.program import Segments, run_segments

CPU_OPTIONS = {"xla_cpu_prefer_vector_width": 512, "xla_cpu_multi_thread_eigen": False}
"""Wide vectors make the generator a quarter faster where there are any, and change nothing where there are none."""
AXIS = "seeds"


class Placement(Protocol):
    """The seeds of a run, put somewhere."""

    def put(self, state: PyTree) -> PyTree:
        """A state with leaves (S, ...) where it is computed, in the form that `advance` takes and returns."""

    def advance(self, state: PyTree, segments: Segments) -> tuple[PyTree, np.ndarray, dict[str, np.ndarray]]:
        """All seeds through the segments: the state, the first bad steps (S,), and observables (S, G, ...)."""

    def fetch(self, state: PyTree) -> PyTree:
        """The state in NumPy arrays with leaves (S, ...)."""

    def close(self) -> None:
        """Free what is not memory."""


def place(system, fixed: PyTree, keys: np.ndarray, rows: int, test_samples: int) -> Placement:
    """The placement for the devices of this process."""
    devices = jax.local_devices()
    sizes = {"rows": rows, "test_samples": test_samples}
    on_cpu = devices[0].platform == "cpu"
    if on_cpu and len(devices) == 1:
        return Cores(system, fixed, keys, sizes)
    return Shards(system, fixed, keys, sizes, devices, vectorized=not on_cpu)


def workers(devices, seeds: int) -> int:
    """How many seeds are advanced at a time on the CPU, which is one device or was split into several."""
    return min(_cores() if len(devices) == 1 else len(devices), seeds)


class Cores:
    """Every seed in calls of its own, as many at a time as this process may use cores."""

    def __init__(self, system, fixed: PyTree, keys: np.ndarray, sizes: dict[str, int]):
        self.program = functools.partial(_one_seed, **sizes)
        self.system = system
        self.seeds = [(_pick(fixed, seed), jnp.asarray(keys[seed])) for seed in range(keys.shape[0])]
        self.pool = concurrent.futures.ThreadPoolExecutor(workers(jax.local_devices(), len(self.seeds)))
        self.wide = jax.config.read("jax_enable_x64")

    def put(self, state: PyTree) -> PyTree:
        return [_pick(state, seed) for seed in range(len(self.seeds))]

    def advance(self, state: PyTree, segments: Segments):
        def one(seed, state):
            with jax.enable_x64(self.wide):  # the setting belongs to a thread
                state, bad, observed = self.program(self.system, segments, *seed, state)
                return state, np.asarray(bad), jax.tree.map(np.asarray, observed)

        states, bad, observed = zip(*self.pool.map(one, self.seeds, state), strict=True)
        return list(states), np.stack(bad), jax.tree.map(lambda *parts: np.stack(parts), *observed)

    def fetch(self, state: PyTree) -> PyTree:
        return jax.tree.map(lambda *parts: np.stack([np.asarray(part) for part in parts]), *state)

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


class Shards:
    """The axis of seeds cut into equal parts, one for each device; the last seed fills them up.

    The seeds of a device go through the program together if `vectorized`, else one after the other.
    """

    def __init__(self, system, fixed: PyTree, keys: np.ndarray, sizes: dict[str, int], devices, *, vectorized: bool):
        self.mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)
        self.count = keys.shape[0]
        self.system = jax.device_put(system, NamedSharding(self.mesh, PartitionSpec()))
        self.fixed, self.keys = self.put(fixed), self.put(keys)
        self.program = functools.partial(_sharded(self.mesh, vectorized), **sizes)

    def put(self, state: PyTree) -> PyTree:
        padding = -self.count % self.mesh.size
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))

        def shard(leaf):
            leaf = np.asarray(leaf)
            return jax.device_put(np.concatenate([leaf, np.repeat(leaf[-1:], padding, axis=0)]), sharding)

        return jax.tree.map(shard, state)

    def advance(self, state: PyTree, segments: Segments):
        segments = jax.device_put(segments, NamedSharding(self.mesh, PartitionSpec()))
        state, bad, observed = self.program(self.system, segments, self.fixed, self.keys, state)
        return state, self.fetch(bad), self.fetch(observed)

    def fetch(self, state: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[: self.count], state)

    def close(self) -> None:
        pass


@functools.partial(jax.jit, static_argnames=("rows", "test_samples"), compiler_options=CPU_OPTIONS)
def _one_seed(system, segments, fixed, keys, state, *, rows, test_samples):
    return run_segments(system, segments, fixed, keys, state, rows=rows, test_samples=test_samples)


@functools.cache
def _sharded(mesh: jax.sharding.Mesh, vectorized: bool) -> Callable:
    def advance(system, segments, fixed, keys, state, *, rows, test_samples):
        def part(system, segments, fixed, keys, state):
            def one(seed):
                return run_segments(system, segments, *seed, rows=rows, test_samples=test_samples)

            seeds = (fixed, keys, state)
            return jax.vmap(one)(seeds) if vectorized else lax.map(one, seeds)

        whole, cut = PartitionSpec(), PartitionSpec(AXIS)
        specs = (whole, whole, cut, cut, cut)
        mapped = jax.shard_map(part, mesh=mesh, in_specs=specs, out_specs=cut, check_vma=False)
        return mapped(system, segments, fixed, keys, state)

    options = CPU_OPTIONS if mesh.devices.flat[0].platform == "cpu" else None
    return jax.jit(advance, static_argnames=("rows", "test_samples"), compiler_options=options)


def _pick(tree: PyTree, seed: int) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[seed]), tree)


def _cores() -> int:
    """Cores this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
