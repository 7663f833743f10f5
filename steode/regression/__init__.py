"""Linear regression trained by SGD with five quantizers: its exact risk, its stability, the bounds of the literature,
and the training itself.

    from steode import regression

    model = regression.RegressionModel(spectrum=PowerLaw(2.0, 200), step_size=0.05, data_quantizer=AdditiveNoise(0.01))
    regression.risk(model, 1000)
    regression.simulate(model, 1000, seeds=100)
"""

from steode.regression.bounds import RegressionBounds, bounds
from steode.regression.comparison import RegressionComparison, compare
from steode.regression.configuration import from_dict, read_study, to_dict, to_toml
from steode.regression.crossover import Crossover, crossover
from steode.regression.results import QUANTITIES as QUANTITIES
from steode.regression.results import RegressionRisk, RegressionRuns
from steode.regression.risk import risk
from steode.regression.schemes import SCHEMES as SCHEMES
from steode.regression.schemes import quantize
from steode.regression.simulate import simulate
from steode.regression.stability import RegressionStability, stability
from steode.systems.regression.derivation import RiskRecursion
from steode.systems.regression.derivation import derive_regression as derive
from steode.systems.regression.spec import ROLES as ROLES
from steode.systems.regression.spec import RegressionModel

__all__ = [
    "Crossover",
    "RegressionBounds",
    "RegressionComparison",
    "RegressionModel",
    "RegressionRisk",
    "RegressionRuns",
    "RegressionStability",
    "RiskRecursion",
    "bounds",
    "compare",
    "crossover",
    "derive",
    "from_dict",
    "quantize",
    "read_study",
    "risk",
    "simulate",
    "stability",
    "to_dict",
    "to_toml",
]
