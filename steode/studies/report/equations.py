"""Derivations as HTML: each equation as MathML, which browsers show without scripts, fonts or a network."""

import html
import re

from latex2mathml.converter import convert

from steode.symbolic.derivation import Derivation, Step

UPRIGHT_LETTER = re.compile(r"\\mathrm\{([A-Za-z])\}")


def derivation(steps: Derivation) -> str:
    """An ordered list of steps, each with its reason, equations and reference."""
    return "<ol class=derivation>\n" + "\n".join(_step(step) for step in steps) + "\n</ol>"


def _step(step: Step) -> str:
    formulas = "\n".join(f"<div class=math>{_mathml(line)}</div>" for line in step.lines)
    title, reason, reference = (html.escape(text) for text in (step.title, step.reason, step.reference))
    return f"<li><h4>{title}</h4><p>{reason}</p>\n{formulas}\n<p class=source>{reference}</p></li>"


def _mathml(formula: str) -> str:
    # the converter forgets that a single letter is upright, unless it is text
    return convert(UPRIGHT_LETTER.sub(r"\\text{\1}", formula), display="block")
