"""The table of symbols in docs/regression.md names every symbol of the derivation of quantized regression."""

import pathlib

import sympy

from steode.systems.regression import symbols as sym

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "regression.md"


def test_every_symbol_has_a_meaning():
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| symbol | meaning |") :].partition("\n\n")[0].replace("{", "").replace("}", "")
    symbols = [value for value in vars(sym).values() if isinstance(value, sympy.Symbol)]
    families = (sym.EPSILON.values(), *({family["i"]} for family in vars(sym).values() if is_family(family)))
    symbols += [symbol for family in families for symbol in family]
    names = {sympy.latex(symbol).replace("{", "").replace("}", "") for symbol in symbols}
    # the weight itself is used in running text only
    assert {name for name in names - {"w_i"} if name not in table} == set()


def is_family(value) -> bool:
    """One symbol for each of the coordinates i, j and k."""
    return isinstance(value, dict) and set(value) == {"i", "j", "k"}
