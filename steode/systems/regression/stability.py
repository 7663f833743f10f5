"""The verb `stability`: the largest step size of quantized SGD for linear regression, and where it ends up."""

import dataclasses

import jax
import numpy as np

from steode.systems.regression.compiled import CompiledRecursion, compile_recursion
from steode.systems.regression.spec import RegressionModel, check_model
from steode.systems.regression.threshold import largest_step_size, spectral_radius, stationary


@dataclasses.dataclass(frozen=True, eq=False)
class RegressionStability:
    """Stability of the mean square, exact at finite dimension.

    Attributes
    ----------
    step_size, largest_step_size : of the model, and the least one at which its risk does not stay bounded.
    spectral_radius : factor by which deviations of the mean squares from their stationary values shrink in one step.
    raw, quantized, excess : risks of the last iterate after infinitely many steps, as in
        `steode.systems.regression.QUANTITIES`; infinite if unstable.
    """

    step_size: float
    largest_step_size: float
    spectral_radius: float
    raw: float
    quantized: float
    excess: float

    @property
    def stable(self) -> bool:
        """True if the risk stays bounded."""
        return self.step_size < self.largest_step_size


def stability(model: RegressionModel) -> RegressionStability:
    """The exact threshold of the step size, from the diagonal-plus-rank-one recursion of the second moments.

    The mean squares obey m' = (A + r F^T) m + ..., with entries >= 0, so that they stay bounded if and only if
    sum_i r_i F_i/(1 - A_i) < 1; the sum grows with the step size from 0 to infinity, and its root is found by
    `scipy.optimize.brentq` to rounding. Derived here.

    Parameters
    ----------
    model : the specification; its quantizers are noise models.

    Raises
    ------
    SpecificationError
        If `model` is no `RegressionModel`.
    UnsupportedError
        For a quantizer that is no noise model.
    """
    check_model(model)
    with jax.enable_x64(True):
        compiled = compile_recursion(model)
        largest = threshold(compiled)
    given = compiled.coefficients
    square, coupling, summed = (np.asarray(array) for array in (given.square, given.coupling, given.sum_square))
    radius = spectral_radius(square, coupling, summed)
    raw = quantized = excess = np.inf
    if model.step_size < largest:
        # mean deviations vanish, and with them all that is linear in them
        final = stationary(square, coupling, summed, np.asarray(given.constant))
        raw = float(compiled.raw[0] @ final + compiled.raw[2].sum())
        excess = float(compiled.quantized[0] @ final)
        quantized = excess + float(compiled.quantized[2].sum())
    return RegressionStability(model.step_size, largest, radius, raw, quantized, excess)


def threshold(compiled: CompiledRecursion) -> float:
    """The largest stable step size; call it under `jax.enable_x64(True)`."""
    recursion = compiled.recursion
    pole = float(compiled.evaluate(recursion.pole).min())
    return largest_step_size(lambda gamma: float(compiled.evaluate(recursion.secular, gamma).sum()), pole)
