"""First-order-guided zeroth-order estimates: random directions biased toward the straight-through estimator's."""

from collections.abc import Callable

from jaxtyping import PyTree

from steode.estimators.zeroth_order import ZerothOrder


def fogzo(
    n: int,
    beta: float | Callable,
    quantized: PyTree,
    normalization: str = "global",
    parallel: int = 64,
) -> ZerothOrder:
    """FOGZO (Yang and Aamodt 2025): two-point slopes along directions that lean on the straight-through gradient.

        G = mean_i [L(theta + eps v_i) - L(theta - eps v_i)]/(2 eps) v_i,
        v_i = sqrt(beta) s_i g_hat + sqrt(1 - beta) u_i,

    g_hat the normalized straight-through gradient, s_i = +-1 fair, u_i as in `spsa`. To first order
    E[G] = beta g_hat g_hat' grad + (1 - beta) grad, with grad what `spsa` estimates: beta = 0 is `spsa` with the same
    key, beta = 1 the straight-through direction times the slope measured along it. 2n + 1 forward passes and one
    backward pass. Leaves that are not quantized have their exact gradient, from the same pass.

    Where the straight-through gradient is zero, so is g_hat, and G is 1 - beta times the estimate of `spsa`.

    Tensors of different eps: the straight-through part moves along g_hat itself, by the length eps_0 = |eps g_hat|, and
    its share of G is divided by eps_0, so that the identity above holds for any scales (derived here; with one eps for
    all this is the formula above).

    Parameters
    ----------
    n : number of directions, >= 1.
    beta : share of the straight-through direction, between 0 and 1; or a function of the step that returns it, such
        as `linear_beta`.
    quantized : which leaves are quantized, and how: a `Quantized` or None (not quantized) for every leaf of the
        parameters, or one for all leaves below it.
    normalization : "global", g_hat has norm one over all quantized leaves and one sign; "tensor", norm one and a sign
        of its own in every leaf, and the identity above holds leaf by leaf.
    parallel : how many directions are evaluated at once, >= 1; a matter of speed and memory only.

    Returns
    -------
    ZerothOrder : a function of (loss, params, key, step=None) that returns an `Estimate`.

    Raises
    ------
    SpecificationError : for an n or parallel < 1, a beta outside [0, 1] or an unknown normalization; when called, for
        parameters without a quantized leaf, and for a beta that is a function without a step.
    """
    return ZerothOrder(n, beta, quantized, normalization, parallel)
