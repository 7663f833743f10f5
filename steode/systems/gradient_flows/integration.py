"""The derived flows in numbers: vector fields from compiled functions, and diffrax's steps through them."""

import functools
from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from steode.errors import ConvergenceError

LONGEST = 400_000
"""Steps after which an integration is given up."""


def integrate(field: Callable, start, times: np.ndarray, rtol: float, stiff: bool = False):
    """The state at `times` (increasing) from `start` at times[0], any pytree; a leading axis of times on each leaf.

    `field(time, state)` is its rate. Raises `ConvergenceError` if the steps' tolerance `rtol` cannot be kept.
    """

    @jax.jit
    def run(start, times):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda time, state, _: field(time, state)),
            diffrax.Kvaerno5() if stiff else diffrax.Dopri8(),
            times[0],
            times[-1],
            None,
            start,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol * 1e-3, pcoeff=0.2, icoeff=0.4),
            max_steps=LONGEST,
            throw=False,
        )

    found = run(start, jnp.asarray(times))
    if found.result != diffrax.RESULTS.successful:
        raise ConvergenceError(f"The flow could not be integrated to time {times[-1]:g} at tolerance {rtol:g}.")
    return jax.tree.map(np.asarray, found.ys)


def integrate_with_jumps(field: Callable, start, times: np.ndarray, tolerance: float, shown: Callable):
    """The same for a field that jumps across surfaces, on which states may come to rest (sliding).

    Step-size control stalls on such a surface; Heun's steps of one size chatter around it within that size. There are
    as many between two times, and their number is doubled until `shown(state)` changes by less than `tolerance` at all
    times, in units of its largest value. Raises `ConvergenceError` if LONGEST steps do not do.
    """

    @functools.partial(jax.jit, static_argnums=0)
    def run(steps, start, times):
        def heun(state, dt):
            first = field(0.0, state)
            moved = jax.tree.map(lambda value, rate: value + dt * rate, state, first)
            second = field(0.0, moved)
            return jax.tree.map(lambda value, a, b: value + dt * (a + b) / 2, state, first, second)

        def interval(state, length):
            state = lax.fori_loop(0, steps, lambda _, state: heun(state, length / steps), state)
            return state, state

        later = lax.scan(interval, start, jnp.diff(times))[1]
        return jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), start, later)

    start = jax.tree.map(jnp.asarray, start)
    steps, before = 200, None
    while steps * (len(times) - 1) <= LONGEST:
        found = run(steps, start, jnp.asarray(times))
        now = shown(found)
        if before is not None and np.max(np.abs(now - before)) <= tolerance * np.max(np.abs(now)):
            return jax.tree.map(np.asarray, found)
        steps, before = 2 * steps, now
    raise ConvergenceError(
        f"The flow to time {times[-1]:g} still changes by more than {tolerance:g} at {steps} steps an interval."
    )


def potential_field(inputs: Float[Array, "N d"], coefficient: Callable, force: Callable) -> Callable:
    """d nu/dt = force(X beta), beta = coefficient(X^T nu)."""
    return lambda time, nu: force(inputs @ coefficient(inputs.T @ nu))


def accuracy_field(inputs: Float[Array, "N d"], coefficient: Callable, slope: Callable, force: Callable) -> Callable:
    """The same path with log(1/loss) as its clock, for a loss sum exp(-f): no number is ever as small as the loss.

    With p = force/sum(force), d log(1/loss)/dt = sum(force) p.K p, K = X diag(dbeta/dq) X^T.
    """

    def field(clock, nu):
        q = inputs.T @ nu
        margins = inputs @ coefficient(q)
        # the force of an exponential loss is the same function of shifted margins up to a factor
        p = force(margins - margins.min())
        p = p / p.sum()
        return p / jnp.sum(slope(q) * (inputs.T @ p) ** 2)

    return field


def neuron_field(x, y, delta: Float[Array, " m"], rates: Callable, unit: Callable) -> Callable:
    """Rates of (r, theta) of every neuron; f(x) is the mean of `unit` over neurons, a rate the sum over samples."""

    def field(time, state):
        r, theta = state
        on = active(x, theta)
        f = jnp.mean(unit(x[:, None], r[None], theta[None], on), axis=1)
        found = rates(x[:, None], y[:, None], f[:, None], r[None], theta[None], delta[None], on)
        return tuple(jnp.sum(rate, axis=0) for rate in found)

    return field


def active(x, theta) -> Float[Array, "N m"]:
    """1 where a x > b."""
    return (x[:, None] * jnp.cos(theta)[None] > jnp.sin(theta)[None]).astype(x.dtype)


def network_value(x, r, theta, unit: Callable):
    """f at points x, (T, N), for states (T, m)."""
    one = lambda r, theta: jnp.mean(unit(x[:, None], r[None], theta[None], active(x, theta)), axis=1)  # noqa: E731
    return np.asarray(jax.lax.map(lambda state: one(*state), (jnp.asarray(r), jnp.asarray(theta))))


def sentence_field(words, labels, vocabulary: int, parts: dict[str, Callable], rates: Callable) -> Callable:
    """Rates of the six families of inner products; c and H collect the slopes of the loss over sentences."""

    def field(time, state):
        _, G, _, S, _, _ = state
        p, score_slopes, F = attention(words, G[:, 0], S, parts)
        pull = parts["slope"](labels, F) * labels / labels.size
        # one row for each query and key of a sentence
        weight = pull[:, None, None]
        keys, queries = jnp.broadcast_arrays(words[:, None, :], words[:, :, None])
        c = jnp.zeros(vocabulary).at[keys].add(weight * p)
        H = jnp.zeros((vocabulary, vocabulary)).at[keys, queries].add(weight * score_slopes)
        return tuple(rates(c[:, None], H, *state))

    return field


def attention(words, margins, S, parts: dict[str, Callable]):
    """Weights p and slopes dF/ds, (n, query, key), and outputs F (n,), from G (d,) and scores S = mu_k.KQ mu_q/sqrt(m).

    A softmax does not change when its scores are shifted, so the largest is taken from them.
    """
    scores = S[words[:, None, :], words[:, :, None]]
    scores = scores - scores.max(axis=-1, keepdims=True)
    keys = jnp.broadcast_to(margins[words][:, None, :], scores.shape)
    split = [scores[..., k] for k in range(words.shape[1])], [keys[..., k] for k in range(words.shape[1])]
    p = jnp.stack(parts["weights"](*split[0], *split[1]), axis=-1)
    slopes = jnp.stack(parts["score_slopes"](*split[0], *split[1]), axis=-1)
    return p, slopes, jnp.sum(p * keys, axis=(1, 2))


def product_field(target, mask, metric: Callable) -> Callable:
    """dW/dt = -U (a o U^T Z V) V^T with Z = mask o (W - target)."""

    def field(time, W):
        U, sigma, Vt = jnp.linalg.svd(W)
        a = metric(sigma[:, None], sigma[None, :])
        return -U @ (a * (U.T @ (mask * (W - target)) @ Vt.T)) @ Vt

    return field
