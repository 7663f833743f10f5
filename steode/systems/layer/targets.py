"""What quantized weights are pulled towards, and the residual variance they leave.

With K_q = E[z z^T], K_x = E[z x^T] a row of quantized weights Q has

    V = sigma^2 + (1/d)[w*^T K w* - a^T K_q a] + (1/d)(Q - a)^T K_q (Q - a),   a = K_q^-1 K_x w*,

and a = w* where inputs are not quantized.
"""

import dataclasses
import weakref

import numpy as np
import scipy.linalg

from steode.systems.layer.spec import LayerModel


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """Of a layer: `values` a (rows, d), `floor` = sigma^2 + the input term (rows,), `input_term` (rows,), K_q."""

    values: np.ndarray
    floor: np.ndarray
    input_term: np.ndarray
    image: np.ndarray

    def variance(self, quantized: np.ndarray) -> np.ndarray:
        """V of quantized weights (rows, d), shape (rows,)."""
        return self.floor + self.gap(quantized)

    def gap(self, quantized: np.ndarray) -> np.ndarray:
        """(Q - a)^T K_q (Q - a)/d, shape (rows,)."""
        offset = quantized - self.values
        found, rows = np.zeros(offset.shape[0]), np.flatnonzero(offset.any(axis=1))
        found[rows] = np.einsum("ri,ri->r", offset[rows] @ self.image, offset[rows]) / offset.shape[1]
        return found


_KEPT: weakref.WeakKeyDictionary[LayerModel, Target] = weakref.WeakKeyDictionary()
"""Targets of the models there are: a layer may be large, and none is kept longer than its model."""


def target(model: LayerModel) -> Target:
    """The target of a model."""
    if model not in _KEPT:
        _KEPT[model] = _target(model)
    return _KEPT[model]


def _target(model: LayerModel) -> Target:
    inputs, weights = model.inputs, model.weights
    if not model.quantizes_inputs:
        nothing = np.zeros(model.rows)
        return Target(weights, np.full(model.rows, model.noise**2), nothing, inputs.image)
    factor = scipy.linalg.cho_factor(inputs.image, check_finite=False)
    forced = weights @ inputs.cross.T
    values = scipy.linalg.cho_solve(factor, forced.T, check_finite=False).T
    square = np.einsum("ri,ri->r", weights @ inputs.plain, weights) - np.einsum("ri,ri->r", values, forced)
    input_term = np.maximum(square / model.dim, 0.0)
    return Target(values, model.noise**2 + input_term, input_term, inputs.image)
