"""steode: what the straight-through estimator does in high dimension, derived, solved and checked.

    model -> derive -> Limit          the equations, step by step
    model -> solve -> Trajectory      the limit in numbers
    model -> simulate -> Trajectory   online SGD in finite dimension
    compare(theory, runs)             the two against each other
"""

from steode._version import __version__
from steode.derive import derive
from steode.errors import ConvergenceError, SpecificationError, SteodeError, UnsupportedError
from steode.fixed_points import FixedPoint, FixedPoints, fixed_points
from steode.laws import Constant, Discrete, Empirical, Laplace, Normal, TwoPoint, UniformLaw
from steode.limit_function import LimitFunction, limit_function
from steode.plateau_estimate import PlateauEstimate, plateau_estimate
from steode.quantizers import Elementwise, Identity, Levels, Sign, SignedInteger, Ternary, Uniform
from steode.solve import solve
from steode.symbolic.derivation import Derivation, Step
from steode.symbolic.limit import Limit
from steode.systems.linear.spec import ClippedSurrogate, IdentitySurrogate, LinearModel
from steode.trajectory import Density, Snapshots, Trajectory
