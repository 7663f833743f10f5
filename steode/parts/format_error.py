"""The verb `format_error`: the mean squared error a quantizer makes on Gaussian numbers."""

import dataclasses

import numpy as np
from scipy.special import ndtr

from steode.errors import SpecificationError, UnsupportedError, check_array
from steode.parts.quantizers import Identity, StepFunction
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding

NARROW = 0.1
"""Cells narrower than this times std are integrated by quadrature, where the closed form would cancel."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)


@dataclasses.dataclass(frozen=True, eq=False)
class FormatError:
    """Second moments of the error Q(x) - x for x ~ N(0, std^2), the quantizer's own randomness included.

    Attributes
    ----------
    std : standard deviation of x, a number or an array.
    absolute : E (Q(x) - x)^2, the `noise_variance` of an `AdditiveNoise` with the same error; shape of std.
    relative : absolute/std^2, the `noise_variance` of a `MultiplicativeNoise` with the same error.
    granular : the part of `absolute` from x between the outermost levels.
    saturated : the part of `absolute` from x beyond them.
    gain : E[x Q(x)]/std^2, below 1 where rounding or saturation shrinks; where it is 1, error and x are uncorrelated.
    """

    std: np.ndarray
    absolute: np.ndarray
    relative: np.ndarray
    granular: np.ndarray
    saturated: np.ndarray
    gain: np.ndarray

    def __str__(self):
        names = [field.name for field in dataclasses.fields(self)]
        rows = np.stack([np.ravel(getattr(self, name)) for name in names], axis=1)
        head = "".join(f"{name:>12}" for name in names)
        return "\n".join([head, *("".join(f"{value:12.5g}" for value in row) for row in rows)])


def format_error(quantizer, std) -> FormatError:
    """Mean squared error of a quantizer on x ~ N(0, std^2), exactly.

    In every cell the error is a polynomial of second degree (derived here):

        nearest     E (Q - x)^2 = sum_j E[(x - L_j)^2; T_j <= x < T_{j+1}],
        stochastic  E (Q - x)^2 = sum_j E[(x - L_j)(L_{j+1} - x); L_j <= x < L_{j+1}] + saturation,

    in closed form by the distribution function and density of x. For cells narrower than a tenth of std, where that
    cancels, six-point Gauss-Legendre quadrature has the same accuracy, about 1e-13 of the error.

    Parameters
    ----------
    quantizer : a `StepFunction` such as a format (nearest rounding), a `StochasticRounding`, `AdditiveNoise`,
        `MultiplicativeNoise`, `CommonFactor` or `Identity`.
    std : positive number or array of them, such as the square roots of a spectrum.

    Raises
    ------
    SpecificationError
        If std is not positive and finite.
    UnsupportedError
        For a smooth map, which has no levels: integrate it with `scipy.integrate.quad`.
    """
    values = check_array("std", std, any_shape=True)
    if (values <= 0).any():
        raise SpecificationError("std", "numbers > 0", float(values.min()), "Leave out what does not vary.")
    parts = _parts(quantizer, values)
    granular, saturated, gain = (part.reshape(np.shape(std))[()] for part in parts)
    values = values.reshape(np.shape(std))[()]
    absolute = granular + saturated
    return FormatError(values, absolute, absolute / values**2, granular, saturated, gain)


def _parts(quantizer, stds: np.ndarray) -> np.ndarray:
    """Granular and saturated error and gain, shape (3, stds)."""
    zero, one = np.zeros_like(stds), np.ones_like(stds)
    if isinstance(quantizer, Identity):
        return np.stack([zero, zero, one])
    if isinstance(quantizer, AdditiveNoise):
        return np.stack([quantizer.noise_variance * one, zero, one])
    if isinstance(quantizer, MultiplicativeNoise | CommonFactor):
        return np.stack([quantizer.noise_variance * stds**2, zero, one])
    if isinstance(quantizer, StepFunction):
        return np.stack([_nearest(quantizer, std) for std in stds], axis=1)
    if isinstance(quantizer, StochasticRounding):
        return np.stack([_stochastic(quantizer.grid.levels, std) for std in stds], axis=1)
    raise UnsupportedError(
        f"format_error: {quantizer!r} is neither a step function nor one of the random maps; "
        "integrate a smooth map with scipy.integrate.quad."
    )


def _nearest(quantizer: StepFunction, std: float) -> tuple[float, float, float]:
    levels = quantizer.levels
    first, last = levels[[0, -1]]
    # thresholds of the user's own may lie beyond the levels; saturation begins where no rounding is left
    edges = quantizer.thresholds
    low, high = min(first, edges[0]), max(last, edges[-1])
    edges = np.concatenate([[-np.inf, low], edges, [high, np.inf]])
    levels = np.concatenate([[first], levels, [last]])
    error = _mean_product(edges, levels, levels, std)
    means = _moments(edges, std)[1]
    return error[1:-1].sum(), error[0] + error[-1], (levels @ means) / std**2


def _stochastic(levels: np.ndarray, std: float) -> tuple[float, float, float]:
    edges = np.concatenate([[-np.inf], levels, [np.inf]])
    left, right = edges.copy()[:-1], edges.copy()[1:]
    left[0], right[-1] = levels[[0, -1]]
    products = _mean_product(edges, left, right, std)
    means, squares = _moments(edges, std)[1:]
    gain = squares[1:-1].sum() + left[0] * means[0] + right[-1] * means[-1]
    return -products[1:-1].sum(), products[0] + products[-1], gain / std**2


def _mean_product(edges: np.ndarray, p: np.ndarray, r: np.ndarray, std: float) -> np.ndarray:
    """E[(x - p)(x - r)] over each cell between neighboring edges (n + 1,); p and r (n,)."""
    masses, means, squares = _moments(edges, std)
    products = squares - (p + r) * means + p * r * masses
    narrow = np.diff(edges) < NARROW * std
    center, half = (edges[1:] + edges[:-1])[narrow] / 2, np.diff(edges)[narrow] / 2
    x = center[:, None] + half[:, None] * NODES[None, :]
    density = np.exp(-((x / std) ** 2) / 2) / (np.sqrt(2 * np.pi) * std)
    products[narrow] = half * (((x - p[narrow][:, None]) * (x - r[narrow][:, None]) * density) @ WEIGHTS)
    return products


def _moments(edges: np.ndarray, std: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P, E[x] and E[x^2] over each cell between neighboring edges, which may be infinite."""
    unit = edges / std
    density = np.exp(-(unit**2) / 2) / np.sqrt(2 * np.pi)
    weighted = np.where(np.isinf(unit), 0.0, unit) * density
    # the tail on the side of the cell keeps its relative accuracy
    masses = np.where(unit[:-1] > 0, ndtr(-unit[:-1]) - ndtr(-unit[1:]), ndtr(unit[1:]) - ndtr(unit[:-1]))
    means = -std * np.diff(density)
    return masses, means, std**2 * (masses - np.diff(weighted))
