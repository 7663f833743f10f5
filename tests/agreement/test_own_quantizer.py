"""A quantizer class of the user's: its trajectories are compared and drawn, and a file that cannot hold it says so."""

import dataclasses
from fractions import Fraction

import matplotlib.pyplot as plt
import pytest

from steode import LinearModel, SpecificationError, Trajectory, TwoPoint, compare, plot, simulate, solve
from steode.parts.quantizers import StepFunction
from steode.systems.linear.configuration import to_dict
from tests.models import REFERENCE


@dataclasses.dataclass(frozen=True)
class PowersOfTwo(StepFunction):
    """Levels 0 and plus or minus 1/4, 1/2, 1 times the range; thresholds midway."""

    range: float

    @property
    def unit_levels(self):
        positive = (Fraction(1, 4), Fraction(1, 2), Fraction(1))
        return (*(-level for level in reversed(positive)), Fraction(0), *positive)

    @property
    def unit_thresholds(self):
        levels = self.unit_levels
        return tuple((low + high) / 2 for low, high in zip(levels[:-1], levels[1:], strict=True))


pytestmark = pytest.mark.representative
MODEL = LinearModel(teacher=TwoPoint(0.7), weight_quantizer=PowersOfTwo(1.5), learning_rate=0.3)


@pytest.fixture(scope="module")
def theory():
    return solve(MODEL, 1.0, times=[0.0, 1.0], snapshot_times=[1.0], tolerance=1e-2)


@pytest.fixture(scope="module")
def runs():
    return simulate(MODEL, 100, 1.0, seeds=4, times=[0.5, 1.0], progress=False)


def test_it_is_compared_and_drawn(theory, runs):
    assert theory.model is MODEL
    # the limit has not been computed at the runs' times: it is solved again
    assert compare(theory, runs).largest_z < 4
    lines = plot.density(theory, 1.0).get_lines()
    assert any(line.get_label() == "thresholds $T_j$" for line in lines)
    plt.close("all")


def test_a_file_says_whose_class_it_cannot_make(theory, runs, tmp_path):
    read = Trajectory.load(theory.save(tmp_path / "theory.nc"))
    with pytest.raises(SpecificationError, match=r"weight_quantizer.*'PowersOfTwo'.*solve or simulate again"):
        compare(read, runs)


def test_a_file_of_a_model_of_steodes_own_makes_it_again(theory, tmp_path):
    origin = dataclasses.replace(theory.provenance, specification=to_dict(REFERENCE), model=REFERENCE)
    told = Trajectory(theory.times, theory.observables, theory.error, theory.density, None, origin)
    read = Trajectory.load(told.save(tmp_path / "reference.npz"))
    assert read.provenance.model is None
    assert read.model == REFERENCE
    assert read.provenance == origin
