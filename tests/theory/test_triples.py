"""Three options at a time: the share of combinations that is refused, and why."""

import itertools

from steode import SteodeError
from steode.systems.linear.derivations.output import derive_output
from steode.systems.linear.properties import require
from tests.composition import BASE, OPTIONS

MOST_REFUSED = 1248
"""Of 2548 triples of options that change different fields. It may fall."""


def triples():
    """Names of three options that change different fields."""
    for names in itertools.combinations(OPTIONS, 3):
        fields = [field for name in names for field in OPTIONS[name]]
        if len(set(fields)) == len(fields) and "none" not in names:
            yield names


def combined(names) -> dict:
    """What they change of a model."""
    return {field: value for name in names for field, value in OPTIONS[name].items()}


def refusal(names) -> str | None:
    """What the specification or its derivation says; None where the limit is derived."""
    try:
        model = BASE.replace(**combined(names))
        require(model, "derive")
        derive_output(model)
    except SteodeError as error:
        return str(error)
    return None


def test_no_more_triples_are_refused_than_were():
    refused = [names for names in triples() if refusal(names)]
    assert len(list(triples())) == 2548
    assert len(refused) <= MOST_REFUSED
