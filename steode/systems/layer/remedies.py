"""What may be done against weights that never stop moving between two levels."""

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
