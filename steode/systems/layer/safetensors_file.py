"""Tensors from .safetensors files: numbers only, of a size known before anything is read."""

import math
import pathlib

import numpy as np

from steode.errors import SpecificationError
from steode.parts.laws.array_file import MOST_NUMBERS

TYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8")
"""Types of the format that are taken; BF16 becomes single precision, which holds all of its numbers."""


def load_tensor(argument: str, path: pathlib.Path, entry: str) -> np.ndarray:
    """The tensor `entry` of a .safetensors file, or the only one if that is empty; `argument` names it in errors.

    The format is a JSON header and raw numbers: nothing in it can be run. The library `safetensors` checks the header
    against the length of the file, and the file is mapped, so that only this tensor is read.

    Raises
    ------
    SpecificationError
        If the library is absent, the file is no such file, no tensor has the name, or it is of another type or holds
        more than MOST_NUMBERS numbers.
    """
    try:
        # NumPy learns the type bfloat16 from the first
        import ml_dtypes  # noqa: F401
        import safetensors
    except ImportError:
        remedy = "pip install 'steode[safetensors]', or save the array as .npy."
        raise SpecificationError(argument, "the library safetensors", "it is not installed", remedy) from None
    try:
        # a device or a pipe would never end
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        with safetensors.safe_open(path, framework="numpy") as file:
            name = _name(argument, path, entry, list(file.keys()))
            part = file.get_slice(name)
            kind, shape = part.get_dtype(), part.get_shape()
            if kind not in TYPES:
                remedy = "Convert it to float32 where it was saved."
                raise SpecificationError(argument, "a tensor of type " + ", ".join(TYPES), f"{name} of {kind}", remedy)
            if math.prod(shape) > MOST_NUMBERS:
                count, remedy = f"{math.prod(shape):.3g} in {name}", "Take fewer rows."
                raise SpecificationError(argument, f"at most {MOST_NUMBERS:.3g} numbers", count, remedy)
            array = file.get_tensor(name)
    except (OSError, ValueError, TypeError, OverflowError, MemoryError, safetensors.SafetensorError) as error:
        if isinstance(error, SpecificationError):
            raise
        remedy = f"The library says: {' '.join(str(error).split())[:200]}."
        raise SpecificationError(argument, "the path of a readable .safetensors file", str(path), remedy) from None
    return array.astype(np.float32) if kind == "BF16" else array


def _name(argument: str, path: pathlib.Path, entry: str, names: list[str]) -> str:
    if entry in names:
        return entry
    if not entry and len(names) == 1:
        return names[0]
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    remedy = f'Name one: "{path.name}:{next(iter(names), "x")}".'
    raise SpecificationError(argument, f"one of {shown or 'no tensors'}", entry or path.name, remedy)
