"""The verb `derive`: from a specification to its limit."""

import functools

from steode.errors import SpecificationError
from steode.symbolic.limit import Limit
from steode.systems.linear.derivation import derive_linear
from steode.systems.linear.general_derivation import derive_general
from steode.systems.linear.spec import LinearModel


@functools.singledispatch
def derive(model) -> Limit:
    """Derive the high-dimensional limit of a model, step by step.

    The result renders as a derivation in Jupyter, and through `.markdown()` and `.latex()`; `.step(title)` gives one
    step, `.explicit(expression)` a closed form, `.numeric(expression)` the same with this model's numbers.

    Raises
    ------
    SpecificationError
        If `model` is not a specification.
    """
    raise SpecificationError("model", "a specification such as LinearModel", model, "See steode.LinearModel.")


@derive.register
def _(model: LinearModel) -> Limit:
    return _derive_linear(model)


@functools.lru_cache(maxsize=64)
def _derive_linear(model: LinearModel) -> Limit:
    return derive_linear(model) if model.is_basic else derive_general(model)
