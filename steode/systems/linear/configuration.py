"""A linear model as nested dictionaries of plain data, and back."""

import dataclasses
import pathlib

from steode.parts.configuration import build, plain
from steode.parts.laws.array_file import Place
from steode.systems.linear.spec import LinearModel


def to_dict(model: LinearModel) -> dict:
    """The specification as nested dictionaries of plain numbers, strings and lists; `from_dict` inverts it.

    A schedule given by a function keeps the function: `steode.parts.schedule.check_writable` refuses it where
    the dictionary is to be written.
    """
    return {field.name: plain(getattr(model, field.name)) for field in dataclasses.fields(model)}


def from_dict(table: dict, folder: str | pathlib.Path | None = ".", *, allow_outside: bool = False) -> LinearModel:
    """The model a nested dictionary describes.

    Relative paths of .npy files in it start in `folder`, and lead nowhere else without `allow_outside`; with None it
    may name none. Raises `SpecificationError` for an unknown key or type, a missing argument, or a value the class
    refuses.
    """
    place = Place(None if folder is None else pathlib.Path(folder), allow_outside)
    return build("specification", LinearModel, table, place)
