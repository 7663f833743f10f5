"""The verb `derive`: from a specification to its limit."""

import dataclasses
import functools

from steode.errors import SpecificationError
from steode.parts.quantizers import StepFunction
from steode.parts.surrogates import IdentitySurrogate
from steode.symbolic import symbols as sym
from steode.symbolic.limit import Limit
from steode.systems.dispatch import for_every_system
from steode.systems.linear.derivations.derivation import derive_linear, maps_of
from steode.systems.linear.derivations.groups import derive_groups
from steode.systems.linear.properties import require
from steode.systems.linear.spec import LinearModel


@for_every_system
def derive(model: LinearModel) -> Limit:
    """Derive the high-dimensional limit of a model, step by step.

    The result renders as a derivation in Jupyter, and through `.markdown()` and `.latex()`; `.step(title)` gives one
    step, `.explicit(expression)` a closed form, `.numeric(expression)` the same with this model's numbers. Models of
    other systems have derivations of their own kind.

    Raises
    ------
    SpecificationError
        If `model` is not a specification.
    """
    if not isinstance(model, LinearModel):
        raise SpecificationError("model", "a specification such as LinearModel", model, "See steode.LinearModel.")
    require(model, "derive")
    return _derive_linear(model)


@functools.lru_cache(maxsize=64)
def _derive_linear(model: LinearModel) -> Limit:
    if model.groups:
        return derive_groups(model, _derive_linear)
    if not model.is_basic:
        return derive_linear(model)
    shape, numbers = form(model)
    limit = _derive_form(shape)
    parameters = {symbol: numbers.get(symbol, value) for symbol, value in limit.parameters.items()}
    return dataclasses.replace(limit, model=model, parameters=parameters, maps=maps_of(model))


_derive_form = functools.lru_cache(maxsize=64)(derive_linear)


def form(model: LinearModel) -> tuple[LinearModel, dict]:
    """The model with 1 for the numbers that its derivation knows as symbols alone, and those numbers.

    SymPy, and what compiles for a form, then work once for all its models: moving a number derives nothing again.
    """
    numbers, changes = {}, {}
    if not isinstance(model.surrogate, IdentitySurrogate):
        return model, numbers
    if isinstance(model.learning_rate, float):
        numbers[sym.eta], changes["learning_rate"] = model.learning_rate, 1.0
    if model.noise > 0:
        numbers[sym.sigma], changes["noise"] = model.noise, 1.0
    for name, symbol in (("weight_quantizer", sym.omega), ("input_quantizer", sym.omega_x)):
        quantizer = getattr(model, name)
        if isinstance(quantizer, StepFunction) and quantizer.has_range and dataclasses.is_dataclass(quantizer):
            # the user's own map first: what it refuses shall name it
            own = quantizer.unit_levels, quantizer.unit_thresholds
            unit = dataclasses.replace(quantizer, range=1.0)
            if (unit.unit_levels, unit.unit_thresholds) == own:
                numbers[symbol], changes[name] = quantizer.range, unit
    try:
        return model.replace(**changes), numbers
    except SpecificationError:
        # weights in such small or large units that 1 is no possible number beside them
        return model, {}
