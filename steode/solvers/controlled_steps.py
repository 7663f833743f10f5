"""The density equation by diffrax, which differentiates through a solve; `steode.solvers.march` goes forward alone."""

import diffrax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers.density import DensityOperator
from steode.solvers.time_step import Masses


class PositiveTRBDF2(diffrax.AbstractSolver):
    """`DensityOperator.step` as a diffrax solver, so that diffrax controls the step and differentiates through it."""

    term_structure = diffrax.ODETerm
    interpolation_cls = diffrax.LocalLinearInterpolation

    def order(self, terms):
        return 2

    def error_order(self, terms):
        return 3.0

    def init(self, terms, t0, t1, y0, args):
        return None

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        y1, error = args.step(y0, t1 - t0, t0)
        return y1, error, {"y0": y0, "y1": y1}, None, diffrax.RESULTS.successful

    def func(self, terms, t0, y0, args):
        now = args.at(t0)
        return now.apply(now.rates(now.force(y0)), y0)


def evolve(
    operator: DensityOperator,
    initial: Masses,
    times: Float[Array, " T"],
    snapshot_times: Float[Array, " U"],
    controller: diffrax.AbstractStepSizeController,
    first_step: Float[Array, ""] | float,
    max_steps: int,
) -> diffrax.Solution:
    """Integrate from time 0; `ys` holds the observables at `times` and the masses at `snapshot_times`.

    Steps end exactly on the saved times, so nothing is interpolated.
    """
    saveat = diffrax.SaveAt(
        subs=[
            diffrax.SubSaveAt(ts=times, fn=lambda t, y, args: args.observables(y)),
            diffrax.SubSaveAt(ts=snapshot_times, fn=lambda t, y, args: y),
        ]
    )
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: y),  # not used: the solver steps with the operator itself
        PositiveTRBDF2(),
        t0=0.0,
        t1=times[-1],
        dt0=first_step,
        y0=initial,
        args=operator,
        saveat=saveat,
        stepsize_controller=controller,
        max_steps=max_steps,
        throw=False,
    )


def adaptive_controller(tolerance, times: Float[Array, " T"]) -> diffrax.AbstractStepSizeController:
    """Step-size control by the largest L1 error over teacher values, as a fraction of the total mass."""
    controller = diffrax.PIDController(
        rtol=0.0, atol=tolerance, norm=lambda error: jnp.max(jnp.sum(jnp.abs(error), axis=-1))
    )
    return diffrax.ClipStepSizeController(controller, step_ts=times)
