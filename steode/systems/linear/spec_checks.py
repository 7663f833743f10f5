"""What a linear model must not be: checks of fields against one another, before anything is computed."""

import numpy as np

from steode.errors import SPAN, SpecificationError
from steode.parts.groups import Group
from steode.parts.laws import Constant, ContinuousLaw, Discrete, Empirical, Paired, TwoPoint
from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction
from steode.parts.range_rules import FixedRange, FollowingRange
from steode.parts.schedule import Schedule
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticMap, StochasticRounding
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate, WeightSurrogate
from steode.parts.update_rules import FOGZO, SPSA, STE, Momentum

EQUAL = 1e-9
"""Relative distance within which a clipping bound and a threshold are the same."""
POINTS = 1001
"""At which the surrogate derivative of the weights is looked at."""
LOUDEST = 1e6
"""Largest ratio of the noise to the lengths of a model: the error is V - sigma^2."""


def check_dampening(model) -> None:
    """Refuse dampening where there is nothing to dampen, or where it would free frozen weights."""
    quantizer = model.weight_quantizer
    if isinstance(quantizer, Identity | AdditiveNoise | MultiplicativeNoise | CommonFactor):
        remedy = "The mean of the quantized weight is the weight itself: there is nothing to dampen."
        raise SpecificationError("dampening", f"0 with {quantizer}", model.dampening, remedy)
    if isinstance(model.surrogate, ClippedSurrogate):
        remedy = "Dampening moves frozen weights back into the band; that limit is not derived here."
        raise SpecificationError("dampening", "0 with the clipped surrogate", model.dampening, remedy)


def check_range_rule(model) -> None:
    """Refuse a range that moves where there is none, or where its limit is not derived."""
    quantizer, rule = model.weight_quantizer, model.range_rule
    if not (isinstance(quantizer, StepFunction) and quantizer.has_range):
        expected = f"FixedRange() with {quantizer}"
        raise SpecificationError("range_rule", expected, rule, "Use a grid with a range, such as Uniform.")
    others = [] if isinstance(model.update_rule, STE | Momentum) else ["update_rule"]
    if not isinstance(model.surrogate, IdentitySurrogate):
        others.append("surrogate")
    if others:
        expected = f"FixedRange() with this {' and '.join(others)}"
        raise SpecificationError("range_rule", expected, rule, "A range that moves is not derived with it.")
    if isinstance(rule, FollowingRange) and rule.percentile is not None and not isinstance(model.init, ContinuousLaw):
        remedy = "A percentile jumps from value to value where they are few: give them a width, as in Normal(std=0.1)."
        raise SpecificationError("init", "a law with a density, beside a percentile", model.init, remedy)


def check_smooth_surrogate(model) -> None:
    """Refuse a surrogate derivative of the weights that is not positive, or what is not derived with it."""
    proxy, others = model.surrogate.proxy, []
    reach = 8 * max(law.second_moment for law in (model.teacher, model.init)) ** 0.5 + 8
    values = model.surrogate(np.linspace(-reach, reach, POINTS))
    if not (np.all(np.isfinite(values)) and np.all(values > 0)):
        expected = f"a derivative > 0 between {-reach:.3g} and {reach:.3g}"
        remedy = "ClippedSurrogate has a band; a derivative that falls off to 1e-300 is zero: scale its argument."
        raise SpecificationError("surrogate", expected, proxy, remedy)
    if not isinstance(model.update_rule, STE | Momentum):
        others.append("update_rule")
    others += [name for name in ("weight_decay", "dampening") if getattr(model, name)]
    if others:
        expected = f"one that is 1, with this {' and '.join(others)}"
        raise SpecificationError("surrogate", expected, model.surrogate, "DerivativeOf is not derived with it.")


def asymmetry(quantizer: EntrywiseMap) -> str:
    """Which two numbers of a step function are not opposite; empty for other maps."""
    grid = getattr(quantizer, "grid", quantizer)
    if not isinstance(grid, StepFunction):
        return ""
    for name, values in (("levels", grid.levels), ("thresholds", grid.thresholds)):
        sums = abs(values + values[::-1])
        if sums.any() and not (grid is not quantizer and name == "thresholds"):
            first = int(sums.argmax())
            low, high = sorted((first, values.size - 1 - first))
            if low == high:
                return f"The middle one of the {name}, {float(values[low])!r}, is not 0. "
            return f"The {name} {float(values[low])!r} and {float(values[high])!r} are not opposite. "
    return ""


