"""Two linear layers with a binarized ReLU and Gaussian input: when a coarse gradient descends, and where it ends.

from steode import binary_relu

model = binary_relu.BinaryReLUModel(rows=4, filter_size=8, surrogate="clipped relu")
binary_relu.derive(model)
binary_relu.fixed_points(model)
starts = binary_relu.random_starts(model, 100)
binary_relu.solve(model, starts, t_end=100.0)
binary_relu.simulate(model, starts, steps=1000, batch=64)
binary_relu.convergence(model, starts, t_end=4.0)
"""

from steode.systems.binary_relu.coarse_gradient import CoarseGradient
from steode.systems.binary_relu.compare import CoarseComparison, compare
from steode.systems.binary_relu.configuration import from_dict, read_study, to_dict, to_toml
from steode.systems.binary_relu.convergence import CoarseConvergence, convergence
from steode.systems.binary_relu.derivation import derive_binary_relu as derive
from steode.systems.binary_relu.descend import descend
from steode.systems.binary_relu.endings import endings
from steode.systems.binary_relu.fixed_points import StationaryPoint, fixed_points
from steode.systems.binary_relu.gradients import Gradients, gradients, sampled_gradients
from steode.systems.binary_relu.profile import LossProfile, loss_profile
from steode.systems.binary_relu.results import CoarseFlow, CoarseRuns, load
from steode.systems.binary_relu.simulate import simulate
from steode.systems.binary_relu.solve import solve
from steode.systems.binary_relu.spec import BinaryReLUModel
from steode.systems.binary_relu.starts import Starts, random_starts, starts
from steode.systems.binary_relu.surrogates import SURROGATES as SURROGATES
from steode.systems.binary_relu.surrogates import Surrogate

__all__ = [
    "BinaryReLUModel",
    "CoarseComparison",
    "CoarseConvergence",
    "CoarseFlow",
    "CoarseGradient",
    "CoarseRuns",
    "Gradients",
    "LossProfile",
    "Starts",
    "StationaryPoint",
    "Surrogate",
    "compare",
    "convergence",
    "derive",
    "descend",
    "endings",
    "fixed_points",
    "from_dict",
    "gradients",
    "load",
    "loss_profile",
    "random_starts",
    "read_study",
    "sampled_gradients",
    "simulate",
    "solve",
    "starts",
    "to_dict",
    "to_toml",
]
