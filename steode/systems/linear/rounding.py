"""Plain rounding, once, of numbers with a known law: what a quantization range is usually chosen by."""

import numpy as np
import scipy

from steode.parts.laws import ContinuousLaw, Law, Normal
from steode.parts.stochastic import StochasticRounding, grid_of
from steode.solvers.spectral_start import eigenvalue_rule
from steode.systems.linear.spec import LinearModel

NODES = 24
RANGES = 400
MOST_ATOMS = 4000
EIGENVALUES = 32
"""Eigenvalues of the inputs, or Gauss nodes of more of them, whose rounding errors are averaged."""


def rounding_error(law: Law, levels: np.ndarray, thresholds: np.ndarray | None) -> float:
    """E[(Q(w) - w)^2] for a step function with these levels and thresholds; stochastic rounding where those are None.

    Gauss-Legendre panels between the thresholds, or levels, and the points the law is smooth between.
    """
    kinks = levels if thresholds is None else thresholds
    if isinstance(law, ContinuousLaw):
        own = law.panels
        edges = np.unique(np.concatenate([own, kinks[(kinks > own[0]) & (kinks < own[-1])]]))
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        halves = np.diff(edges)[:, None] / 2
        values = edges[:-1, None] + halves * (1 + nodes)
        weights = halves * weights * np.exp(law.log_density(values))
    else:
        values, weights = law.quadrature(np.zeros(0), MOST_ATOMS)
    if thresholds is None:
        inside = np.clip(values, levels[0], levels[-1])
        upper = np.clip(np.searchsorted(levels, inside, side="right"), 1, levels.size - 1)
        squares = (inside - values) ** 2 + (inside - levels[upper - 1]) * (levels[upper] - inside)
    else:
        squares = (levels[np.searchsorted(thresholds, values, side="right")] - values) ** 2
    return float(np.sum(weights * squares) / np.sum(weights))


def rounding_range(model: LinearModel, parameter: str) -> float:
    """The range that minimizes the plain rounding error: of w* for "weight_range", of x for "input_range".

    With a spectrum the coordinates of x have its eigenvalues as their variances.
    """
    law, quantizer, parts = model.teacher, model.weight_quantizer, [(1.0, 1.0)]
    if parameter == "input_range":
        law, quantizer = Normal(), model.input_quantizer
        parts = list(zip(*eigenvalue_rule(model.spectrum.values, EIGENVALUES), strict=True))
    grid = grid_of(quantizer)
    levels, thresholds = grid.levels / grid.scale, grid.thresholds / grid.scale
    drawn = isinstance(quantizer, StochasticRounding)

    def error(value: float) -> float:
        # of a number of variance lambda, lambda times that of a number of variance one at the range over its root
        errors = []
        for eigenvalue, share in parts:
            unit = value / np.sqrt(eigenvalue)
            one = rounding_error(law, unit * levels, None if drawn else unit * thresholds)
            errors.append(share * eigenvalue * one)
        return sum(errors)

    size = np.sqrt(law.second_moment * sum(share * eigenvalue for eigenvalue, share in parts)) or 1.0
    values = size * np.geomspace(0.05, 20, RANGES)
    index = int(np.argmin([error(value) for value in values]))
    bracket = values[max(index - 1, 0)], values[min(index + 1, RANGES - 1)]
    return float(scipy.optimize.minimize_scalar(error, bounds=bracket, method="bounded", options={"xatol": 1e-9}).x)
