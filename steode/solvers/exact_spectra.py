"""Spectra known without a mesh: unquantized weights, and V = 0.

In these cases the implied variance is affine in V near the fixed point, with a slope, the gain, that is proportional to
the learning rate: fluctuations feed on V, and nothing else feeds them. The point is stable if and only if the gain is
below 1. Derived here.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from steode.solvers import stationary
from steode.solvers.equations import Problem

HALVINGS = 120


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Isolated eigenvalues, edge of the rest, slope of the implied variance, and integrated relaxation of V.

    Eigenvalues are complex and ordered by decreasing real part; the edge is minus infinity where there is no rest.
    """

    eigenvalues: np.ndarray
    edge: float
    gain: float
    settling_time: float


def affine(problem: Problem, variance: float) -> Spectrum:
    """Unquantized weights: the two eigenvalues of the moment equations, which are affine in (A, C).

    The tilt by (w - a)^2 changes the variance s^2 of the Gaussian weights and, where weight decay holds their mean off
    the target by x, also the mean, whose response is slower by a factor of two; the parts weigh 2 s^4 and 4 x^2 s^2.
    """
    constants = (*problem.training, problem.alpha_1, problem.alpha_2, problem.rho, problem.sigma, 0.0)
    offset, *columns = (
        np.array([float(rate) for rate in problem.equations.moments(*constants, *moments)])
        for moments in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    matrix = np.stack(columns, axis=1) - offset[:, None]
    spread = float(stationary.image_moments(problem, jnp.asarray(1.0)).variance[0])
    gain, ratio = float(problem.alpha_2) * spread, 0.0
    if variance > 0:
        distance = np.asarray(stationary.image_moments(problem, jnp.asarray(variance)).offset)
        ratio = 4 * float(np.asarray(problem.teacher_weights) @ distance**2) / (spread * variance)
    settling = (1 + ratio) / (2 + ratio) / -matrix[0, 0] / (1 - gain)
    return Spectrum(_sorted(np.linalg.eigvals(matrix)), -np.inf, gain, settling)


def smooth_recovery(problem: Problem, continuous: bool) -> Spectrum:
    """V = 0 under a smooth increasing map: weights fluctuate around w_k, Q(w_k) = a_k, with variances s_k.

    With g_k = -(slope of the drift), the means relax at rate g_k, and s_k' = -2 g_k s_k + (diffusion at V = 1) V,
    V = alpha_2 sum_k pi_k Q'(w_k)^2 s_k: a rank-one coupling. Rows with Q'(w_k) = 0 take no part in V. For a continuous
    teacher law the g_k are a band.
    """

    def drift(w):
        return problem.drift(problem.teacher, problem.weight_map(w), w)

    low, high = jnp.full(problem.teacher.shape, -1e9), jnp.full(problem.teacher.shape, 1e9)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        rising = drift(middle) > 0
        low, high = jnp.where(rising, middle, low), jnp.where(rising, high, middle)
    rates = -np.asarray(jax.grad(lambda w: jnp.sum(drift(w)))(low))
    slopes = np.asarray(jax.grad(lambda w: jnp.sum(problem.weight_map(w)))(low))
    coupling = float(problem.alpha_2) * np.asarray(problem.teacher_weights) * slopes**2
    diffusion = float(problem.diffusion(1.0))
    variances = diffusion * np.divide(1, 2 * rates, out=np.zeros(rates.shape), where=rates > 0)
    gain = float(coupling @ variances)
    # the tilt of a row is proportional to (slope s)^2
    tilt = np.asarray(problem.teacher_weights) * slopes**4 * variances**2
    settling = float(tilt @ variances) / diffusion / float(tilt.sum()) / (1 - gain)
    values = np.linalg.eigvals(-2 * np.diag(rates) + diffusion * coupling[None, :])
    edge = -float(rates.min()) if continuous else -np.inf
    values = values[values.real > edge] if continuous else np.concatenate([values, -rates])
    return Spectrum(_sorted(values), edge, gain, settling)


def _sorted(values) -> np.ndarray:
    values = np.asarray(values, dtype=complex)
    return values[np.lexsort((values.imag, -values.real))]
