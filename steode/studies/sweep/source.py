"""Where the numbers of a sweep come from: functions prepared for one model that serve many points."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from steode.errors import ConvergenceError
from steode.solvers.programs import bounded_jit
from steode.systems.linear.spec import LinearModel

Values = dict[str, np.ndarray]
"""Numbers by name, each of shape (n,): parameters in, variables out."""

BATCH = 4096
"""Points of one call in memory at a time."""

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


def compiled(function: Callable, *fixed) -> Callable[[Values], Values]:
    """`function(*fixed, point)` of the numbers of a point, in one compiled call for many points.

    The program is found again for the same function and the same structure of what is fixed, whatever numbers it holds.
    """

    def evaluate(parameters: Values):
        # a lone point has no parameters: its place gives something to map over
        count = max((values.size for values in parameters.values()), default=1)
        with jax.enable_x64(True):
            return jax.device_get(_mapped(function, fixed, (np.arange(count), parameters)))

    return evaluate


@bounded_jit
def _mapped(function: Callable, fixed: tuple, points: tuple):
    return jax.lax.map(lambda point: function(*fixed, point[1]), points, batch_size=BATCH)


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
