"""What becomes of the quantization range of the weights during training: it stands, is learned, or follows them."""

import dataclasses

from steode.errors import SpecificationError, check_finite, check_positive
from steode.parts.quantizers import StepFunction

GRADIENTS = ("lsq", "pact")
STATISTICS = ("mean absolute", "root mean square", "percentile")


@dataclasses.dataclass(frozen=True)
class FixedRange:
    """The range of the quantizer, throughout."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnedRange:
    """A range that is trained with the weights, by its own gradient.

        range <- range - (rate/d) sum_i mean_batch[e Q_x(x_i)] l_i/sqrt(d),

    with l_i the derivative of Q(w_i) with respect to the range that the gradient takes: with u = w/range and the grid
    g(u) of range 1, by "lsq" (Esser et al. 2020)

        l = g(u) - u

    while u lies between the outermost levels, and the last level beyond them; by "pact" (Choi et al. 2018) 0 and the
    last level.

    The range of the model's quantizer is that of the start. Dampening moves the weights alone.

    Parameters
    ----------
    rate : learning rate of the range, > 0. Where the step s = range * h of a uniform grid is what is trained, its rate
        times 1/h^2 is that of the range: see `of_step`.
    gradient : "lsq" or "pact".
    logarithmic : train log(range) instead, which cannot cross zero: its rate is `rate`.
    sequential : step the weights first and take l at the new ones, as optimizers that loop over parameters do not.

    Raises
    ------
    SpecificationError
        If the rate is not positive or the gradient unknown.
    """

    rate: float
    gradient: str = "lsq"
    logarithmic: bool = False
    sequential: bool = False

    def __post_init__(self):
        object.__setattr__(self, "rate", check_positive("LearnedRange.rate", self.rate))
        if self.gradient not in GRADIENTS:
            raise SpecificationError("LearnedRange.gradient", "one of " + ", ".join(GRADIENTS), self.gradient, "")
        for name in ("logarithmic", "sequential"):
            if not isinstance(getattr(self, name), bool):
                raise SpecificationError(f"LearnedRange.{name}", "True or False", getattr(self, name), "")

    @classmethod
    def of_step(cls, rate: float, quantizer: StepFunction, **others) -> "LearnedRange":
        """The rule that trains the step between the levels of a uniform grid at this rate.

        Raises `SpecificationError` if the levels of the grid are not equally spaced.
        """
        levels = getattr(quantizer, "unit_levels", ())
        steps = {after - before for before, after in zip(levels, levels[1:], strict=False)}
        if len(steps) != 1:
            raise SpecificationError("quantizer", "a grid of equally spaced levels", quantizer, "Give rate itself.")
        return cls(rate=check_positive("rate", rate) / float(steps.pop()) ** 2, **others)


@dataclasses.dataclass(frozen=True)
class FollowingRange:
    """A range that is a statistic of the latent weights in every step, as in ternary training and BitNet.

        range = factor * mean_i |w_i|,    factor * (mean_i w_i^2)^(1/2),    or    factor * percentile of the |w_i|.

    A percentile of a run is that of `numpy.percentile`: between two weights in order of size it is interpolated
    linearly. In the limit it is the number q with P(|w| <= q) = percentile/100, and the initial law must have a
    density. The largest weight, percentile 100, is no such statistic: in the limit it is infinite for laws such as the
    normal one, and at finite d grows like (2 log d)^(1/2). The range of the model's quantizer is not used.

    Parameters
    ----------
    statistic : "mean absolute", "root mean square" or "percentile".
    factor : > 0.
    percentile : > 0 and < 100, with that statistic alone.

    Raises
    ------
    SpecificationError
        If the statistic is unknown, the factor not positive, or the percentile missing, out of its domain or not used.
    """

    statistic: str = "mean absolute"
    factor: float = 1.0
    percentile: float | None = None

    def __post_init__(self):
        largest = "The largest weight, percentile 100, has no limit."
        if self.statistic not in STATISTICS:
            expected = "one of " + ", ".join(STATISTICS)
            raise SpecificationError("FollowingRange.statistic", expected, self.statistic, largest)
        object.__setattr__(self, "factor", check_positive("FollowingRange.factor", self.factor))
        if self.statistic != "percentile":
            if self.percentile is not None:
                remedy = 'Say statistic="percentile".'
                raise SpecificationError("FollowingRange.percentile", "None", self.percentile, remedy)
            return
        percentile = check_finite("FollowingRange.percentile", self.percentile, "For example 99.")
        if not 0 < percentile < 100:
            raise SpecificationError("FollowingRange.percentile", "a number > 0 and < 100", self.percentile, largest)
        object.__setattr__(self, "percentile", percentile)

    @property
    def power(self) -> int:
        """The power of |w| that is averaged; 0: it is a percentile."""
        return (1 + STATISTICS.index(self.statistic)) % len(STATISTICS)


RangeRule = FixedRange | LearnedRange | FollowingRange
