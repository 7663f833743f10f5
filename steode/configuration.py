"""Specifications as plain nested dictionaries, and so as TOML files and JSON provenance.

Every object is a table whose `type` names its class and whose other keys are the class's arguments:

    learning_rate = 0.1
    weight_quantizer = {type = "Uniform", bits = 2, range = 2.0}
    teacher = {type = "Constant", value = 1.0}

A learning rate may be a schedule, {type = "Schedule", expression = "0.5/(1 + tau/10)"} or that text alone.
"""

import dataclasses
import pathlib
import tomllib

import numpy as np
import sympy

from steode import elementwise, formats, laws, quantizers, spectrum, stochastic
from steode.errors import SpecificationError
from steode.expression import parse_expression, suggestion
from steode.schedule import Schedule
from steode.systems.linear import spec as linear
from steode.systems.linear import surrogates, update_rules

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
        spectrum.Isotropic,
        spectrum.PowerLaw,
        spectrum.Eigenvalues,
        surrogates.IdentitySurrogate,
        surrogates.ClippedSurrogate,
        surrogates.DerivativeOf,
        update_rules.STE,
        update_rules.FOGZO,
        update_rules.SPSA,
        Schedule,
    )
}

_FILES = {"Empirical": ("values",), "Eigenvalues": ("values_at",)}
"""Arguments that may name a file."""


def to_dict(model: linear.LinearModel) -> dict:
    """The specification as nested dictionaries of plain numbers, strings and lists; `from_dict` inverts it.

    A schedule given by a function keeps the function: `steode.schedule.check_writable` refuses it where the dictionary
    is to be written.
    """
    return {field.name: plain(getattr(model, field.name)) for field in dataclasses.fields(model)}


def from_dict(table: dict) -> linear.LinearModel:
    """The model a nested dictionary describes.

    Raises `SpecificationError` for an unknown key or type, a missing argument, or a value the class refuses.
    """
    return _build("specification", linear.LinearModel, table, folder=pathlib.Path())


def load_toml(path: str | pathlib.Path) -> dict:
    """Read a TOML file. Raises `SpecificationError` if it is missing or not valid TOML."""
    path = pathlib.Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecificationError("file", "a readable TOML file", str(path), str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecificationError("file", "valid TOML", str(path), str(error)) from None


def model_from_table(table: dict, folder: pathlib.Path) -> linear.LinearModel:
    """Like `from_dict`, for a table read from a file in `folder`: relative paths in it start there."""
    return _build("model", linear.LinearModel, table, folder)


def set_entry(table: dict, key: str, value: object) -> None:
    """Set the entry that a dotted key such as "weight_quantizer.range" names in nested tables, which must exist."""
    *path, last = key.split(".")
    for depth, part in enumerate(path, start=1):
        table = table.get(part)
        if not isinstance(table, dict):
            where = ".".join(path[:depth])
            raise SpecificationError(key, f"a table {where} in the specification", table, f"Give {where} as a whole.")
    table[last] = value


def plain(value: object):
    """A part of a specification, such as a law, as dictionaries, lists, numbers and strings; see `from_plain`."""
    if isinstance(value, sympy.Basic):
        return str(value)
    if isinstance(value, np.ndarray | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.floating):
        return float(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        given = {name: plain(entry) for name, entry in fields.items() if entry is not None}
        return {"type": type(value).__name__} | given
    return value


def from_plain(where: str, value: object):
    """The part of a specification that `plain` gave; `where` names it in errors, which are those of `from_dict`."""
    return _value(where, value, folder=pathlib.Path())


def _build(where: str, kind: type, table: object, folder: pathlib.Path):
    if not isinstance(table, dict):
        raise SpecificationError(where, "a table", table, f'For example {where} = {{type = "..."}}.')
    known = [field.name for field in dataclasses.fields(kind)]
    for key in table:
        if key not in known:
            raise SpecificationError(f"{where}.{key}", "one of " + ", ".join(known), key, suggestion(key, known))
    arguments = {key: _value(f"{where}.{key}", value, folder) for key, value in table.items()}
    try:
        return kind(**arguments)
    except TypeError as error:
        # a required argument is missing: every other mistake is a SpecificationError already
        raise SpecificationError(where, f"the arguments of {kind.__name__}", table, f"{error}.") from None


def _value(where: str, value: object, folder: pathlib.Path):
    if isinstance(value, dict):
        table = dict(value)
        name = table.pop("type", None)
        if name not in _TYPES:
            known = list(_TYPES)
            raise SpecificationError(f"{where}.type", "one of " + ", ".join(known), name, suggestion(str(name), known))
        if name == "Elementwise" and isinstance(table.get("expression"), str):
            variable = sympy.Symbol("x", real=True)
            table["expression"] = parse_expression(f"{where}.expression", table["expression"], variable)
        for argument in _FILES.get(name, ()):
            if isinstance(table.get(argument), str):
                table[argument] = str(folder / table[argument])
        return _build(where, _TYPES[name], table, folder)
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, str) and where.rpartition(".")[2] == "learning_rate" and "tau" in value:
        return Schedule(value)
    return value
