"""Plain rounding, once, of numbers with a known law: what a quantization range is usually chosen by."""

import numpy as np
import scipy.optimize

from steode.laws import ContinuousLaw, Law, Normal
from steode.quantizers import StepFunction
from steode.systems.linear.spec import LinearModel

NODES = 24
RANGES = 400
MOST_ATOMS = 4000


def rounding_error(law: Law, levels: np.ndarray, thresholds: np.ndarray) -> float:
    """E[(Q(w) - w)^2] for a step function with these levels and thresholds.

    Gauss-Legendre panels between the thresholds and the points the law is smooth between.
    """
    if isinstance(law, ContinuousLaw):
        own = law.panels
        edges = np.unique(np.concatenate([own, thresholds[(thresholds > own[0]) & (thresholds < own[-1])]]))
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        halves = np.diff(edges)[:, None] / 2
        values = edges[:-1, None] + halves * (1 + nodes)
        weights = halves * weights * np.exp(law.log_density(values))
    else:
        values, weights = law.quadrature(np.zeros(0), MOST_ATOMS)
    images = levels[np.searchsorted(thresholds, values, side="right")]
    return float(np.sum(weights * (images - values) ** 2) / np.sum(weights))


def rounding_range(model: LinearModel, parameter: str) -> float:
    """The range that minimizes the plain rounding error: of w* for "weight_range", of x for "input_range"."""
    weights = parameter == "weight_range"
    law: Law = model.teacher if weights else Normal()
    quantizer: StepFunction = model.weight_quantizer if weights else model.input_quantizer
    levels, thresholds = quantizer.levels / quantizer.scale, quantizer.thresholds / quantizer.scale

    def error(value: float) -> float:
        return rounding_error(law, value * levels, value * thresholds)

    values = np.sqrt(law.second_moment or 1.0) * np.geomspace(0.05, 20, RANGES)
    index = int(np.argmin([error(value) for value in values]))
    bracket = values[max(index - 1, 0)], values[min(index + 1, RANGES - 1)]
    return float(scipy.optimize.minimize_scalar(error, bounds=bracket, method="bounded", options={"xatol": 1e-9}).x)
