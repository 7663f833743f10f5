"""The verb `crossover`: how many mantissa bits floating point needs to be as good as integers of b bits."""

import dataclasses

import numpy as np
import scipy.optimize

from steode.errors import SpecificationError, check_positive
from steode.systems.regression.results import QUANTITIES
from steode.systems.regression.risk import risk
from steode.systems.regression.schemes import quantize
from steode.systems.regression.spec import ROLES, RegressionModel, check_model

FEWEST, MOST = -2.0, 30.0
"""Mantissa bits between which the crossover is looked for."""


@dataclasses.dataclass(frozen=True)
class Crossover:
    """Two idealized formats of equal risk.

    Attributes
    ----------
    bits : b of the integers, noise 2^(-2b).
    mantissa_bits : m of the floating point, noise 2^(-2m), at which the exact risks are equal; any real number; inf
        where integers are better than no quantization at all, -inf where the crudest floating point looked at is still
        better than them.
    rule : b + log2(lambda_d)/2, which is b - (a/2) log2 d for lambda_i = i^-a: where the two noises on the smallest
        eigenvalue are equal.
    risk : the common value.
    unquantized : the risk without quantizers.
    """

    bits: float
    mantissa_bits: float
    rule: float
    risk: float
    unquantized: float


def crossover(
    model: RegressionModel,
    bits: float,
    steps: int,
    *,
    roles=ROLES,
    scheme: str = "multiplicative",
    quantity: str = "raw_average",
) -> Crossover:
    """The number of mantissa bits at which floating point and integers have the same exact risk after `steps` steps.

    Parameters
    ----------
    model : the specification; quantizers of `roles` are replaced.
    bits : b > 0.
    steps : N >= 1.
    roles : what is quantized.
    scheme : "multiplicative" or "common".
    quantity : name of a risk in `steode.systems.regression.QUANTITIES`.

    The rule is the comparison of Zhang, Su, Zou (arXiv 2510.18259); the exact value solves one scalar equation by
    `scipy.optimize.brentq`, to 1e-4 bits. Raises `SpecificationError` if an argument does not make sense.
    """
    check_model(model)
    bits = check_positive("bits", bits)
    if scheme not in ("multiplicative", "common"):
        raise SpecificationError("scheme", '"multiplicative" or "common"', scheme, "Both are float-like.")
    if quantity not in QUANTITIES:
        raise SpecificationError("quantity", "one of " + ", ".join(QUANTITIES), quantity, "For example raw_average.")

    def value(kind: str, variance: float) -> float:
        return float(risk(quantize(model, kind, variance, roles), steps, record=[steps])[quantity][0])

    wanted, none = value("additive", 2.0 ** (-2 * bits)), value("additive", 0.0)

    def excess(mantissa: float) -> float:
        # logarithms, so that an unstable step size, whose risk is infinite or nearly so, is far but finite
        found = min(value(scheme, 2.0 ** (-2 * mantissa)), 1e300)
        return np.log(found / wanted)

    rule = bits + float(np.log2(model.eigenvalues.min())) / 2
    if wanted <= none:
        mantissa = np.inf
    elif excess(FEWEST) <= 0:
        mantissa = -np.inf
    else:
        mantissa = float(scipy.optimize.brentq(excess, FEWEST, MOST, xtol=1e-4))
    return Crossover(bits, mantissa, rule, wanted, none)
