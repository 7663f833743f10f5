"""The verb `optimal_range`: the quantization range with the smallest error, late or at a given time."""

import dataclasses
import logging

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy

from steode.errors import ConvergenceError, SpecificationError, check_positive
from steode.parts.stochastic import grid_of, with_grid
from steode.solvers.fixed_point import find_root, terms_at, terms_of
from steode.solvers.scalar_equations import scalar_equation
from steode.systems.linear.derive import derive
from steode.systems.linear.fixed_point_function import FixedPointFunction, fixed_point_function
from steode.systems.linear.properties import require
from steode.systems.linear.rounding import rounding_range
from steode.systems.linear.solve import check_model, solve
from steode.systems.linear.spec import LinearModel

LOG = logging.getLogger(__name__)

PARAMETERS = {"weight_range": ("weight_quantizer",), "input_range": ("input_quantizer",)}
PARAMETERS["both"] = PARAMETERS["weight_range"] + PARAMETERS["input_range"]
SCAN_POINTS = 128
COARSE_POINTS = 24
"""Ranges tried by the Gaussian closure before the density equation refines the best one."""
MOVES = 6
STEP = 1e-5
"""Of the central difference of slopes that gives the curvature, relative to the range."""
FLAT = 1e-4
"""A minimum at which |d eps_g/d log range| is above this fraction of eps_g is a kink."""


@dataclasses.dataclass(frozen=True)
class OptimalRange:
    """The range that minimizes the generalization error.

    Attributes
    ----------
    parameter : which range was varied: "weight_range", "input_range" or "both" (the same value for both).
    at : the time tau of the error, or None for the stationary state.
    range, eps_g : the minimizer, and the error there.
    curvature : second derivative of eps_g with respect to the range there; NaN where the error has a kink.
    interior : False if the minimizer is an end of the interval searched.
    rounding_range : range that minimizes the mean squared error of rounding what is quantized, w* or x, once.
    model : the specification with the optimal range.
    """

    parameter: str
    at: float | None
    range: float
    eps_g: float
    curvature: float
    interior: bool
    rounding_range: float
    model: LinearModel

    def __str__(self) -> str:
        when = "in the stationary state" if self.at is None else f"at tau = {self.at:g}"
        text = f"{self.parameter} = {self.range:.6g}: eps_g = {self.eps_g:.6g} {when}, curvature {self.curvature:.4g}"
        end = "" if self.interior else "; an end of the interval searched, not a minimum"
        return f"{text}; plain rounding error is smallest at {self.rounding_range:.6g}{end}"


def optimal_range(
    model: LinearModel,
    parameter: str = "weight_range",
    *,
    at: float | None = None,
    bounds: tuple[float, float] | None = None,
    tolerance: float = 1e-4,
) -> OptimalRange:
    """The quantization range that minimizes the asymptotic error, or the error at a given time.

    Asymptotic: the error of the smallest stable fixed point is evaluated at 128 ranges, and the lowest refined by a
    root (Brent) of the derivative, which follows from the implicit function theorem. At a given time: the Gaussian
    closure chooses among 24 ranges, and the density equation refines.

    Parameters
    ----------
    model : the specification; its own range is ignored, except as a start at a given time.
    parameter : "weight_range", "input_range", or "both" tied to one value.
    at : time tau > 0; None for the stationary state.
    bounds : interval of ranges searched; by default 0.1 to 10 times the root mean square of what is quantized (of w*
        for "both").
    tolerance : of the density equation; relative error of the range found at a given time is about its square root.

    Raises
    ------
    SpecificationError
        If an argument makes no sense or the model has no such range.
    UnsupportedError
        As `fixed_points` (without `at`).
    ConvergenceError
        If no fixed point was found at any range, or the refinement at a given time does not settle.
    """
    check_model(model)
    check_parameter(model, parameter)
    low, high = _checked_bounds(model, parameter, bounds)
    tolerance = check_positive("tolerance", tolerance)
    LOG.info("searching for the best %s", parameter)
    if at is None:
        require(model, "optimal_range")
        best, eps_g, curvature = _asymptotic(fixed_point_function(model), parameter, low, high)
    else:
        require(model, "optimal_range, at a time")
        best, eps_g, curvature = _at_time(model, parameter, check_positive("at", at), low, high, tolerance)
    interior = low * (1 + 1e-6) < best < high * (1 - 1e-6)
    source = "weight_range" if parameter == "both" else parameter
    plain = rounding_range(model, source)
    return OptimalRange(parameter, at, best, eps_g, curvature, interior, plain, with_range(model, parameter, best))


def check_parameter(model: LinearModel, parameter: str) -> None:
    """Raise `SpecificationError` unless the model has the range that `parameter` names."""
    if parameter not in PARAMETERS:
        raise SpecificationError("parameter", "one of " + ", ".join(PARAMETERS), parameter, 'Try "weight_range".')
    for name in PARAMETERS[parameter]:
        quantizer = getattr(model, name)
        grid = grid_of(quantizer)
        if grid is None or not grid.has_range:
            remedy = "Use a quantizer with a range, such as Uniform, or vary the other one."
            raise SpecificationError(name, "a quantizer with a range", quantizer, remedy)


def _checked_bounds(model: LinearModel, parameter: str, bounds) -> tuple[float, float]:
    if bounds is None:
        inputs = parameter == "input_range"
        square = np.mean(model.spectrum.values) if inputs else model.teacher.second_moment
        size = float(np.sqrt(square)) or 1.0
        return 0.1 * size, 10.0 * size
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise SpecificationError("bounds", "a pair of ranges", bounds, "For example (0.5, 4.0).") from None
    low, high = check_positive("bounds[0]", low), check_positive("bounds[1]", high)
    if low >= high:
        raise SpecificationError("bounds", "an interval low < high", bounds, "Exchange the two.")
    return low, high


