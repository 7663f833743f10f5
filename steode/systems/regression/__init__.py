"""Linear regression trained by SGD with five quantizers: its exact risk, its stability, the bounds of the literature,
and the training itself.

    from steode import regression

    model = regression.RegressionModel(spectrum=PowerLaw(2.0, 200), step_size=0.05, data_quantizer=AdditiveNoise(0.01))
    regression.risk(model, 1000)
    regression.simulate(model, 1000, seeds=100)
"""

from steode.systems.regression.bounds import RegressionBounds, bounds
from steode.systems.regression.comparison import RegressionComparison, compare
from steode.systems.regression.configuration import from_dict, read_study, to_dict, to_toml
from steode.systems.regression.crossover import Crossover, crossover
from steode.systems.regression.derivation import derive_regression as derive
from steode.systems.regression.results import QUANTITIES as QUANTITIES
from steode.systems.regression.results import RegressionRisk, RegressionRuns
from steode.systems.regression.risk import risk
from steode.systems.regression.risk_recursion import RiskRecursion
from steode.systems.regression.schemes import SCHEMES as SCHEMES
from steode.systems.regression.schemes import quantize
from steode.systems.regression.simulate import simulate
from steode.systems.regression.spec import ROLES as ROLES
from steode.systems.regression.spec import RegressionModel
from steode.systems.regression.stability import RegressionStability, stability

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
