"""Simultaneous perturbation: the gradient of the smoothed loss from forward passes alone."""

from jaxtyping import PyTree

from steode.estimators.zeroth_order import ZerothOrder


def spsa(n: int, quantized: PyTree, parallel: int = 64) -> ZerothOrder:
    """n-SPSA: the mean over n random directions of the loss's two-point slope along each.

        G = mean_i [L(theta + eps u_i) - L(theta - eps u_i)]/(2 eps) u_i,

    an unbiased estimate of the gradient for a linear or quadratic loss. A quantizer h in the loss has the mean slope
    E h'(x + eps z), z of the zero-bias law of u, with density E[u; u > z]: the derivative of the surrogate, on average
    over positions x, but not at each of them (the two laws are the same only for Gaussian u; derived here).

    2n forward passes. Leaves that are not quantized have their exact gradient, for one more forward and one backward
    pass.

    Parameters
    ----------
    n : number of directions, >= 1.
    quantized : which leaves are quantized, and how: a `Quantized` or None (not quantized) for every leaf of the
        parameters, or one for all leaves below it.
    parallel : how many directions are evaluated at once, >= 1; a matter of speed and memory only.

    Returns
    -------
    ZerothOrder : a function of (loss, params, key) that returns an `Estimate`.

    Raises
    ------
    SpecificationError : for an n or parallel < 1; when called, for parameters without a quantized leaf.
    """
    return ZerothOrder(n, None, quantized, "global", parallel)
