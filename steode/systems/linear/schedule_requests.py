"""What `optimal_schedule` is asked for, checked before anything is computed."""

from steode.errors import SpecificationError, UnsupportedError, check_integer, check_positive
from steode.parts.quantizers import Identity
from steode.systems.linear.full_precision import can_begin_unquantized
from steode.systems.linear.optimal_range import check_parameter
from steode.systems.linear.schedule_families import FAMILIES, Family
from steode.systems.linear.spec import LinearModel

OVER = ("learning_rate", "range", "dampening")


def check_over(model: LinearModel, over) -> None:
    """Raise `SpecificationError` unless these can be tuned together."""
    if isinstance(over, str) or not isinstance(over, tuple | list) or "learning_rate" not in over:
        remedy = 'For example ("learning_rate",); the range alone is tuned by optimal_range(model, at=t_end).'
        raise SpecificationError("over", 'a tuple of names with "learning_rate"', over, remedy)
    for name in over:
        if name not in OVER:
            raise SpecificationError("over", "names among " + ", ".join(OVER), name, 'For example ("learning_rate",).')
    if "range" in over:
        check_parameter(model, "weight_range")
    if "dampening" in over:
        # refused where there is nothing to dampen
        model.replace(dampening=1.0)


def checked_knots(knots) -> int:
    """The number of rates."""
    knots = check_integer("knots", knots, 2)
    if knots > 24:
        raise SpecificationError("knots", "at most 24", knots, "Nine rates come within a percent of the best schedule.")
    return knots


def checked_rates(rates) -> tuple[float, float]:
    """The lowest and the highest rate."""
    if not isinstance(rates, tuple | list) or len(rates) != 2:
        raise SpecificationError("rates", "a pair (lowest, highest)", rates, "For example (0.005, 1.0).")
    low, high = (check_positive("rates", rate) for rate in rates)
    if not 2 * low <= high:
        raise SpecificationError("rates", "a highest rate of at least twice the lowest", rates, "Widen the interval.")
    return low, high


def families_of(model: LinearModel, baselines) -> list[Family]:
    """The usual schedules asked for, or all that the model allows."""
    whole = [family for family in FAMILIES.values() if family.switch is None]
    refusal = "the weights are not quantized" if isinstance(model.weight_quantizer, Identity) else ""
    refusal = refusal or can_begin_unquantized(model)
    if baselines is None:
        return whole if refusal else list(FAMILIES.values())
    if isinstance(baselines, str) or not all(name in FAMILIES for name in baselines):
        raise SpecificationError("baselines", "names among " + ", ".join(FAMILIES), baselines, "Or None for all.")
    chosen = [FAMILIES[name] for name in baselines]
    for family in chosen:
        if family.switch is not None and refusal:
            raise UnsupportedError(f"optimal_schedule, {family.name}: {refusal}; leave this baseline out.")
    return chosen or whole[:1]
