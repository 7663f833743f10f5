"""What takes a property away from a linear model: for each, the field that does, and why; None where nothing does."""

import numpy as np

from steode.parts.elementwise import Elementwise
from steode.parts.laws import Paired
from steode.parts.quantizers import Identity, StepFunction
from steode.parts.range_rules import FixedRange, FollowingRange, LearnedRange
from steode.parts.schedule import Schedule
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.parts.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate
from steode.parts.update_rules import FOGZO, SPSA, STE, Adam, KineticMomentum, Momentum, SignSGD
from steode.systems.linear.derivations.output import derive_output
from steode.systems.linear.spec import MAPS, LinearModel

Obstacle = tuple[str, str] | None


def own_mobility(model: LinearModel) -> Obstacle:
    """A surrogate derivative that varies from weight to weight."""
    if isinstance(model.surrogate, DerivativeOf):
        return "surrogate", f"the surrogate {model.surrogate} moves every weight at a rate of its own"
    return None


def schedule(model: LinearModel) -> Obstacle:
    """A rate that changes in time."""
    for name in ("learning_rate", "dampening"):
        if isinstance(getattr(model, name), Schedule):
            return name, f"the {name.replace('_', ' ')} is a schedule, {getattr(model, name)}"
    return None


def atoms(model: LinearModel) -> Obstacle:
    """Weights that collect in atoms."""
    if isinstance(model.surrogate, ClippedSurrogate):
        return "surrogate", "the clipped surrogate has absorbing atoms, which no finite set of moments describes"
    return None


def start_remembered(model: LinearModel) -> Obstacle:
    """A state that depends on where it started."""
    if isinstance(model.surrogate, ClippedSurrogate):
        why = "with the clipped surrogate weights freeze in atoms, and the state reached depends on the initial law"
        return "surrogate", why
    return None


def own_diffusion(model: LinearModel) -> Obstacle:
    """A diffusion that depends on the weight."""
    if isinstance(model.update_rule, SPSA):
        return "update_rule", "the diffusion of SPSA depends on the weight"
    return None


def open_moments(model: LinearModel) -> Obstacle:
    """Moments that do not close."""
    affine = Identity | AdditiveNoise | MultiplicativeNoise | CommonFactor
    if isinstance(model.weight_quantizer, affine):
        return own_mobility(model)
    why = f"the mean of {model.weight_quantizer} is not the weight itself, so that no finite set of moments closes"
    return "weight_quantizer", why


def density_at_thresholds(model: LinearModel) -> Obstacle:
    """Motion by the density at the thresholds."""
    if isinstance(model.update_rule, FOGZO) and isinstance(model.weight_quantizer, StepFunction):
        return "update_rule", "FOGZO moves by the density at the thresholds, which no finite set of weights has"
    return None


def several_wells(model: LinearModel) -> Obstacle:
    """A potential that may have several wells."""
    quantizer = model.weight_quantizer
    if not isinstance(quantizer, Elementwise):
        return None
    if not quantizer.is_nondecreasing:
        why = f"{quantizer.expression} decreases somewhere, so that the stationary potential may have several wells"
        return "weight_quantizer", why
    if model.dampening:
        return "dampening", "dampening may give the potential of a smooth map several wells"
    if np.isnan(quantizer.limits).any():
        return "weight_quantizer", f"{quantizer.expression} has no limit at infinity"
    return None


def slope_beyond_dithering(model: LinearModel) -> Obstacle:
    """A mean slope that is not the dithering."""
    quantizer = model.weight_quantizer
    if not isinstance(model.update_rule, FOGZO) or isinstance(quantizer, Identity):
        return None
    if model.weight_decay:
        return "weight_decay", "with weight decay the mean slope of FOGZO is not the dithering of the weights"
    if isinstance(quantizer, Elementwise) and np.isinf(quantizer.limits).any():
        return "weight_quantizer", f"{quantizer.expression} is unbounded, and FOGZO's mean slope with it"
    return None


def nonlinear_response(model: LinearModel) -> Obstacle:
    """A residual that does not answer linearly."""
    if model.has_linear_output or derive_output(model).is_linear:
        return None
    fields = [
        name
        for name in model.options
        if name not in ("spectrum", "update_rule", "dampening", "range_rule", "groups", *MAPS[:2])
    ]
    why = f"with {' and '.join(fields)} the residual does not answer linearly to the two pre-activations"
    return fields[0], why


def no_grid(model: LinearModel) -> Obstacle:
    """A map without levels."""
    if isinstance(model.weight_quantizer, StepFunction | StochasticRounding):
        return None
    return "weight_quantizer", f"{model.weight_quantizer} is no step function and draws no levels"


def no_cells(model: LinearModel) -> Obstacle:
    """A map without flat cells."""
    if isinstance(model.weight_quantizer, StepFunction):
        return None
    return "weight_quantizer", f"{model.weight_quantizer} has no flat cells: only a step function has"


