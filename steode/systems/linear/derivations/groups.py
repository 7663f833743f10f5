"""Coordinates of several kinds: one residual, and a density equation for each kind."""

import dataclasses
from collections.abc import Callable

import sympy

from steode.parts.quantizers import Identity
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Derivation, Step
from steode.symbolic.limit import Limit
from steode.systems.linear.spec import LinearModel

REASON = (
    "A share p_j of the coordinates is of kind j, with a law of (w*, w), a map Q_j and a range of its own. The "
    "pre-activations are sums over all coordinates, so their covariances average over the kinds; given them the "
    "weights of a kind move as if they were alone: every other equation here holds for each kind with its own."
)


def derive_groups(model: LinearModel, derive_one: Callable[[LinearModel], Limit]) -> Limit:
    """The limit of one kind of coordinates, with what the kinds have in common."""
    quantized = (member for member in model.members if not isinstance(member.weight_quantizer, Identity))
    limit = derive_one(next(quantized, model.members[0]))
    share, index = sympy.IndexedBase("p"), sympy.Symbol("j", integer=True)
    last = sympy.Integer(len(model.groups))
    sums = [
        sympy.Eq(symbol, sympy.Sum(share[index] * sympy.IndexedBase(symbol.name)[index], (index, 1, last)))
        for symbol in (sym.m, sym.q, sym.rho)
    ]
    begun = limit.derivation.begun
    after = 1 + next(number for number, step in enumerate(begun) if step.title == "order parameters")
    step = Step("groups of coordinates", tuple(sums), REASON)
    # what differs from kind to kind stays a symbol
    own = (sym.omega, sym.bound)
    return dataclasses.replace(
        limit,
        model=model,
        derivation=Derivation((*begun[:after], step, *begun[after:]), limit.derivation.finish),
        exact_moments=None,
        parameters={symbol: value for symbol, value in limit.parameters.items() if symbol not in own},
    )
