"""What is varied: dotted keys into a specification, their values, and whether these are checked to make models."""

import dataclasses
import json
from collections.abc import Iterable, Mapping

import numpy as np

from steode.errors import SpecificationError, UnsupportedError
from steode.parts.configuration import plain
from steode.parts.schedule import Schedule
from steode.parts.spelling import suggestion
from steode.systems.linear.spec import LinearModel


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of a sweep.

    keys : dotted keys into the specification that take the same value; the first names the dimension.
    values : numbers, strings, or plain tables and lists (see `steode.parts.configuration.plain`).
    name : of the dimension, a word: the last part of the first key, or all parts where axes share that.
    """

    keys: tuple[str, ...]
    values: tuple
    name: str

    @property
    def labels(self) -> np.ndarray:
        """The coordinate, shape (n,): the values if they are numbers, otherwise a text for each."""
        if all(isinstance(value, int | float) for value in self.values):
            return np.array(self.values)
        return np.array([value if isinstance(value, str) else _text(value) for value in self.values])


def read_axes(model: LinearModel, axes: Mapping[str, Iterable]) -> tuple[Axis, ...]:
    """The axes that dotted keys, or unambiguous last parts of them, and their values describe.

    Raises `SpecificationError` for a key that the model does not have or that two axes share, and for values that are
    not different numbers, strings or parts of a specification; `UnsupportedError` for learning-rate schedules as values
    of an axis or in its place. Whether the values make models is left to `Grid`.
    """
    if not isinstance(axes, Mapping) or not axes:
        remedy = 'For example {"learning_rate": [0.1, 0.2]}.'
        raise SpecificationError("axes", "a dictionary of keys and values", axes, remedy)
    keys = [_keys(model, text) for text in axes]
    lasts = [of_axis[0].rpartition(".")[2] for of_axis in keys]
    # words, so that table.sel(bits=3) is Python
    names = [
        last if lasts.count(last) == 1 else own[0].replace(".", "_") for last, own in zip(lasts, keys, strict=True)
    ]
    read = tuple(
        Axis(own, _values(str(text), values), name)
        for own, name, (text, values) in zip(keys, names, axes.items(), strict=True)
    )
    seen: list[str] = []
    for key in [key for axis in read for key in axis.keys]:
        for other in seen:
            if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                remedy = "Each entry can be varied once; keys in one axis, separated by commas, are tied together."
                raise SpecificationError("axes", "keys that do not overlap", f"{other}, {key}", remedy)
        seen.append(key)
    for axis in read:
        _check_rates(model, axis)
    return read


def _check_rates(model: LinearModel, axis: Axis) -> None:
    if not any(key.split(".")[0] == "learning_rate" for key in axis.keys):
        return
    if isinstance(model.learning_rate, Schedule) or not all(isinstance(value, int | float) for value in axis.values):
        raise UnsupportedError(
            "sweep: an axis of learning rates takes numbers, and a model whose learning rate is one, not a schedule; "
            "solve(model.replace(learning_rate=schedule), t_end) for each schedule instead."
        )


def known_keys(model: LinearModel) -> list[str]:
    """Every dotted key of a model's specification: its entries, and the entries of its maps and laws."""
    keys = []
    for field in dataclasses.fields(model):
        keys.append(field.name)
        value = getattr(model, field.name)
        if dataclasses.is_dataclass(value):
            keys += [f"{field.name}.{part.name}" for part in dataclasses.fields(value)]
    return keys


def resolve(name: str, known: list[str], argument: str = "axes") -> str:
    """The one of `known` that is `name` or ends in its parts; `SpecificationError` if there is none or several."""
    if name in known:
        return name
    candidates = [key for key in known if name and key.endswith(f".{name}")]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        remedy = f'Write the one you mean, or tie them together: "{", ".join(candidates)}".'
        raise SpecificationError(argument, "one of " + ", ".join(candidates), name, remedy)
    raise SpecificationError(argument, "one of " + ", ".join(known), name, suggestion(name, known))


def _keys(model: LinearModel, text: object) -> tuple[str, ...]:
    if not isinstance(text, str):
        raise SpecificationError("axes", "dotted keys", text, 'For example "weight_quantizer.range".')
    known = known_keys(model)
    return tuple(resolve(part.strip(), known) for part in text.split(","))


def _values(key: str, values: object) -> tuple:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise SpecificationError(f"axes[{key!r}]", "a sequence of values", values, "For example [0.1, 0.2].")
    read = tuple(_value(key, value) for value in values)
    if not read:
        raise SpecificationError(f"axes[{key!r}]", "at least one value", values, "For example [0.1, 0.2].")
    if len({_text(float(value) if isinstance(value, int) else value) for value in read}) < len(read):
        raise SpecificationError(f"axes[{key!r}]", "different values", values, "Remove repetitions.")
    return read


def _value(key: str, value: object):
    value = plain(value.item() if isinstance(value, np.generic) else value)
    try:
        if isinstance(value, bool) or value is None:
            raise TypeError
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        remedy = "Give finite numbers, strings, or laws and maps such as Normal(std=1.0)."
        raise SpecificationError(f"axes[{key!r}]", "values of a specification", value, remedy) from None
    return value


def _text(value: object) -> str:
    """A short name for a value that is not a number, for example Uniform(bits=2, range=2.0)."""
    if isinstance(value, dict) and "type" in value:
        arguments = ", ".join(f"{name}={_text(entry)}" for name, entry in value.items() if name != "type")
        return f"{value['type']}({arguments})"
    return str(value)
