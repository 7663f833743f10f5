"""Specifications as plain nested dictionaries, and so as TOML files and JSON provenance.

Every object is a table whose `type` names its class and whose other keys are the class's arguments:

    learning_rate = 0.1
    weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
    teacher = {type = "Constant", value = 1.0}

A learning rate may be a schedule, {type = "Schedule", expression = "0.5/(1 + tau/10)"} or that text alone. Texts are
read, never evaluated (see `steode.parts.expression`); files that a specification names lie below its own folder.
"""

import dataclasses
import functools
import pathlib
import re
import tomllib
import typing

import numpy as np
import sympy

from steode.errors import LARGEST_INTEGER, SpecificationError
from steode.parts import (
    elementwise,
    formats,
    groups,
    laws,
    quantizers,
    range_rules,
    remedies,
    spectrum,
    stochastic,
    surrogates,
    update_rules,
)
from steode.parts.expression import write_expression
from steode.parts.laws.array_file import Place
from steode.parts.schedule import Schedule
from steode.parts.spelling import nearest, suggestion

_TYPES = {
    kind.__name__: kind
    for kind in (
        quantizers.Identity,
        quantizers.Uniform,
        quantizers.SignedInteger,
        quantizers.Sign,
        quantizers.Ternary,
        quantizers.Levels,
        elementwise.Elementwise,
        formats.IntegerFormat,
        formats.FloatFormat,
        stochastic.AdditiveNoise,
        stochastic.MultiplicativeNoise,
        stochastic.CommonFactor,
        stochastic.StochasticRounding,
        laws.Constant,
        laws.TwoPoint,
        laws.Discrete,
        laws.Normal,
        laws.Laplace,
        laws.UniformLaw,
        laws.Empirical,
        laws.Paired,
        spectrum.Isotropic,
        spectrum.PowerLaw,
        spectrum.Eigenvalues,
        surrogates.IdentitySurrogate,
        surrogates.ClippedSurrogate,
        surrogates.DerivativeOf,
        update_rules.STE,
        update_rules.Momentum,
        update_rules.KineticMomentum,
        update_rules.SignSGD,
        update_rules.Adam,
        update_rules.FOGZO,
        update_rules.SPSA,
        range_rules.FixedRange,
        range_rules.LearnedRange,
        range_rules.FollowingRange,
        groups.Group,
        remedies.Freezing,
        remedies.OscillationFreezing,
        remedies.RunningAverage,
        Schedule,
    )
}

