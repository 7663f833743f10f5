"""What is in a file: arrays and labelled datasets as bytes with a checksum, and back.

A file ends with a line of its own, "steode sha256" and the digest of all bytes before it. HDF5 passes over what follows
its data, and in a zip archive (.npz) the line is the comment, so that other programs read both as before. The digest is
compared before any other code sees a byte: the formats' own libraries neither notice all damage nor survive it.
"""

import hashlib
import io
import math
import os
import stat
import zipfile
from collections.abc import Mapping

import lazy_loader
import numpy as np

from steode.errors import SpecificationError
from steode.store.memory import available_memory

# half of a second to import, and not needed before a file is
xarray = lazy_loader.load("xarray")

MARK = b"\nsteode sha256 "
SEAL = len(MARK) + 64 + 1
"""Length of the last line."""


def netcdf_bytes(dataset: "xarray.Dataset") -> bytes:
    """The content of a netCDF4 file."""
    content = dataset.to_netcdf(engine="h5netcdf")
    return b"".join((content, _seal(content)))


def npz_bytes(arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> memoryview:
    """The content of an .npz file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # without a date: the same arrays make the same file
            member.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    # the last two bytes of an archive without a comment say how long its comment is
    stream.seek(-2, os.SEEK_END)
    stream.write(SEAL.to_bytes(2, "little"))
    with stream.getbuffer() as content:
        seal = _seal(content)
    stream.write(seal)
    return stream.getbuffer()


def read_netcdf(argument: str, path: str | os.PathLike, expected: str) -> "xarray.Dataset":
    """The dataset that `netcdf_bytes` made a file of, in memory.

    Raises `SpecificationError` with the given argument and expectation if the file is missing or damaged, was changed
    or written by another program, or claims to hold more numbers than it has bytes.
    """
    content = _read(argument, path, expected, sealed=True)
    try:
        with xarray.open_dataset(io.BytesIO(content), engine="h5netcdf") as dataset:
            if sum(variable.size for variable in dataset.variables.values()) > len(content):
                raise ValueError("it claims to hold more numbers than it has bytes")
            return dataset.load()
    except Exception as error:  # foreign bytes: h5py and xarray raise whatever comes up
        raise _refusal(argument, path, expected, error) from None


def values_of(dataset: "xarray.Dataset", name: str, axes: tuple[str, ...], kinds: str = "f") -> np.ndarray:
    """The values of a variable; `ValueError` unless it has these axes and a type of these NumPy kinds."""
    if name not in dataset.variables:
        raise ValueError(f"it has no {name}")
    variable = dataset[name]
    if variable.dims != axes or variable.dtype.kind not in kinds:
        raise ValueError(f"{name} is {variable.dtype} on {variable.dims} instead of {axes}")
    return variable.values


def read_npz(argument: str, path: str | os.PathLike, expected: str, *, sealed: bool = True) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; of another program's too, without a checksum, unless `sealed`.

    Raises `SpecificationError` with the given argument and expectation if the file is missing or damaged, holds
    anything but plain arrays, or claims to hold more than it does or than there is memory for.
    """
    content = _read(argument, path, expected, sealed)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > available_memory():
                raise ValueError("it claims to hold more than there is memory for")
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in archive.infolist()}
    except Exception as error:  # foreign bytes: zipfile and NumPy raise whatever comes up
        raise _refusal(argument, path, expected, error) from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(member) as stream:
        shape, _, dtype = headers[np.lib.format.read_magic(stream)](stream)
        if dtype.hasobject or stream.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"{member.filename} is not the array its header describes")
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _seal(content: bytes | memoryview) -> bytes:
    return b"".join((MARK, hashlib.sha256(content).hexdigest().encode(), b"\n"))


def _read(argument: str, path, expected: str, sealed: bool) -> bytes:
    try:
        with open(path, "rb", opener=_regular_only) as file:
            if os.fstat(file.fileno()).st_size > available_memory():
                raise ValueError("it is larger than the memory")
            content = file.read()
    except (OSError, ValueError) as error:
        raise _refusal(argument, path, expected, error) from None
    if sealed:
        seal = content[-SEAL:]
        if not (seal.startswith(MARK) and seal.endswith(b"\n")):
            raise _refusal(argument, path, expected, "it has no checksum: cut short, or not written by steode")
        if seal != _seal(memoryview(content)[:-SEAL]):
            raise _refusal(argument, path, expected, "it is damaged: its checksum does not agree")
    return content


def _regular_only(path: str, flags: int) -> int:
    # without O_NONBLOCK opening a named pipe would wait for ever
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is no regular file")
    return descriptor


def _refusal(argument: str, path, expected: str, reason: object) -> SpecificationError:
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    text = " ".join(str(reason).split())[:200] or type(reason).__name__
    return SpecificationError(argument, expected, str(path), f"Give a file that was written whole ({text}).")
