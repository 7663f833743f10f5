"""Where the numbers of a sweep come from: functions prepared for one model that serve many points."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from steode.errors import ConvergenceError
from steode.systems.linear.spec import LinearModel

Values = dict[str, np.ndarray]
"""Numbers by name, each of shape (n,): parameters in, variables out."""

FLAG = "converged"
"""What every source returns beside its variables; where it is false they are NaN."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the numbers of one or several measures come from.

    prepare : (model, settings) -> function of the parameters that differ between
        points, which returns the variables.
    continuous : settings -> names of those parameters; models that differ in anything else are prepared separately.
    check : (model, settings) -> anything, or raises what `prepare` would, at little cost.
    """

    prepare: Callable[[LinearModel, dict], Callable[[Values], Values]]
    continuous: Callable[[dict], frozenset[str]]
    check: Callable[[LinearModel, dict], object]


def compiled(function: Callable, batch: int = 4096) -> Callable[[Values], Values]:
    """`function` of scalars as one compiled call for many points, `batch` of which are in memory at a time."""
    batched = jax.jit(lambda points: jax.lax.map(lambda point: function(point[1]), points, batch_size=batch))

    def evaluate(parameters: Values):
        # a lone point has no parameters: its place gives something to map over
        count = max((values.size for values in parameters.values()), default=1)
        with jax.enable_x64(True):
            return jax.device_get(batched((np.arange(count), parameters)))

    return evaluate


def single(
    function: Callable[[LinearModel, dict], dict[str, float]],
    check: Callable[[LinearModel, dict], object] = lambda model, settings: None,
) -> Source:
    """A source that computes the variables of one model at a time; what does not converge is NaN."""

    def prepare(model: LinearModel, settings: dict) -> Callable[[Values], Values]:
        def evaluate(_: Values) -> Values:
            try:
                found = {FLAG: True} | function(model, settings)
            except ConvergenceError:
                found = {FLAG: False}
            return {name: np.array([value]) for name, value in found.items()}

        return evaluate

    return Source(prepare, lambda settings: frozenset(), check)
