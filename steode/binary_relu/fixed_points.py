"""The verb `fixed_points`: stationary points of the loss, and what the surrogate's flow does there."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from steode.binary_relu.compiled import CompiledGradient, compile_gradient
from steode.bridge import compile_expression
from steode.errors import check_positive
from steode.systems.binary_relu import symbols as sym
from steode.systems.binary_relu.derivation import derive_binary_relu
from steode.systems.binary_relu.spec import BinaryReLUModel, check_model

INSIDE = 1e-6
"""Distance from the ends of [0, pi] at which one-sided derivatives are taken; it moves eigenvalues by as little."""
AT_REST = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class StationaryPoint:
    """A point where the true gradient vanishes (at the ends of [0, pi]: where no turn of w lowers the loss or none
    exists).

    Attributes
    ----------
    kind : "global minimum", "saddle", "spurious minimum", or "saddle at pi" where the spurious minima's condition
        fails.
    v, theta, length, loss : where, and f there; the length of w is free.
    coarse_gradient : |E g|, which vanishes at minima for surrogates that are zero for negative arguments.
    eigenvalues : of the Jacobian of the flow in (v, |w|, theta), sorted by real part, the largest first; empty where
        the flow does not rest. One of them is 0: a length of w that nothing restores.
    rests : True if the flow rests there.
    stable : True if it rests there and all other eigenvalues have negative real parts.
    """

    kind: str
    v: np.ndarray
    theta: float
    length: float
    loss: float
    coarse_gradient: float
    eigenvalues: np.ndarray

    @property
    def rests(self) -> bool:
        return self.eigenvalues.size > 0

    @property
    def stable(self) -> bool:
        neutral = int(np.argmin(np.abs(self.eigenvalues))) if self.rests else 0
        return self.rests and bool(np.all(np.delete(self.eigenvalues, neutral).real < 0))

    def __repr__(self) -> str:
        if self.rests:
            state = "stable" if self.stable else "unstable"
        else:
            state = f"no rest, |E g| = {self.coarse_gradient:.6g}"
        return f"{self.kind} at theta = {self.theta:.6g}, f = {self.loss:.6g}: {state}"


def fixed_points(model: BinaryReLUModel, *, length: float = 1.0) -> tuple[StationaryPoint, ...]:
    """Every stationary point of the loss in v and theta, from the derived formulas.

    The global minimum, the saddles where (1.v*)^2 < (m + 1)|v*|^2/2, and the point at theta = pi, a spurious minimum
    under the same condition. Formulas: `derive(model).landscape`.

    Parameters
    ----------
    model : the specification.
    length : |w| > 0 at which the flow is linearized; the loss does not depend on it.

    Raises
    ------
    SpecificationError
        If `model` is no `BinaryReLUModel` or the length is not positive.
    """
    check_model(model)
    length = check_positive("length", length)
    land = derive_binary_relu(model).landscape
    star = model.v_star
    values = {sym.m: model.rows, sym.S: star.sum(), sym.N: star @ star}
    with jax.enable_x64(True):
        compiled = compile_gradient(model)

        def number(expression) -> float:
            return float(compile_expression(expression, tuple(values))(*values.values()))

        kappa = number(land.saddle_kappa)
        places = [("global minimum", 1.0, 0.0)]
        if model.has_spurious_minimum:
            places.append(("saddle", kappa, number(land.saddle_angle)))
        places.append(("spurious minimum" if model.has_spurious_minimum else "saddle at pi", -1.0, np.pi))
        offset = compile_expression(land.offset, (*values, sym.kappa))
        return tuple(
            _point(compiled, kind, share * star + float(offset(*values.values(), share)), length, theta)
            for kind, share, theta in places
        )


def _point(compiled: CompiledGradient, kind: str, v: np.ndarray, length: float, theta: float) -> StationaryPoint:
    state = (jnp.asarray(v), jnp.asarray(length), jnp.asarray(theta))
    components = [float(compiled.evaluate(name, *state)) for name in ("along", "across")]
    coarse = float(np.hypot(*components))
    scale = float(compiled.v_star @ compiled.v_star)
    eigenvalues = np.zeros(0)
    if coarse <= AT_REST * scale:
        inside = (state[0], state[1], jnp.clip(state[2], INSIDE, np.pi - INSIDE))
        eigenvalues = np.linalg.eigvals(_jacobian(compiled, inside))
        eigenvalues = eigenvalues[np.argsort(-eigenvalues.real)]
    return StationaryPoint(kind, v, theta, length, float(compiled.evaluate("loss", *state)), coarse, eigenvalues)


def _jacobian(compiled: CompiledGradient, state: tuple) -> np.ndarray:
    """Derivatives of the flow at a state, (m + 2, m + 2) in the order v, |w|, theta."""
    size = state[0].size
    columns = jax.jacfwd(lambda y: jnp.concatenate([jnp.ravel(part) for part in compiled.rates(_split(y, size))]))
    return np.asarray(columns(jnp.concatenate([jnp.ravel(part) for part in state])))


def _split(y, size: int) -> tuple:
    return y[:size], y[size], y[size + 1]
