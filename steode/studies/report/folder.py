"""The results folder: every file appears whole, as soon as it is computed, and nobody else's file is touched."""

import io
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterable

import xarray

from steode import store
from steode.errors import WriteError
from steode.systems.linear.trajectory import Trajectory

LONGEST_NAME = 120
"""Bytes of a case's part of a file name."""


class ResultsFolder:
    """A folder that is written to. Files of the same name are replaced; all others stay as they are.

    What cannot be written there any more, because the disk is full or the folder gone, goes to a folder of its own in
    the system's temporary one, and `say` is told; `close` raises the error. Raises `SpecificationError`, which calls
    the path `argument`, if it cannot be made a folder.
    """

    def __init__(self, path: pathlib.Path, argument: str = "out", say: Callable[[str], None] = lambda text: None):
        self.path, self.say = store.output_folder(argument, path), say
        self.kept: pathlib.Path | None = None
        self.failure: WriteError | None = None
        self.places: dict[str, pathlib.Path] = {}

    def text(self, name: str, content: str) -> pathlib.Path:
        """Write a UTF-8 text file."""
        return self._whole(name, content.encode())

    def json(self, name: str, content, indent: int = 2) -> pathlib.Path:
        """Write a JSON file."""
        return self.text(name, json.dumps(content, indent=indent, allow_nan=False) + "\n")

    def trajectory(self, name: str, content: Trajectory) -> pathlib.Path:
        """Write a trajectory as netCDF."""
        return self.dataset(name, content.to_xarray())

    def dataset(self, name: str, content: xarray.Dataset) -> pathlib.Path:
        """Write a dataset as netCDF."""
        return self._whole(name, store.netcdf_bytes(content))

    def figure(self, name: str, figure, suffixes: tuple[str, ...] = (".png", ".svg")) -> pathlib.Path:
        """Write a figure with each of the suffixes; returns the path of the last."""
        return [self._whole(name + suffix, drawn(figure, suffix)) for suffix in suffixes][-1]

    def place(self, name: str) -> pathlib.Path:
        """Where the file of this name was written."""
        return self.places[name]

    def close(self) -> None:
        """Raise `WriteError` if anything had to be written elsewhere; it says where."""
        if self.failure is not None:
            raise WriteError(self.path, self.failure.reason, kept=self.kept) from None

    def _whole(self, name: str, content: bytes) -> pathlib.Path:
        if self.kept is None:
            try:
                self.places[name] = _write(self.path / name, content)
                return self.places[name]
            except WriteError as error:
                self.failure, self.kept = error, spare_folder(error)
                self.say(f"{error.path} could not be written ({error.reason}); it and what follows go to {self.kept}")
        self.places[name] = _write(self.kept / name, content)
        return self.places[name]


def drawn(figure, suffix: str) -> bytes:
    """The content of a figure's file, .png, .svg or .pdf; the same figure gives the same bytes."""
    # tables and data do without matplotlib
    import matplotlib

    stream = io.BytesIO()
    # no date, no random identifiers
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    with matplotlib.rc_context({"svg.hashsalt": "steode"}):
        figure.savefig(stream, format=suffix.removeprefix("."), dpi=150, metadata=metadata)
    return stream.getvalue()


def written(path: pathlib.Path, save: Callable[[pathlib.Path], object]) -> pathlib.Path:
    """Write a result by save(path).

    Raises `WriteError` if that fails, after the result was written into the system's temporary folder instead; the
    message says where.
    """
    try:
        save(path)
    except WriteError as error:
        place = spare_folder(error) / path.name
        save(place)
        raise WriteError(path, error.reason, error.result, kept=place) from None
    return path


def spare_folder(error: WriteError) -> pathlib.Path:
    """A new folder in the system's temporary one; raises `error` if there is none."""
    try:
        return pathlib.Path(tempfile.mkdtemp(prefix="steode-"))
    except OSError:
        raise error from None


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names, made short enough for files, with a number behind those that came before."""
    taken: list[str] = []
    for name in names:
        short = name.encode()[:LONGEST_NAME].decode(errors="ignore")
        number, candidate = 1, short
        # without regard to capitals, which some file systems do not tell apart
        while candidate.lower() in (other.lower() for other in taken):
            number += 1
            candidate = f"{short}-{number}"
        taken.append(candidate)
    return taken


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(path, error) from error
    return store.write(path, content)
