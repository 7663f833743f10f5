"""Where a result may be written: the one check of every output path, made before any work."""

import errno
import os
import pathlib
import stat
import tempfile

from steode.errors import SpecificationError, check_path
from steode.store.atomic import ROOM_FOR_PART

LONGEST_NAME = 255
"""Bytes in a file's name, where the file system does not say."""


def output_file(argument: str, path: object, suffixes: tuple[str, ...] = (), *, make: bool = False) -> pathlib.Path:
    """The path, if a file can be written there.

    Parameters
    ----------
    argument : what messages call the path.
    suffixes : endings that are allowed; all, if empty.
    make : make the folder if there is none.

    Raises `SpecificationError` if it is no path, ends in anything else, is a folder, a device or in no folder, if its
    name is too long, or if nothing can be written there.
    """
    path = _plain_path(argument, path)
    if suffixes and path.suffix not in suffixes:
        expected = "a file name ending in " + " or ".join(suffixes)
        raise SpecificationError(argument, expected, str(path), "Choose one of them.")
    target = pathlib.Path(os.path.realpath(path))
    try:
        if make:
            target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.is_dir():
            raise SpecificationError(
                argument, "a file in a folder that exists", str(path), f"Make {path.parent} first."
            )
        _probe_file(target)
        _probe_folder(target.parent, len(os.fsencode(target.name)) + ROOM_FOR_PART)
    except OSError as error:
        raise _refusal(argument, "a file that can be written", path, error) from None
    return path


def output_folder(argument: str, path: object) -> pathlib.Path:
    """The path of a folder that files can be written to; it is made if there is none.

    Raises `SpecificationError` if that is not possible.
    """
    path = _plain_path(argument, path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _probe_folder(path, 0)
    except OSError as error:
        raise _refusal(argument, "a folder that can be written", path, error) from None
    return path


def _plain_path(argument: str, path: object) -> pathlib.Path:
    path = check_path(argument, path)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        path = None
    if path is None or "\0" in str(path):
        raise SpecificationError(argument, "a path without null characters", str(path), 'For example "run.npz".')
    return path


def _probe_file(target: pathlib.Path) -> None:
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):  # all links were followed, but for a circle of them
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is no regular file")
    if not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _probe_folder(folder: pathlib.Path, length: int) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass
    try:
        longest = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, ValueError, OSError):
        longest = LONGEST_NAME
    if length > longest:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def _refusal(argument: str, expected: str, path: pathlib.Path, error: OSError) -> SpecificationError:
    remedy = f"{error.strerror or error}; give a path in a folder of yours."
    return SpecificationError(argument, expected, str(path), remedy)
