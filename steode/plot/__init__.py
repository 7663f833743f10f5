"""Figures of trajectories, laws, plateaus, gaps and fixed points; every function takes and returns a matplotlib Axes.

Not imported by `import steode`: write `from steode import plot`.
"""

from steode.plot.curves import gaps, plateaus, trajectory
from steode.plot.deployment import deployments
from steode.plot.deviation import decomposition, plateau_against_range
from steode.plot.law import density
from steode.plot.phase import phase_diagram, profile

__all__ = [
    "decomposition",
    "density",
    "deployments",
    "gaps",
    "phase_diagram",
    "plateau_against_range",
    "plateaus",
    "profile",
    "trajectory",
]
