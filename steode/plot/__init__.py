"""Figures of trajectories, laws, plateaus, gaps, fixed points and sweeps; every function takes and returns a matplotlib
Axes.

Not imported by `import steode`: write `from steode import plot`. For figures of several panels see
`steode.plot.panels`.
"""

from steode.plot.asymptote import fixed_points
from steode.plot.curves import gaps, plateaus, trajectory
from steode.plot.deployment import deployments
from steode.plot.deviation import decomposition, plateau_against_range
from steode.plot.evolution import densities, level_fractions
from steode.plot.law import density
from steode.plot.phase import phase_diagram
from steode.plot.profile import profile, profiles
from steode.plot.quantizer import quantizer
from steode.plot.schedules import schedules

__all__ = [
    "decomposition",
    "densities",
    "density",
    "deployments",
    "fixed_points",
    "gaps",
    "level_fractions",
    "phase_diagram",
    "plateau_against_range",
    "plateaus",
    "profile",
    "profiles",
    "quantizer",
    "schedules",
    "trajectory",
]
