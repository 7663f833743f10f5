"""The verb `fixed_points`: stationary points of the loss, and what the surrogate's flow does there."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode.errors import check_positive
from steode.systems.binary_relu import symbols as sym
from steode.systems.binary_relu.compiled import CompiledGradient, compile_gradient
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
    values = {sym.m: model.rows, sym.S: float(star.sum()), sym.N: float(star @ star)}
    kappa, angle = (float(value.subs(values)) for value in (land.saddle_kappa, land.saddle_angle))
    places = [("global minimum", 1.0, 0.0)]
    if model.has_spurious_minimum:
        places.append(("saddle", kappa, angle))
    places.append(("spurious minimum" if model.has_spurious_minimum else "saddle at pi", -1.0, np.pi))
    with jax.enable_x64(True):
        compiled = compile_gradient(model)
        return tuple(
            _point(compiled, kind, share * star + float(land.offset.subs(values | {sym.kappa: share})), length, theta)
            for kind, share, theta in places
        )


def _point(compiled: CompiledGradient, kind: str, v: np.ndarray, length: float, theta: float) -> StationaryPoint:
    state = (jnp.asarray(v), jnp.asarray(length), jnp.asarray(theta))
    loss, along, across, jacobian = jax.device_get(_linearized(compiled, state))
    coarse, scale = float(np.hypot(along, across)), float(np.sum(np.asarray(compiled.v_star) ** 2))
    eigenvalues = np.zeros(0)
    if coarse <= AT_REST * scale:
        eigenvalues = np.linalg.eigvals(jacobian)
        eigenvalues = eigenvalues[np.argsort(-eigenvalues.real)]
    return StationaryPoint(kind, v, theta, length, float(loss), coarse, eigenvalues)


@eqx.filter_jit
def _linearized(compiled: CompiledGradient, state: tuple) -> tuple:
    """Loss, the coarse gradient's components, and the derivatives of the flow in the order v, |w|, theta."""
    size = state[0].size
    values = (compiled.evaluate(name, *state) for name in ("loss", "along", "across"))

    def rates(y):
        return jnp.concatenate([jnp.ravel(rate) for rate in compiled.rates((y[:size], y[size], y[size + 1]))])

    inside = jnp.clip(state[2], INSIDE, np.pi - INSIDE)
    return *values, jax.jacfwd(rates)(jnp.concatenate([state[0], jnp.stack([state[1], inside])]))
