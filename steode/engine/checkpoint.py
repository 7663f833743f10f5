"""Checkpoints: what is done of a simulation, in one file that is either whole or absent.

A file holds the weights of every seed, all that was recorded, and the request it belongs to; `steode.store`
replaces it as a whole, so that a process killed at any moment leaves the last checkpoint intact. What is read back is
believed if its checksum agrees and its contents are such as a run of the same request could have written.
"""

import dataclasses
import json
import pathlib
import time
import warnings

import jax
import numpy as np

from steode import store
from steode.engine.engine import Plan, Progress
from steode.errors import SpecificationError, WriteError

REQUEST = "request"


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written; the run goes on, and the last one that could is intact."""


@dataclasses.dataclass
class Checkpoint:
    """The file of one run.

    `request` is a nested dictionary that says which run it is: a file of another request is refused. `plan` says when
    what is recorded. A checkpoint is due `every` seconds after the last.
    """

    path: pathlib.Path
    request: dict
    plan: Plan
    every: float
    last: float = dataclasses.field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.last >= self.every

    def load(self, begin: Progress) -> Progress:
        """What the file holds, or `begin` if there is none; either way the file can be written afterwards.

        Raises `SpecificationError` if the file is not a checkpoint, is damaged, or belongs to another request, or if it
        cannot be written.
        """
        store.output_file("checkpoint", self.path, make=True)
        store.remove_parts(self.path)
        if not self.path.exists():
            return begin
        try:
            arrays = store.read_npz("checkpoint", self.path, "a checkpoint file")
            written = json.loads(str(arrays[REQUEST][()]))
        except (SpecificationError, ValueError, KeyError, IndexError, RecursionError) as error:
            raise self._unreadable(getattr(error, "remedy", error)) from None
        differing = _difference(_plain(self.request), written)
        if differing:
            remedy = "Give another path, or delete the file to begin anew."
            raise SpecificationError("checkpoint", "a checkpoint of this run", f"one with {differing}", remedy)
        try:
            return _unpack(arrays, begin, self.plan)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(error) from None

    def save(self, progress: Progress) -> None:
        """Write the progress; if that fails, warn."""
        try:
            arrays = {REQUEST: np.array(json.dumps(_plain(self.request))), **_pack(progress)}
            store.write(self.path, store.npz_bytes(arrays))
        except WriteError as error:
            warnings.warn(
                f"checkpoint {self.path.name} could not be written ({error.reason}); the run goes on, and an earlier "
                "checkpoint is intact.",
                CheckpointWarning,
                stacklevel=2,
            )
        self.last = time.monotonic()

    def _unreadable(self, reason: object) -> SpecificationError:
        received = f"{self.path.name} ({str(reason)[:160]})"
        remedy = "It is damaged or something else: delete it to begin anew, or give another path."
        return SpecificationError("checkpoint", "a checkpoint file", received, remedy)


def _pack(progress: Progress) -> dict[str, np.ndarray]:
    arrays = {"steps": np.array(progress.steps)}
    arrays |= {f"observables/{name}": value for name, value in progress.observables.items()}
    for name in ("state", "snapshots"):
        leaves = jax.tree.leaves(getattr(progress, name))
        arrays |= {f"{name}/{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
    return arrays


def _unpack(arrays: dict[str, np.ndarray], begin: Progress, plan: Plan) -> Progress:
    """The progress a file holds; raises `ValueError` or `KeyError` unless a run of the plan could have written it."""
    steps = arrays["steps"]
    if steps.shape != () or steps.dtype.kind != "i" or not 0 <= steps <= plan.steps:
        raise ValueError(f"steps must be a number between 0 and {plan.steps}")
    steps = int(steps)
    recorded, taken = (int(np.sum(times <= steps)) for times in (plan.records, plan.snapshots))

    def tree(name, like, times=()):
        leaves, structure = jax.tree.flatten(like)
        found = [arrays[f"{name}/{index}"] for index in range(len(leaves))]
        for leaf, array in zip(leaves, found, strict=True):
            # a snapshot's time comes behind the seed
            wanted = leaf.shape[:1] + times + leaf.shape[1:]
            if array.dtype != leaf.dtype or array.shape != wanted or not np.all(np.isfinite(array)):
                raise ValueError(f"{name} must hold finite numbers {leaf.dtype} of shape {wanted}")
        return jax.tree.unflatten(structure, found)

    seeds = jax.tree.leaves(begin.state)[0].shape[0]
    observables = {key.removeprefix("observables/"): arrays[key] for key in arrays if key.startswith("observables/")}
    for name, values in observables.items():
        if values.dtype.kind != "f" or values.shape[:2] != (seeds, recorded) or not np.all(np.isfinite(values)):
            raise ValueError(f"{name} must hold finite numbers of {seeds} seeds at {recorded} times")
    if not observables and recorded:
        raise ValueError("it holds no observables")
    return Progress(steps, tree("state", begin.state), observables, tree("snapshots", begin.state, (taken,)))


def _plain(request: dict) -> dict:
    return json.loads(json.dumps(request, default=repr))


def _difference(ours, theirs) -> str:
    """The first place where two nested requests differ, for a message; empty if they are equal."""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        ours, theirs = ({str(index): value for index, value in enumerate(values)} for values in (ours, theirs))
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return "" if ours == theirs else f" = {str(theirs)[:30]} instead of {str(ours)[:30]}"
    for key in ours | theirs:
        rest = _difference(ours.get(key), theirs.get(key))
        if rest:
            return key + rest if rest.startswith(" ") else f"{key}.{rest}"
    return ""
