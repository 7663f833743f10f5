"""The verb `compare`: simulated risks beside the exact ones."""

import dataclasses

import numpy as np

from steode.errors import SpecificationError
from steode.systems.linear.compare import normal_score
from steode.systems.regression.results import RegressionRisk, RegressionRuns


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class RegressionComparison:
    """One quantity of simulated runs beside its exact expectation; arrays (T,).

    `z` is the normal score of the gap: the number with the Gaussian tail probability that gap/standard_error has under
    Student's law with seeds - 1 degrees of freedom.
    """

    quantity: str
    steps: np.ndarray
    exact: np.ndarray
    simulation: np.ndarray
    standard_error: np.ndarray
    z: np.ndarray

    @property
    def largest_z(self) -> float:
        """The largest |z|."""
        return float(np.abs(self.z).max())

    def __repr__(self) -> str:
        rows = [f"{self.quantity}\n{'step':>9}{'exact':>12}{'simulation':>12}{'s.e.':>11}{'z':>7}"]
        columns = zip(self.steps, self.exact, self.simulation, self.standard_error, self.z, strict=True)
        rows += [f"{step:9d}{a:12.6g}{b:12.6g}{c:11.2g}{z:7.2f}" for step, a, b, c, z in columns]
        return "\n".join(rows)


def compare(exact: RegressionRisk, runs: RegressionRuns, quantity: str = "raw_average") -> RegressionComparison:
    """Compare runs with the exact risk at the steps that both recorded.

    Parameters
    ----------
    exact : from `steode.regression.risk`.
    runs : from `steode.regression.simulate`, at least two seeds, of the same model and with the same averaged iterates.
    quantity : a name that both have, see `steode.systems.regression.QUANTITIES`.

    Steps at which the runs do not differ at all, such as step 0, are left out. Raises `SpecificationError` if the two
    do not belong together.
    """
    if exact.model != runs.model or exact.averaged_from != runs.averaged_from:
        remedy = "Call risk and simulate with the same model and number of steps."
        raise SpecificationError("runs", "runs of the model of `exact`", runs.model, remedy)
    if runs.seeds < 2:
        raise SpecificationError("runs", "at least two seeds", runs.seeds, "Their spread gives the standard error.")
    expected, mean, error = exact[quantity], runs.mean(quantity), runs.standard_error(quantity)
    _, here, there = np.intersect1d(exact.steps, runs.steps, return_indices=True)
    random = error[there] > 1e-9 * np.abs(mean[there])
    here, there = here[random], there[random]
    z = normal_score((mean[there] - expected[here]) / error[there], runs.seeds - 1)
    return RegressionComparison(quantity, runs.steps[there], expected[here], mean[there], error[there], z)
