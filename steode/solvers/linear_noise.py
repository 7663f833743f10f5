r"""Variance of observables at order 1/d, on one mesh: noise of the samples carried through the linearized limit.

One step with a batch of B samples changes F = (1/d) sum_i f(w_i) by 1/d times the mean over the batch of

    -eta e zeta_f + (eta^2/(2 B)) E[alpha_2 s^2 f''] e^2 - (weight decay and dampening, which are not random)

with e the residual and zeta_f = d^-1/2 sum_i s f'(w_i) z_i. By the central limit theorem (e, zeta_f, zeta_h) is
Gaussian whatever the law of the inputs: Var e = V (c_2 where output or residual add normal noise of their own),
Cov(zeta_f, zeta_h) = E[alpha_2 s^2 f'h'], and Cov(e, zeta_f) = -D_f/eta with

    D_f = E[f' drift],   S_f = D_f + E[f'' diffusion]/2,   both without these,

and e^2 z_i z_j enters only through sums that are not random at this order. So F and H have the covariance rate N/d,

    N_fh = E[diffusion f'h'] + (2 S_f S_h - D_f D_h)/B.

The first part is that of independent coordinates; the second is due to the sample they share. f' need not be computed:
with f_t the adjoint (`steode.solvers.adjoint`) and c_t = <b_t, f_t>

    int_0^T E[diffusion f_t'^2] dt = E Var(f_T | w*) - E Var(f_0 | w*) + 2 int_0^T c_t E Cov(f_t, v | w*) dt,

which stays accurate where f_T jumps. S and D are rates of change of averages, which the fluxes of the scheme give.
Derived here.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steode.solvers.adjoint import Linearization, Values, linearize, middle_stage, step_back
from steode.solvers.density import DensityOperator
from steode.solvers.equations import Problem
from steode.solvers.functionals import STRENGTH, between_teachers, functionals
from steode.solvers.time_step import GAMMA, Masses


class LinearNoise(eqx.Module):
    """d times the variance of R functions of the law at T times, by cause, and the observables of the limit there."""

    teacher: Float[Array, "T R"]  # Var_{w*} E[f_0 | w*]
    initial: Float[Array, "T R"]  # E Var(f_0 | w*)
    samples: Float[Array, "T R"]
    observables: dict[str, Array]
    edge_mass: Float[Array, " 2"]  # largest probability in the two outermost control volumes at either end


@eqx.filter_jit
def linear_noise(
    problem: Problem,
    nodes: Float[Array, " N"],
    initial: Masses,
    dts: Float[Array, " S"],
    ends: Int[Array, " T"],
    names: tuple[str, ...],
) -> LinearNoise:
    """Solve forwards with the time steps `dts`, and backwards from all observation times at once.

    `ends` counts the steps before each observation time. Steps of length zero are allowed: they do nothing.
    """
    operator = DensityOperator(problem, nodes)
    clock = jnp.concatenate([jnp.zeros(1), jnp.cumsum(dts)])

    def forward(masses, step):
        time, dt = step
        return jnp.where(dt > 0, operator.step(masses, dt, time)[0], masses), masses

    last, before = jax.lax.scan(forward, initial, (clock[:-1], dts))
    states = jnp.concatenate([before, last[None]])
    overlap = functionals(operator, initial, (STRENGTH,)).average[..., 0]
    observed = functionals(operator, initial, names)
    average, square = observed.average, observed.square

    def at_end(step):
        """Own variance and rate of the observables' functions where they start, and the limit there."""
        masses, now = states[step], operator.at(clock[step])
        own = _own_variance(operator, masses, average, square)
        rate = common_noise(now, linearize(now, overlap, masses), masses, average)
        return own, rate, operator.observables(masses)

    own_end, rate_end, observables = jax.lax.map(at_end, ends)

    # functions of all times side by side: the last axis counts T x R
    shape = own_end.shape
    tiled = jnp.tile(average, (1, 1, ends.size))
    index, rate_end = jnp.repeat(ends, average.shape[-1]), rate_end.reshape(-1)

    def backward(carry, step):
        values, rate, total = carry
        number, start, end, time, dt = step
        begins = index == number + 1
        values = jnp.where(begins[None, None, :], tiled, values)
        rate = jnp.where(begins, rate_end, rate)
        between = time + GAMMA * dt
        middle = middle_stage(operator.at(time), operator.at(between), start, dt)
        # one traced linearization for all three stages: half the compilation
        moments, stages = jnp.stack([time, between, time + dt]), jnp.stack([start, middle, end])
        linear = jax.vmap(lambda moment, masses: linearize(operator.at(moment), overlap, masses))(moments, stages)
        first, middle, last = (jax.tree.map(lambda leaf: leaf[stage], linear) for stage in range(3))  # noqa: B023
        values = step_back(first, middle, last, dt, values)
        new_rate = common_noise(operator.at(time), first, start, values)
        return (values, new_rate, total + dt / 2 * (rate + new_rate)), None

    zeros = jnp.zeros(index.shape)
    steps = (jnp.arange(dts.size), states[:-1], states[1:], clock[:-1], dts)
    (values, _, total), _ = jax.lax.scan(backward, (jnp.zeros(tiled.shape), zeros, zeros), steps, reverse=True)

    at_once = (index == 0)[None, None, :]
    values = jnp.where(at_once, tiled, values)
    squares = jnp.where(at_once, jnp.tile(square, (1, 1, ends.size)), values**2)
    own_start = _own_variance(operator, initial, values, squares).reshape(shape)
    means = jnp.einsum("kn,knr->kr", initial, values)
    return LinearNoise(
        teacher=between_teachers(problem, means).reshape(shape),
        initial=own_start,
        samples=own_end - own_start + total.reshape(shape),
        observables=observables,
        edge_mass=jnp.stack([jnp.max(states[:, :, :2].sum(-1)), jnp.max(states[:, :, -2:].sum(-1))]),
    )


