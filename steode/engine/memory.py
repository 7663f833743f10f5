"""What a run needs of memory, estimated before it starts from the shapes of what it holds.

The factors are counts of copies: of the weights, of the block of samples while it is generated, of what is recorded
until it is joined. The compiler's own report of its temporary arrays gave those of the block and of the step;
docs/reliability.md has the comparison with measured peaks, which agree within a factor of two.
"""

import dataclasses
import math

import jax

from steode.engine.placement import workers
from steode.errors import SpecificationError
from steode.store.memory import available_memory

GENERATED = 4
"""Blocks of normal numbers alive while a block of samples is made, beside the samples."""
STEPPED = 6
"""Copies of the state of a seed that is being advanced."""
KEPT = 3
"""Copies of the state and of what belongs to a seed, on the host and on the device."""
JOINED = 2
"""Copies of what is recorded, once in parts and once joined."""

REMEDIES = {
    "the blocks of samples": "Lower batch_size or dim.",
    "the weights": "Lower dim or seeds.",
    "what is recorded": "Record fewer times, or levels and bins.",
    "the weights that are kept": "Keep the weights at fewer times, or lower dim or seeds.",
    "the rotation": "Lower dim.",
}


@dataclasses.dataclass(frozen=True)
class Need:
    """Bytes by what they are for: on the host, and on each device where that has a memory of its own."""

    host: dict[str, float]
    device: dict[str, float]


def need(system, fixed, state, plan, rows: int, seeds: int, devices) -> Need:
    """The memory of `engine.run`. On a CPU as many seeds as there are workers go through a block at a time."""
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (fixed, state))
    dtype = jax.tree.leaves(one[1])[0].dtype
    normals = jax.ShapeDtypeStruct((rows, system.normals), dtype)
    samples = jax.eval_shape(system.sample, one[0], normals)
    observed = jax.eval_shape(system.observe, *one)
    weights, block = _bytes(one[1]), _bytes(samples) + GENERATED * _bytes(normals)
    on_cpu = devices[0].platform == "cpu"
    at_once = workers(devices, seeds) if on_cpu else -(-seeds // len(devices))
    computing = {
        "the blocks of samples": at_once * block,
        "the weights": at_once * STEPPED * weights + _bytes(system),
    }
    # results are float64 in the end
    recorded = seeds * plan.records.size * (JOINED * _bytes(observed) + 8 * _count(observed))
    host = {
        "the weights": seeds * KEPT * (weights + _bytes(one[0])),
        "what is recorded": recorded,
        "the weights that are kept": seeds * plan.snapshots.size * JOINED * weights,
    }
    if not on_cpu:
        return Need(host, computing)
    return Need({name: host.get(name, 0) + computing.get(name, 0) for name in host | computing}, {})


def drawn(dim: int, seeds: int, models: int, rotated: bool) -> Need:
    """The memory of drawing teacher and initial weights, float64 at first."""
    numbers = 8.0 * dim * seeds
    return Need({"the weights": (3 + models) * numbers, "the rotation": 40.0 * dim**2 * rotated}, {})


def check(found: Need, devices) -> None:
    """Raise `SpecificationError` if that is not there."""
    _compare(found.host, available_memory(), "free memory")
    for device in devices if found.device else ():
        held = device.memory_stats() or {}
        if "bytes_limit" in held:
            _compare(found.device, held["bytes_limit"] - held.get("bytes_in_use", 0), f"free memory of {device}")


def _compare(parts: dict[str, float], available: float, where: str) -> None:
    total = sum(parts.values())
    if total <= available:
        return
    largest = max(parts, key=parts.get)
    received = f"about {total / 1e9:.3g} GB, most of it for {largest}"
    expected = f"a run within the {max(available, 0) / 1e9:.3g} GB of {where}"
    raise SpecificationError("memory", expected, received, REMEDIES[largest])


def _bytes(tree) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _count(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
