"""Derivations as HTML: each equation as MathML, which browsers show without scripts, fonts or a network."""

import html
import re

from latex2mathml.converter import convert

from steode.symbolic.derivation import OURS, Derivation, Step

UPRIGHT_LETTER = re.compile(r"\\mathrm\{([A-Za-z])\}")


def derivation(steps: Derivation) -> str:
    """An ordered list of steps, each with its reason, equations and reference."""
    listed = "<ol class=derivation>\n" + "\n".join(_step(step) for step in steps) + "\n</ol>"
    return listed + (f"\n<p class=source>{steps.sources}</p>" if steps.sources else "")


def _step(step: Step) -> str:
    formulas = "\n".join(f"<div class=math>{_mathml(line)}</div>" for line in step.lines)
    title, reason, reference = (html.escape(text) for text in (step.title, step.reason, step.reference))
    source = "" if step.reference == OURS else f"\n<p class=source>{reference}</p>"
    return f"<li><h4>{title}</h4><p>{reason}</p>\n{formulas}{source}</li>"


def _mathml(formula: str) -> str:
    # the converter forgets that a single letter is upright, unless it is text
    return convert(UPRIGHT_LETTER.sub(r"\\text{\1}", formula), display="block")
