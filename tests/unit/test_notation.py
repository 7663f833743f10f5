"""docs/notation.md and steode/symbolic/symbols.py say the same."""

import pathlib
import re

import sympy

from steode.symbolic import symbols

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "notation.md"


def names_on_the_page():
    rows = re.findall(r"^\| \$.*?\$ \| `(.*?)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return rows


def names_in_the_code():
    kinds = (sympy.Symbol, sympy.IndexedBase, sympy.core.function.UndefinedFunction)
    return [str(value) for value in vars(symbols).values() if isinstance(value, kinds)]


def test_every_symbol_is_on_the_page_once_and_every_row_is_a_symbol():
    page, code = names_on_the_page(), names_in_the_code()
    assert len(set(page)) == len(page)
    assert len(set(code)) == len(code)
    assert set(page) == set(code)


def test_every_row_has_a_meaning():
    for row in PAGE.read_text(encoding="utf-8").splitlines():
        if row.startswith("| $"):
            assert row.split(" | ")[2].strip()
