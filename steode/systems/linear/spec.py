"""Specification of the linear teacher-student system trained by online SGD with the straight-through estimator."""

import dataclasses

from steode.errors import SpecificationError, check_integer, check_nonnegative, check_positive
from steode.laws import Law, Normal
from steode.quantizers import EntrywiseMap, Identity, StepFunction
from steode.schedule import Schedule

EQUAL = 1e-9
"""Relative distance within which a clipping bound and a threshold are the same."""


@dataclasses.dataclass(frozen=True)
class IdentitySurrogate:
    """Surrogate derivative s(w) = 1: the gradient passes the weight quantizer unchanged."""


@dataclasses.dataclass(frozen=True)
class ClippedSurrogate:
    """Surrogate derivative s(w) = 1 for |w| < bound, 0 otherwise: weights that reach the bound freeze there.

    Frozen weights have just crossed the bound, so a bound equal to a threshold (to 1e-9) freezes them at the outer
    level, and one slightly below at the inner level. Runs of finite dimension overshoot by O(d^-1/2) and cannot tell
    the two apart: `LinearModel` refuses a bound that nearly equals a threshold.

    Raises `SpecificationError` unless bound is positive and finite.
    """

    bound: float

    def __post_init__(self):
        object.__setattr__(self, "bound", check_positive("ClippedSurrogate.bound", self.bound))


Surrogate = IdentitySurrogate | ClippedSurrogate


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearModel:
    """A linear student with quantized weights and inputs, trained online against a linear teacher.

    Inputs x ~ N(0, I_d); label y = w*.x/sqrt(d) + noise * xi, xi ~ N(0, 1); prediction
    yhat = Q_w(w).Q_x(x)/sqrt(d); fresh samples every step; loss (yhat - y)^2/2; straight-through update

        w <- (1 - learning_rate * weight_decay/d) w - (learning_rate/sqrt(d)) mean_batch[(yhat - y) Q_x(x)] s(w).

    Parameters
    ----------
    teacher : law of the teacher weights w*, independent from coordinate to coordinate.
    weight_quantizer : entrywise map Q_w of the latent weights.
    input_quantizer : entrywise map Q_x of the inputs; must be odd.
    surrogate : surrogate derivative s of the weight quantizer.
    init : law of the initial weights, independent of the teacher.
    learning_rate : eta > 0, or a `Schedule`, a positive function of tau = step/d: step k uses eta(k/d).
    noise : label-noise standard deviation sigma >= 0.
    batch_size : samples B >= 1 averaged in one step; it stays fixed as d grows.
    weight_decay : kappa >= 0; the latent weights are decayed.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, an argument has the wrong type, weight decay is combined with the clipped
        surrogate, or the input quantizer is not odd: then
        E[Q_x(x)] is not zero, coordinates couple at order 1 instead of 1/d, and the limit does not hold.
    """

    teacher: Law
    weight_quantizer: EntrywiseMap = Identity()
    input_quantizer: EntrywiseMap = Identity()
    surrogate: Surrogate = IdentitySurrogate()
    init: Law = Normal(std=1.0)
    learning_rate: float | Schedule = 0.1
    noise: float = 0.0
    batch_size: int = 1
    weight_decay: float = 0.0

    def __post_init__(self):
        if not isinstance(self.learning_rate, Schedule):
            remedy = "Give a positive finite number, or a Schedule."
            object.__setattr__(self, "learning_rate", check_positive("learning_rate", self.learning_rate, remedy))
        object.__setattr__(self, "noise", check_nonnegative("noise", self.noise))
        object.__setattr__(self, "batch_size", check_integer("batch_size", self.batch_size, 1))
        object.__setattr__(self, "weight_decay", check_nonnegative("weight_decay", self.weight_decay))
        _check_type("teacher", self.teacher, Law, "a law", "For example Constant(1.0) or Normal(std=1.0).")
        _check_type("init", self.init, Law, "a law", "For example Normal(std=1.0).")
        remedy = "For example Uniform(bits=2, range=2.0) or Identity()."
        _check_type("weight_quantizer", self.weight_quantizer, EntrywiseMap, "an entrywise map", remedy)
        _check_type("input_quantizer", self.input_quantizer, EntrywiseMap, "an entrywise map", remedy)
        remedy = "Use IdentitySurrogate() or ClippedSurrogate(bound=1.0)."
        _check_type("surrogate", self.surrogate, Surrogate, "a surrogate derivative", remedy)
        _check_bound(self.surrogate, self.weight_quantizer)
        if isinstance(self.surrogate, ClippedSurrogate) and self.weight_decay:
            raise SpecificationError(
                "weight_decay",
                "0 with the clipped surrogate",
                self.weight_decay,
                "Decay moves frozen weights back into the band, which makes the bound a sticky boundary instead of an "
                "absorbing one; that limit is not derived here.",
            )
        if not self.input_quantizer.is_odd:
            raise SpecificationError(
                "input_quantizer",
                "an odd map, Q(-x) = -Q(x)",
                self.input_quantizer,
                "With a mean E[Q(x)] != 0 the coordinates couple at order 1 and the limit does not hold; use a "
                "symmetric grid such as Uniform.",
            )

    def replace(self, **changes) -> "LinearModel":
        """A copy with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)


def _check_bound(surrogate: Surrogate, quantizer: EntrywiseMap) -> None:
    if not (isinstance(surrogate, ClippedSurrogate) and isinstance(quantizer, StepFunction)):
        return
    distances = abs(abs(quantizer.thresholds) / surrogate.bound - 1)
    if ((distances > EQUAL) & (distances < 1e-3)).any():
        nearest = float(abs(quantizer.thresholds[distances.argmin()]))
        remedy = "On a threshold weights freeze at the outer level, below it at the inner one: say exactly which."
        expected = f"a bound equal to the threshold {nearest!r} or clearly apart from it"
        raise SpecificationError("surrogate.bound", expected, surrogate.bound, remedy)


def _check_type(argument: str, value: object, kind, expected: str, remedy: str) -> None:
    if not isinstance(value, kind):
        raise SpecificationError(argument, expected, value, remedy)
