"""Second moments of a layer's inputs and of their quantized images, from activations or for Gaussian inputs."""

import dataclasses

import numpy as np
import scipy.linalg
import scipy.special

from steode.errors import SpecificationError, UnsupportedError
from steode.parts.quantizers import EntrywiseMap, Identity, StepFunction

SINGULAR = 1e-8
"""An eigenvalue below this part of the mean of the diagonal is taken as zero."""
DAMPING = 1e-3
"""Added to the diagonal, in parts of its mean, where a matrix is singular and nothing else was asked for."""
NODES = 48
"""Gauss points in the angle of a correlation."""
MOST_PAIRS = 4e8
"""Pairs of coordinates and of thresholds for which the averages of quantized Gaussian inputs take minutes at most."""


@dataclasses.dataclass(frozen=True, eq=False)
class InputMoments:
    """Of inputs x and images z = Q_x(x): K = E[x x^T], K_q = E[z z^T], K_x = E[z x^T], each (d, d).

    `damping` is what was added to the three diagonals: as if white noise of this variance, which no quantizer sees,
    were added to the inputs.
    """

    plain: np.ndarray
    image: np.ndarray
    cross: np.ndarray
    damping: float


def of_activations(activations: np.ndarray, quantizer: EntrywiseMap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K, K_q, K_x as means over the rows of an array (n, d)."""
    values = np.asarray(activations, float)
    plain = values.T @ values / values.shape[0]
    if isinstance(quantizer, Identity):
        return plain, plain, plain
    images = np.asarray(quantizer(values), float)
    return plain, images.T @ images / values.shape[0], images.T @ values / values.shape[0]


def of_gaussian(second_moment: np.ndarray, quantizer: EntrywiseMap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K, K_q, K_x of x ~ N(0, K): by Stein's lemma and Price's theorem.

    Raises `UnsupportedError` for a quantizer that is neither the identity nor a step function, or too fine.
    """
    if isinstance(quantizer, Identity):
        return (second_moment,) * 3
    if not isinstance(quantizer, StepFunction):
        raise UnsupportedError(
            "input_quantizer: with a second moment alone only step functions have an average over inputs; give "
            "activations."
        )
    pairs = (second_moment.shape[0] * quantizer.thresholds.size) ** 2
    if pairs > MOST_PAIRS:
        raise UnsupportedError(
            f"input_quantizer: {quantizer.levels.size} levels on {second_moment.shape[0]} Gaussian inputs have "
            f"{pairs:.1e} pairs of thresholds, above {MOST_PAIRS:g}; give activations, or do not quantize this finely."
        )
    deviations = np.sqrt(np.diag(second_moment))
    # thresholds in units of the deviations, (d, n - 1)
    edges = quantizer.thresholds[None, :] / deviations[:, None]
    jumps, levels = np.diff(quantizer.levels), quantizer.levels
    slopes = np.exp(-(edges**2) / 2) @ jumps / np.sqrt(2 * np.pi) / deviations
    masses = np.diff(scipy.special.ndtr(edges), axis=1, prepend=0, append=1)
    image = _image(second_moment / np.outer(deviations, deviations), edges, jumps)
    image += np.outer(masses @ levels, masses @ levels)
    np.fill_diagonal(image, masses @ levels**2)
    return second_moment, image, slopes[:, None] * second_moment


def _image(correlation: np.ndarray, edges: np.ndarray, jumps: np.ndarray) -> np.ndarray:
    """Cov(z_i, z_j) as the integral over the correlation of sum_ab jumps jumps times the bivariate normal density.

    With correlation sin(phi) the integrand is smooth up to correlation one.
    """
    angle = np.arcsin(np.clip(correlation, -1, 1))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    total = np.zeros_like(correlation)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        sine, cosine = np.sin(node * angle), np.maximum(np.cos(node * angle) ** 2, 1e-300)
        for a, left in enumerate(jumps):
            for b, right in enumerate(jumps):
                h, k = edges[:, a, None], edges[None, :, b]
                exponent = (h**2 + k**2 - 2 * h * k * sine) / (2 * cosine)
                total += weight * left * right * np.exp(-exponent)
    return total * angle / (2 * np.pi)


def damped(moments: tuple[np.ndarray, ...], damping: float | None, rank: int | None) -> InputMoments:
    """The three matrices with `damping` times the mean diagonal added; None: as much as a singular K needs.

    `rank` is the largest rank K can have, where it is known. Raises `SpecificationError` if K is not positive.
    """
    plain, image, cross = moments
    scale = float(np.mean(np.diag(plain)))
    if not scale > 0:
        raise SpecificationError("second_moment", "inputs that are not all zero", scale, "The diagonal is zero.")
    regular = is_positive(plain, -SINGULAR * scale)
    if not (regular or is_positive(plain, SINGULAR * scale)):
        remedy = "A second moment E[x x^T] has no negative eigenvalue: was a matrix of something else given?"
        raise SpecificationError("second_moment", "a positive matrix", "one with negative eigenvalues", remedy)
    if damping is None:
        full = regular and (rank is None or rank == plain.shape[0])
        damping = 0.0 if full and (image is plain or is_positive(image, -SINGULAR * scale)) else DAMPING
    if damping == 0:
        return InputMoments(plain, image, cross, 0.0)
    added = damping * scale * np.eye(plain.shape[0])
    return InputMoments(plain + added, image + added, cross + added, damping * scale)


def is_positive(matrix: np.ndarray, shift: float) -> bool:
    """Whether all eigenvalues of matrix + shift are positive."""
    try:
        scipy.linalg.cholesky(matrix + shift * np.eye(matrix.shape[0]), check_finite=False)
    except np.linalg.LinAlgError:
        return False
    return True
