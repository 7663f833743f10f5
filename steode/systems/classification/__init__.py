"""Classes in orthogonal subspaces, two linear layers with a quantized ReLU: which surrogates classify perfectly?

from steode import classification

model = classification.ClassificationModel(classes=3, dimensions=2, neurons_per_class=6, bits=2, surrogate="relu")
classification.surrogate_report("clipped relu", bits=2)
classification.derive(model)
runs = classification.simulate(model, 5000, seeds=20)
classification.examine(model, runs.weights[0, -1])
"""

from steode.systems.classification.admissibility import SurrogateReport, surrogate_report
from steode.systems.classification.configuration import from_dict, read_study, to_dict, to_toml
from steode.systems.classification.derivation import CoarseClassification
from steode.systems.classification.derivation import derive_classification as derive
from steode.systems.classification.fixed_points import ClassState, examine, trapped
from steode.systems.classification.gradients import ClassificationGradients, gradients, sampled_gradients
from steode.systems.classification.hull import covering_probability, depth, spans
from steode.systems.classification.obstacles import obstacles
from steode.systems.classification.results import ClassificationRuns
from steode.systems.classification.simulate import simulate
from steode.systems.classification.spec import ClassificationModel
from steode.systems.classification.surrogates import SURROGATES as SURROGATES

__all__ = [
    "ClassState",
    "ClassificationGradients",
    "ClassificationModel",
    "ClassificationRuns",
    "CoarseClassification",
    "SurrogateReport",
    "covering_probability",
    "depth",
    "derive",
    "examine",
    "from_dict",
    "gradients",
    "obstacles",
    "read_study",
    "sampled_gradients",
    "simulate",
    "spans",
    "surrogate_report",
    "to_dict",
    "to_toml",
    "trapped",
]
