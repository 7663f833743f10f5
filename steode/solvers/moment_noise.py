r"""Variance of observables at order 1/d for unquantized weights: the covariance of five averages, in closed form.

The averages x = (1/d) sum over coordinates of (w*^2, w*, w* w, w^2, w) obey closed equations dx/dtau = J x + c, so
their covariance C/d obeys dC/dtau = J C + C J^T + N with the covariance rate N of `steode.solvers.linear_noise`, in
which every average of the needed f'h', f'' and drift is again one of the five. Derived here.
"""

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers.equations import Problem
from steode.solvers.moments import largest_square

AVERAGES = 5


def moment_noise(
    problem: Problem,
    start: Float[Array, " 5"],
    covariance: Float[Array, "C 5 5"],
    times: Float[Array, " T"],
    tolerance,
    max_steps: int,
) -> diffrax.Solution:
    """Solve from the averages at time 0 and d times their covariance, for each of its C causes.

    `ys` holds, by name, the limit's values, and d times the variances (C + 1,) of those causes and of the samples.
    """

    def rates(t, state, args):
        x, covariances = state
        now = problem.at(t)
        slope = jax.jacfwd(lambda x: _rates(now, x))(x)
        carried = jnp.einsum("ij,cjk->cik", slope, covariances)
        change = carried + jnp.swapaxes(carried, 1, 2)
        return _rates(now, x), change.at[-1].add(noise(now, x))

    def observe(t, state, args):
        x, covariances = state
        values, slopes = _observables(problem, x), jax.jacfwd(lambda x: _observables(problem, x))(x)
        variances = {name: jnp.einsum("i,cij,j->c", slope, covariances, slope) for name, slope in slopes.items()}
        return values, variances

    everything = jnp.concatenate([covariance, jnp.zeros((1, AVERAGES, AVERAGES))])
    # the state holds lengths, their squares and their fourth powers: none is small beside the absolute tolerance
    square = largest_square(start[0], start[3], problem.sigma**2)
    size = jnp.minimum(square**2, jnp.sqrt(square))
    return diffrax.diffeqsolve(
        diffrax.ODETerm(rates),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=(start, everything),
        saveat=diffrax.SaveAt(ts=times, fn=observe),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance * size),
        max_steps=max_steps,
        throw=False,
    )


def _residual_variance(problem: Problem, x):
    m = problem.equations.teacher_overlap(problem.alpha_1, 1.0, x[2])
    q = problem.equations.self_overlap(problem.alpha_2, x[3])
    return m, q, problem.equations.residual_variance(problem.output, m, q, x[0], problem.sigma)


def _observables(problem: Problem, x) -> dict[str, Array]:
    return problem.observables(*_residual_variance(problem, x)) | {"mean_w": x[4]}


def _rates(problem: Problem, x):
    # the drift is linear in (w*, Q, w) with Q = w, so it may be evaluated at means
    cross, second = problem.equations.moments(
        *problem.training, problem.alpha_1, problem.alpha_2, x[0], problem.sigma, 0.0, x[2], x[3]
    )
    return jnp.stack([0.0 * x[0], 0.0 * x[0], cross, second, problem.drift(x[1], x[4], x[4])])


def noise(problem: Problem, x: Float[Array, " 5"]) -> Float[Array, "5 5"]:
    """Covariance rate of the five averages, times d."""
    rho, teacher, cross, second, mean = x
    diffusion = problem.diffusion(_residual_variance(problem, x)[2])
    one = jnp.ones_like(rho)
    # for f = w* w, w^2, w, whose derivatives are w*, 2 w, 1
    products = jnp.stack(
        [
            jnp.stack([rho, 2 * cross, teacher]),
            jnp.stack([2 * cross, 4 * second, 2 * mean]),
            jnp.stack([teacher, 2 * mean, one]),
        ]
    )
    undecayed = problem.without_pulls()
    by_teacher, by_weight = undecayed.drift(one, 0 * one, 0 * one), undecayed.drift(0 * one, one, one)
    drift = by_teacher * jnp.stack([rho, 2 * cross, teacher]) + by_weight * jnp.stack([cross, 2 * second, mean])
    change = drift + diffusion * jnp.stack([0 * one, one, 0 * one])
    shared = 2 * change[:, None] * change[None, :] - drift[:, None] * drift[None, :]
    return jnp.zeros((AVERAGES, AVERAGES)).at[2:, 2:].set(diffusion * products + shared / problem.batch)