def check_bound(surrogate: WeightSurrogate, quantizer: EntrywiseMap) -> None:
    """Refuse bounds that are almost thresholds."""
    if not (isinstance(surrogate, ClippedSurrogate) and isinstance(quantizer, StepFunction)):
        return
    names = ("bound", "bound") if surrogate.lower is None else ("lower", "bound")
    for name, end in zip(names, surrogate.band, strict=True):
        distances = abs(quantizer.thresholds - end)
        if ((distances > EQUAL * abs(end)) & (distances < 1e-3 * abs(end))).any():
            nearest = float(quantizer.thresholds[distances.argmin()])
            remedy = "On a threshold weights freeze at the outer level, within it at the inner one: say exactly which."
            expected = f"a bound equal to the threshold {nearest!r} or clearly apart from it"
            raise SpecificationError(f"surrogate.{name}", expected, getattr(surrogate, name), remedy)


def check_scales(model) -> None:
    """Refuse what is too far apart to be resolved side by side."""
    rate, remedy = model.learning_rate, "Choose units in which it is nearer to 1."
    # a rate without bound is left to the runs, which say when they diverge; the limit refuses it
    if not isinstance(rate, Schedule) and rate < 1 / SPAN:
        raise SpecificationError("learning_rate", f"a rate of at least {1 / SPAN:g}", rate, remedy)
    for name in ("weight_decay", "dampening"):
        strength = getattr(model, name)
        if not isinstance(strength, Schedule) and strength > SPAN:
            raise SpecificationError(name, f"a rate of at most {SPAN:g}", strength, remedy)
    weights = max(law.second_moment for law in (model.teacher, model.init)) ** 0.5
    inputs = float(model.spectrum.values.max()) ** 0.5
    lengths = {"weight_quantizer": weights, "input_quantizer": inputs}
    for name, length in lengths.items():
        levels = _levels(getattr(model, name))
        if levels.size and length and not (levels.max() * SPAN >= length and levels.min() <= length * SPAN):
            expected = f"levels within a factor {SPAN:g} of what is quantized, of size {length:.3g}"
            remedy = "The two cannot be told apart from zero or infinity in double precision: bring them together."
            raise SpecificationError(name, expected, getattr(model, name), remedy)
    for name in ("teacher", "init"):
        law = getattr(model, name)
        if isinstance(law, ContinuousLaw) and law.variance**0.5 * SPAN < weights:
            expected = f"a width within a factor {SPAN:g} of the weights' {weights:.3g}"
            raise SpecificationError(name, expected, law, "Use Constant for a law on one point.")
    # a floating-point format has levels far beyond any weight: the smallest one says how large the image is
    levels = _levels(model.weight_quantizer)
    largest = max(weights, levels.min()) if levels.size else weights
    if largest and model.noise > LOUDEST * largest * max(inputs, 1):
        remedy = "The generalization error, a difference of V and noise^2, would be lost in rounding: lower the noise."
        raise SpecificationError("noise", f"at most {LOUDEST:g} times the weights' {largest:.3g}", model.noise, remedy)


def _levels(quantizer: EntrywiseMap) -> np.ndarray:
    """Magnitudes of the levels other than 0; none of a map without levels."""
    grid = quantizer.grid if isinstance(quantizer, StochasticRounding) else quantizer
    levels = abs(grid.levels) if isinstance(grid, StepFunction) else np.zeros(0)
    return levels[levels > 0]


def check_inertia(model) -> None:
    """Refuse a surrogate under which the weights with inertia are not derived."""
    if not isinstance(model.surrogate, IdentitySurrogate):
        expected, remedy = "IdentitySurrogate() with this update_rule", "A weight with inertia slides across a bound."
        raise SpecificationError("surrogate", expected, model.surrogate, remedy)


