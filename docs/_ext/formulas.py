r"""Formulas of docstrings, plain text that `help` shows as it is, as TeX for the site.

The notation is that of the docstrings: `<-`, `sqrt(...)`, `x_i`, `x^2`, `w*`, `m_hat`, Greek letters by name, `<f g>`
for an average, `sum_i`, `int_0^oo`, several spaces between formulas on one line. Names of arguments are set in the font
of code, other words as text.
"""

import re

GREEK = ("alpha", "beta", "gamma", "delta", "eta", "kappa", "lambda", "mu", "rho", "sigma", "tau", "theta", "xi", "pi")
LETTERS = {name: f"\\{name} " for name in GREEK} | {
    "eps": r"\epsilon ",
    "Delta": r"\Delta ",
    "oo": r"\infty ",
    "E": r"\mathrm E",
}
OPERATORS = {"sum": r"\sum", "int": r"\int", "min": r"\min", "max": r"\max"}
OPERATORS |= {name: rf"\operatorname{{{name}}}" for name in ("mean", "sign", "ceil", "tr", "Var")}
ARGUMENTS = {"learning_rate", "weight_decay", "second_moment_rate", "mantissa_bits", "step_size"}
ARGUMENTS |= {"noise", "range", "rate", "factor", "step", "depth"}
WHOLE = {"eps_g": r"\varepsilon_g ", "eps_bar": r"\bar\epsilon "}
SIGNS = {"<-": r"\leftarrow ", "<=": r"\le ", ">=": r"\ge ", "...": r"\dots "}
SMALL_WORDS = {"by", "if", "in", "is", "it", "of", "or"}
TOKEN = re.compile(r"\.\.\.|<-|<=|>=|eps_g|[A-Za-z]+(?:_[a-z]{2,})*|\d+|\s+|[-+*/=()\[\]{}^_|<>,;.:'!]")


def block(lines: list[str]) -> str | None:
    """TeX of the lines of one formula, or None if something in them is no part of the notation."""
    rows: list[str] = []
    for line in lines:
        # a line that does not end with punctuation goes on in the next
        if rows and rows[-1][-1] not in ",.;":
            rows[-1] += " " + line.strip()
        else:
            rows.append(line.strip())
    done = [tex(row) for row in rows]
    if None in done:
        return None
    return done[0] if len(done) == 1 else r"\begin{aligned}" + r"\\".join(f"&{row}" for row in done) + r"\end{aligned}"


def tex(text: str) -> str | None:
    """TeX of one line."""
    tokens = TOKEN.findall(text)
    return _row(tokens) if "".join(tokens) == text else None


def _row(tokens: list[str]) -> str:
    result, place = "", 0
    while place < len(tokens):
        token, before = tokens[place], tokens[place - 1] if place else " "
        after = tokens[place + 1] if place + 1 < len(tokens) else " "
        if token == "sqrt" and after == "(":
            end = _closing(tokens, place + 1)
            result += rf"\sqrt{{{_row(tokens[place + 2 : end])}}}"
            place = end
        elif token in "^_":
            end = _script(tokens, place + 1)
            inner = tokens[place + 1 : end]
            script = _row(inner[1:-1] if inner[0] == "{" else inner)
            result += f"{token}{{{_bare(script) if len(inner) == 1 else script}}}"
            place = end - 1
        elif token == "o" and place > 0 and before.isspace() and after.isspace():
            result += r"\odot "
        elif token[0].isalpha():
            result += _name(token)
        elif token.isspace():
            result += r" \qquad " if len(token) > 1 and after != "=" else " "
        elif token == "*":
            result += r"\, " if before.isspace() or after[0].isalnum() else "^{*}"
        elif token == "<" and not after.isspace():
            result += r"\langle "
        elif token == ">" and not before.isspace():
            result += r"\rangle "
        else:
            result += SIGNS.get(token, token)
        place += 1
    # words beside each other are one text
    while result != (joined := re.sub(r"(\\text\{[^}]*?) ?\}( |-)\\text\{ ?", r"\1\2", result)):
        result = joined
    return result


def _name(name: str) -> str:
    if name in WHOLE:
        return WHOLE[name]
    if name in ARGUMENTS:
        return rf"\,\mathtt{{{name.replace('_', chr(92) + '_')}}}\,"
    if match := re.fullmatch(r"(\w)_?hat", name):
        return rf"\hat {match[1]}"
    if match := re.fullmatch(r"d(tau|[lht])", name):
        return rf"\,\mathrm d {_name(match[1])}"
    head, _, rest = name.partition("_")
    if rest:
        return f"{_name(head)}_{{{_bare(_name(rest))}}}"
    if name in LETTERS or name in OPERATORS:
        return (LETTERS | OPERATORS)[name]
    return name if len(name) <= 2 and name not in SMALL_WORDS else rf"\text{{ {name} }}"


def _bare(script: str) -> str:
    """A word that stands by itself, without spaces around it."""
    return script.replace("{ ", "{").replace(" }", "}")


def _closing(tokens: list[str], start: int) -> int:
    """Place of the bracket that closes the one at `start`."""
    depth, pairs = 0, {"(": ")", "{": "}"}
    opening, closing = tokens[start], pairs[tokens[start]]
    for place in range(start, len(tokens)):
        depth += (tokens[place] == opening) - (tokens[place] == closing)
        if depth == 0:
            return place
    raise ValueError(f"no {closing} in {''.join(tokens)}")


def _script(tokens: list[str], start: int) -> int:
    """Place after what stands in an exponent or index."""
    if tokens[start] in "({":
        return _closing(tokens, start) + 1
    return start + (2 if tokens[start] == "-" else 1)
