"""The verb `solve`: the coarse-gradient flow from many starts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import ConvergenceError, SpecificationError, check_integer, check_positive
from steode.systems.binary_relu.compiled import CompiledGradient, compile_gradient
from steode.systems.binary_relu.flow import flow, residual
from steode.systems.binary_relu.results import CoarseFlow
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model
from steode.systems.binary_relu.starts import Starts

AT_REST = 1e-7
SMALLEST = 1e-3


def solve(
    model: BinaryReLUModel,
    starts: Starts,
    t_end: float,
    *,
    points: int = 201,
    tolerance: float = 1e-9,
    smallest: float = SMALLEST,
) -> CoarseFlow:
    """Solve v' = -df/dv, w' = -E g in (v, |w|, theta), the limit of small steps.

    Parameters
    ----------
    model : the specification.
    starts : from `steode.binary_relu.starts` or `random_starts`.
    t_end : last time, > 0: step size times number of steps.
    points : number of equally spaced times from 0 to t_end to report, at least 2.
    tolerance : of the integrator (Tsit5), relative and absolute.
    smallest : length at which w counts as vanished, > 0; the flow has no continuation through w = 0.

    A run ends when all rates are below 1e-7 ("converged") or when |w| falls to `smallest` ("vanished").

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    ConvergenceError
        If the integrator fails.
    """
    check_model(model)
    check_starts(model, starts)
    t_end, tolerance = check_positive("t_end", t_end), check_positive("tolerance", tolerance)
    smallest = check_positive("smallest", smallest)
    if np.any(starts.length <= smallest):
        raise SpecificationError("smallest", "a length below that of every start", smallest, "Lower it.")
    times = np.linspace(0.0, t_end, check_integer("points", points, 2))
    with jax.enable_x64(True):
        given = tuple(jnp.asarray(part) for part in (starts.v, starts.length, starts.theta))
        saved, ended, mask, good = jax.device_get(
            _flows(compile_gradient(model), given, jnp.asarray(times), *map(jnp.asarray, (tolerance, smallest)))
        )
    if not np.all(good):
        number = int(np.flatnonzero(~good)[0])
        raise ConvergenceError(f"solve: the integration of start {number} failed; raise `smallest` or the tolerance.")
    (v, length, theta, loss), (end_time, end_v, end_length, end_theta, end_loss) = saved, ended
    stopped, vanished = mask
    outcome = np.where(vanished, "vanished", np.where(stopped, "converged", "running"))
    late = times[None, :] > end_time[:, None]
    last = np.where(vanished, np.nan, 1.0)
    curves = (
        np.where(late, (last * final)[:, None], curve)
        for curve, final in ((length, end_length), (theta, end_theta), (loss, end_loss))
    )
    v = np.where(late[:, :, None], (last[:, None] * end_v)[:, None, :], v)
    return CoarseFlow(model, times, v, *curves, outcome, end_time, end_v, end_length, end_theta, end_loss)


@eqx.filter_jit
def _flows(compiled: CompiledGradient, starts, times, tolerance, smallest):
    def one(start):
        solution = flow(compiled.rates, start, times, tolerance, AT_REST, smallest)
        curves, end = ((v, R, jnp.clip(theta, 0, jnp.pi)) for v, R, theta in solution.ys)
        final = tuple(value[0] for value in end)
        value = jax.vmap(lambda v, R, theta: compiled.evaluate("loss", v, R, theta))(*curves)
        saved, ended = (*curves, value), (solution.ts[1][0], *final, compiled.evaluate("loss", *final))
        # an event ends a run with a result of its own, which is no failure
        good = jnp.all(jnp.isfinite(final[0])) & jnp.isfinite(final[1]) & jnp.isfinite(solution.ts[1][0])
        # which of the two conditions has nothing left
        vanished = solution.event_mask & (final[1] - smallest < residual(compiled.rates(final)) - AT_REST)
        return saved, ended, (solution.event_mask, vanished), good

    return jax.lax.map(one, starts)


def check_starts(model: BinaryReLUModel, starts: object) -> None:
    """Raise `SpecificationError` unless `starts` are `Starts` that fit the model."""
    if not isinstance(starts, Starts):
        raise SpecificationError(
            "starts", "Starts", starts, "Make them with steode.binary_relu.starts(model, v, theta)."
        )
    if starts.v.shape[1] != model.rows:
        received = f"v of shape {starts.v.shape}"
        raise SpecificationError("starts", f"v with {model.rows} entries", received, "Make them with this model.")
