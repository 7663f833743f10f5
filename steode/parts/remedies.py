"""What may be done about weights that never stop moving between two levels: dampening, freezing, averages."""

import dataclasses

from steode.errors import SpecificationError, check_finite, check_nonnegative, check_positive
from steode.parts.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Dampening:
    """Every weight is pulled to its level: -(eta kappa/d)(w - Q(w)) more in every step (Nagel et al. 2022).

    Parameters
    ----------
    strength : kappa, a number >= 0 or a `Schedule` of tau = step/d, such as Schedule("tau/10"): it helps where it grows
        from 0, so that weights settle one after the other.

    Raises `SpecificationError` for anything else.
    """

    strength: float | Schedule

    def __post_init__(self):
        if not isinstance(self.strength, Schedule):
            object.__setattr__(self, "strength", check_nonnegative("Dampening.strength", self.strength))


@dataclasses.dataclass(frozen=True)
class Freezing:
    """Weights stop one after the other, in the order of certainty, at the level they visit most; the others go on.

    A running mean of Q(w) is kept for every weight. From tau = start on, the share of frozen weights of every row grows
    in proportion to time, to all of them at tau = stop; chosen are those whose mean is nearest to a level, in steps,
    and there they stay.

    Parameters
    ----------
    start, stop : rescaled times, 0 <= start < stop.
    memory : rescaled time over which the running mean forgets, > 0.
    every : rescaled time between two rounds of freezing, > 0.

    Raises `SpecificationError` for anything else.
    """

    start: float
    stop: float
    memory: float = 1.0
    every: float = 0.25

    def __post_init__(self):
        object.__setattr__(self, "start", check_nonnegative("Freezing.start", self.start))
        object.__setattr__(self, "stop", check_finite("Freezing.stop", self.stop))
        if self.stop <= self.start:
            remedy = "All weights are frozen then."
            raise SpecificationError("Freezing.stop", f"a time after start = {self.start:g}", self.stop, remedy)
        for name in ("memory", "every"):
            object.__setattr__(self, name, check_positive(f"Freezing.{name}", getattr(self, name)))


@dataclasses.dataclass(frozen=True)
class OscillationFreezing:
    """Weights stop that oscillate too often: each at the level nearest to its running mean (Nagel et al. 2022).

    A weight oscillates when its level changes in the direction opposite to its last change. The share of steps in which
    it does is followed by a running mean, and where this times sqrt(d) exceeds the threshold the weight is set to the
    level nearest to the running mean of Q(w), and stays. Both means forget within `memory`.

    With m the rate of a running mean per step and f the threshold on the frequency, as published: memory = 1/(m d) and
    threshold = f sqrt(d). Weights flip about sqrt(d) times in a unit of tau = step/d, so that only thresholds of this
    size leave some weights moving and stop others as d grows (docs/dithering.md).

    Parameters
    ----------
    threshold : oscillations per step times sqrt(d), as `flips` counts, > 0; or a `Schedule` of it, to fall.
    memory : rescaled time over which the running means forget, > 0.
    start : rescaled time from which on weights may stop, >= 0.

    Raises `SpecificationError` for anything else.
    """

    threshold: float | Schedule
    memory: float = 1.0
    start: float = 0.0

    def __post_init__(self):
        if not isinstance(self.threshold, Schedule):
            threshold = check_positive("OscillationFreezing.threshold", self.threshold)
            object.__setattr__(self, "threshold", threshold)
        object.__setattr__(self, "memory", check_positive("OscillationFreezing.memory", self.memory))
        object.__setattr__(self, "start", check_nonnegative("OscillationFreezing.start", self.start))


@dataclasses.dataclass(frozen=True)
class RunningAverage:
    """Quantized and latent weights are averaged over the steps, beside the training, which does not see it.

    From `start` on the plain mean of all steps so far, until it spans `memory`; from then on it forgets exponentially:
    mean <- mean + (value - mean) max(1/n, 1/(memory d)) in the n-th step.

    Parameters
    ----------
    start : rescaled time of the first step that counts, >= 0.
    memory : rescaled time over which the average forgets, > 0; None: never.

    Raises `SpecificationError` for anything else.
    """

    start: float = 0.0
    memory: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "start", check_nonnegative("RunningAverage.start", self.start))
        if self.memory is not None:
            object.__setattr__(self, "memory", check_positive("RunningAverage.memory", self.memory))
