"""Schedules people train with, as functions of a few numbers: what `optimal_schedule` tunes and compares."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

FLOOR = 0.01
"""The rate at the end of a decay, relative to the peak."""
WARM_UP, WARM_START = 0.05, 0.05
"""Part of the time in which the rate rises to its peak, and the part of the peak at which it begins."""
EARLIEST, LATEST = 0.05, 0.95
"""Part of the time at which a decay, or quantization, may begin."""


@dataclasses.dataclass(frozen=True)
class Family:
    """Schedules with a few parameters.

    Attributes
    ----------
    name, meaning : for tables.
    rate : (parameters, part of the time, both traced) -> rate.
    parameters : of each whether it is the logarithm of a rate ("rate") or a part of the time ("part").
    switch : the index of the parameter at which quantization begins; None: at the start.
    """

    name: str
    meaning: str
    rate: Callable
    parameters: tuple[str, ...]
    switch: int | None = None

    def bounds(self, low: float, high: float) -> list[tuple[float, float]]:
        """Of each parameter."""
        own = {"rate": (np.log(low), np.log(high)), "part": (EARLIEST, LATEST)}
        return [own[kind] for kind in self.parameters]

    def starts(self, peaks: np.ndarray) -> list[np.ndarray]:
        """First guesses: every peak, with changes at two times."""
        values = [{"rate": np.log(peak), "part": part} for peak in peaks for part in PARTS]
        found = [np.array([value[kind] for kind in self.parameters]) for value in values]
        return list({start.tobytes(): start for start in found}.values())


PARTS = (0.5, 0.8)


def _cosine(part):
    """From 1 to `FLOOR` as `part` goes from 0 to 1."""
    return FLOOR + (1 - FLOOR) * (1 + jnp.cos(jnp.pi * jnp.clip(part, 0, 1))) / 2


def _warm_up_stable_decay(p, part):
    warm = WARM_START + (1 - WARM_START) * jnp.minimum(part / WARM_UP, 1)
    decay = 1 - (1 - FLOOR) * jnp.clip((part - p[1]) / (1 - p[1]), 0, 1)
    return jnp.exp(p[0]) * warm * decay


def _full_precision_first(p, part):
    return jnp.where(part < p[1], jnp.exp(p[0]) * _cosine(part / p[1]), jnp.exp(p[2]))


def _decay_under_quantization(p, part):
    return jnp.exp(p[0]) * jnp.where(part < p[1], 1.0, _cosine((part - p[1]) / (1 - p[1])))


FAMILIES = {
    family.name: family
    for family in (
        Family("constant", "one rate", lambda p, part: jnp.exp(p[0]) + 0 * part, ("rate",)),
        Family("cosine", "half a cosine, to 1 % of the peak", lambda p, part: jnp.exp(p[0]) * _cosine(part), ("rate",)),
        Family(
            "warm-up-stable-decay",
            "5 % warm-up, a plateau, a linear decay to 1 % of the peak",
            _warm_up_stable_decay,
            ("rate", "part"),
        ),
        Family(
            "full precision first",
            "a whole cosine without quantizers, then a constant rate with them",
            _full_precision_first,
            ("rate", "part", "rate"),
            switch=1,
        ),
        Family(
            "decay under quantization",
            "a constant rate without quantizers, then a cosine with them",
            _decay_under_quantization,
            ("rate", "part"),
            switch=1,
        ),
    )
}
"""By name; the order of tables and figures."""
