"""Specification files of the systems beside the linear one: what their readers share."""

import dataclasses
import pathlib

from steode.errors import SpecificationError
from steode.parts.configuration import check_plain, load_toml, set_entry
from steode.parts.expression import suggestion


def study_table(path: pathlib.Path, changes: dict | None, known: tuple[str, ...]) -> dict:
    """The tables of a TOML file with dotted keys such as "model.step" changed; raises for an entry not in `known`."""
    table = load_toml(path)
    for key, value in (changes or {}).items():
        table.setdefault(key.partition(".")[0], {})
        set_entry(table, key, value)
    check_plain("file", table)
    check_known("", table, known)
    return table


def titles(table: dict, default: str) -> tuple[str, str]:
    """The texts `title` and `description` of a file."""
    title, description = table.get("title", default), table.get("description", "")
    for name, text in (("title", title), ("description", description)):
        if not isinstance(text, str):
            raise SpecificationError(name, "a text", text, 'For example title = "Bits".')
    return title, description.strip()


def run_settings(kind: type, table: object, example: str):
    """The dataclass of the [run] table; `example` shows one of its entries where there is no table."""
    if not isinstance(table, dict):
        raise SpecificationError("run", "a table", table, f"For example [run] and below it {example}.")
    check_known("run.", table, tuple(field.name for field in dataclasses.fields(kind)))
    return kind(**table)


def varied(vary: object, example: str) -> tuple[str, list]:
    """Parameter and values of the [vary] table."""
    if not isinstance(vary, dict) or {"parameter", "values"} != set(vary) or not isinstance(vary["values"], list):
        raise SpecificationError("vary", "a table with parameter and values", vary, f"For example {example}.")
    if not vary["values"] or not isinstance(vary["parameter"], str):
        expected = "the name of a parameter and at least one value"
        raise SpecificationError("vary", expected, vary, f"For example {example}.")
    return vary["parameter"], vary["values"]


def check_known(where: str, table: dict, known: tuple[str, ...]) -> None:
    """Raise `SpecificationError` for a key not in `known`; `where` goes before it in the message."""
    for key in table:
        if key not in known:
            remedy = suggestion(key, list(known))
            raise SpecificationError(f"{where}{key}", "one of " + ", ".join(known), key, remedy)
