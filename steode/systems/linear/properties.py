"""What the verbs need of a linear model, and the option that takes it away: one table, one refusal.

A verb names itself and is refused by a property of the equation, never by the path a model takes through the code. The
table is also the page of the documentation that says what composes with what.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from steode.errors import UnsupportedError
from steode.parts.elementwise import Elementwise
from steode.parts.laws import Paired
from steode.parts.quantizers import Identity, StepFunction
from steode.parts.schedule import Schedule
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.parts.surrogates import ClippedSurrogate, IdentitySurrogate
from steode.parts.update_rules import FOGZO, SPSA, STE, Momentum, SignSGD
from steode.systems.linear.derivations.output import derive_output
from steode.systems.linear.spec import MAPS, LinearModel


@dataclasses.dataclass(frozen=True)
class Property:
    """Something a model may have.

    Attributes
    ----------
    need : what it is, after "needs".
    lost : the field of a model that takes it away and why, or None where the model has the property.
    instead : what to do without it.
    """

    need: str
    lost: Callable[[LinearModel], tuple[str, str] | None]
    instead: str


def _schedule(model):
    if isinstance(model.learning_rate, Schedule):
        return "learning_rate", f"the learning rate is a schedule, {model.learning_rate}"
    return None


def _atoms(model):
    if isinstance(model.surrogate, ClippedSurrogate):
        return "surrogate", "the clipped surrogate has absorbing atoms, which no finite set of moments describes"
    return None


def _start_remembered(model):
    if isinstance(model.surrogate, ClippedSurrogate):
        why = "with the clipped surrogate weights freeze in atoms, and the state reached depends on the initial law"
        return "surrogate", why
    return None


def _own_diffusion(model):
    if isinstance(model.update_rule, SPSA):
        return "update_rule", "the diffusion of SPSA depends on the weight"
    return None


def _open_moments(model):
    affine = Identity | AdditiveNoise | MultiplicativeNoise | CommonFactor
    if isinstance(model.weight_quantizer, affine):
        return None
    why = f"the mean of {model.weight_quantizer} is not the weight itself, so that no finite set of moments closes"
    return "weight_quantizer", why


def _density_at_thresholds(model):
    if isinstance(model.update_rule, FOGZO) and isinstance(model.weight_quantizer, StepFunction):
        return "update_rule", "FOGZO moves by the density at the thresholds, which no finite set of weights has"
    return None


def _several_wells(model):
    quantizer = model.weight_quantizer
    if not isinstance(quantizer, Elementwise):
        return None
    if not quantizer.is_nondecreasing:
        why = f"{quantizer.expression} decreases somewhere, so that the stationary potential may have several wells"
        return "weight_quantizer", why
    if np.isnan(quantizer.limits).any():
        return "weight_quantizer", f"{quantizer.expression} has no limit at infinity"
    return None


def _slope_beyond_dithering(model):
    quantizer = model.weight_quantizer
    if not isinstance(model.update_rule, FOGZO) or isinstance(quantizer, Identity):
        return None
    if model.weight_decay:
        return "weight_decay", "with weight decay the mean slope of FOGZO is not the dithering of the weights"
    if isinstance(quantizer, Elementwise) and np.isinf(quantizer.limits).any():
        return "weight_quantizer", f"{quantizer.expression} is unbounded, and FOGZO's mean slope with it"
    return None


def _nonlinear_response(model):
    if model.has_linear_output or derive_output(model).is_linear:
        return None
    fields = [name for name in model.options if name not in ("spectrum", "update_rule", *MAPS[:2])]
    why = f"with {' and '.join(fields)} the residual does not answer linearly to the two pre-activations"
    return fields[0], why


def _no_grid(model):
    if isinstance(model.weight_quantizer, StepFunction | StochasticRounding):
        return None
    return "weight_quantizer", f"{model.weight_quantizer} is no step function and draws no levels"


def _no_cells(model):
    if isinstance(model.weight_quantizer, StepFunction):
        return None
    return "weight_quantizer", f"{model.weight_quantizer} has no flat cells: only a step function has"


def _zeroth_order(model):
    if isinstance(model.update_rule, STE | Momentum):
        return None
    if isinstance(model.update_rule, SignSGD):
        return "update_rule", "the sign of a gradient moves a weight at a rate that depends on the error at that time"
    return "update_rule", "a zeroth-order update does not move a weight at a rate of its cell alone"


def _residual_not_normal(model):
    for name in MAPS:
        entry, inner = getattr(model, name), name in MAPS[:2]
        if isinstance(entry, CommonFactor) if inner else not isinstance(entry, Identity | AdditiveNoise):
            return name, f"with {name} = {entry} the residual is not normal"
    if not isinstance(model.activation_surrogate, IdentitySurrogate):
        return "activation_surrogate", "with a surrogate of the output the backpropagated residual is not normal"
    return None


def _several_sets(model):
    fields = [name for name in model.options if name != "update_rule"]
    if not fields:
        return None
    return fields[0], f"the moments of their noise are not derived with {' and '.join(fields)}"


def _noise_not_derived(model):
    if not isinstance(model.update_rule, STE | Momentum):
        return "update_rule", f"the noise of the samples is not derived with {model.update_rule}"
    return _residual_not_normal(model)


def _sign_of_what(model):
    return _residual_not_normal(model) if isinstance(model.update_rule, SignSGD) else None


def _paired(model):
    if isinstance(model.teacher, Paired):
        return "teacher", "teacher weights are paired with their eigenvalues"
    return None


def _own_responses(model):
    if isinstance(model.update_rule, SignSGD) and not model.spectrum.is_isotropic:
        return "spectrum", "the sign of a gradient answers differently at every eigenvalue"
    return None


FOLLOW = "follow it in time with solve(model, t_end)"
CONSTANT_RATE = Property(
    "a constant learning rate",
    _schedule,
    f"give the model a number, model.replace(learning_rate=0.1), or {FOLLOW}",
)
NO_ATOMS = Property("a law without atoms", _atoms, "use method='density'")
FORGETS_START = Property("a stationary law that forgets the start", _start_remembered, FOLLOW)
COMMON_DIFFUSION = Property(
    "a diffusion that is the same at every weight", _own_diffusion, "use solve with method='particles'"
)
CLOSED_MOMENTS = Property("moments that close", _open_moments, "use method='density'")
FINITE_SUPPORT = Property(
    "a motion that finitely many weights define",
    _density_at_thresholds,
    "start from the laws, and use method='density'",
)
ONE_WELL = Property("a nondecreasing map of the weights with limits at infinity", _several_wells, FOLLOW)
SLOPE_FROM_DITHERING = Property("a mean slope known from the stationary law", _slope_beyond_dithering, FOLLOW)
LINEAR_RESPONSE = Property(
    "one unknown, c_2, so that a root can be singled out", _nonlinear_response, "see fixed_points(model)"
)
GRID = Property("a grid to round to", _no_grid, "fixed_points gives the error of the last iterate")
CELLS = Property("weights quantized by a step function", _no_cells, "read plateau(solve(model, t_end))")
RATE_OF_A_CELL = Property("the rate of a weight in its cell", _zeroth_order, "read plateau(solve(model, t_end))")
SAMPLE_NOISE = Property(
    "a normal residual, whose noise in one step is derived",
    _noise_not_derived,
    "measure the scatter of simulate(model, seeds=...)",
)

RUN = "run it with simulate"
NORMAL_RESIDUAL = Property("a normal residual under the sign of a gradient", _sign_of_what, RUN)
ONE_RESPONSE = Property("one response for all coordinates", _own_responses, RUN)
_DERIVED = (NORMAL_RESIDUAL, ONE_RESPONSE)

MOMENT_NOISE = Property("isotropic inputs and maps that are not random", _several_sets, "use method='density'")

INDEPENDENT_TEACHER = Property("a teacher law that is the same at every eigenvalue", _paired, RUN)

_STATIONARY = (CONSTANT_RATE, FORGETS_START, COMMON_DIFFUSION, ONE_WELL, SLOPE_FROM_DITHERING)
_BEYOND_THE_LIMIT: dict[str, tuple[Property, ...]] = {
    "derive": (),
    "solve, density": (COMMON_DIFFUSION,),
    "solve, gaussian": (COMMON_DIFFUSION, NO_ATOMS),
    "solve, moments": (COMMON_DIFFUSION, NO_ATOMS, CLOSED_MOMENTS),
    "solve, particles": (FINITE_SUPPORT,),
    "solve, drawn start": (FINITE_SUPPORT,),
    "limit_function": (COMMON_DIFFUSION,),
    "limit_function, gaussian": (COMMON_DIFFUSION, NO_ATOMS),
    "fixed_points": _STATIONARY,
    "fixed_point_function": (*_STATIONARY, LINEAR_RESPONSE),
    "stability": _STATIONARY,
    "deployments": (*_STATIONARY, GRID, LINEAR_RESPONSE, INDEPENDENT_TEACHER),
    "optimal_range": (*_STATIONARY, LINEAR_RESPONSE),
    "optimal_range, at a time": (COMMON_DIFFUSION,),
    "plateau_estimate": (CONSTANT_RATE, CELLS, RATE_OF_A_CELL),
    "fluctuations": (SAMPLE_NOISE, INDEPENDENT_TEACHER),
    "fluctuations, moments": (SAMPLE_NOISE, INDEPENDENT_TEACHER, NO_ATOMS, CLOSED_MOMENTS, MOMENT_NOISE),
    "sweep of fixed points": (*_STATIONARY, LINEAR_RESPONSE),
    "sweep of curves": (COMMON_DIFFUSION,),
    "sweep of curves, gaussian": (COMMON_DIFFUSION, NO_ATOMS),
}
"""What is asked for, verb first -> the properties it needs beside those of the limit itself."""
NEEDS: dict[str, tuple[Property, ...]] = {"simulate": (), "simulate_paired": ()} | {
    what: (*_DERIVED, *needed) for what, needed in _BEYOND_THE_LIMIT.items()
}
"""What is asked for, verb first -> the properties it needs."""


def missing(model: LinearModel, what: str) -> tuple[Property, str, str] | None:
    """The first property that `what` needs and the model lacks, with the field that takes it away, and why."""
    for needed in NEEDS[what]:
        lost = needed.lost(model)
        if lost is not None:
            return needed, *lost
    return None


MORE = "What the theory leaves out, and where to go: docs/not_covered.md."
"""Last words of a refusal."""


def require(model: LinearModel, what: str) -> None:
    """Raise `UnsupportedError` unless the model has what a key of `NEEDS` needs."""
    found = missing(model, what)
    if found is not None:
        needed, _, why = found
        raise UnsupportedError(f"{what}: needs {needed.need}, and {why}; {needed.instead}. {MORE}")
