"""Formulas in the reasons of a derivation: plain text such as `Q_x(x)` in a terminal, set in LaTeX elsewhere.

A reason is written once, as plain text. What is set as mathematics is a chain of terms joined by operators, in which at
least one term is a known letter or name: `tau = step/d`, `w | w* ~ N(M, S)`, `E[x g(x)]`, `1/d^2`.
"""

import re
from collections.abc import Callable

GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "rho",
    "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega",
}  # fmt: skip
NAMES = {"yhat": r"\hat y", "eps_g": r"\varepsilon_g"} | {name: f"\\{name}" for name in GREEK}
FUNCTIONS = {"E": r"\mathrm{E}", "Var": r"\mathrm{Var}", "Cov": r"\mathrm{Cov}", "N": r"\mathcal{N}", "O": "O"}
"""Read as such only before a bracket."""
LETTERS = "wxyzsrdQVWMSBLTgqmuvefhnpD"
"""Letters that are no English words; `a` is one, and is read as the target only where no word follows it."""

_EXPONENT = r"(?:\^(?:-?\d+(?:/\d+)?|[a-z]))"
_LETTER = rf"(?:[{LETTERS}]|a(?=[,.;:)]|\s\(|$)|[A-Za-z](?=_[A-Za-z0-9*]))"
_SYMBOL = (
    rf"(?:(?:{'|'.join(sorted([*NAMES, 'step(?=/)'], key=len, reverse=True))}|{_LETTER})(?:_(?:[A-Za-z0-9]+|\*))?[*']?)"
)
_SIMPLE = rf"(?:{_SYMBOL}{_EXPONENT}?|\d+(?:\.\d+)?)"
_FLAT = rf"(?:{_SIMPLE}(?:\({_SIMPLE}(?:, {_SIMPLE})*\){_EXPONENT}?)?)"
_JOIN = r"(?:\s?[=<>|~+/-]\s?|,\s|\s)"
_INSIDE = rf"-?{_FLAT}(?:{_JOIN}{_FLAT})*"
_CALL = rf"(?:(?:{'|'.join(FUNCTIONS)}|{_SYMBOL})?(?:\({_INSIDE}\)|\[{_INSIDE}\]){_EXPONENT}?)"
_TERM = rf"(?:{_CALL}|{_FLAT})"
_OPERATOR = r"(?:\s[=<>|~+-]\s|[/=]|(?<=\*)\s(?=[a-z]\b))"
"""Between terms; a space alone only after a star, as in `w* w`."""
_FORMULA = re.compile(rf"(?<![\w'.^*\\-]){_TERM}(?:{_OPERATOR}{_TERM})*(?![\w\[(*^])")
_CALLED = "|".join(rf"\b{name}[(\[]" for name in FUNCTIONS)
_KNOWN = re.compile(rf"(?<![A-Za-z]){_SYMBOL}|{_CALLED}")


def with_mathematics(text: str, other: Callable[[str], str] = str) -> str:
    """The text with its formulas as `$...$` in LaTeX; `other` is applied to what lies between them."""
    parts, end = [], 0
    for match in _FORMULA.finditer(text):
        if _KNOWN.search(match[0]):
            parts += [other(text[end : match.start()]), f"${formula(match[0])}$"]
            end = match.end()
    return "".join([*parts, other(text[end:])])


def formula(text: str) -> str:
    """LaTeX of one formula in plain text."""
    text = re.sub(r"\^(-?\d+(?:/\d+)?|[a-z])", r"^{\1}", text)
    text = re.sub(r"(?<=[A-Za-z])_([A-Za-z0-9]+)", r"_{\1}", text.replace("eps_g", "epsg").replace("_*", r"_{\ast}"))
    text = re.sub(r"(?<!\\)[A-Za-z]+", _word, text)
    for plain, latex in (("|", r"\mid"), ("~", r"\sim"), ("*", r"^{\ast}")):
        text = text.replace(plain, latex)
    return text


def _word(match: re.Match) -> str:
    word = match[0]
    if word == "epsg":
        return NAMES["eps_g"]
    following = match.string[match.end() : match.end() + 1]
    if word in FUNCTIONS and following in "([" and following:
        return FUNCTIONS[word]
    if word == "step":
        return r"\mathrm{step}"
    return NAMES.get(word, word)
