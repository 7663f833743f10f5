"""Compiled programs of earlier commands, kept in the user's cache folder: most of a first answer's wait is compiling.

JAX finds a program again by its own text, its version and its options. Programs are made for one kind of processor,
so that each has a folder of its own.
"""

import hashlib
import os
import pathlib
import platform
import sys

LARGEST = 200_000_000
"""Bytes kept; the programs longest unused are removed beyond them. One takes about 80,000."""

SHORTEST = 0.1
"""Seconds of compilation below which a program is not worth a file."""


def use_program_cache() -> None:
    """Have JAX, which must not be imported yet, keep its programs, unless the user's environment says where or whether.

    Nothing is kept where the folder cannot be written.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or "jax" in sys.modules:
        return
    folder = cache_folder() / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(SHORTEST))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def cache_folder() -> pathlib.Path:
    """Where the operating system wants programs to keep what can be made again."""
    home = pathlib.Path.home()
    if sys.platform == "win32":
        base = pathlib.Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "steode" / "programs"


def _processor() -> str:
    """A name for this kind of processor: a home folder may be shared by machines of several kinds."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    described = f"{platform.machine()} {platform.processor()} {features}"
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _prune(folder: pathlib.Path) -> None:
    files = sorted(((entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()), key=_last_used)
    size = sum(status.st_size for status, _ in files)
    for status, path in files:
        if size <= LARGEST:
            return
        pathlib.Path(path).unlink(missing_ok=True)
        size -= status.st_size


def _last_used(file) -> float:
    return max(file[0].st_atime, file[0].st_mtime)
