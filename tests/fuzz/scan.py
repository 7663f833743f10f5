"""Fixed points against the dense scan of their equation that the tests of `fixed_points` are held to."""

import importlib.util

import numpy as np

from steode import SPSA, Identity, Sign
from steode.parts.laws import Constant, Discrete, TwoPoint
from steode.parts.quantizers import StepFunction
from steode.parts.surrogates import IdentitySurrogate

MODULE = "tests.agreement.test_fixed_points_by_scan"
SEPARATION = 2e-3
"""Roots of the scan nearer to each other than its grid, relatively, may be one double root or none."""


def scan_problems(model, found) -> list[str]:
    """What is wrong with fixed points by the scan, for the models that it takes."""
    if not _is_scanned(model) or importlib.util.find_spec(MODULE) is None:
        return []
    scan = importlib.import_module(MODULE)
    expected = [0.0] * scan.recoverable(model) + scan.scanned_roots(model)
    values = [point.V for point in found]
    if any(high - low < SEPARATION * high for low, high in zip(expected[:-1], expected[1:], strict=True)):
        return []
    if len(values) == len(expected) and np.allclose(values, expected, rtol=1e-7, atol=0):
        return []
    return [f"V = {values} where a scan finds {expected}"]


def _is_scanned(model) -> bool:
    parts = (
        (model.weight_quantizer, StepFunction),
        (model.input_quantizer, Identity | Sign),
        (model.teacher, Constant | TwoPoint | Discrete),
        (model.surrogate, IdentitySurrogate),
        (model.learning_rate, float),
    )
    return model.is_basic and not isinstance(model.update_rule, SPSA) and all(isinstance(*part) for part in parts)
