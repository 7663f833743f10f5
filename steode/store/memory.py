"""How much memory there is: what this process may still take before the system ends it."""

import os
import pathlib

CGROUPS = (
    ("memory.max", "memory.current", "/sys/fs/cgroup"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "/sys/fs/cgroup/memory"),
)
"""Files of limit and use, in version 2 and 1 of Linux's control groups, and where they lie."""


def available_memory() -> float:
    """Bytes of main memory that can still be taken; infinite where the system does not say.

    The smallest of what the system has left without swapping, what the control group of the process leaves, and its
    limit on address space.
    """
    return min(_of_the_system(), _of_the_group(), _of_the_process())


def _of_the_system() -> float:
    found = _entry(pathlib.Path("/proc/meminfo"), "MemAvailable:")
    if found is not None:
        return found
    try:  # all there is, where what is left is not told
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _of_the_group() -> float:
    left = float("inf")
    for limit, use, root in CGROUPS:
        for folder in _groups(pathlib.Path(root)):
            try:
                held, reclaimable = int((folder / use).read_text()), _cached(folder)
                left = min(left, int((folder / limit).read_text()) - held + reclaimable)
            except (OSError, ValueError):  # no such group, or "max": it has no limit
                continue
    return left


def _groups(root: pathlib.Path) -> list[pathlib.Path]:
    """The group of this process and those above it; inside a container they are mounted at the root."""
    try:
        lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [root]
    own = [line.split(":", 2) for line in lines]
    names = [name for _, kind, name in own if kind == "" or "memory" in kind.split(",")]
    folders = [root / name.lstrip("/") for name in names]
    return [root, *{above for folder in folders for above in (folder, *folder.parents) if root in above.parents}]


def _cached(folder: pathlib.Path) -> int:
    """Pages of files, counted as use, that the system drops when memory is asked for."""
    return _entry(folder / "memory.stat", "inactive_file", unit=1) or 0


def _of_the_process() -> float:
    try:
        import resource
    except ImportError:
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    taken = _entry(pathlib.Path("/proc/self/status"), "VmSize:") or 0
    return limit - taken


def _entry(path: pathlib.Path, name: str, unit: int = 1024) -> int | None:
    """The number behind a name in a file of the system, in bytes."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * unit
    except (OSError, ValueError, IndexError):
        pass
    return None
