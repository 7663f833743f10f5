"""Sphinx extension: docstrings are plain text with numpydoc sections; here they become reStructuredText.

Letters such as w* and |z| mean themselves, names in single backticks link to the API where it has them, indented
paragraphs are formulas and set as mathematics, and `name : meaning`, the form of the package, becomes a list of
definitions.
"""

import re

import formulas

import steode

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises")
ENTRY = re.compile(r"^([*\w][\w*, ]*) :(?: (.*))?$")
QUOTED = re.compile(r"(``.+?``|`[^`]+`)")


def process(app, what, name, obj, options, lines: list[str]) -> None:
    """Rewrite `lines` in place."""
    text, sections = _split(lines)
    result = _paragraphs(text)
    for title, body in sections:
        result += ["", f".. rubric:: {title}", ""]
        result += _paragraphs(body) if title == "Returns" else _definitions(body, names=title != "Raises")
    lines[:] = [*result, ""]


def _split(lines: list[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The text, with paragraphs that follow the entries of a section, and the sections."""
    text, sections = [], []
    number = 0
    while number < len(lines):
        line = lines[number]
        underline = lines[number + 1] if number + 1 < len(lines) else ""
        if line in SECTIONS and underline.startswith("---"):
            sections.append((line, []))
            number += 2
            continue
        if sections and not _belongs(sections[-1], line):
            # entries have ended: what follows is text again
            while number < len(lines) and lines[number] not in SECTIONS:
                text.append(lines[number])
                number += 1
            continue
        (sections[-1][1] if sections else text).append(line)
        number += 1
    return text, sections


def _belongs(section: tuple[str, list[str]], line: str) -> bool:
    title, _ = section
    if title in ("Returns", "Raises") or not line.strip() or line.startswith(" "):
        return True
    return bool(ENTRY.match(line))


def _paragraphs(lines: list[str]) -> list[str]:
    result, place = [], 0
    while place < len(lines):
        line = lines[place]
        if line.startswith("    ") and not (result and result[-1]):
            end = place
            while end < len(lines) and lines[end].startswith("    "):
                end += 1
            result += _formula(lines[place:end])
            place = end
            continue
        result.append(_escape(line) if line.strip() else "")
        place += 1
    return result


def _formula(lines: list[str]) -> list[str]:
    """Mathematics, or the lines as they are where they are no formula."""
    tex = formulas.block(lines)
    return ["::", "", *("    " + line for line in lines)] if tex is None else [".. math::", "", "    " + tex]


def _definitions(lines: list[str], names: bool) -> list[str]:
    result = []
    for line in lines:
        if line.startswith(" ") or not line.strip():
            result.append(_escape(line))
            continue
        entry = ENTRY.match(line)
        term, meaning = (entry[1], entry[2]) if entry and names else (line, None)
        result += ["", f"``{term}``" if names else _quoted(f"`{term}`")]
        if meaning:
            result.append("    " + _escape(meaning))
    return result


def _escape(line: str) -> str:
    return "".join(_quoted(part) if part.startswith("`") else _plain(part) for part in QUOTED.split(line))


def _plain(text: str) -> str:
    text = re.sub(r"([\\*|])", r"\\\1", text)
    return re.sub(r"_(?!\w)", r"\\_", text)


def _quoted(text: str) -> str:
    if text.startswith("``"):
        return text
    name = text.strip("`")
    head = name.removeprefix("steode.")
    return f":py:obj:`~steode.{head}`" if head in steode.__all__ else f"``{name}``"


def setup(app):
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
