"""Five gradient-flow theories of training, in one form: specification, derived flow, literal descent, comparison.

from steode import gradient_flows

model = gradient_flows.DiagonalModel(scale=6.0)
gradient_flows.derive(model)                                  # step by step, from the loss; steode.derive does too
gradient_flows.solve(model, [36, 720, 1e6], clock="accuracy")  # the flow, at losses exp(-36), exp(-720), exp(-1e6)
gradient_flows.descend(model, step=1e-4, steps=1000)           # gradient descent by jax.grad
gradient_flows.order(model, t_end=1.0).slope                   # 1.00
gradient_flows.study(model, gradient_flows.StudySettings())    # the system's headline claim in numbers
"""

from steode.systems.gradient_flows.derive import derive
from steode.systems.gradient_flows.findings import Findings, Panel
from steode.systems.gradient_flows.flow import GradientFlow, Reduction, gradient_flow
from steode.systems.gradient_flows.solve import Order, Path, coefficients, descend, order, solve
from steode.systems.gradient_flows.spec import (
    CompletionModel,
    CooccurrenceModel,
    DiagonalModel,
    SparseModel,
    UnivariateModel,
)
from steode.systems.gradient_flows.studies import StudySettings, study, volume_density
from steode.systems.gradient_flows.study_file import Study, read_study

__all__ = [
    "CompletionModel",
    "CooccurrenceModel",
    "DiagonalModel",
    "Findings",
    "GradientFlow",
    "Order",
    "Panel",
    "Path",
    "Reduction",
    "SparseModel",
    "Study",
    "StudySettings",
    "UnivariateModel",
    "coefficients",
    "derive",
    "descend",
    "gradient_flow",
    "order",
    "read_study",
    "solve",
    "study",
    "volume_density",
]
