"""Handwritten digits: scikit-learn's own, and MNIST from files the user has; nothing is fetched."""

import gzip
import math
import pathlib
import zlib

import numpy as np

from steode import store
from steode.errors import SpecificationError, UnsupportedError, check_path

__all__ = ["digits", "read_idx", "read_mnist"]

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Third byte of an IDX file -> the type of its numbers, big-endian."""

PARTS = {"train": ("train", "train"), "test": ("t10k", "test")}
"""Part -> how its IDX files begin, and how its arrays in an .npz file end."""


def read_idx(path: str | pathlib.Path) -> np.ndarray:
    """The array in an IDX file, compressed by gzip or not.

    The format: two zero bytes, the type of the numbers, the number of axes, the lengths of the axes as big-endian
    32-bit integers, then the numbers, the last axis running fastest.

    Parameters
    ----------
    path : the file.

    Returns
    -------
    Array in the byte order of the machine, of the shape the file says.

    Raises
    ------
    SpecificationError
        If there is no such file, it is no IDX file, or it holds fewer or more numbers than it says.
    """
    path = check_path("path", path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecificationError("path", "a readable IDX file", str(path), str(error)) from None
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SpecificationError("path", "a whole gzip file", str(path), f"Get it again: {error}.") from None
    axes = data[3] if len(data) > 3 else 0
    start = 4 + 4 * axes
    if data[:2] != b"\0\0" or data[2:3] == b"" or data[2] not in TYPES or axes == 0 or len(data) < start:
        remedy = "It begins with two zero bytes, a type, and the number and lengths of its axes."
        raise SpecificationError("path", "an IDX file", str(path), remedy)
    shape = tuple(int(length) for length in np.frombuffer(data, ">u4", axes, offset=4))
    kind = np.dtype(TYPES[data[2]])
    wanted = math.prod(shape) * kind.itemsize
    if len(data) - start != wanted:
        received = f"{len(data) - start} bytes in {path}"
        raise SpecificationError("path", f"{wanted} bytes for shape {shape}", received, "Get the whole file again.")
    return np.frombuffer(data, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def read_mnist(path: str | pathlib.Path, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images and classes from files in the layout of MNIST.

    Parameters
    ----------
    path : a folder with the IDX files, .gz or not, whose names begin with train-images, train-labels, t10k-images and
        t10k-labels; or an .npz file with the arrays x_train, y_train, x_test and y_test.
    part : "train" or "test".

    Returns
    -------
    Images (samples, pixels) in float32 with the numbers of the file, and classes (samples,) in int32.

    Raises
    ------
    SpecificationError
        If a file or an array is missing, truncated or of the wrong shape, or if images and classes are not equally
        many.
    """
    path = check_path("path", path)
    if part not in PARTS:
        raise SpecificationError("part", "one of " + ", ".join(PARTS), part, "The files have these two.")
    images, labels = _from_folder(path, part) if path.is_dir() else _from_npz(path, part)
    if images.ndim not in (2, 3) or images.size == 0 or images.dtype.kind not in "uif":
        received = f"{images.dtype} of shape {images.shape} in {path}"
        raise SpecificationError(
            "images", "numbers of shape (samples, rows, columns)", received, "Swapped with labels?"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "ui" or labels.min(initial=0) < 0:
        received = f"{labels.dtype} of shape {labels.shape} in {path}"
        raise SpecificationError("labels", "integers >= 0 of shape (samples,)", received, "Not the images?")
    if len(images) != len(labels):
        received = f"{len(images)} images and {len(labels)} labels in {path}"
        raise SpecificationError("path", "one label for each image", received, "The files do not belong together.")
    images = images.reshape(len(images), -1).astype(np.float32)
    if not np.all(np.isfinite(images)):
        raise SpecificationError("images", "finite numbers", f"NaN or infinity in {path}", "Get the file again.")
    return images, labels.astype(np.int32)


def _from_folder(path: pathlib.Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    begin = PARTS[part][0]
    files = [sorted(path.glob(f"{begin}-{name}*")) for name in ("images", "labels")]
    if not all(files):
        remedy = "Give the folder that holds them, or an .npz file."
        raise SpecificationError("path", f"a folder with {begin}-images* and {begin}-labels*", str(path), remedy)
    return read_idx(files[0][0]), read_idx(files[1][0])


def _from_npz(path: pathlib.Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    names = [f"{letter}_{PARTS[part][1]}" for letter in "xy"]
    expected = f"a folder of IDX files, or an .npz file with {names[0]} and {names[1]}"
    loaded = store.read_npz("path", path, expected, sealed=False)
    missing = [name for name in names if name not in loaded]
    if missing:
        remedy = f"Add {' and '.join(missing)}."
        raise SpecificationError("path", expected, f"{', '.join(loaded)} in {path}", remedy)
    return loaded[names[0]], loaded[names[1]]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 handwritten digits that come with scikit-learn, 8 x 8 pixels from 0 to 16.

    Returns
    -------
    Images (1797, 64) in float32 and classes (1797,) in int32.

    Raises
    ------
    UnsupportedError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UnsupportedError("digits: scikit-learn is not installed; pip install steode[examples].") from None
    images, labels = load_digits(return_X_y=True)
    return images.astype(np.float32), labels.astype(np.int32)
