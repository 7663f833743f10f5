"""Checkpoints: what is done of a simulation, in one file that is either whole or absent.

A file holds the weights of every seed, all that was recorded, and the request it belongs to; every write makes a new
file and moves it over the old one, so that a process killed at any moment leaves the last checkpoint intact.
"""

import dataclasses
import glob
import json
import os
import pathlib
import tempfile
import time
import warnings
import zipfile
import zlib

import jax
import numpy as np

from steode.errors import SpecificationError
from steode.simulate.engine import Progress

REQUEST = "request"


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written; the run goes on, and the last one that could is intact."""


@dataclasses.dataclass
class Checkpoint:
    """The file of one run.

    `request` is a nested dictionary that says which run it is: a file of another request is refused. A checkpoint is
    due `every` seconds after the last.
    """

    path: pathlib.Path
    request: dict
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
        if not self.path.exists():
            self._probe()
            return begin
        try:
            with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                arrays = dict(file)
            written = json.loads(str(arrays[REQUEST][()]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            remedy = "It is damaged or something else: delete it to begin anew, or give another path."
            raise SpecificationError(
                "checkpoint", "a checkpoint file", f"{self.path.name} ({type(error).__name__})", remedy
            ) from error
        differing = _difference(_plain(self.request), written)
        if differing:
            remedy = "Give another path, or delete the file to begin anew."
            raise SpecificationError("checkpoint", "a checkpoint of this run", f"one with {differing}", remedy)
        self._probe()
        return _unpack(arrays, begin)

    def save(self, progress: Progress) -> None:
        """Write the progress; if that fails, warn."""
        try:
            self._write({REQUEST: np.array(json.dumps(_plain(self.request))), **_pack(progress)})
        except OSError as error:
            warnings.warn(
                f"checkpoint {self.path.name} could not be written ({error.strerror or error}); the run goes on, and "
                "an earlier checkpoint is intact.",
                CheckpointWarning,
                stacklevel=2,
            )
        self.last = time.monotonic()

    def _probe(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError(None, "it is a folder")
            with tempfile.TemporaryFile(dir=self.path.parent):
                pass
            # what a kill in the middle of a write left behind
            for part in self.path.parent.glob(f"{glob.escape(self.path.name)}.*.part"):
                part.unlink(missing_ok=True)
        except OSError as error:
            received = f"{self.path.name}: {error.strerror}"
            raise SpecificationError(
                "checkpoint", "a file that can be written", received, "Give a path in a folder of yours."
            ) from error

    def _write(self, arrays: dict[str, np.ndarray]) -> None:
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _pack(progress: Progress) -> dict[str, np.ndarray]:
    arrays = {"steps": np.array(progress.steps)}
    arrays |= {f"observables/{name}": value for name, value in progress.observables.items()}
    for name in ("state", "snapshots"):
        leaves = jax.tree.leaves(getattr(progress, name))
        arrays |= {f"{name}/{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
    return arrays


def _unpack(arrays: dict[str, np.ndarray], begin: Progress) -> Progress:
    def tree(name, like):
        count = jax.tree.structure(like).num_leaves
        return jax.tree.unflatten(jax.tree.structure(like), [arrays[f"{name}/{index}"] for index in range(count)])

    observables = {key.removeprefix("observables/"): arrays[key] for key in arrays if key.startswith("observables/")}
    state, snapshots = tree("state", begin.state), tree("snapshots", begin.snapshots)
    return Progress(int(arrays["steps"]), state, observables, snapshots)


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