def _own_variance(operator: DensityOperator, masses: Masses, average: Values, square: Values) -> Float[Array, " R"]:
    """E Var(f | w*), from f and f^2 averaged over each control volume."""
    mean = jnp.einsum("kn,knr->kr", masses, average)
    return operator.problem.teacher_weights @ (jnp.einsum("kn,knr->kr", masses, square) - mean**2)


def common_noise(operator: DensityOperator, state: Linearization, masses: Masses, values: Values) -> Float[Array, " R"]:
    """2 c E Cov(f, v | w*) + (2 S^2 - D^2)/B: the variance rate beyond that of independent coordinates."""
    problem = operator.problem
    mean, mean_overlap = jnp.einsum("kn,knr->kr", masses, values), jnp.sum(masses * state.overlap, axis=1)
    products = jnp.einsum("kn,knr->kr", masses * state.overlap, values)
    covariance = problem.teacher_weights @ (products - mean * mean_overlap[:, None])
    slopes = jnp.diff(values, axis=1)
    # the scheme's flux is that of a central difference for the drift plus one proportional to the gradient
    mobile = masses * (operator.mobile / operator.volumes)[None, :]
    between = jnp.einsum("k,kn,knr->knr", problem.teacher_weights, (mobile[:, 1:] + mobile[:, :-1]) / 2, slopes)
    drift, decay = _speeds(operator)
    by_drift = jnp.einsum("kn,knr->r", drift, between)
    change = state.mean(operator.apply(state.rates, masses), values) - jnp.einsum("kn,knr->r", decay, between)
    return 2 * state.mean(state.response, values) * covariance + (2 * change**2 - by_drift**2) / problem.batch


def _speeds(operator: DensityOperator) -> tuple[Float[Array, "K N-1"], Float[Array, "K N-1"]]:
    """Drift between nodes by the gradient alone, and by weight decay and dampening."""
    problem, nodes = operator.problem, operator.nodes
    middles = (nodes[1:] + nodes[:-1]) / 2
    image = problem.weight_map(middles)[None, :]
    undecayed = problem.without_pulls()
    drift = undecayed.drift(problem.teacher[:, None], image, middles[None, :])
    return drift, operator.speed - drift
