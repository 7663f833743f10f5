"""The verb `quantize`: a model with the same noise on several of its five quantizers."""

from steode.errors import SpecificationError, check_nonnegative
from steode.parts.quantizers import Identity
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise
from steode.systems.regression.spec import ROLES, RegressionModel, check_model

SCHEMES = {"additive": AdditiveNoise, "multiplicative": MultiplicativeNoise, "common": CommonFactor}
"""Name -> noise model. Additive noise is integer-like; multiplicative noise, element by element or with one common
factor for a vector (rank one, the model of the paper), is float-like."""


def quantize(model: RegressionModel, scheme: str, noise_variance: float, roles=ROLES) -> RegressionModel:
    """A copy of the model whose quantizers `roles` are noise of one scheme and strength.

    Parameters
    ----------
    model : the specification.
    scheme : "additive", "multiplicative" or "common", see SCHEMES.
    noise_variance : epsilon >= 0; 0 removes these quantizers. The idealized integer format of b bits has 2^(-2b), the
        idealized floating point with m mantissa bits 2^(-2m).
    roles : those of "data", "label", "parameter", "activation" and "gradient" that are quantized.

    Raises `SpecificationError` for an unknown scheme or role, or a negative variance.
    """
    check_model(model)
    if scheme not in SCHEMES:
        raise SpecificationError("scheme", "one of " + ", ".join(SCHEMES), scheme, "Additive noise is integer-like.")
    for role in roles:
        if role not in ROLES:
            raise SpecificationError("roles", "some of " + ", ".join(ROLES), role, 'For example ("data",).')
    variance = check_nonnegative("noise_variance", noise_variance)
    noise = SCHEMES[scheme](variance) if variance else Identity()
    return model.replace(**{f"{role}_quantizer": noise for role in roles})
