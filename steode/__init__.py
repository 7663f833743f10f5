"""steode: what the straight-through estimator does in high dimension, derived, solved and checked.

model -> derive -> Limit          the equations, step by step
model -> solve -> Trajectory      the limit in numbers
model -> fixed_points              where it ends up, and why
sweep(model, axes) -> Dataset      measures over a grid of parameters
model -> simulate -> Trajectory   online SGD in finite dimension
model -> fluctuations             how far runs scatter around the limit
compare(theory, runs)             the two against each other
"""

from steode._version import __version__
from steode.compare import Comparison, compare
from steode.convergence import DimensionScaling, convergence_in_dim
from steode.deployments import Deployments, deployments
from steode.derive import derive
from steode.elementwise import Elementwise
from steode.errors import (
    ConvergenceError,
    DivergenceError,
    SpecificationError,
    SteodeError,
    UnsupportedError,
    WriteError,
)
from steode.explore import explore
from steode.fixed_point import FixedPoint, FixedPoints
from steode.fixed_point_function import FixedPointFunction, fixed_point_function
from steode.fixed_points import fixed_points
from steode.fluctuation import Fluctuations
from steode.fluctuations import fluctuations
from steode.format_error import FormatError, format_error
from steode.formats import (
    FloatFormat,
    IntegerFormat,
    bfloat16,
    float4_e2m1fn,
    float8_e4m3fn,
    float8_e5m2,
    int4,
)
from steode.laws import Constant, Discrete, Empirical, Laplace, Normal, TwoPoint, UniformLaw
from steode.limit_function import LimitFunction, limit_function
from steode.optimal_range import OptimalRange, optimal_range
from steode.plateau import Plateau, Plateaus, plateau
from steode.plateau_estimate import PlateauEstimate, plateau_estimate
from steode.quantizers import Identity, Levels, Sign, SignedInteger, Ternary, Uniform
from steode.schedule import Schedule
from steode.simulate import CheckpointWarning, simulate, simulate_paired
from steode.solve import solve
from steode.spectrum import Eigenvalues, Isotropic, PowerLaw
from steode.stability import Stability, stability
from steode.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise, StochasticRounding
from steode.sweep import sweep
from steode.symbolic.derivation import Derivation, Step
from steode.symbolic.limit import Limit
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.surrogates import ClippedSurrogate, DerivativeOf, IdentitySurrogate
from steode.systems.linear.update_rules import FOGZO, SPSA, STE, Momentum
from steode.toolkit_grid import toolkit_grid
from steode.trajectory import Density, Snapshots, Trajectory

__all__ = [
    "FOGZO",
    "SPSA",
    "STE",
    "AdditiveNoise",
    "CheckpointWarning",
    "ClippedSurrogate",
    "CommonFactor",
    "Comparison",
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
    "FloatFormat",
    "Fluctuations",
    "FormatError",
    "Identity",
    "IdentitySurrogate",
    "IntegerFormat",
    "Isotropic",
    "Laplace",
    "Levels",
    "Limit",
    "LimitFunction",
    "LinearModel",
    "Momentum",
    "MultiplicativeNoise",
    "Normal",
    "OptimalRange",
    "Plateau",
    "PlateauEstimate",
    "Plateaus",
    "PowerLaw",
    "Schedule",
    "Sign",
    "SignedInteger",
    "Snapshots",
    "SpecificationError",
    "Stability",
    "SteodeError",
    "Step",
    "StochasticRounding",
    "Ternary",
    "Trajectory",
    "TwoPoint",
    "Uniform",
    "UniformLaw",
    "UnsupportedError",
    "WriteError",
    "__version__",
    "bfloat16",
    "compare",
    "convergence_in_dim",
    "deployments",
    "derive",
    "explore",
    "fixed_point_function",
    "fixed_points",
    "float4_e2m1fn",
    "float8_e4m3fn",
    "float8_e5m2",
    "fluctuations",
    "format_error",
    "int4",
    "limit_function",
    "optimal_range",
    "plateau",
    "plateau_estimate",
    "simulate",
    "simulate_paired",
    "solve",
    "stability",
    "sweep",
    "toolkit_grid",
]
