"""From the derived formulas to functions of arrays: the model's numbers meet them here."""

import functools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.bridge import compile_expression
from steode.systems.binary_relu import symbols as sym
from steode.systems.binary_relu.coarse_gradient import CoarseGradient
from steode.systems.binary_relu.derivation import derive_binary_relu
from steode.systems.binary_relu.plane_averages import plane_averages
from steode.systems.binary_relu.spec import BinaryReLUModel
from steode.systems.binary_relu.surrogates import Surrogate, X

OVERLAPS = (sym.a, sym.b, sym.c, sym.S, sym.N, sym.R, sym.theta)
AVERAGES = (sym.G_0, sym.G_1, sym.G_e, sym.G_p)


class CompiledGradient(eqx.Module):
    """Loss, gradients and flow of one model at v (m,), R = |w| and theta; to be used under `jax.enable_x64(True)`.

    `v_star` has shape (m,). `formulas` evaluates a formula of OVERLAPS and AVERAGES by its name.
    """

    v_star: Float[Array, " m"]
    averages: Callable = eqx.field(static=True)  # (R, theta) -> G_0, G_1, G_e, G_p
    formulas: tuple[tuple[str, Callable], ...] = eqx.field(static=True)
    slope: Callable = eqx.field(static=True)  # df/dv_i

    def evaluate(self, name: str, v, R, theta) -> Float[Array, ""]:
        """One of loss, filter_gradient, along, across, correlation, growth (of R) and turning (of theta)."""
        return dict(self.formulas)[name](*self._overlaps(v), R, theta, *self.averages(R, theta))

    def output_gradient(self, v: Float[Array, " m"], theta) -> Float[Array, " m"]:
        """df/dv."""
        return self.slope(v, self.v_star, jnp.sum(v), jnp.sum(self.v_star), theta)

    def rates(self, state: tuple) -> tuple[Float[Array, " m"], Float[Array, ""], Float[Array, ""]]:
        """The flow: rates of v, R and theta."""
        v, R, theta = state
        # an integrator's last digits may leave the interval, and gates know no angle beyond its ends
        state = v, R, jnp.clip(theta, 0, jnp.pi)
        return -self.output_gradient(v, state[2]), self.evaluate("growth", *state), self.evaluate("turning", *state)

    def _overlaps(self, v):
        star = self.v_star
        return jnp.sum(v * v), jnp.sum(v), jnp.sum(v * star), jnp.sum(star), jnp.sum(star * star)


def compile_gradient(model: BinaryReLUModel) -> CompiledGradient:
    """Derive and compile a model's formulas."""
    found = derive_binary_relu(model)
    slope = compile_expression(found.output_gradient, (sym.v, sym.v_star, sym.b, sym.S, sym.theta))
    return CompiledGradient(jnp.asarray(model.v_star), compile_averages(model.surrogate), _formulas(found), slope)


@functools.lru_cache(maxsize=16)
def compile_averages(surrogate: Surrogate) -> Callable:
    """(R, theta) -> G_0, G_1, G_e and G_p: closed forms where they were found, else quadrature."""
    model = BinaryReLUModel(rows=1, filter_size=2, surrogate=surrogate)
    closed = derive_binary_relu(model).averages
    if closed is None:
        derivative = compile_expression(surrogate.derivative, (X,))
        return functools.partial(plane_averages, lambda x: derivative(x) + 0 * x, surrogate.kinks)
    functions = [compile_expression(closed.substitution[symbol], (sym.R, sym.theta)) for symbol in AVERAGES]
    return lambda R, theta: tuple(function(R, theta) for function in functions)


@functools.lru_cache(maxsize=8)
def _formulas(found: CoarseGradient) -> tuple[tuple[str, Callable], ...]:
    names = ("loss", "filter_gradient", "along", "across", "correlation")
    expressions = {name: getattr(found, name) for name in names}
    expressions |= {"growth": found.flow[1], "turning": found.flow[2]}
    return tuple((name, compile_expression(value, (*OVERLAPS, *AVERAGES))) for name, value in expressions.items())
