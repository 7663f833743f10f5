"""Spectra known without a mesh: unquantized weights, and V = 0.

In these cases the implied variance is affine in V near the fixed point, with a slope, the gain, that is proportional to
the learning rate: fluctuations feed on V, and nothing else feeds them. The point is stable if and only if the gain is
below 1. Derived here.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers import stationary
from steode.solvers.equations import Problem
from steode.solvers.scalar_equations import scalar_equation

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


def affine(problem: Problem, force: Float[Array, "..."]) -> Spectrum:
    """Unquantized weights, or with noise that keeps their mean: the Jacobian of the moment equations at a force.

    These are the equations for A = E[w* w] and C = E[w^2] at every eigenvalue of the inputs. The tilt of the law by
    c = dV/dp, at w = M + xi equal to c_1 xi + c_2 xi^2 with xi ~ N(0, s), changes A by E[w* c_1 s] and C by
    E[2 M c_1 s + 2 c_2 s^2]. The gain is NaN where c_h and c_* are not known.
    """
    held, strength = problem.under(force)
    # laws at V = 0 are points: what is proportional to V cancels
    law = stationary.image_moments(held, jnp.where(strength > 0, strength, 1.0))
    mean, spread, w = stationary.targets(held) + law.offset, law.variance + 0 * law.offset, problem.teacher
    values = jnp.ones(1) if problem.eigenvalues is None else jnp.unique(problem.eigenvalues)
    index = jnp.zeros(w.size, int) if problem.eigenvalues is None else jnp.searchsorted(values, problem.eigenvalues)
    shares = jnp.zeros(values.size).at[index].add(problem.teacher_weights)

    def given(function):
        """The average at each eigenvalue."""
        return jnp.zeros(values.size).at[index].add(problem.teacher_weights * function) / shares

    own = dataclasses.replace(
        problem,
        eigenvalues=None if problem.eigenvalues is None else values,
        teacher_weights=shares,
        teacher=0 * values,
    )

    def overlaps(state):
        m = shares @ (own.equations.teacher_overlap(own.alpha_1, 1.0, state[0]) + 0 * values)
        square = own.weight_map.gaussian_square(0 * state[1], state[1])
        return m, shares @ (own.equations.self_overlap(own.alpha_2, square) + 0 * values)

    def rates(state):
        state = state.reshape(2, -1)
        now, size = own.under(own.force(*overlaps(state)))
        arguments = (own.alpha_1, own.alpha_2, given(w**2), own.sigma, size)
        return jnp.concatenate([rate + 0 * values for rate in own.equations.moments(*now.training, *arguments, *state)])

    at_rest = jnp.where(strength > 0, 1.0, 0.0) * spread
    start = jnp.concatenate([given(w * mean), given(mean**2 + at_rest)])
    matrix = np.asarray(jax.jacfwd(rates)(start))
    gradient = jax.grad(lambda state: problem.loss(*overlaps(state.reshape(2, -1))))(start)
    by_m, by_q = jax.grad(lambda each: problem.loss(*each))(jnp.stack(overlaps(start.reshape(2, -1))))
    factor = problem.weight_map.square(jnp.ones(())) - problem.weight_map.square(jnp.zeros(()))
    c_2 = by_q * problem.alpha_2 * factor + 0 * w
    c_1 = 2 * c_2 * mean + by_m * problem.alpha_1 * w
    tilt = jnp.concatenate([given(w * c_1 * spread), given(2 * mean * c_1 * spread + 2 * c_2 * spread**2)])
    gradient, tilt = np.asarray(gradient), np.asarray(tilt)
    settling = float(gradient @ np.linalg.solve(-matrix, tilt) / (gradient @ tilt))
    equation = scalar_equation(problem)
    gain = np.nan if equation is None else float(equation.implied(1.0) - equation.implied(0.0))
    return Spectrum(_sorted(np.linalg.eigvals(matrix)), -np.inf, gain, settling)


def smooth_recovery(problem: Problem, continuous: bool) -> Spectrum:
    """V = 0 under a smooth increasing map and a linear response.

    Weights fluctuate around w_k, Q(w_k) = a_k, with variances s_k. With g_k = -(slope of the drift), the means relax at
    rate g_k, and s_k' = -2 g_k s_k + (diffusion at V = 1) V, V = sum_k alpha_2 pi_k Q'(w_k)^2 s_k: a rank-one coupling.
    Rows with Q'(w_k) = 0 take no part in V. For a continuous teacher law the g_k are a band.
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
    weights, unit = np.asarray(problem.teacher_weights), np.ones(rates.shape)
    # c_2 by the distance of the pre-activations, and by q, which grows by the same
    share = sum(jax.grad(problem.strength_of_gap, (0, 1))(0.0, problem.rho))
    coupling = float(share) * np.asarray(problem.alpha_2) * weights * slopes**2
    diffusion = np.asarray(problem.diffusion(1.0)) * unit
    variances = diffusion * np.divide(1, 2 * rates, out=np.zeros(rates.shape), where=rates > 0)
    gain = float(coupling @ variances)
    # the tilt of a row, alpha_2 (slope)^2 (xi^2 - s), changes its variance by 2 alpha_2 (slope s)^2
    changes = np.asarray(problem.alpha_2) * slopes**2 * variances**2
    # int (s_k - its share of V) dtau = change/(2 g), and the feedback stretches it
    settling = float(coupling @ (changes / (2 * np.where(rates > 0, rates, np.inf)))) / float(coupling @ changes)
    settling /= 1 - gain
    values = np.linalg.eigvals(-2 * np.diag(rates) + diffusion[:, None] * coupling[None, :])
    edge = -float(rates.min()) if continuous else -np.inf
    values = values[values.real > edge] if continuous else np.concatenate([values, -rates])
    return Spectrum(_sorted(values), edge, gain, settling)


def _sorted(values) -> np.ndarray:
    values = np.asarray(values, dtype=complex)
    return values[np.lexsort((values.imag, -values.real))]
