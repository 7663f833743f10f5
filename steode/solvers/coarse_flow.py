"""The coarse-gradient flow of v, R = |w| and theta, with events for convergence and for R -> 0."""

from collections.abc import Callable

import diffrax
import jax.numpy as jnp
import optimistix
from jaxtyping import Array, Float

MAX_STEPS = 100_000


def flow(
    rates: Callable,
    start: tuple,
    times: Float[Array, " T"],
    tolerance: float,
    at_rest: float,
    smallest: float,
) -> diffrax.Solution:
    """Integrate from times[0] to times[-1] by Tsit5, stopping at whichever event comes first.

    Parameters
    ----------
    rates : (v, R, theta) -> their rates.
    start : v (m,), R, theta.
    times : increasing, where to save; infinity is saved after an event.
    tolerance : relative and absolute, of the step-size controller.
    at_rest : event 0: all rates are smaller.
    smallest : event 1: R is smaller.
    """

    def residual(t, y, args, **_):
        dv, dR, dtheta = rates(y)
        return jnp.maximum(jnp.max(jnp.abs(dv)), jnp.maximum(jnp.abs(dR), jnp.abs(dtheta))) - at_rest

    def room(t, y, args, **_):
        return y[1] - smallest

    saveat = diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)])
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: rates(y)),
        diffrax.Tsit5(),
        t0=times[0],
        t1=times[-1],
        dt0=None,
        y0=start,
        saveat=saveat,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        event=diffrax.Event([residual, room], optimistix.Newton(1e-8, 1e-8)),
        max_steps=MAX_STEPS,
        throw=False,
    )
