"""Measures read from the error of the limit over time."""

from collections.abc import Callable

import jax
import numpy as np

from steode.errors import ConvergenceError
from steode.studies.sweep.source import FLAG, Source, Values, compiled
from steode.systems.linear.closure import ClosureRows, closure, closure_rows, discretized, limit_parameters
from steode.systems.linear.derive import form
from steode.systems.linear.plateau import plateau
from steode.systems.linear.problem import nominal_start
from steode.systems.linear.properties import require
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.trajectory import Provenance, Trajectory

CONTINUOUS = frozenset({"learning_rate", "noise", "weight_range", "input_range", "weight_decay"})
"""Parameters one compiled Gaussian closure serves; the density equation is solved point by point."""


def _prepare(model: LinearModel, settings: dict) -> Callable[[Values], Values]:
    times = np.array(settings["times"])
    error_of = (
        _gaussian(model, times, settings) if settings["method"] == "gaussian" else _density(model, times, settings)
    )

    def evaluate(parameters: Values) -> Values:
        curves = error_of(parameters)
        solved = np.isfinite(curves).all(axis=1)
        found, pairs = {FLAG: solved}, list(zip(curves, solved, strict=True))
        for name, read in _readings(times, settings).items():
            found[name] = np.array([read(curve) if fine else np.nan for curve, fine in pairs])
        return found

    return evaluate


def _gaussian(model: LinearModel, times: np.ndarray, settings: dict) -> Callable[[Values], np.ndarray]:
    with jax.enable_x64(True):
        rows = closure_rows(discretized(model, nominal_start(model)))
    return compiled(_error, form(model)[0], rows, limit_parameters(model), times, settings["tolerance"])


def _error(shape: LinearModel, rows: ClosureRows, given: dict, times: np.ndarray, tolerance: float, point: dict):
    """Error (T,) at the parameters of a point; those that are given hold what the form of the model does not."""
    return closure(shape, rows, given | point, times, tolerance)["eps_g"]


def _density(model: LinearModel, times: np.ndarray, settings: dict) -> Callable[[Values], np.ndarray]:
    def error_of(_: Values) -> np.ndarray:
        try:
            curve = solve(model, float(times[-1]), times=times, tolerance=settings["tolerance"])["eps_g"]
        except ConvergenceError:
            curve = np.full(times.shape, np.nan)
        return curve[None, :]

    return error_of


def _readings(times: np.ndarray, settings: dict) -> dict[str, Callable[[np.ndarray], float]]:
    """What is read from a curve of shape (T,); a measure that was not asked for has no settings."""
    readings = {}
    if "plateau_tolerance" in settings:
        readings["plateau_length"] = lambda curve: _plateau_length(times, curve, settings)
    if "error" in settings:
        readings["time_to_error"] = lambda curve: _first_time(times, curve, settings["error"])
    return readings


def _plateau_length(times: np.ndarray, curve: np.ndarray, settings: dict) -> float:
    origin = Provenance("limit", settings["method"], {}, {}, "", "")
    trajectory = Trajectory(times, {"eps_g": curve}, {}, None, None, origin)
    return plateau(trajectory, tolerance=settings["plateau_tolerance"]).length


def _first_time(times: np.ndarray, curve: np.ndarray, error: float) -> float:
    """When a curve, linear between the times, first is at or below `error`; infinite if it never is."""
    reached = np.flatnonzero(curve <= error)
    if reached.size == 0:
        return np.inf
    after = reached[0]
    if after == 0:
        return float(times[0])
    share = (curve[after - 1] - error) / (curve[after - 1] - curve[after])
    return float(times[after - 1] + share * (times[after] - times[after - 1]))


def _check(model: LinearModel, settings: dict) -> None:
    require(model, "sweep of curves, gaussian" if settings["method"] == "gaussian" else "sweep of curves")


CURVES = Source(_prepare, lambda settings: CONTINUOUS if settings["method"] == "gaussian" else frozenset(), _check)