def check_update_rule(model) -> None:
    """Refuse a zeroth-order update with what it is not derived for."""
    rule, name = model.update_rule, type(model.update_rule).__name__
    others = [option for option in model.options if option != "update_rule"]
    if not isinstance(model.surrogate, IdentitySurrogate):
        others.append("surrogate")
    if isinstance(rule, SPSA) and not isinstance(model.weight_quantizer, Identity | StepFunction):
        # a stochastic map is among the options already
        others = list(dict.fromkeys([*others, "weight_quantizer"]))
    if others:
        expected = f"STE() with this {', '.join(others)}"
        raise SpecificationError("update_rule", expected, rule, f"{name} is not derived for it.")
    if isinstance(rule, FOGZO) and isinstance(model.weight_quantizer, StepFunction):
        _check_density_at_thresholds(model)


def _check_density_at_thresholds(model) -> None:
    if isinstance(model.init, Empirical):
        remedy = "FOGZO moves weights by their density at the thresholds, which a list of values lacks: give its law."
        raise SpecificationError("init", "a law with a density, or on few points", model.init, remedy)
    if isinstance(model.init, Constant | TwoPoint | Discrete):
        atoms, thresholds = model.init.atoms[0][:, None], model.weight_quantizer.thresholds[None, :]
        nothing = "There every perturbation flips a fraction of all weights, and the limit does not exist."
        if abs(atoms - thresholds).min() <= EQUAL * abs(model.weight_quantizer.levels).max():
            raise SpecificationError("init", "no point mass on a threshold with FOGZO", model.init, nothing)
        if model.weight_decay and ((thresholds * atoms > 0) & (abs(thresholds) < abs(atoms))).any():
            expected = "no point mass that weight decay carries to a threshold with FOGZO"
            raise SpecificationError(
                "init", expected, model.init, f"{nothing} Give it a width, such as Normal(mean=1.2, std=0.1)."
            )


def check_groups(model) -> None:
    """Refuse groups that are no partition of the coordinates, or whose members are no models."""
    remedy = "For example (Group(0.5), Group(0.5, weight_quantizer=Uniform(4, 2.0)))."
    groups = model.groups
    if not isinstance(groups, tuple) or len(groups) < 2 or not all(isinstance(entry, Group) for entry in groups):
        raise SpecificationError("groups", "a tuple of at least two Groups", groups, remedy)
    total = sum(group.share for group in groups)
    if abs(total - 1) > EQUAL:
        raise SpecificationError("groups", "shares that sum to 1", total, "Every coordinate is in one group.")
    if isinstance(model.teacher, Paired):
        remedy = "Give each group the law of its teacher weights."
        raise SpecificationError("teacher", "a law of its own beside groups", model.teacher, remedy)
    if isinstance(model.surrogate, DerivativeOf):
        remedy = "A smooth surrogate is not derived for groups."
        raise SpecificationError("surrogate", "IdentitySurrogate or ClippedSurrogate", model.surrogate, remedy)
    if not isinstance(model.range_rule, FixedRange):
        remedy = "Ranges of groups stand still."
        raise SpecificationError("range_rule", "FixedRange() with groups", model.range_rule, remedy)
    for index, group in enumerate(groups):
        where = f"groups[{index}]"
        try:
            member = model.replace(groups=(), **group.own)
        except SpecificationError as error:
            raise SpecificationError(
                f"{where}.{error.argument}", error.expected, error.received, error.remedy
            ) from None
        if isinstance(member.weight_quantizer, StochasticMap):
            remedy = "Maps that are drawn at random are not derived for groups."
            raise SpecificationError(
                f"{where}.weight_quantizer", "a deterministic map", member.weight_quantizer, remedy
            )
        if isinstance(member.teacher, Paired):
            remedy = "Empirical is the law of these numbers by themselves."
            raise SpecificationError(f"{where}.teacher", "a law of its own", member.teacher, remedy)


def check_type(argument: str, value: object, kind, expected: str, remedy: str) -> None:
    """Raise `SpecificationError` unless `value` is of this kind."""
    if not isinstance(value, kind):
        raise SpecificationError(argument, expected, value, remedy)
