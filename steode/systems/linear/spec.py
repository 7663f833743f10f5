"""Specification of the linear teacher-student system trained by online SGD with the straight-through estimator."""

import dataclasses
import functools

from steode.errors import SpecificationError, check_integer, check_nonnegative, check_positive
from steode.parts.groups import Group
from steode.parts.laws import Law, Normal, Paired
from steode.parts.quantizers import EntrywiseMap, Identity
from steode.parts.range_rules import FixedRange, RangeRule
from steode.parts.schedule import Schedule
from steode.parts.spectrum import Isotropic, Spectrum
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticMap, StochasticRounding
from steode.parts.surrogates import (
    ClippedSurrogate,
    DerivativeOf,
    IdentitySurrogate,
    OutputSurrogate,
    WeightSurrogate,
    check_surrogate,
)
from steode.parts.update_rules import FOGZO, SPSA, STE, KineticMomentum, UpdateRule
from steode.systems.linear.spec_checks import (
    asymmetry,
    check_bound,
    check_dampening,
    check_groups,
    check_inertia,
    check_range_rule,
    check_scales,
    check_smooth_surrogate,
    check_type,
    check_update_rule,
)

MAPS = (
    "weight_quantizer",
    "input_quantizer",
    "activation",
    "teacher_activation",
    "label_quantizer",
    "residual_quantizer",
)
"""The fields that hold entrywise maps."""
AROUND = (
    "spectrum",
    "activation",
    "activation_surrogate",
    "teacher_activation",
    "label_quantizer",
    "residual_quantizer",
    "update_rule",
    "dampening",
    "range_rule",
    "groups",
)
"""The fields around the core, weights and inputs: most models leave them alone."""
RANDOM_MAPS = StochasticRounding | AdditiveNoise | MultiplicativeNoise | CommonFactor
KNOWN = "Use StochasticRounding, AdditiveNoise, MultiplicativeNoise or CommonFactor."


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearModel:
    """A linear student with quantized weights and inputs, trained online against a linear teacher.

    Inputs x ~ N(0, I_d); label y = w*.x/sqrt(d) + noise * xi, xi ~ N(0, 1); prediction
    yhat = Q_w(w).Q_x(x)/sqrt(d); fresh samples every step; loss (yhat - y)^2/2; straight-through update

        w <- (1 - learning_rate * weight_decay/d) w - (learning_rate/sqrt(d)) mean_batch[(yhat - y) Q_x(x)] s(w).

    More generally x_i ~ N(0, lambda_i) with the eigenvalues of a spectrum, and quantizers act on labels, output and
    residual as well: with h = Q_w(w).Q_x(x)/sqrt(d) and h* = w*.x/sqrt(d), the residual above is replaced by

        e = Q_o(f(h) - Q_l(f*(h*) + noise * xi)) f'(h).

    Stochastic maps are drawn anew in every step: that of the weights once for the whole batch, those of inputs, labels,
    outputs and residuals for every sample.

    Parameters
    ----------
    teacher : law of the teacher weights w*, independent from coordinate to coordinate; `Paired` gives each eigenvalue
        of the spectrum its own.
    weight_quantizer : entrywise map Q_w of the latent weights.
    input_quantizer : entrywise map Q_x of the inputs; must be odd.
    surrogate : surrogate derivative s of the weight quantizer; `DerivativeOf` takes any positive one.
    init : law of the initial weights, independent of the teacher.
    learning_rate : eta > 0, or a `Schedule`, a positive function of tau = step/d: step k uses eta(k/d).
    noise : label-noise standard deviation sigma >= 0.
    batch_size : samples B >= 1 averaged in one step; it stays fixed as d grows.
    weight_decay : kappa >= 0; the latent weights are decayed.
    spectrum : eigenvalues of the input covariance; quantizers act in its eigenbasis.
    activation : entrywise map f of the output.
    activation_surrogate : stands for f' in the backward pass.
    teacher_activation : deterministic map f* of the teacher's output, before the label noise.
    label_quantizer : entrywise map Q_l of the noisy labels.
    residual_quantizer : entrywise map Q_o of the residual, the gradient of the loss with respect to the output.
    update_rule : what is done with the straight-through gradient: `STE` follows it, `Momentum` collects it,
        `KineticMomentum` follows its mean over a part of d steps, `SignSGD` its sign, `Adam` its mean over the root of
        its mean square, `FOGZO` and `SPSA` replace it by zeroth-order estimates.
    dampening : zeta >= 0, or a `Schedule` of it: every step pulls the latent weight toward its quantized value, by
        (learning_rate * dampening/d) (w - Q_w(w)), the gradient of (dampening/(2 d)) |w - Q_w(w)|^2 (Nagel et al.
        2022).
    range_rule : what becomes of the range of the weight quantizer: `FixedRange`, `LearnedRange` (a learned step size),
        or `FollowingRange` (a statistic of the latent weights).
    groups : kinds of coordinates, each a `Group` with a share of them and with laws, quantizer and surrogate of its own
        where they differ from the model's; in a run they stand one after another. Empty: all are of one kind.

    Raises
    ------
    SpecificationError
        If a number is out of its domain, an argument has the wrong type, weight decay is combined with the clipped
        surrogate, a zeroth-order update rule with options it is not derived for or with initial weights on a
        threshold, or the input quantizer is not odd: then
        E[Q_x(x)] is not zero, coordinates couple at order 1 instead of 1/d, and the limit does not hold.
    """

    teacher: Law
    weight_quantizer: EntrywiseMap = Identity()
    input_quantizer: EntrywiseMap = Identity()
    surrogate: WeightSurrogate = IdentitySurrogate()
    init: Law = Normal(std=1.0)
    learning_rate: float | Schedule = 0.1
    noise: float = 0.0
    batch_size: int = 1
    weight_decay: float = 0.0
    spectrum: Spectrum = Isotropic()
    activation: EntrywiseMap = Identity()
    activation_surrogate: OutputSurrogate = IdentitySurrogate()
    teacher_activation: EntrywiseMap = Identity()
    label_quantizer: EntrywiseMap = Identity()
    residual_quantizer: EntrywiseMap = Identity()
    update_rule: UpdateRule = STE()
    dampening: float | Schedule = 0.0
    range_rule: RangeRule = FixedRange()
    groups: tuple[Group, ...] = ()

    def __post_init__(self):
        if not isinstance(self.learning_rate, Schedule):
            remedy = "Give a positive finite number, or a Schedule."
            object.__setattr__(self, "learning_rate", check_positive("learning_rate", self.learning_rate, remedy))
        object.__setattr__(self, "noise", check_nonnegative("noise", self.noise))
        object.__setattr__(self, "batch_size", check_integer("batch_size", self.batch_size, 1))
        object.__setattr__(self, "weight_decay", check_nonnegative("weight_decay", self.weight_decay))
        if not isinstance(self.dampening, Schedule):
            object.__setattr__(self, "dampening", check_nonnegative("dampening", self.dampening, "0 is none."))
        check_type("teacher", self.teacher, Law, "a law", "For example Constant(1.0) or Normal(std=1.0).")
        check_type("init", self.init, Law, "a law", "For example Normal(std=1.0).")
        remedy = "For example Uniform(bits=2, range=2.0) or Identity()."
        for name in MAPS:
            check_type(name, getattr(self, name), EntrywiseMap, "an entrywise map", remedy)
            if isinstance(getattr(self, name), StochasticMap):
                check_type(name, getattr(self, name), RANDOM_MAPS, "a stochastic map whose limit is derived", KNOWN)
        if isinstance(self.teacher_activation, StochasticMap):
            remedy = "Put randomness of the labels into label_quantizer or noise."
            raise SpecificationError("teacher_activation", "a deterministic map", self.teacher_activation, remedy)
        check_type("spectrum", self.spectrum, Spectrum, "a spectrum", "For example PowerLaw(exponent=1.5, count=50).")
        if isinstance(self.teacher, Paired) and self.teacher.values.size != self.spectrum.values.size:
            expected = f"one number for each of the {self.spectrum.values.size} eigenvalues of the spectrum"
            remedy = "Paired teacher weights belong to the eigenvalues; Empirical is their law by itself."
            raise SpecificationError("teacher", expected, f"{self.teacher.values.size} numbers", remedy)
        if isinstance(self.init, Paired):
            raise SpecificationError("init", "a law of its own", self.init, "Use Empirical for the law of these.")
        check_surrogate("surrogate", self.surrogate, WeightSurrogate)
        check_surrogate("activation_surrogate", self.activation_surrogate, OutputSurrogate)
        check_bound(self.surrogate, self.weight_quantizer)
        check_scales(self)
        if isinstance(self.surrogate, ClippedSurrogate) and self.weight_decay:
            raise SpecificationError(
                "weight_decay",
                "0 with the clipped surrogate",
                self.weight_decay,
                "Decay moves frozen weights back into the band, which makes the bound a sticky boundary instead of an "
                "absorbing one; that limit is not derived here.",
            )
        if isinstance(self.surrogate, DerivativeOf):
            check_smooth_surrogate(self)
        if self.dampening:
            check_dampening(self)
        if not isinstance(self.range_rule, FixedRange):
            check_type("range_rule", self.range_rule, RangeRule, "a range rule", "For example LearnedRange(rate=0.1).")
            check_range_rule(self)
        if not self.input_quantizer.is_odd:
            raise SpecificationError(
                "input_quantizer",
                "an odd map, Q(-x) = -Q(x)",
                self.input_quantizer,
                f"{asymmetry(self.input_quantizer)}With a mean E[Q(x)] != 0 the coordinates couple at order 1 and the "
                "limit does not hold; use a symmetric grid such as Uniform.",
            )
        check_type("update_rule", self.update_rule, UpdateRule, "an update rule", "For example FOGZO(c=2.0, eps=0.3).")
        if isinstance(self.update_rule, FOGZO | SPSA):
            check_update_rule(self)
        if isinstance(self.update_rule, KineticMomentum):
            check_inertia(self)
        if self.groups:
            check_groups(self)

    @functools.cached_property
    def members(self) -> tuple["LinearModel", ...]:
        """For each group the model that has all its coordinates of that kind; without groups the model itself."""
        return tuple(self.replace(groups=(), **group.own) for group in self.groups) or (self,)

    @property
    def shares(self) -> tuple[float, ...]:
        """Fraction of the coordinates in each group, (1.0,) without groups."""
        return tuple(group.share for group in self.groups) or (1.0,)

    @property
    def has_linear_output(self) -> bool:
        """True if f, f*, Q_l and Q_o are the identity and the surrogate of f is 1: the residual is e = yhat - y."""
        maps = (self.activation, self.teacher_activation, self.label_quantizer, self.residual_quantizer)
        return all(isinstance(entry, Identity) for entry in maps) and isinstance(
            self.activation_surrogate, IdentitySurrogate
        )

    @property
    def options(self) -> tuple[str, ...]:
        """Fields that take the model beyond isotropic inputs, deterministic maps of both, and a linear output."""
        random = [name for name in MAPS[:2] if isinstance(getattr(self, name), StochasticMap)]
        around = {field.name: field.default for field in dataclasses.fields(self) if field.name in AROUND}
        return (*random, *(name for name, default in around.items() if getattr(self, name) != default))

    @property
    def is_plain(self) -> bool:
        """True for isotropic inputs, deterministic maps of weights and inputs, and a linear output."""
        random = any(isinstance(entry, StochasticMap) for entry in (self.weight_quantizer, self.input_quantizer))
        return self.spectrum.is_isotropic and not random and self.has_linear_output

    @property
    def is_basic(self) -> bool:
        """True for a plain model that is updated by the straight-through gradient."""
        return self.is_plain and isinstance(self.update_rule, STE)

    def __repr__(self):
        # of the options added around the core only those in use: most models have none of them
        fields = dataclasses.fields(self)
        given = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields
            if field.name not in AROUND or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def replace(self, **changes) -> "LinearModel":
        """A copy with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)
