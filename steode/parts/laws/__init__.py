"""Probability laws of teacher weights w* and initial weights w_0.

Every law can serve as either. A law offers its first two moments, samples (NumPy, for the finite-dimensional runs) and
a quadrature between kinks (for the limit; see `steode.parts.quadrature`).
"""

from steode.parts.laws.atomic import Constant, Discrete, Empirical, TwoPoint
from steode.parts.laws.base import Law
from steode.parts.laws.continuous import ContinuousLaw, Laplace, Normal, UniformLaw
from steode.parts.laws.paired import Paired

__all__ = [
    "Constant",
    "ContinuousLaw",
    "Discrete",
    "Empirical",
    "Laplace",
    "Law",
    "Normal",
    "Paired",
    "TwoPoint",
    "UniformLaw",
]
