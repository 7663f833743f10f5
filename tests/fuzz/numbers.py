"""The numbers of random specifications: mostly moderate, in some of them extreme, in some of them wrong."""

import math

import numpy as np

MODES = {"moderate": 0.72, "extreme": 0.16, "wrong": 0.12}
"""Shares of specifications whose numbers are moderate; whose numbers are also very large or small; or also wrong."""
SPICE = {"moderate": 0.0, "extreme": 0.12, "wrong": 0.08}
"""Probability that a number is replaced."""
EXTREME = (1e-12, 1e-6, 1e-3, 30.0, 1e3, 1e6, 1e12)
WRONG = (0, -1.0, math.nan, math.inf, -math.inf, 1e-320, True, "0.5", None, 10**400, 1 + 1j, [1.0, 2.0])


class Numbers:
    """A source of numbers. `choice` and `chance` draw from the structure that neighboring seeds share where `shared`
    is true: then they compile the same programs.
    """

    def __init__(self, structure: np.random.Generator, own: np.random.Generator):
        self.structure, self.own = structure, own
        self.mode = str(own.choice(list(MODES), p=list(MODES.values())))

    def choice(self, *options, shared: bool = True):
        """One of the options."""
        return options[int(self._generator(shared).integers(len(options)))]

    def weighted(self, **options):
        """One of the names, with probabilities in proportion to the values; shared."""
        shares = np.array(list(options.values()), float)
        return str(self.structure.choice(list(options), p=shares / shares.sum()))

    def chance(self, probability: float, *, shared: bool = True) -> bool:
        """True with this probability."""
        return bool(self._generator(shared).random() < probability)

    def positive(self, low: float, high: float):
        """A number whose logarithm is uniform between those of `low` and `high`, or an awkward one."""
        return self._spiced(float(np.exp(self.own.uniform(np.log(low), np.log(high)))))

    def real(self, low: float, high: float):
        """A number uniform between `low` and `high`, or an awkward one."""
        return self._spiced(float(self.own.uniform(low, high)))

    def increasing(self, count: int, low: float, high: float) -> list[float]:
        """Increasing numbers, sometimes two of them very close to each other."""
        values = np.sort(self.own.uniform(low, high, count))
        if self.mode == "extreme" and count > 1:
            values[1] = values[0] + 1e-9
        return self._spiced([float(value) for value in values])

    def integer(self, low: int, high: int):
        """An integer from the structure, or a wrong value."""
        return self._spiced(int(self.structure.integers(low, high + 1)), extreme=False)

    def _spiced(self, value, extreme: bool = True):
        # drawn whether or not it is used, so that an awkward number leaves the others alone
        spiced, which = self.own.random(), int(self.own.integers(10**6))
        if spiced >= SPICE[self.mode]:
            return value
        if self.mode == "wrong":
            return WRONG[which % len(WRONG)]
        if not extreme or isinstance(value, list):
            return value
        return math.copysign(EXTREME[which % len(EXTREME)], value)

    def _generator(self, shared: bool) -> np.random.Generator:
        return self.structure if shared else self.own
