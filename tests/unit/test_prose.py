"""Formulas in the plain text of a reason are found whole, and nothing else is."""

import re

import pytest

from steode import (
    AdditiveNoise,
    ClippedSurrogate,
    CommonFactor,
    Elementwise,
    Identity,
    LinearModel,
    PowerLaw,
    Schedule,
    TwoPoint,
    Uniform,
    derive,
)
from steode.symbolic.prose import with_mathematics
from tests.models import REFERENCE

EXAMPLES = {
    "z = Q_x(x) is the input and s the surrogate": "$z = Q_{x}(x)$ is the input and $s$ the surrogate",
    "rescaled time tau = step/d, a diffusion": r"rescaled time $\tau = \mathrm{step}/d$, a diffusion",
    "by w | w* ~ N(M, S) for each": r"by $w \mid w^{\ast} \sim \mathcal{N}(M, S)$ for each",
    "Stein's lemma: E[x g(x)] = E[g'(x)]": r"Stein's lemma: $\mathrm{E}[x g(x)] = \mathrm{E}[g'(x)]$",
    "e_h, e_* and E[e_*]": r"$e_{h}$, $e_{\ast}$ and $\mathrm{E}[e_{\ast}]$",
    "averaged over (w*, w)": r"averaged over $(w^{\ast}, w)$",
    "only at order 1/d^2.": "only at order $1/d^{2}$.",
    "a batch of B samples around a target a, below 2": "a batch of $B$ samples around a target $a$, below 2",
    "alpha_1 = alpha_2 = 1: without": r"$\alpha_{1} = \alpha_{2} = 1$: without",
    "10 to 40 percent off (arXiv 2510.10693), step by step": "10 to 40 percent off (arXiv 2510.10693), step by step",
}


@pytest.mark.parametrize("plain", EXAMPLES)
def test_formulas_are_set_and_words_are_not(plain):
    assert with_mathematics(plain) == EXAMPLES[plain]


def test_what_lies_between_formulas_is_passed_on():
    assert with_mathematics("about 5% of V", lambda text: text.replace("%", r"\%")) == r"about 5\% of $V$"


MODELS = {
    "reference": REFERENCE,
    "batches with decay": REFERENCE.replace(batch_size=4, weight_decay=0.1),
    "clipped": REFERENCE.replace(surrogate=ClippedSurrogate(1.0)),
    "two levels": LinearModel(teacher=TwoPoint(0.7), weight_quantizer=Uniform(1, 1.5), noise=0.1),
    "tanh": REFERENCE.replace(weight_quantizer=Elementwise("tanh(x)")),
    "quantized output": REFERENCE.replace(activation=Uniform(2, 1.0), spectrum=PowerLaw(1.0, 3)),
    "noise": REFERENCE.replace(weight_quantizer=AdditiveNoise(0.1), input_quantizer=CommonFactor(0.1), batch_size=2),
    "not quantized": REFERENCE.replace(weight_quantizer=Identity(), learning_rate=Schedule("1/(2 + tau)")),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_reason_has_a_formula_left_in_plain_text(name):
    for step in derive(MODELS[name]).derivation:
        for text in (step.reason, step.reference):
            parts = with_mathematics(text).split("$")
            assert len(parts) % 2 == 1
            between = " ".join(parts[::2])
            assert not re.search(r"[A-Za-z]_|[*^=~|<>]|\b(?:alpha|eta|theta|tau|sigma|rho|kappa)\b", between), text
            for formula in parts[1::2]:
                assert all(formula.count(left) == formula.count(right) for left, right in ("()", "[]", "{}"))
