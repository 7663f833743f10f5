"""What `fixed_points` of a committee machine returns."""

import dataclasses

import numpy as np

from steode.systems.committee.spec import CommitteeModel


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CommitteeFixedPoint:
    """One state of rest.

    Attributes
    ----------
    eps_g, V, specialization : see `CommitteeTrajectory`.
    student_overlap, teacher_overlap, output_weights : overlaps (K, K) and (K, M), and v (K,).
    growth : the largest real part of the linearized equations' eigenvalues, in a unit of tau: above 0 the state is
        left, at this rate. Of a closure the rate at which a small asymmetry grows, or at which a path came to rest;
        not a number where that was too fast to be measured.
    rates : all eigenvalues; of a closure this one rate.
    residual : largest rate of change that is left, relative to the size of the state.
    exact : whether the equations are those of the limit; else they are its Gaussian closure.
    found_from : name of the start that led here.
    """

    eps_g: float
    V: float
    specialization: float
    student_overlap: np.ndarray
    teacher_overlap: np.ndarray
    output_weights: np.ndarray
    growth: float
    rates: np.ndarray
    residual: float
    exact: bool
    found_from: str

    @property
    def stable(self) -> bool:
        """Whether every small change dies out; of a closure, whether what was looked at does."""
        return not self.growth > 0

    def escape_time(self, asymmetry: float, visible: float = 0.1) -> float:
        """Time until an initial asymmetry has grown to `visible`: log(visible/asymmetry)/growth; infinite if stable."""
        return float(np.log(visible / asymmetry) / self.growth) if self.growth > 0 else float("inf")

    def __repr__(self) -> str:
        kind = "stable" if self.stable else f"unstable, growing at {self.growth:.4g}"
        return (
            f"eps_g = {self.eps_g:.6g}, specialization {self.specialization:.3f}, {kind} (from the {self.found_from} "
            f"start, residual {self.residual:.1e})"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CommitteeFixedPoints:
    """The states of rest that were found, by increasing error; iterate or index.

    What is not proved: that there are no others.
    """

    model: CommitteeModel
    points: tuple[CommitteeFixedPoint, ...]

    def __iter__(self):
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, number: int) -> CommitteeFixedPoint:
        return self.points[number]

    @property
    def stable(self) -> tuple[CommitteeFixedPoint, ...]:
        """Those that are stable."""
        return tuple(point for point in self.points if point.stable)

    def __repr__(self) -> str:
        exact = all(point.exact for point in self.points)
        kind = "exact equations" if exact else "Gaussian closure, approximate"
        lines = [f"Fixed points of {self.model} ({kind}; there may be others)"]
        return "\n".join([*lines, *(f"  {point!r}" for point in self.points)])
