"""Committee machines: several hidden units with quantized weights.

from steode import committee

model = committee.CommitteeModel(hidden=2, teacher_hidden=2, weight_quantizer=Uniform(bits=2, range=2.0))
committee.solve(model, 40)
"""

from steode.systems.committee.compare import compare, convergence_in_dim
from steode.systems.committee.configuration import from_dict, read_study, to_dict, to_toml
from steode.systems.committee.derivation import CommitteeLimit, derive
from steode.systems.committee.fixed_point import CommitteeFixedPoint, CommitteeFixedPoints
from steode.systems.committee.fixed_points import fixed_points
from steode.systems.committee.simulate import simulate
from steode.systems.committee.solve import solve
from steode.systems.committee.spec import CommitteeModel
from steode.systems.committee.trajectory import CommitteeTrajectory

__all__ = [
    "CommitteeFixedPoint",
    "CommitteeFixedPoints",
    "CommitteeLimit",
    "CommitteeModel",
    "CommitteeTrajectory",
    "compare",
    "convergence_in_dim",
    "derive",
    "fixed_points",
    "from_dict",
    "read_study",
    "simulate",
    "solve",
    "to_dict",
    "to_toml",
]
