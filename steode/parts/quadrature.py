"""Quadrature of a law cut into panels.

Averages are piecewise smooth in w* with a kink at every quantization level, where Gauss-Hermite converges slowly: the
law is cut at the kinks, and each panel is replaced by the Gauss rule of the law on it. Between two kinks the integrands
are analytic, so that the error falls exponentially with the points of a panel; long tails, whose values of w* range
over many scales, are cut further.

Source: the discretized Stieltjes procedure, Gautschi, Orthogonal Polynomials (2004), 2.2.
"""

from collections.abc import Callable

import numpy as np

TAIL = 1e-16
"""Probability cut from each tail of a continuous law by the quadrature."""

LARGEST_SHARE = 0.1
"""Largest share of probability and second moment together in one panel that no kink bounds."""

SMALL_SHARE, FEWER = 0.05, 0.4
"""Share below which a panel makes do with fewer points, and their fraction."""

LEAST_POINTS, MOST_POINTS = 2, 24
"""Points of a panel: two keep its first moments, and beyond the second panels are cut instead."""

MOST_ATOMS = 4096
"""Atoms of a panel that are taken one by one."""

NEGLIGIBLE = 1e-11
"""Probability, and share of the second moment, of a node that is left out."""


def rule_of_density(
    density: Callable, support: tuple[float, float], own_kinks: np.ndarray, kinks, nodes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for a law with a density, cut at its kinks and those of the integrand, and in its tails.

    `support` leaves out TAIL on each side.
    """
    grid = np.linspace(*support, 20_001)
    edges, counts = _panels(grid, density(grid), own_kinks, kinks, nodes)
    unit_points, unit_weights = np.polynomial.legendre.leggauss(64)
    centers, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    points = centers[:, None] + halves[:, None] * unit_points
    weights = halves[:, None] * unit_weights * density(points)
    return _gauss_rules(list(zip(points, weights / weights.sum(), strict=True)), counts)


def rule_of_sample(values: np.ndarray, kinks, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the empirical law of numbers; see `rule_of_atoms`."""
    distinct, counts = np.unique(values, return_counts=True)
    return rule_of_atoms(distinct, counts / values.size, kinks, nodes)


def rule_of_atoms(atoms: np.ndarray, weights: np.ndarray, kinks, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for a law on many increasing atoms, cut at the kinks of the integrand and in its tails.

    Of a panel with more than MOST_ATOMS atoms, neighbors are joined to two that keep their mass, mean, variance and
    third moment: what that moves is of fourth order in 2/MOST_ATOMS, 1e-14 of an integrand that is smooth there.
    """
    edges, counts = _panels(atoms, weights, np.zeros(0), kinks, nodes)
    starts = np.searchsorted(atoms, edges[1:-1], side="left")
    panels = zip(np.split(atoms, starts), np.split(weights, starts), strict=True)
    return _gauss_rules([_condensed(*panel) for panel in panels], counts)


def _condensed(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_ATOMS points with weights in place of many, by the two-point Gauss rules of groups of neighbors."""
    if points.size <= MOST_ATOMS:
        return points, weights
    starts = np.arange(MOST_ATOMS // 2) * points.size // (MOST_ATOMS // 2)
    sizes = np.diff(np.append(starts, points.size))
    mass = np.add.reduceat(weights, starts)
    mean = np.add.reduceat(weights * points, starts) / mass
    distance = points - np.repeat(mean, sizes)
    std = np.sqrt(np.add.reduceat(weights * distance**2, starts) / mass)
    half_skew = np.add.reduceat(weights * distance**3, starts) / mass / np.maximum(std, 1e-300) ** 3 / 2
    root = np.sqrt(half_skew**2 + 1)
    nodes = mean + std * np.stack([half_skew - root, half_skew + root])
    return nodes.T.ravel(), (mass * np.stack([root + half_skew, root - half_skew]) / (2 * root)).T.ravel()


def _panels(points, weights, own: np.ndarray, kinks, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the panels and the Gauss points of each, for a law given by weights at increasing points.

    Kinks count unless they are so many that each is weak. Errors grow like the square of w*, and so do the shares by
    which panels are cut: those of probability alone would leave a long tail in one panel.
    """
    low, high = points[0], points[-1]
    kinks = np.asarray(kinks, dtype=float)
    kinks = kinks[(kinks > low) & (kinks < high)]
    inner = np.unique(np.concatenate([own, kinks]) if kinks.size <= nodes else own)
    edges = np.concatenate([[low], inner, [high]])
    mean = weights @ points / weights.sum()
    measure = weights * (1 + (points - mean) ** 2 * weights.sum() / max(weights @ (points - mean) ** 2, 1e-300))
    cumulative = np.concatenate([[0.0], np.cumsum((measure[1:] + measure[:-1]) / 2)])
    cumulative = cumulative / max(cumulative[-1], 1e-300)
    shares = np.interp(edges, points, cumulative)
    pieces = np.ones(edges.size - 1, int)
    # what a kink bounds on both sides is one scale of w* already
    for tail in (0, -1):
        pieces[tail] = max(1, int(np.ceil(np.diff(shares)[tail] / LARGEST_SHARE)))
    pieces = pieces * -(-nodes // (MOST_POINTS * pieces.sum()))
    cuts = [np.linspace(a, b, n + 1)[1:-1] for a, b, n in zip(shares[:-1], shares[1:], pieces, strict=True)]
    edges = np.unique(np.concatenate([edges, np.interp(np.concatenate(cuts), cumulative, points)]))
    parts = np.where(np.diff(np.interp(edges, points, cumulative)) < SMALL_SHARE, FEWER, 1.0)
    return edges, np.maximum(LEAST_POINTS, np.round(nodes / (edges.size - 1) * parts)).astype(int)


def _gauss_rules(panels: list[tuple[np.ndarray, np.ndarray]], counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace the measure on each panel, given as points and weights, by its Gauss rule of `counts` points."""
    filled = [(*panel, count) for panel, count in zip(panels, counts, strict=True) if panel[1].sum() > TAIL]
    nodes, masses = (np.concatenate(parts) for parts in zip(*(_gauss_rule(*panel) for panel in filled), strict=True))
    squares = masses * nodes**2
    kept = (masses > NEGLIGIBLE * masses.sum()) | (squares > NEGLIGIBLE * squares.sum())
    return nodes[kept], masses[kept] / masses[kept].sum()


def _gauss_rule(points: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The rule that integrates polynomials of degree below 2 `count` as the measure does; its atoms where few."""
    mass = weights.sum()
    mean = weights @ points / mass
    scale = np.sqrt(weights @ (points - mean) ** 2 / mass)
    if scale <= 1e-12 * max(1.0, abs(mean)):
        return np.array([mean]), np.array([mass])
    x, shares = (points - mean) / scale, weights / mass
    before, polynomial, norm = np.zeros(x.size), np.ones(x.size), 1.0
    centers, couplings = [], []
    for _ in range(count):
        centers.append(shares @ (x * polynomial**2))
        following = (x - centers[-1]) * polynomial - (couplings[-1] if couplings else 0.0) * before
        norm = np.sqrt(shares @ following**2)
        if norm <= 1e-9:
            # no more atoms than this
            break
        couplings.append(norm)
        before, polynomial = polynomial, following / norm
    off = couplings[: len(centers) - 1]
    values, vectors = np.linalg.eigh(np.diag(centers) + np.diag(off, 1) + np.diag(off, -1))
    return mean + scale * np.clip(values, x.min(), x.max()), mass * vectors[0] ** 2
