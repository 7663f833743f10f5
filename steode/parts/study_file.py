"""Specification files of the systems beside the linear one: what their readers share."""

import copy
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping

from steode.errors import SpecificationError
from steode.parts.configuration import check_plain, load_toml, set_entry
from steode.parts.spelling import home, suggestion

TABLES = ("system", "title", "description", "model", "vary", "run")


@dataclasses.dataclass(frozen=True)
class Study:
    """One specification file: `cases` maps labels to models, with one empty label where nothing is varied."""

    title: str
    description: str
    cases: dict[str, object]
    settings: object


def read_study(
    system: str,
    path: pathlib.Path,
    changes: dict | None,
    settings: type,
    from_table: Callable[[dict], object],
    model: type | None = None,
) -> Study:
    """The study of a system's file, with dotted keys such as "model.step" changed.

    `settings` is the dataclass of its [run] table, `from_table` makes a model of its [model] table; given its class,
    a key in the wrong table is told where to go. Raises `SpecificationError` for anything that does not make sense.
    """
    keys = {"run": fields_of(settings)} | ({} if model is None else {"model": fields_of(model)})
    table = study_table(path, changes, TABLES, keys)
    if table.get("system", system) != system:
        raise SpecificationError("system", f'"{system}"', table["system"], "Another system has its own reader.")
    if model is not None and isinstance(table.get("model"), dict):
        check_known("model.", table["model"], keys["model"], keys)
    given = run_settings(settings, table.get("run", {}), keys)
    return Study(*titles(table, path.stem), cases(table, from_table), given)


def cases(table: dict, from_table: Callable[[dict], object]) -> dict[str, object]:
    """Label, such as "bits = 2", -> model, for every value of the [vary] table; one without a label where none is."""
    model = table.get("model", {})
    if "vary" not in table or not isinstance(model, dict):
        return {"": from_table(model)}
    parameter, values = varied(table["vary"])
    shown = [str(value.get("type", value) if isinstance(value, dict) else value) for value in values]
    # a type alone names a case unless another has it too
    shown = shown if len(set(shown)) == len(values) else [str(value) for value in values]
    found, name = {}, parameter.rpartition(".")[2]
    for value, text in zip(values, shown, strict=True):
        changed = copy.deepcopy(model)
        set_entry(changed, parameter, value)
        found[f"{name} = {text}"] = from_table(changed)
    return found


def toml_text(system: str, model: dict) -> str:
    """A TOML file with `system` and the table [model], of nested dictionaries, lists, numbers and strings."""
    return f'system = "{system}"\n[model]\n' + "".join(f"{key} = {_toml(value)}\n" for key, value in model.items())


def _toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # numbers, strings and booleans are written alike in JSON and TOML
    return json.dumps(value)


def study_table(
    path: pathlib.Path, changes: dict | None, known: tuple[str, ...], keys: Mapping[str, Iterable[str]] | None = None
) -> dict:
    """The tables of a TOML file with dotted keys such as "model.step" changed; raises for an entry not in `known`.

    `keys` maps tables to what they may hold, so that an entry outside of them is told where it goes.
    """
    table = load_toml(path)
    for key, value in (changes or {}).items():
        table.setdefault(key.partition(".")[0], {})
        set_entry(table, key, value)
    check_plain("file", table)
    check_known("", table, known, keys)
    return table


def titles(table: dict, default: str) -> tuple[str, str]:
    """The texts `title` and `description` of a file."""
    title, description = table.get("title", default), table.get("description", "")
    for name, text in (("title", title), ("description", description)):
        if not isinstance(text, str):
            raise SpecificationError(name, "a text", text, 'For example title = "Bits".')
    return title, description.strip()


def fields_of(kind: type) -> tuple[str, ...]:
    """The arguments of a dataclass, which a table of a file may hold."""
    return tuple(field.name for field in dataclasses.fields(kind))


def run_settings(kind: type, table: object, keys: Mapping[str, Iterable[str]] | None = None):
    """The dataclass of the [run] table."""
    if not isinstance(table, dict):
        first = dataclasses.fields(kind)[0]
        remedy = f"For example [run] and below it {first.name} = {first.default}."
        raise SpecificationError("run", "a table", table, remedy)
    check_known("run.", table, fields_of(kind), keys)
    return kind(**table)


def varied(vary: object) -> tuple[str, list]:
    """Parameter and values of the [vary] table."""
    example = 'parameter = "noise" and values = [0.1, 0.2]'
    if not isinstance(vary, dict) or {"parameter", "values"} != set(vary) or not isinstance(vary["values"], list):
        raise SpecificationError("vary", "a table with parameter and values", vary, f"For example {example}.")
    if not vary["values"] or not isinstance(vary["parameter"], str):
        expected = "the name of a parameter and at least one value"
        raise SpecificationError("vary", expected, vary, f"For example {example}.")
    return vary["parameter"], vary["values"]


def check_known(
    where: str, table: dict, known: Iterable[str], tables: Mapping[str, Iterable[str]] | None = None
) -> None:
    """Raise `SpecificationError` for a key not in `known`; `where` goes before it in the message.

    `tables` maps other tables of the file to their keys: one that is theirs is told where to go.
    """
    for key in table:
        if key not in known:
            remedy = home(key, tables or {}) or suggestion(key, known)
            raise SpecificationError(f"{where}{key}", "one of " + ", ".join(known), key, remedy)
