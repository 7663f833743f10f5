"""`solve`, the derived flow in numbers; `descend`, literal gradient descent; `order`, how fast the two approach.

A run is a `Path`, whichever made it.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from steode.bridge import compile_expression
from steode.errors import SpecificationError, UnsupportedError, check_increasing, check_integer, check_positive
from steode.systems.gradient_flows import integration, simulation, spec
from steode.systems.gradient_flows.derivations import completion, cooccurrence, potentials, univariate
from steode.systems.gradient_flows.derive import MODELS, derive

JUMPS = 1e-6
"""Smallest relative tolerance of predictions where the flow's field jumps."""


@dataclasses.dataclass(frozen=True, eq=False)
class Path:
    """One run.

    Attributes
    ----------
    model : the specification.
    method : "flow" or "descent".
    times : (T,); steps times step size, or log(1/loss) where that was the clock.
    predicted : (T, N) predictions on the data, or (T, d, d) the matrix of a completion.
    log_loss : (T,), natural logarithm.
    state : name -> (T, ...): the reduced variables of the flow, or the trained parameters.
    """

    model: object
    method: str
    times: np.ndarray
    predicted: np.ndarray
    log_loss: np.ndarray
    state: dict

    @property
    def loss(self) -> np.ndarray:
        """The loss, (T,); zero where no float is as small."""
        return np.exp(self.log_loss)


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """Descent beside the flow at one time: `distances` of predictions for `steps`, and the slope of their logs."""

    steps: np.ndarray
    distances: np.ndarray

    @property
    def slope(self) -> float:
        """Measured order in the step size; 1 if descent follows the flow."""
        return float(np.polyfit(np.log(self.steps), np.log(self.distances), 1)[0])


def solve(model, times, *, clock: str = "time", rtol: float = 1e-9) -> Path:
    """Integrate the derived flow of `model`.

    Parameters
    ----------
    model : a specification of this room.
    times : increasing times >= 0, or values of log(1/loss) beyond that of the start where `clock` is "accuracy".
    clock : "time", or "accuracy" (`DiagonalModel` only): the path by the loss it has reached, in the logarithm, so that
        losses such as 1e-10000 are reached without a number of that size.
    rtol : tolerance of the integration; of predictions, and at least 1e-6, for a `UnivariateModel`.

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    ConvergenceError
        If the tolerance cannot be kept.
    """
    _check_model(model)
    given = np.array(check_increasing("times", np.atleast_1d(times).tolist(), 1))
    check_positive("rtol", rtol)
    if clock not in ("time", "accuracy") or (clock == "accuracy" and not isinstance(model, spec.DiagonalModel)):
        raise SpecificationError("clock", '"time", or "accuracy" for a DiagonalModel', clock, 'Leave it at "time".')
    first = 0.0 if clock == "time" else -np.log(len(model.inputs))
    if given[0] < first:
        raise SpecificationError("times", f"numbers >= {first:.4g}, where the flow starts", given[0], "Leave it out.")
    added = given[0] > first
    with jax.enable_x64(True):
        clocked = np.concatenate([[first], given]) if added else given
        predicted, log_loss, state = _flow(model, clocked, clock, rtol)
    kept = slice(int(added), None)
    return Path(
        model, "flow", given, predicted[kept], log_loss[kept], {name: value[kept] for name, value in state.items()}
    )


