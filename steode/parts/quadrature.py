"""Quadrature of a law cut into panels.

Stationary quantities are piecewise smooth in w* with a kink at every quantization level, where Gauss-Hermite converges
slowly, so the law is cut at the kinks and into equal shares, and each panel is replaced by the two-point Gauss rule of
the law on it.
"""

import numpy as np

TAIL = 1e-16
"""Probability cut from each tail of a continuous law by the quadrature."""


def rule_of_density(distribution, density_kinks, kinks, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for a SciPy distribution, cut at shares of it, at its kinks and at those of the integrand."""
    low, high = distribution.ppf(TAIL), distribution.isf(TAIL)
    inner = _panel_edges(np.concatenate([density_kinks, _shares(distribution, low, high, nodes // 2)]), kinks, nodes)
    edges = np.concatenate([[low], inner[(inner > low) & (inner < high)], [high]])
    unit_points, unit_weights = np.polynomial.legendre.leggauss(64)
    centers, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    points = centers[:, None] + halves[:, None] * unit_points
    weights = halves[:, None] * unit_weights * distribution.pdf(points)
    return _gauss_rules(list(zip(points, weights / weights.sum(), strict=True)))


def _shares(distribution, low: float, high: float, panels: int) -> np.ndarray:
    """Inner edges of panels with equal shares of probability and second moment together.

    Errors grow like the square of w*; equal shares of probability alone would leave a long tail in one panel.
    """
    grid = np.linspace(low, high, 20_001)
    density = distribution.pdf(grid)
    measure = density * (1 + ((grid - distribution.mean()) / distribution.std()) ** 2)
    cumulative = np.concatenate([[0.0], np.cumsum((measure[1:] + measure[:-1]) / 2)])
    return np.interp(np.linspace(0, cumulative[-1], panels + 1)[1:-1], cumulative, grid)


def rule_of_sample(values: np.ndarray, kinks, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the empirical law of numbers, cut at their quantiles and the kinks of the integrand."""
    quantiles = np.quantile(values, np.linspace(0, 1, nodes // 2 + 1)[1:-1])
    panel = np.searchsorted(_panel_edges(quantiles, kinks, nodes), values, side="right")
    sample_weight = np.full(values.size, 1 / values.size)
    return _gauss_rules([(values[panel == i], sample_weight[panel == i]) for i in np.unique(panel)])


def _panel_edges(own: np.ndarray, kinks: np.ndarray, nodes: int) -> np.ndarray:
    """Sorted edges of the panels: the law's own, and the kinks unless they are so many that each is weak."""
    kinks = np.asarray(kinks, dtype=float)
    return np.unique(np.concatenate([own, kinks]) if kinks.size <= nodes // 2 else own)


def _gauss_rules(panels: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Replace the measure on each panel, given as points and weights, by its two-point Gauss rule.

    The rule keeps mass, mean, variance and third moment, so that piecewise cubics are integrated exactly.
    """
    nodes, masses = [], []
    for points, weights in panels:
        mass = weights.sum()
        if mass <= TAIL:
            continue
        mean = weights @ points / mass
        std = np.sqrt(weights @ (points - mean) ** 2 / mass)
        if std <= 1e-12 * max(1.0, abs(mean)):
            nodes.append([mean])
            masses.append([mass])
            continue
        half_skew = weights @ ((points - mean) / std) ** 3 / mass / 2
        root = np.sqrt(half_skew**2 + 1)
        nodes.append([mean + std * (half_skew - root), mean + std * (half_skew + root)])
        masses.append([mass * (root + half_skew) / (2 * root), mass * (root - half_skew) / (2 * root)])
    nodes, masses = np.concatenate(nodes), np.concatenate(masses)
    return nodes, masses / masses.sum()
