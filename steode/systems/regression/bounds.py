"""The verb `bounds`: the upper bounds of the literature beside the exact risk, reconstructed from public summaries."""

import dataclasses

import jax
import numpy as np

from steode.errors import UnsupportedError, check_integer
from steode.systems.regression import symbols as sym
from steode.systems.regression.compiled import CompiledRecursion, compile_recursion
from steode.systems.regression.spec import RegressionModel, check_model

SOURCE = "reconstructed from public summaries"
"""The papers' theorems were not available in full: their form is theirs, constants may differ."""


@dataclasses.dataclass(frozen=True, eq=False)
class RegressionBounds:
    """Upper bounds on the risk of the average of all N iterates; reconstructed from public summaries.

    Attributes
    ----------
    steps : N.
    effective_dimension : k* = number of eigenvalues of the quantized inputs that are >= 1/(N gamma).
    fourth_moment : alpha, with E[sample fourth moment applied to A] <= alpha tr(H_q A) H_q; 3 for unquantized B = 1.
    noise_variance : the label noise that all quantization together amounts to.
    bias, variance, approximation : the terms, see `bounds`; bias and variance bound parts of the excess risk, the
        approximation is exact.
    excess : bias + variance, bound on `excess_average`.
    quantized : bound on `quantized_average`, the excess plus what quantized inputs leave to the best weights.
    raw : bound on `raw_average`.
    All are infinite where gamma alpha tr(H_q) >= 1, a condition of the theorem: then it says nothing.
    """

    steps: int
    effective_dimension: int
    fourth_moment: float
    noise_variance: float
    bias: float
    variance: float
    approximation: float
    excess: float
    quantized: float
    raw: float


def bounds(model: RegressionModel, steps: int) -> RegressionBounds:
    """Bounds in the form of Zou et al. (2021, 2023), with the quantized spectrum and the quantizers' noise.

    With l the eigenvalues of the quantized inputs, v_0 = w_0 - w^q, k* = max{k : l_k >= 1/(N gamma)}, and head and tail
    the coordinates up to and beyond k*,

        bias     = 2 [ sum_head v_0^2/(N gamma)^2/l + sum_tail l v_0^2 ],
        variance = 2 [ s^2 + 4 alpha (sum_head v_0^2 + N gamma sum_tail l v_0^2)/(N gamma) ] (k*/N + N gamma^2
                   sum_tail l^2)/(1 - gamma alpha tr H_q),

    and E[(z.(wbar - w^q))^2]/2 <= bias + variance. For the risk on raw inputs both count twice, and the approximation
    sum lambda (w^q - w*)^2 is added. alpha and s^2 are the smallest constants that the exact recursion allows: alpha
    = 1 + 2/B and s^2 = ( s_q^2 + epsilon_a + epsilon_o )/B + epsilon_p ((1 + 1/B) l_1 + tr(H_q)/B), s_q^2 the label
    noise with what quantized inputs leave unexplained, where all quantizers are additive. Reconstructed from public
    summaries; that form is applied to the quantized problem as Zhang, Su, Zou (arXiv 2510.18259) do.

    Parameters
    ----------
    model : the specification; its quantizers are noise models, and all iterates are averaged (average_fraction = 1).
    steps : N >= 1.

    Raises
    ------
    SpecificationError
        If an argument does not make sense.
    UnsupportedError
        For a tail average, which these bounds are not about, and for quantizers that are no noise models.
    """
    check_model(model)
    steps = check_integer("steps", steps, 1)
    if model.average_fraction != 1:
        raise UnsupportedError(
            "bounds: they are about the average of all iterates; use average_fraction=1, or `risk`, which is exact for "
            "every fraction."
        )
    with jax.enable_x64(True):
        compiled = compile_recursion(model)
        alpha, noise = _constants(compiled, model.step_size)
    eigenvalues, best = compiled.input_square, compiled.best
    gamma, start = model.step_size, model.initial_weights - best
    head = eigenvalues >= 1 / (steps * gamma)
    tail = ~head
    slack = 1 - gamma * alpha * eigenvalues.sum()
    tail_start = (eigenvalues * start**2)[tail].sum()
    bias = 2 * ((start**2 / eigenvalues)[head].sum() / (steps * gamma) ** 2 + tail_start)
    size = head.sum() / steps + steps * gamma**2 * (eigenvalues**2)[tail].sum()
    amplified = 4 * alpha * ((start**2)[head].sum() / (steps * gamma) + tail_start)
    variance = 2 * (noise + amplified) * size / slack if slack > 0 else np.inf
    approximation = float((model.eigenvalues * (best - model.teacher_weights) ** 2).sum())
    excess = float(bias + variance)
    return RegressionBounds(
        steps=steps,
        effective_dimension=int(head.sum()),
        fourth_moment=float(alpha),
        noise_variance=float(noise),
        bias=float(bias),
        variance=float(variance),
        approximation=approximation,
        excess=excess,
        quantized=excess + float(compiled.quantized[2].sum()),
        raw=2 * excess + approximation,
    )


def _constants(compiled: CompiledRecursion, gamma: float) -> tuple[float, float]:
    """alpha and s^2: the recursion's noise is at most gamma^2 l_i (alpha sum_j l_j m_j + s^2) in every coordinate.

    What is linear in the deviation, 2 w^q v, is split as (w^q)^2 + v^2; the part of (1 - gamma l)^2 that the papers
    leave in alpha adds 1.
    """
    given, eigenvalues = compiled.coefficients, compiled.input_square
    coupling, summed, constant = (np.asarray(array) for array in (given.coupling, given.sum_square, given.constant))
    formulas = compiled.recursion
    # simplified before numbers enter: in numbers both squares are close to 1
    own = compiled.evaluate(((formulas.square - formulas.decay**2) / (sym.gamma * sym.ell["i"]) ** 2).factor())
    outer, inner = coupling / (gamma**2 * eigenvalues), summed / eigenvalues
    noise = constant / (gamma**2 * eigenvalues)
    scale = np.abs(compiled.best)
    # without a weight there is nothing linear in its deviation
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    if given.linear is not None:
        linear = np.abs(np.asarray(given.linear)) / 2
        own = own + linear * inverse / (gamma * eigenvalues) ** 2
        noise = noise + linear * scale / (gamma**2 * eigenvalues)
    if given.sum_linear is not None:
        linear = np.abs(np.asarray(given.sum_linear)) / 2
        inner = inner + linear * inverse / eigenvalues
        noise = noise + outer * (linear @ scale)
    return 1 + max(float(own.max()), 0.0) + float(outer.max() * inner.max()), float(noise.max())