def descend(model, step: float, steps: int, every: int = 1, *, dtype: str = "float64") -> Path:
    """Literal full-batch gradient descent from the same start, by `jax.grad` of the loss.

    Parameters
    ----------
    model : a specification of this room.
    step : step size > 0.
    steps : their number, a multiple of `every`.
    every : steps between records.
    dtype : "float64", or "float32".

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    ConvergenceError
        If descent diverges.
    """
    _check_model(model)
    check_positive("step", step)
    check_integer("every", every, 1)
    check_integer("steps", steps, 1)
    if steps % every:
        raise SpecificationError("steps", f"a multiple of {every}", steps, "Or change every.")
    if dtype not in ("float64", "float32"):
        raise SpecificationError("dtype", '"float64" or "float32"', dtype, "Double precision is the default.")
    with jax.enable_x64(dtype == "float64"):
        state, predicted, loss = simulation.descend_states(model, step, steps, every)
    with np.errstate(divide="ignore"):
        return Path(model, "descent", step * every * np.arange(steps // every + 1), predicted, np.log(loss), state)


def order(model, t_end: float, steps: tuple[int, ...] = (100, 200, 400, 800)) -> Order:
    """Largest distance of the predictions of descent in 100, 200, ... `steps` from the flow's at `t_end` of `model`."""
    check_positive("t_end", t_end)
    flow = solve(model, [t_end], rtol=1e-11)
    ends = [descend(model, t_end / count, count, count).predicted[-1] for count in steps]
    distances = np.array([np.abs(end - flow.predicted[-1]).max() for end in ends])
    return Order(t_end / np.array(steps), distances)


def coefficients(path: Path) -> np.ndarray:
    """beta of a diagonal network or sparse regression along a path, (T, d)."""
    if path.method == "flow":
        return np.array(path.state["beta"])
    model, state = path.model, path.state
    if isinstance(model, spec.DiagonalModel):
        return state["u"] ** model.depth - state["w"] ** model.depth
    return model.linear * state["v"] + model.strength * (state["w"] ** 2 - state["u"] ** 2)


def _check_model(model) -> None:
    if not isinstance(model, MODELS):
        raise SpecificationError(
            "model", "a specification of steode.gradient_flows", model, "For example DiagonalModel()."
        )


@functools.singledispatch
def _flow(model, times, clock, rtol):
    """Predictions, log losses and reduced state at times, of which the first is the start."""
    raise UnsupportedError(f"solve: the flow of {type(model).__name__} is not derived.")


@_flow.register
def _(model: spec.DiagonalModel, times, clock, rtol):
    functions, numbers = derive(model).functions, {potentials.alpha: model.scale}
    inputs = model.data()["inputs"]
    h, slope = (
        compile_expression(functions[name].subs(numbers), (potentials.q,))
        for name in ("coefficient", "coefficient_slope")
    )
    force = compile_expression(functions["force"], (potentials.f,))
    if clock == "time":
        field = integration.potential_field(inputs, h, force)
    else:
        field = integration.accuracy_field(inputs, h, slope, force)
    nu = integration.integrate(field, np.zeros(len(inputs)), times, rtol, stiff=True)
    beta = np.asarray(h(nu @ inputs))
    predicted = beta @ inputs.T
    return predicted, logsumexp(-predicted, axis=1), {"nu": nu, "beta": beta}


@_flow.register
def _(model: spec.SparseModel, times, clock, rtol):
    data, functions = model.data(), derive(model).functions
    h = _at(
        functions["coefficient"], {potentials.alpha: model.scale, potentials.strength: model.strength}, potentials.q
    )
    force = compile_expression(functions["force"], (potentials.f, potentials.y, potentials.n))
    targets, samples = data["targets"], float(model.samples)
    field = integration.potential_field(data["inputs"], h, lambda f: force(f, targets, samples))
    nu = integration.integrate(field, np.zeros(model.samples), times, rtol, stiff=model.samples <= 100)
    beta = np.asarray(h(nu @ data["inputs"]))
    predicted = beta @ data["inputs"].T
    return predicted, _log_squares(predicted - targets, 2 * samples), {"nu": nu, "beta": beta}


@_flow.register
def _(model: spec.UnivariateModel, times, clock, rtol):
    data, start, functions = model.data(), model.start(), derive(model).functions
    u = univariate
    of = (u.x, u.y, u.f, u.r, u.theta, u.delta, u.on)
    both = [compile_expression(rate, of) for rate in functions["rates"]]
    unit = compile_expression(functions["unit"], (u.x, u.r, u.theta, u.on))
    delta = compile_expression(functions["delta"], (u.a, u.b, u.c))(start["a"], start["b"], start["c"])
    field = integration.neuron_field(
        data["x"], data["y"], delta, lambda *given: tuple(rate(*given) for rate in both), unit
    )
    first = start["c"] * np.hypot(start["a"], start["b"]), np.arctan2(start["b"], start["a"])
    shown = functools.partial(integration.network_value, data["x"], unit=unit)
    # knots come to rest on samples, where the field jumps
    r, theta = integration.integrate_with_jumps(field, first, times, max(rtol, JUMPS), lambda found: shown(*found))
    predicted = shown(r, theta)
    log_loss = _log_squares(predicted - data["y"], 2 / model.width)
    return predicted, log_loss, {"r": r, "theta": theta}


@_flow.register
def _(model: spec.CooccurrenceModel, times, clock, rtol):
    data, start, flow = model.data(), model.start(), derive(model)
    co, functions = cooccurrence, flow.functions
    of = (*functions["arguments"][0], *functions["arguments"][1])
    parts = {name: _all(functions[name], of) for name in ("weights", "score_slopes")}
    parts["slope"] = compile_expression(functions["slope"], (co.y, co.F))
    sizes = (co.d, co.m, co.m_1, co.root, co.a)
    compiled = _all(flow.reduction.rates, (*sizes, co.c, co.H, *co.REDUCED))
    fixed = (model.vocabulary, model.width, model.neurons, model.width**0.5, jnp.asarray(start["a"][:, None]))
    field = integration.sentence_field(
        data["words"], data["labels"], model.vocabulary, parts, lambda *given: compiled(*fixed, *given)
    )
    v = start["W"].T @ start["a"]
    V, K, Q = (start[name] for name in ("W_V", "W_K", "W_Q"))
    first = (np.array([[v @ v]]), (V.T @ v)[:, None], V.T @ V, K.T @ Q / model.width**0.5, K.T @ K, Q.T @ Q)
    found = integration.integrate(field, first, times, rtol)
    state = dict(zip(("s", "G", "A", "S", "P_K", "P_Q"), found, strict=True))
    state["G"] = state["G"][..., 0]
    attend = jax.jit(lambda G, S: integration.attention(data["words"], G, S, parts)[2])
    predicted = np.stack([np.asarray(attend(G, S)) for G, S in zip(state["G"], state["S"], strict=True)])
    return predicted, np.log(np.logaddexp(0, -data["labels"] * predicted).mean(axis=1)), state


@_flow.register
def _(model: spec.CompletionModel, times, clock, rtol):
    data, start = model.data(), model.start()
    metric = compile_expression(derive(model).functions["metric"], (completion.p, completion.t))
    first = start["U"] @ np.diag(start["singular"]) @ start["V"].T
    W = integration.integrate(integration.product_field(data["target"], data["mask"], metric), first, times, rtol)
    return W, _log_squares((data["mask"] * (W - data["target"])).reshape(len(W), -1), 2.0), {"W": W}


def _at(expression, numbers: dict, variable) -> Callable:
    return compile_expression(expression.subs(numbers), (variable,))


def _all(expressions: tuple, arguments: tuple) -> Callable:
    functions = [compile_expression(expression, arguments) for expression in expressions]
    return lambda *values: tuple(function(*values) for function in functions)


def _log_squares(residual: np.ndarray, over: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.sum(residual**2, axis=1) / over)
