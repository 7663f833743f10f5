"""A real layer: weights quantized in the basis in which their inputs are correlated.

from steode import layer

model = layer.LayerModel(weights, activations=X, bits=3, range="mean square", learning_rate=0.1)
layer.rounding(model)
"""

from steode.parts.remedies import Dampening, Freezing
from steode.systems.layer.advice import Finding, LayerAdvice
from steode.systems.layer.advise import advise
from steode.systems.layer.compare import LayerComparison, compare
from steode.systems.layer.derivation import LayerLimit, derive
from steode.systems.layer.fixed_point import LayerFixedPoints, LayerWarning
from steode.systems.layer.fixed_points import fixed_points
from steode.systems.layer.grids import KINDS as KINDS
from steode.systems.layer.optimal_range import LayerRanges, optimal_range
from steode.systems.layer.ranges import RULES as RULES
from steode.systems.layer.rounding import LayerRounding, rounding
from steode.systems.layer.runs import LayerRuns
from steode.systems.layer.simulate import simulate
from steode.systems.layer.solve import LayerPath, solve
from steode.systems.layer.spec import LayerModel
from steode.systems.layer.study_file import read_study
from steode.systems.layer.units import from_training_units

__all__ = [
    "Dampening",
    "Finding",
    "Freezing",
    "LayerAdvice",
    "LayerComparison",
    "LayerFixedPoints",
    "LayerLimit",
    "LayerModel",
    "LayerPath",
    "LayerRanges",
    "LayerRounding",
    "LayerRuns",
    "LayerWarning",
    "advise",
    "compare",
    "derive",
    "fixed_points",
    "from_training_units",
    "optimal_range",
    "read_study",
    "rounding",
    "simulate",
    "solve",
]
