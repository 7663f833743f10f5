"""Rates whose logarithm is linear between given times: a few positive numbers for a whole schedule."""

import dataclasses
import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.errors import SpecificationError

EQUAL = 1e-12
"""Relative difference of two rates that are the same."""


@dataclasses.dataclass(frozen=True)
class LogLinear:
    """The rate exp(l(tau)), l linear between the times given and constant outside them: positive by construction.

    A function for `steode.Schedule`; of a model with it, `steode.limit_function` takes the values as a parameter.

    Parameters
    ----------
    times : increasing times, two or more.
    values : the rate at each of them, > 0.

    Raises
    ------
    SpecificationError
        If the times do not increase, or a value is not positive and finite.

    Examples
    --------
    >>> Schedule(LogLinear((0.0, 10.0, 20.0), (0.5, 0.5, 0.01)))
    """

    times: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self):
        for name in ("times", "values"):
            object.__setattr__(self, name, _numbers(f"LogLinear.{name}", getattr(self, name)))
        if len(self.times) < 2 or not np.all(np.diff(self.times) > 0):
            raise SpecificationError("LogLinear.times", "two or more increasing times", self.times, "Sort them.")
        if len(self.values) != len(self.times):
            expected = f"{len(self.times)} values, one for each time"
            raise SpecificationError("LogLinear.values", expected, f"{len(self.values)}", "Give as many.")
        if not min(self.values) > 0:
            remedy = "Stop the run where the rate is to be 0."
            raise SpecificationError("LogLinear.values", "rates > 0", self.values, remedy)

    def __call__(self, tau):
        return log_linear(tau, jnp.asarray(self.times), jnp.log(jnp.asarray(self.values)))

    def __str__(self) -> str:
        return ", ".join(f"{value:.4g} at {time:.4g}" for time, value in zip(self.times, self.values, strict=True))

    @property
    def expression(self) -> str:
        """The same as a text for `steode.Schedule`, which files can hold; at most 24 times fit into one."""
        pieces = [f"({self.values[0]!r}, tau < {self.times[0]!r})"] if self.times[0] > 0 else []
        knots = zip(self.times, self.values, strict=True)
        for (start, first), (end, last) in itertools.pairwise(knots):
            change = float(np.log(last / first))
            # a text holds no number as small as rounding leaves, and 0.0 is one
            since = f"(tau - {start!r})" if start else "tau"
            slope = f"{change / (end - start)!r}*{since}"
            rate = repr(first) if abs(change) < EQUAL else f"{first!r}*exp({slope})"
            pieces.append(f"({rate}, tau < {end!r})")
        return f"Piecewise({', '.join([*pieces, f'({self.values[-1]!r}, True)'])})"


class TracedRate(eqx.Module):
    """The same function with numbers that may be traced."""

    times: Float[Array, " K"]
    logs: Float[Array, " K"]

    def __call__(self, tau):
        return log_linear(tau, self.times, self.logs)


def log_linear(tau, times: Float[Array, " K"], logs: Float[Array, " K"]):
    """exp of the piecewise linear function through (times, logs), constant outside."""
    return jnp.exp(jnp.interp(tau, times, logs))


def _numbers(argument: str, values) -> tuple[float, ...]:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        array = np.full((), np.nan)
    if array.ndim != 1 or not np.all(np.isfinite(array)):
        raise SpecificationError(argument, "a sequence of finite numbers", values, "For example (0.0, 10.0).")
    return tuple(map(float, array))
