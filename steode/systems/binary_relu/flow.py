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
    """Integrate from times[0] to times[-1] by Tsit5, stopping where w or everything comes to rest.

    Parameters
    ----------
    rates : (v, R, theta) -> their rates.
    start : v (m,), R, theta.
    times : increasing, where to save; infinity is saved after an event.
    tolerance : relative and absolute, of the step-size controller.
    at_rest, smallest : it stops where all rates are below the first, or R is below the second.
    """

    def room(t, y, args, **_):
        return jnp.minimum(residual(rates(y)) - at_rest, y[1] - smallest)

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
        # bisection: at the ends of the angle the closed forms have no derivative that could be computed
        event=diffrax.Event(room, optimistix.Bisection(1e-10, 1e-10)),
        max_steps=MAX_STEPS,
        throw=False,
    )


def residual(rates: tuple) -> Float[Array, ""]:
    """The largest rate of v, R and theta in absolute value."""
    return jnp.maximum(jnp.max(jnp.abs(rates[0])), jnp.maximum(jnp.abs(rates[1]), jnp.abs(rates[2])))
