# what `__init__.py` gives, and where it is: read by type checkers, and by `lazy_loader` when a name is first asked for
from ._version import __version__
from .errors import (
    ConvergenceError,
    DivergenceError,
    SpecificationError,
    SteodeError,
    UnsupportedError,
    WriteError,
)
from .parts.elementwise import Elementwise
from .parts.format_error import FormatError, format_error
from .parts.formats import FloatFormat, IntegerFormat, bfloat16, float4_e2m1fn, float8_e4m3fn, float8_e5m2, int4
from .parts.groups import Group
from .parts.laws import Constant, Discrete, Empirical, Laplace, Normal, Paired, TwoPoint, UniformLaw
from .parts.quantizers import Identity, Levels, Sign, SignedInteger, Ternary, Uniform
from .parts.range_rules import FixedRange, FollowingRange, LearnedRange
from .parts.remedies import Freezing, OscillationFreezing, RunningAverage
from .parts.schedule import Schedule
from .parts.spectrum import Eigenvalues, Isotropic, PowerLaw
from .parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from .parts.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate
from .parts.toolkit_grid import toolkit_grid, toolkit_surrogate
from .parts.update_rules import FOGZO, SPSA, STE, Adam, KineticMomentum, Momentum, SignSGD
from .plot.explore import explore
from .solvers.log_linear import LogLinear
from .studies.sweep import sweep
from .symbolic.derivation import Derivation, Step
from .symbolic.limit import Limit
from .systems import binary_relu, classification, committee, gradient_flows, layer, regression
from .systems.linear.compare import Comparison, Comparisons, compare
from .systems.linear.convergence import DimensionScaling, convergence_in_dim
from .systems.linear.deployments import Deployments, deployments
from .systems.linear.derive import derive
from .systems.linear.fixed_point import FixedPoint, FixedPoints
from .systems.linear.fixed_point_function import FixedPointFunction, fixed_point_function
from .systems.linear.fixed_points import fixed_points
from .systems.linear.flips import Flips, flips
from .systems.linear.fluctuation import Fluctuations
from .systems.linear.fluctuations import fluctuations
from .systems.linear.limit_function import LimitFunction, limit_function
from .systems.linear.optimal_range import OptimalRange, optimal_range
from .systems.linear.optimal_schedule import optimal_schedule
from .systems.linear.plateau import Plateau, Plateaus, plateau
from .systems.linear.plateau_estimate import PlateauEstimate, plateau_estimate
from .systems.linear.resting_ranges import RestingRange, resting_ranges
from .systems.linear.schedules_found import OptimalSchedule, ScheduleCheck, TunedSchedule
from .systems.linear.simulate import CheckpointWarning, simulate, simulate_paired
from .systems.linear.solve import solve
from .systems.linear.spec import LinearModel
from .systems.linear.stability import Stability, stability
from .systems.linear.trajectory import Density, Snapshots, Trajectory

__all__ = [
    "FOGZO",
    "SPSA",
    "STE",
    "Adam",
    "AdditiveNoise",
    "CheckpointWarning",
    "ClippedSurrogate",
    "CommonFactor",
    "Comparison",
    "Comparisons",
    "Constant",
    "ConvergenceError",
    "Density",
    "Deployments",
    "Derivation",
    "DerivativeOf",
    "DimensionScaling",
    "Discrete",
    "DivergenceError",
    "Eigenvalues",
    "Elementwise",
    "Empirical",
    "FixedPoint",
    "FixedPointFunction",
    "FixedPoints",
    "FixedRange",
    "Flips",
    "FloatFormat",
    "Fluctuations",
    "FollowingRange",
    "FormatError",
    "Freezing",
    "Group",
    "Identity",
    "IdentitySurrogate",
    "IntegerFormat",
    "Isotropic",
    "KineticMomentum",
    "Laplace",
    "LearnedRange",
    "Levels",
    "Limit",
    "LimitFunction",
    "LinearModel",
    "LogLinear",
    "Momentum",
    "MultiplicativeNoise",
    "Normal",
    "OptimalRange",
    "OptimalSchedule",
    "OscillationFreezing",
    "Paired",
    "Plateau",
    "PlateauEstimate",
    "Plateaus",
    "PowerLaw",
    "RestingRange",
    "RunningAverage",
    "Schedule",
    "ScheduleCheck",
    "Sign",
    "SignSGD",
    "SignedInteger",
    "Snapshots",
    "SpecificationError",
    "Stability",
    "SteodeError",
    "Step",
    "StochasticRounding",
    "Ternary",
    "Trajectory",
    "TunedSchedule",
    "TwoPoint",
    "Uniform",
    "UniformLaw",
    "UnsupportedError",
    "WriteError",
    "__version__",
    "bfloat16",
    "binary_relu",
    "classification",
    "committee",
    "compare",
    "convergence_in_dim",
    "deployments",
    "derive",
    "explore",
    "fixed_point_function",
    "fixed_points",
    "flips",
    "float4_e2m1fn",
    "float8_e4m3fn",
    "float8_e5m2",
    "fluctuations",
    "format_error",
    "gradient_flows",
    "int4",
    "layer",
    "limit_function",
    "optimal_range",
    "optimal_schedule",
    "plateau",
    "plateau_estimate",
    "regression",
    "resting_ranges",
    "simulate",
    "simulate_paired",
    "solve",
    "stability",
    "sweep",
    "toolkit_grid",
    "toolkit_surrogate",
]