def with_range(model: LinearModel, parameter: str, value: float) -> LinearModel:
    names = PARAMETERS[parameter]
    quantizers = {name: getattr(model, name) for name in names}
    grids = {name: dataclasses.replace(grid_of(quantizer), range=value) for name, quantizer in quantizers.items()}
    return model.replace(**{name: with_grid(quantizers[name], grid) for name, grid in grids.items()})


def _ranges(parameter: str, value) -> dict:
    return dict.fromkeys(["weight_range", "input_range"] if parameter == "both" else [parameter], value)


@eqx.filter_jit
def _points_along(origin, direction, rows, values, count):
    """Smallest stable roots at the first `count` ranges, whether they were found, and eps_g there."""

    def point(index, points):
        equation = _equation_along(origin, direction, rows, values[index])
        root, found = find_root(equation)
        new = root, found, terms_of(equation, root, found)["eps_g"]
        return tuple(place.at[index].set(value) for place, value in zip(points, new, strict=True))

    empty = jnp.zeros(values.shape)
    return jax.lax.fori_loop(0, count, point, (empty, jnp.zeros(values.shape, bool), empty))


@eqx.filter_jit
def _slope_at_root(origin, direction, rows, value, root):
    """d eps_g/d range: with x = F(x, r) it is dE/dr + dE/dx (dF/dr)/(1 - dF/dx), by the implicit function theorem."""

    def both(point):
        equation = _equation_along(origin, direction, rows, point[1])
        return jnp.stack([equation.implied(point[0]), terms_at(equation, point[0])["eps_g"]])

    image, error = jax.jacfwd(both)(jnp.stack([root, value]))
    return error[1] + error[0] * image[1] / (1 - image[0])


def _equation_along(origin, direction, rows, value):
    problem = jax.tree.map(lambda start, slope: start + (value - 1) * slope, origin, direction).with_input_averages()
    return scalar_equation(rows.place(problem))


def _asymptotic(function: FixedPointFunction, parameter: str, low: float, high: float) -> tuple[float, float, float]:
    with jax.enable_x64(True):
        # levels and thresholds are linear in the range: two problems give all of them, and two small programs serve
        # every model of this shape
        origin, unit = (function.without_teacher(_ranges(parameter, value)) for value in (1.0, 2.0))
        direction = jax.tree.map(lambda a, b: b - a, origin, unit)
        line = (origin, direction, function.rows)
        values = np.geomspace(low, high, SCAN_POINTS)
        errors = np.asarray(_points_along(*line, values, np.asarray(SCAN_POINTS))[2])
        if np.isnan(errors).all():
            raise ConvergenceError("optimal_range: no fixed point was found at any range.")
        index = int(np.nanargmin(errors))
        ends = values[max(index - 1, 0)], values[min(index + 1, SCAN_POINTS - 1)]

        def error_and_slope(value: float) -> tuple[float, float]:
            alone = jax.device_get(_points_along(*line, np.full(SCAN_POINTS, value), np.asarray(1)))
            root, found, error = (part[0] for part in alone)
            if not found or root == 0:
                return float(error), 0.0 * float(error)  # NaN where there is none
            return float(error), float(_slope_at_root(*line, np.asarray(value), root))

        def slope_at(value: float) -> float:
            return error_and_slope(value)[1]

        best = float(values[index])
        if slope_at(ends[0]) < 0 < slope_at(ends[1]):
            best = scipy.optimize.brentq(slope_at, *ends, xtol=1e-12 * best)
        error, slope = error_and_slope(best)
        step = STEP * best
        curvature = (slope_at(best + step) - slope_at(best - step)) / (2 * step)
    smooth = abs(slope) * best <= FLAT * error
    return best, error, curvature if smooth else np.nan


def _at_time(model, parameter: str, at: float, low: float, high: float, tolerance: float) -> tuple[float, float, float]:
    # loads diffrax, which nothing else here needs
    from steode.systems.linear.limit_function import limit_function

    values = np.geomspace(low, high, COARSE_POINTS)
    # the clipped surrogate has no closure
    closed = derive(model).gaussian_closure is not None
    method = {"method": "gaussian"} if closed else {"tolerance": 1e-2}
    errors = [solve(with_range(model, parameter, value), at, times=[at], **method)["eps_g"][-1] for value in values]
    index, ratio = int(np.argmin(errors)), values[1] / values[0]
    center = values[index]
    for _ in range(MOVES):
        ends = max(low, center / ratio), min(high, center * ratio)
        function = limit_function(with_range(model, parameter, center), [at], tolerance=tolerance)
        with jax.enable_x64(True):
            error = eqx.filter_jit(lambda value, function=function: function(_ranges(parameter, value))["eps_g"][-1])
            slope = eqx.filter_jit(jax.grad(error))
            found = scipy.optimize.minimize_scalar(
                lambda value, error=error: float(error(np.asarray(value))),
                bounds=ends,
                method="bounded",
                options={"xatol": np.sqrt(tolerance) / 10 * center},
            )
            best = float(found.x)
            # at an end of the bracket the minimum is farther out, unless that end is a bound
            if min(best - ends[0], ends[1] - best) > 0.02 * (ends[1] - ends[0]) or best in (low, high):
                step = 0.01 * best
                slopes = [float(slope(np.asarray(best + sign * step))) for sign in (-1, 1)]
                return best, float(found.fun), (slopes[1] - slopes[0]) / (2 * step)
        if (best < center and ends[0] == low) or (best > center and ends[1] == high):
            return best, float(found.fun), np.nan
        center = best
    raise ConvergenceError(f"optimal_range: no minimum found near {center:.4g}; give narrower bounds.")
