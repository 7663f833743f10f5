"""A derivation as a document of its own: Markdown, LaTeX or a web page."""

import html

from steode.studies.report import equations
from steode.symbolic.derivation import Derivation

LATEX = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath,amssymb}
\begin{document}
\section*{%s}
%s
\end{document}
"""

STYLE = """
body { font: 16px/1.5 Georgia, serif; color: #1a1a1a; background: #fff; }
body { max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3, h4, table, figcaption, summary, .source, footer { font-family: system-ui, sans-serif; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.35rem; margin-top: 3rem; border-bottom: 1px solid #ccc; }
h4 { font-size: 1rem; margin: 1.4rem 0 0; } li p { margin: .2rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e3e3e3; }
th:first-child, td:first-child { text-align: left; } caption { text-align: left; padding: .3rem 0; font-weight: 600; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; } figcaption { font-size: .85rem; color: #444; }
math { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", "DejaVu Math TeX Gyre", math; }
.math { overflow-x: auto; overflow-y: hidden; padding: .35rem 0; } .source { font-size: .8rem; color: #5f5f5f; }
pre { font-size: .8rem; background: #f5f5f5; padding: .7rem; overflow-x: auto; }
.bad { color: #b00020; font-weight: 600; } summary { cursor: pointer; font-weight: 600; margin: 1rem 0; }
footer { color: #5f5f5f; font-size: .8rem; margin-top: 3rem; }
"""
"""Of every page steode writes; a math font is used where the reader has one, and nothing is fetched."""


def markdown(title: str, derivation: Derivation) -> str:
    """A Markdown document with display mathematics."""
    return f"# {title}\n\n{derivation.markdown()}"


def latex(title: str, derivation: Derivation) -> str:
    """A LaTeX article."""
    return LATEX % (_tex(title), derivation.latex())


def page(title: str, derivation: Derivation) -> str:
    """A web page that needs no network."""
    return web_page(title, f"<h1>{html.escape(title)}</h1>{equations.derivation(derivation)}")


def web_page(title: str, body: str) -> str:
    """An HTML document around `body`."""
    return f"""<!DOCTYPE html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
{body}
</body></html>
"""


FORMATS = {".md": markdown, ".tex": latex, ".html": page}
"""Suffix of a file -> what writes its text from a title and a derivation."""


def _tex(text: str) -> str:
    return "".join({"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#"}.get(letter, letter) for letter in text)
