"""Reference pages computed from the program itself: the commands, and what specification files may hold."""

import dataclasses
import inspect
import re
import types
import typing

from steode.parts.configuration import _TYPES, fitting
from steode.parts.study_file import fields_of

ENTRY = re.compile(r"^(\s*)([*\w][\w*, ]*) :\s+(.*)$")
ALIKE = {
    "a map": ("Identity", "Elementwise"),
    "a law": ("Constant", "Paired"),
    "a spectrum": ("PowerLaw",),
    "an update rule": ("STE",),
    "a schedule": ("Schedule",),
    "a surrogate": ("IdentitySurrogate",),
    "a step function": ("Uniform",),
    "a range rule": ("FixedRange",),
    "freezing": ("Freezing",),
    "a running average": ("RunningAverage",),
}
"""Groups of types, each by members that no other group has; the first group that fits gives its name."""


def commands() -> str:
    """Every command: what it does, what it takes, its examples."""
    import typer

    from steode.cli import app

    parts = []
    for name, command in typer.main.get_command(app).commands.items():
        usage = f"steode {name} " + " ".join(
            f"[{parameter.metavar or parameter.name.upper()}]" if parameter.param_type_name == "argument" else ""
            for parameter in command.params
        )
        parts.append(f"## steode {name}\n\n```text\n{' '.join(usage.split())} [OPTIONS]\n```\n")
        parts.append(_help(inspect.cleandoc(command.callback.__doc__)))
        rows = ["| option | meaning | default |", "| --- | --- | --- |"]
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.help:
                default = parameter.default if isinstance(parameter.default, str | int | float) else ""
                default = "" if isinstance(default, bool) else f"`{default}`" if default != "" else ""
                names = ", ".join(f"`{option}`" for option in parameter.opts)
                rows.append(f"| {names} | {_cell(parameter.help)} | {default} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _help(text: str) -> str:
    """Paragraphs as they are; what follows a backspace keeps its lines."""
    blocks = []
    for block in text.split("\n\n"):
        if block.startswith("\b"):
            blocks.append(f"```text\n{block.lstrip(chr(8)).strip(chr(10))}\n```")
        else:
            blocks.append(_cell(block))
    return "\n\n".join(blocks) + "\n"


def grammar(words: str) -> str:
    """`types`: every type of table; otherwise the class of a table, such as LinearModel."""
    if words == "types":
        return "\n".join(_type(name, kind) for name, kind in _TYPES.items())
    module, _, name = words.rpartition(".")
    kind = getattr(__import__(module, fromlist=[name]), name)
    return _table(kind)


def _table(kind: type) -> str:
    meanings = _meanings(kind)
    rows = ["| entry | takes | default | meaning |", "| --- | --- | --- | --- |"]
    for field in dataclasses.fields(kind):
        meaning = _cell(meanings.get(field.name, ""))
        rows.append(f"| `{field.name}` | {_takes(kind, field.name)} | {_default(field)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _type(name: str, kind: type) -> str:
    summary = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
    # TOML has no word for nothing: what may be left out and has no value is not shown
    shown = [field for field in dataclasses.fields(kind) if field.default is not None]
    arguments = [f"{field.name}{_written(field)}" for field in shown]
    example = "{" + ", ".join([f'type = "{name}"', *arguments]) + "}"
    return f"### {name}\n\n{_cell(summary)}\n\n```text\n{example}\n```\n"


def _written(field: dataclasses.Field) -> str:
    if field.default is dataclasses.MISSING:
        return " = ..."
    value = field.default
    return (
        f' = "{value}"' if isinstance(value, str) else f" = {str(value).lower() if isinstance(value, bool) else value}"
    )


def _takes(kind: type, field: str) -> str:
    fits, annotation = fitting(kind, field), typing.get_type_hints(kind)[field]
    if fits:
        for group, members in ALIKE.items():
            if set(members) <= set(fits):
                return f"[{group}](#types)" + (", or a number" if float in typing.get_args(annotation) else "")
    entries = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    names = {float: "number", int: "integer", str: "text", bool: "true or false", list: "list", tuple: "list"}
    found = [names.get(typing.get_origin(entry) or entry) for entry in entries]
    return ", ".join(dict.fromkeys(name for name in found if name)) or "array or file"


def _default(field: dataclasses.Field) -> str:
    if field.default is dataclasses.MISSING:
        return "**required**" if field.default_factory is dataclasses.MISSING else ""
    value = field.default
    return "none" if value is None else f"`{value}`"


def _meanings(kind: type) -> dict[str, str]:
    """Argument -> meaning, from the docstring's lines of the form `name : meaning`."""
    found, names, indent = {}, (), 0
    known = set(fields_of(kind))
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        match = ENTRY.match(line)
        if match and set(re.split(r",\s*", match[2])) & known:
            names, indent = re.split(r",\s*", match[2]), len(match[1])
            found |= dict.fromkeys(names, match[3])
        elif names and line.strip() and len(line) - len(line.lstrip()) > indent:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = ()
    return found


def _cell(text: str) -> str:
    """Plain text of a docstring inside a table of Markdown: its letters mean themselves."""
    text = re.sub(r"``?([^`]+)``?", lambda match: "\0" + match[1] + "\0", " ".join(text.split()))
    for mark in "\\*_|$<{[":
        text = text.replace(mark, "\\" + mark)
    # letters in code are not escaped
    return re.sub("\0([^\0]+)\0", lambda match: "`" + re.sub(r"\\([*_$<{\[\\])", r"\1", match[1]) + "`", text)
