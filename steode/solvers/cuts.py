"""Where a quadrature has to be cut so that a smooth function is resolved, however narrow its features are."""

import functools
from collections.abc import Callable

import numpy as np

NODES = np.polynomial.legendre.leggauss(16)[0]
BEYOND = 16.0
"""How far cuts reach, in units of the scale: farther out a function is taken to be as smooth as its distance from 0."""
ACCURACY = 1e-8
"""Of a panel's share of the integral of the function over one scale, in units of its largest value."""
SAMPLES = np.concatenate([np.linspace(0.0, 1.0, 2001), BEYOND * np.sinh(np.linspace(0, 14, 6001)) / np.sinh(14.0)])
LEVELS = 40
"""A panel is halved so often at most: a kink is closed in from both sides."""


@functools.lru_cache(maxsize=64)
def smooth_cuts(function: Callable, scale: float) -> np.ndarray:
    """Edges of panels on which 16 Gauss points resolve a function of one real variable, increasing.

    Panels that meet at 0 are halved until the polynomial through their nodes is the function: the edges form a
    geometric sequence toward a feature that is narrow compared with `scale`. Features narrower than 1e-5 of it are not
    seen.
    """
    samples = scale * np.unique(np.concatenate([-SAMPLES, SAMPLES]))
    values = np.asarray(function(samples), dtype=float)
    allowed = ACCURACY * scale * np.abs(values).max()
    edges, panels = [], [(-BEYOND * scale, 0.0, 0), (0.0, BEYOND * scale, 0)]
    while panels:
        low, high, level = panels.pop()
        edges += [low, high]
        inside = (samples > low) & (samples < high)
        error = np.abs(_interpolated(function, low, high, samples[inside]) - values[inside]).max(initial=0.0)
        if error * (high - low) > allowed and level < LEVELS:
            middle = (low + high) / 2
            panels += [(low, middle, level + 1), (middle, high, level + 1)]
    return np.unique(edges)


def _interpolated(function: Callable, low: float, high: float, points: np.ndarray) -> np.ndarray:
    """The polynomial through the Gauss points of a panel."""
    nodes = low + (high - low) * (1 + NODES) / 2
    coefficients = np.polynomial.legendre.legfit(NODES, np.asarray(function(nodes), dtype=float), NODES.size - 1)
    return np.polynomial.legendre.legval(2 * (points - low) / (high - low) - 1, coefficients)
