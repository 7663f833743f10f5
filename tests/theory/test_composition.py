"""What composes with what: every cell of the table is the property that is missing, and the verbs keep to it."""

import pathlib

import pytest

from steode import UnsupportedError
from steode.systems.linear.properties import NEEDS, missing
from tests.composition import MODELS, ask, page

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "composition.md"
REFUSED = [(name, what) for name, model in MODELS.items() for what in NEEDS if missing(model, what)]
MOST_REFUSED = 210
"""Of 696 cells. It may fall; a change that raises it takes something away."""


def test_no_more_is_refused_than_was():
    assert len(MODELS) * len(NEEDS) == 696
    assert len(REFUSED) <= MOST_REFUSED


@pytest.mark.parametrize(("name", "what"), REFUSED, ids=str)
def test_a_refusal_names_what_is_missing_and_the_option_that_took_it(name, what):
    needed, field, why = missing(MODELS[name], what)
    with pytest.raises(UnsupportedError) as caught:
        ask(what, MODELS[name])
    text = str(caught.value)
    assert needed.need in text
    assert why in text
    assert needed.instead in text
    assert hasattr(MODELS[name], field)


def test_the_page_shows_the_computed_table():
    assert page() in PAGE.read_text(encoding="utf-8")