def zeroth_order(model: LinearModel) -> Obstacle:
    """Steps whose rate is not that of a cell."""
    if isinstance(model.update_rule, STE | Momentum):
        return None
    if isinstance(model.update_rule, SignSGD | Adam):
        return "update_rule", "its steps have a length that depends on the error at that time"
    return "update_rule", "a zeroth-order update does not move a weight at a rate of its cell alone"


def residual_not_normal(model: LinearModel) -> Obstacle:
    """The field that makes the residual of a sample other than normal, and why; None where it is normal."""
    for name in MAPS:
        entry, inner = getattr(model, name), name in MAPS[:2]
        if isinstance(entry, CommonFactor) if inner else not isinstance(entry, Identity | AdditiveNoise):
            return name, f"with {name} = {entry} the residual is not normal"
    if not isinstance(model.activation_surrogate, IdentitySurrogate):
        return "activation_surrogate", "with a surrogate of the output the backpropagated residual is not normal"
    return None


def several_sets(model: LinearModel) -> Obstacle:
    """Moments in several sets."""
    fields = [name for name in model.options if name not in ("update_rule", "dampening", "range_rule", "groups")]
    if not fields:
        return None
    return fields[0], f"the moments of their noise are not derived with {' and '.join(fields)}"


def noise_not_derived(model: LinearModel) -> Obstacle:
    """Noise of the samples that is not derived."""
    if not isinstance(model.update_rule, STE | Momentum):
        return "update_rule", f"the noise of the samples is not derived with {model.update_rule}"
    return residual_not_normal(model)


def sign_of_what(model: LinearModel) -> Obstacle:
    """A sign of what is not normal."""
    return residual_not_normal(model) if isinstance(model.update_rule, SignSGD) else None


def paired(model: LinearModel) -> Obstacle:
    """Teacher weights paired with eigenvalues."""
    if isinstance(model.teacher, Paired):
        return "teacher", "teacher weights are paired with their eigenvalues"
    return None


def no_turned_field(model: LinearModel) -> Obstacle:
    """A field that is not derived in turned axes."""
    if not isinstance(model.update_rule, STE | Momentum):
        return "update_rule", f"the field of {model.update_rule} in turned axes is not derived"
    if isinstance(model.surrogate, ClippedSurrogate):
        return "surrogate", "weights that freeze at a bound are overstepped by the time steps of this method"
    if isinstance(model.dampening, Schedule):
        return "dampening", "a dampening that changes in time is not derived in turned axes"
    for name in MAPS[:2]:
        if isinstance(getattr(model, name), CommonFactor):
            return name, f"with {name} = {getattr(model, name)} all coordinates err together"
    if not model.has_linear_output:
        inner = ("spectrum", "update_rule", "dampening", "range_rule", "groups", *MAPS[:2])
        fields = [name for name in model.options if name not in inner]
        return fields[0], f"with {' and '.join(fields)} the residual is not linear in the turned weights"
    return None


def own_responses(model: LinearModel) -> Obstacle:
    """A response at every eigenvalue."""
    if isinstance(model.update_rule, SignSGD | Adam) and not model.spectrum.is_isotropic:
        return "spectrum", "steps of a length of their own answer differently at every eigenvalue"
    return None


def moving_range(model: LinearModel) -> Obstacle:
    """A range that moves."""
    if isinstance(model.range_rule, FixedRange):
        return None
    return "range_rule", f"the range moves by {model.range_rule}"


def inertia(model: LinearModel) -> Obstacle:
    """Weights that follow a mean of many gradients."""
    if isinstance(model.update_rule, KineticMomentum):
        return "update_rule", f"under {model.update_rule} each weight has a mean gradient beside it"
    return None


def followed_moments(model: LinearModel) -> Obstacle:
    """A number that Adam remembers."""
    if isinstance(model.update_rule, Adam) and model.update_rule.second_moment_rate is not None:
        return "update_rule", "the mean square that Adam remembers moves beside the law"
    return None


def range_of_the_start(model: LinearModel) -> Obstacle:
    """A range that is a statistic of the start."""
    if isinstance(model.range_rule, FollowingRange):
        return "range_rule", "the range follows the weights from the initial law on"
    return None


def density_beside_range(model: LinearModel) -> Obstacle:
    """A range that moves by the density at the thresholds."""
    if isinstance(model.range_rule, LearnedRange) and model.range_rule.sequential:
        return "range_rule", "a range stepped after the weights moves by the density at the thresholds"
    return None


def several_kinds(model: LinearModel) -> Obstacle:
    """Coordinates of several kinds."""
    if model.groups:
        return "groups", f"the model has {len(model.groups)} groups of coordinates"
    return None


def nonlinear_response_of_groups(model: LinearModel) -> Obstacle:
    """Groups behind an output that does not answer linearly."""
    return nonlinear_response(model) if model.groups else None


def beside_groups(model: LinearModel) -> Obstacle:
    """What several groups of coordinates do not have in common yet."""
    if not model.groups:
        return None
    if followed_moments(model):
        return "update_rule", f"{model.update_rule} is not derived for groups of coordinates"
    for member in model.members:
        if not isinstance(member.weight_quantizer, Identity | StepFunction):
            return "weight_quantizer", f"{member.weight_quantizer} is not derived for groups of coordinates"
    return None
