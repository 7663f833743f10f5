"""Moments of quantized inputs for every eigenvalue, integrated numerically from the quantizer's own maps."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import scipy.integrate
from jaxtyping import Float

from steode.errors import ConvergenceError
from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction
from steode.parts.stochastic import StochasticMap, StochasticRounding

REACH = 12.0
"""Standard deviations beyond which inputs are left out: their probability is below 1e-32."""
NODES = 16
"""Gauss-Legendre nodes in a panel."""
PANELS = 48
"""Panels between -REACH and REACH besides those that breaks make."""
POINTS = 2**20
"""Points at which a map is evaluated at a time."""
ADAPTED = 32
"""Eigenvalues that share an adaptive rule."""


@dataclasses.dataclass(frozen=True, eq=False)
class InputMoments:
    """Averages over x ~ N(0, lambda) and over the draws z of Q_x(x): arrays over the coordinates, shape (d,).

    overlap: E[x z]; power: E[z^2]; shrinkage: c = overlap/power (0 where the power is 0);
    residual: E[(x - c z)^2].
    """

    overlap: np.ndarray
    power: np.ndarray
    shrinkage: np.ndarray
    residual: np.ndarray


def coordinate_moments(quantizer: EntrywiseMap, eigenvalues: Float[np.ndarray, " d"]) -> InputMoments:
    """The moments of each of the coordinates that have these eigenvalues; raises what the quadrature raises."""
    distinct, inverse = np.unique(eigenvalues, return_inverse=True)
    moments = _moments(quantizer, tuple(distinct.tolist()))
    return InputMoments(*(values[inverse] for values in moments))


@functools.lru_cache(maxsize=16)
def _moments(quantizer: EntrywiseMap, eigenvalues: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    stds, breaks = np.sqrt(eigenvalues), _breaks(quantizer)
    size = ADAPTED if breaks is None else max(1, POINTS // (NODES * (PANELS + breaks.size)))
    parts = [_moments_at(quantizer, stds[start : start + size], breaks) for start in range(0, stds.size, size)]
    return tuple(np.concatenate(values) for values in zip(*parts, strict=True))


def _moments_at(quantizer: EntrywiseMap, stds: np.ndarray, breaks: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """Gauss-Legendre panels between breaks, adaptive Gauss-Kronrod rules where breaks are not known."""

    def averages(functions):
        integrand = _integrand(quantizer, stds, functions)
        # in units of the eigenvalue, so that absolute tolerances mean the same for all of them
        return stds**2 * (_adaptive(integrand) if breaks is None else _panels(integrand, stds, breaks))

    overlap, power = averages(lambda x, mean, variance: (x * mean, mean**2 + variance))
    shrinkage = np.divide(overlap, power, out=np.zeros_like(overlap), where=power > 0)
    c = shrinkage[:, None]
    (residual,) = averages(lambda x, mean, variance: ((x - c * mean) ** 2 + c**2 * variance,))
    return overlap, power, shrinkage, residual


def _integrand(quantizer: EntrywiseMap, stds: np.ndarray, functions: Callable) -> Callable:
    def integrand(g):  # (stds, points) or (1, points) -> (functions, stds, points)
        x = stds[:, None] * g
        mean = np.asarray(quantizer(x), dtype=float)
        variance = quantizer.variance(x) if isinstance(quantizer, StochasticMap) else np.zeros_like(x)
        return np.stack(functions(x, mean, variance)) / stds[:, None] ** 2 * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)

    return integrand


def _panels(integrand: Callable, stds: np.ndarray, breaks: np.ndarray) -> np.ndarray:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    even = np.broadcast_to(np.linspace(-REACH, REACH, PANELS + 1), (stds.size, PANELS + 1))
    inside = np.clip(breaks[None, :] / stds[:, None], -REACH, REACH)  # outside: panels of no width
    edges = np.sort(np.concatenate([even, inside], axis=1), axis=1)
    halves = np.diff(edges, axis=1)[:, :, None] / 2
    points = edges[:, :-1, None] + halves * (1 + nodes)
    values = integrand(points.reshape(stds.size, -1)).reshape(-1, *points.shape)
    return np.einsum("spn,fspn->fs", halves * weights, values)


def _adaptive(integrand: Callable) -> np.ndarray:
    result = scipy.integrate.cubature(
        lambda points: np.moveaxis(integrand(points[None, :, 0]), 2, 0),
        [-REACH],
        [REACH],
        rule="gk21",
        rtol=1e-12,
        atol=1e-12,
    )
    if result.status != "converged":
        raise ConvergenceError(f"the input moments did not converge: estimated error {result.error.max():.1e}")
    return result.estimate


def _breaks(quantizer: EntrywiseMap) -> np.ndarray | None:
    """Where the mean or variance map is not smooth; None where that is not known."""
    if isinstance(quantizer, StepFunction):
        return quantizer.thresholds
    if isinstance(quantizer, StochasticRounding):
        return quantizer.grid.levels
    return np.empty(0) if isinstance(quantizer, Identity | StochasticMap) else None
