"""The verb `descend`: coarse-gradient descent on the population, with the derived gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from steode.errors import check_integer
from steode.systems.binary_relu.compiled import CompiledGradient, compile_gradient
from steode.systems.binary_relu.results import CoarseRuns
from steode.systems.binary_relu.solve import check_starts
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model
from steode.systems.binary_relu.starts import Starts


def descend(model: BinaryReLUModel, starts: Starts, steps: int, *, every: int = 1) -> CoarseRuns:
    """v <- v - step df/dv, w <- w - step E g, with w in all n dimensions, from many starts at once.

    The loss of every recorded step is the population's. In one step w may pass close to 0 and turn at any angle, which
    the flow cannot.

    Parameters
    ----------
    model : the specification, with the step size.
    starts : from `steode.binary_relu.starts` or `random_starts`.
    steps : number of steps, >= 1.
    every : steps between records, >= 1; `steps` is rounded down to a multiple.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    """
    check_model(model)
    check_starts(model, starts)
    steps, every = check_integer("steps", steps, 1), check_integer("every", every, 1, steps)
    with jax.enable_x64(True):
        compiled = compile_gradient(model)
        given = jnp.asarray(starts.v), jnp.asarray(starts.filters(model))
        star = jnp.asarray(model.w_star)
        found = jax.device_get(_descend(compiled, star, jnp.asarray(model.step), given, steps // every, every))
    return CoarseRuns(model, "population", every * np.arange(steps // every + 1), **found)


@eqx.filter_jit
def _descend(compiled: CompiledGradient, star, step, given, blocks: int, every: int):
    def polar(w):
        """Length, angle, and the unit vectors along w and across it."""
        length = jnp.linalg.norm(w)
        e = w / length
        # 1 - cos would lose the small angles
        rest = star - (star @ e) * e
        size = jnp.linalg.norm(rest)
        return length, jnp.arctan2(size, star @ e), e, rest / jnp.where(size > 0, size, 1.0)

    def one(state, _):
        v, w = state
        length, theta, e, across = polar(w)
        coarse = compiled.evaluate("along", v, length, theta) * e
        coarse = coarse + compiled.evaluate("across", v, length, theta) * across
        return (v - step * compiled.output_gradient(v, theta), w - step * coarse), None

    def observe(state):
        v, w = state
        length, theta, *_ = polar(w)
        return {"theta": theta, "length": length, "v": v, "loss": compiled.evaluate("loss", v, length, theta)}

    def run(v, w):
        def block(state, _):
            return lax.scan(one, state, length=every)[0], observe(state)

        state, found = lax.scan(block, (v, w), length=blocks)
        return {name: jnp.concatenate([found[name], value[None]]) for name, value in observe(state).items()}

    return jax.vmap(run)(*given)
