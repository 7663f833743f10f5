"""Arrays from .npy files: numbers only, of a size known before anything is read, and from where they may come."""

import dataclasses
import math
import pathlib
import tokenize

import numpy as np

from steode.errors import SpecificationError

MOST_NUMBERS = 10**8
"""Numbers a file may hold; 800 MB in double precision."""

_UNREADABLE = (OSError, ValueError, TypeError, EOFError, SyntaxError, OverflowError, RecursionError, MemoryError)
_UNREADABLE += (tokenize.TokenError,)
"""What NumPy, which reads the header as a Python literal, raises where it is none."""


def load_array(argument: str, path: pathlib.Path) -> np.ndarray:
    """The array of a .npy file; `argument` names it in errors.

    Nothing in the file is executed, and its header is checked against its length before memory is taken. Raises
    `SpecificationError` for anything else than a .npy file of numbers, or for more than MOST_NUMBERS.
    """
    try:
        # a device or a pipe would never end
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        with path.open("rb") as file:
            shape, dtype = _header(file)
            count, rest = math.prod(shape), path.stat().st_size - file.tell()
            if dtype.hasobject:
                raise ValueError("it holds Python objects, not numbers")
            if min(shape, default=1) < 0 or count > MOST_NUMBERS or count * dtype.itemsize > rest:
                raise ValueError(
                    f"its header promises {count:.3g} numbers; at most {MOST_NUMBERS:.3g}, all in the file"
                )
            file.seek(0)
            return np.load(file, allow_pickle=False)
    except _UNREADABLE as error:
        remedy = f"NumPy says: {' '.join(str(error).split())[:200]}."
        raise SpecificationError(argument, "the path of a readable .npy file", str(path), remedy) from None


def _header(file) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a specification is, and so which files it may name.

    folder : its folder, where relative paths start; None: it may name no file.
    allow_outside : whether files elsewhere may be read too.
    """

    folder: pathlib.Path | None = None
    allow_outside: bool = False

    def locate(self, argument: str, name: str) -> str:
        """The path of a file that the specification names, below its folder unless more is allowed.

        Links are followed before the check. Raises `SpecificationError` for a file elsewhere.
        """
        if self.folder is None:
            remedy = "Numbers from a saved result name no file: give the specification itself, or the array."
            raise SpecificationError(argument, "an array of numbers", name, remedy)
        try:
            home, place = self.folder.resolve(), (self.folder / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise SpecificationError(argument, "the path of a .npy file", name, f"{error}.") from None
        if not self.allow_outside and not place.is_relative_to(home):
            remedy = "Move it there, or allow files anywhere: allow_outside=True, on the command line --allow-outside."
            raise SpecificationError(argument, f"a file below {home}, where the specification is", name, remedy)
        return str(place)
