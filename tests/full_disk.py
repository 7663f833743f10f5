"""A disk without room: real, by the limit on the size of files, or one folder only."""

import contextlib
import errno
import os
import resource


@contextlib.contextmanager
def files_of_at_most(size: int):
    """No file can grow beyond `size` bytes; Python ignores the signal, and the write fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(monkeypatch, folder, after: int = 0) -> None:
    """No file can be finished in this folder any more, once `after` of them were."""
    move, moved = os.replace, []

    def replace(source, target):
        if str(target).startswith(f"{folder}{os.sep}"):
            moved.append(target)
            if len(moved) > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)
