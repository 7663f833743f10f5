"""The one way a file is written: beside its place, forced to the disk, and moved there in one step."""

import contextlib
import glob
import os
import pathlib
import secrets
import stat

from steode.errors import WriteError

PART = ".part"
"""End of the name of a file that is being written, NAME.PROCESS-RANDOM.part."""
ROOM_FOR_PART = 32
"""Bytes that the name of such a file may have more than NAME."""


def write(path: str | os.PathLike, content: bytes | memoryview) -> pathlib.Path:
    """Write a file that appears whole or not at all, however the process ends; returns the path as given.

    A symbolic link is followed. A new file has the permissions that the umask leaves, an existing one keeps its own.

    Raises `WriteError`, with nothing changed and nothing left, if the file cannot be written.
    """
    target = pathlib.Path(os.path.realpath(path))
    try:
        _replace(target, content)
    except OSError as error:
        raise WriteError(path, error) from error
    return pathlib.Path(path)


def remove_parts(path: str | os.PathLike) -> None:
    """Remove what a process that was killed in the middle of `write` left beside `path`."""
    target = pathlib.Path(os.path.realpath(path))
    for part in target.parent.glob(f"{glob.escape(target.name)}.*{PART}"):
        part.unlink(missing_ok=True)


def _replace(target: pathlib.Path, content: bytes | memoryview) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
    kept = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    try:
        with open(part, "xb") as file:
            if kept is not None:
                os.chmod(part, kept)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: pathlib.Path) -> None:
    # the move itself reaches the disk; where folders cannot be opened it does so later
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