_FILES = {"Empirical": ("values",), "Paired": ("values",), "Eigenvalues": ("values_at",)}
"""Arguments that may name a file."""
LONGEST_FILE = 10**7
"""Bytes of a specification file."""
DEEPEST, LONGEST_KEY = 16, 16
"""Levels of tables and lists, and parts of a dotted key, that a specification may have."""
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){16}""")


def load_toml(path: str | pathlib.Path) -> dict:
    """Read a TOML file. Raises `SpecificationError` if it is missing, too large or not valid TOML."""
    path = pathlib.Path(path)
    try:
        # a device or a pipe would never end
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise SpecificationError("file", "a readable TOML file", str(path), str(error)) from None
    except ValueError as error:
        raise SpecificationError("file", "valid TOML", str(path), f"{error}.") from None
    return parse_toml(text, str(path))


def parse_toml(text: str, name: str = "specification") -> dict:
    """The tables of a TOML text; `name` says in errors which.

    Raises `SpecificationError` for what is no valid TOML, or larger than the bounds above.
    """
    if len(text) > LONGEST_FILE:
        raise SpecificationError("file", f"at most {LONGEST_FILE} characters", name, "Keep arrays in .npy files.")
    # the time and memory of Python's reader grow with the square of their number
    if _LONG_KEY.search(text):
        raise SpecificationError("file", f"keys of at most {LONGEST_KEY} parts", name, "Write tables with [headers].")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecificationError("file", "valid TOML", name, f"{' '.join(str(error).split())[:200]}.") from None
    check_plain("file", table)
    return table


def check_plain(where: str, table: object) -> None:
    """Raise `SpecificationError` for nested dictionaries and lists that are too deep, or hold too large an integer."""
    level, depth = [table], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise SpecificationError(where, f"tables and lists nested at most {DEEPEST} deep", "more", "Flatten them.")
        below = []
        for part in level:
            entries = part.values() if isinstance(part, dict) else part
            for entry in entries:
                if isinstance(entry, dict | list | tuple):
                    below.append(entry)
                elif isinstance(entry, int) and abs(entry) > LARGEST_INTEGER:
                    received = f"one of {entry.bit_length()} bits"
                    raise SpecificationError(where, "integers of at most 64 bits", received, "Write 1e30 as a decimal.")
        level = below


def set_entry(table: dict, key: str, value: object) -> None:
    """Set the entry that a dotted key such as "weight_quantizer.range" names in nested tables, which must exist."""
    *path, last = key.split(".")
    known = list(table)
    for depth, part in enumerate(path, start=1):
        table = table.get(part)
        if not isinstance(table, dict):
            where = ".".join(path[:depth])
            near = nearest(part, known)
            remedy = f"Did you mean {near!r}?" if near and near != part else f"Give {where} as a whole."
            raise SpecificationError(key, f"a table {where} in the specification", table, remedy)
        known = list(table)
    table[last] = value


def plain(value: object):
    """A part of a specification, such as a law, as dictionaries, lists, numbers and strings; see `from_plain`."""
    if isinstance(value, sympy.Basic):
        return write_expression(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value.tolist()
    if isinstance(value, np.ndarray | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.floating):
        return float(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        given = {name: plain(entry) for name, entry in fields.items() if entry is not None}
        return {"type": type(value).__name__} | given
    return value


def from_plain(where: str, value: object, place: Place):
    """The part of a specification that `plain` gave; `where` names it in errors, which are those of `build`."""
    if isinstance(value, dict | list | tuple):
        check_plain(where, value)
    return _value(where, value, place)


def build(where: str, kind: type, table: object, place: Place, files: tuple[str, ...] = ()):
    """An object of the class `kind` from a table of its arguments, of which `files` may name .npy files."""
    if not isinstance(table, dict):
        raise SpecificationError(where, "a table", table, f'For example {where} = {{type = "..."}}.')
    check_plain(where, table)
    known = [field.name for field in dataclasses.fields(kind)]
    for key in table:
        if key not in known:
            raise SpecificationError(f"{where}.{key}", "one of " + ", ".join(known), key, suggestion(str(key), known))
    arguments = {}
    for key, value in table.items():
        named = f"{where}.{key}"
        located = key in files and isinstance(value, str)
        arguments[key] = place.locate(named, value) if located else _value(named, value, place, fitting(kind, key))
    try:
        return kind(**arguments)
    except TypeError as error:
        # a required argument is missing: every other mistake is a SpecificationError already
        raise SpecificationError(where, f"the arguments of {kind.__name__}", table, f"{error}.") from None


@functools.cache
def fitting(kind: type, field: str) -> tuple[str, ...]:
    """The types that a table for this argument of the class `kind` may have; none where it takes no table."""
    annotation = typing.get_type_hints(kind)[field]
    entries = [entry for entry in (typing.get_args(annotation) or (annotation,)) if isinstance(entry, type)]
    classes = tuple(entry for entry in entries if entry.__module__.startswith("steode."))
    return tuple(name for name, known in _TYPES.items() if issubclass(known, classes))


def _value(where: str, value: object, place: Place, fits: tuple[str, ...] = tuple(_TYPES)):
    if isinstance(value, dict):
        table = dict(value)
        if not fits:
            raise SpecificationError(where, "no table", value, "Give a number, a text or a list.")
        # where one type fits it need not be named
        name = table.pop("type", fits[0] if len(fits) == 1 else None)
        # a type that exists but does not fit is refused by the class, which knows why
        if name is None:
            remedy = f'Say which: {{type = "{_with(table, fits)}", ...}}.'
            raise SpecificationError(f"{where}.type", "one of " + ", ".join(fits), "nothing", remedy)
        if not isinstance(name, str) or name not in _TYPES:
            raise SpecificationError(f"{where}.type", "one of " + ", ".join(fits), name, suggestion(str(name), fits))
        return build(where, _TYPES[name], table, place, _FILES.get(name, ()))
    if isinstance(value, list):
        return tuple(
            _value(f"{where}[{index}]", entry, place, fits) if isinstance(entry, dict) else entry
            for index, entry in enumerate(value)
        )
    if isinstance(value, str):
        last = where.rpartition(".")[2]
        if last in ("learning_rate", "dampening"):
            if "tau" not in value:
                expected, example = "a number, or an expression in tau", 'For example "0.1/(1 + tau)"; tau = step/d.'
                raise SpecificationError(where, expected, value, example)
            return Schedule(value)
        if near := nearest(value, fits):
            raise SpecificationError(where, "a table", value, f'Write {{type = "{near}", ...}}, with what it takes.')
    return value


def _with(table: dict, fits: tuple[str, ...]) -> str:
    """The first of the types that takes the entries of a table; "..." if there is none."""
    taking = (name for name in fits if set(table) <= {field.name for field in dataclasses.fields(_TYPES[name])})
    return next(taking, "...")
