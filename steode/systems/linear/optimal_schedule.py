"""The verb `optimal_schedule`: the learning rate over time with the smallest error at the end of training."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from steode.errors import ConvergenceError, SpecificationError, UnsupportedError, check_integer, check_positive
from steode.parts.quantizers import Identity
from steode.parts.schedule import Schedule
from steode.solvers.adaptive import solve_density
from steode.solvers.log_linear import LogLinear
from steode.systems.linear.derive import derive
from steode.systems.linear.full_precision import after_full_precision, can_begin_unquantized, trained
from steode.systems.linear.limit_function import fixed_mesh, limit_function
from steode.systems.linear.optimal_range import check_parameter, with_range
from steode.systems.linear.problem import make_problem, nominal_start
from steode.systems.linear.schedule_families import FAMILIES, Family
from steode.systems.linear.schedules_found import OptimalSchedule, TunedSchedule
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import LinearModel

LOG = logging.getLogger(__name__)

OVER = ("learning_rate", "range")
FINE = 32
"""Intervals at whose ends every schedule is given, at least; its logarithm is linear between them."""
PEAKS = 4
"""Rates tried before gradients take over."""
RANGES = 4.0
"""By which factor the range may grow or shrink."""
FAILED = 1e3
"""Stands for the error where the limit fails, relative to the error at the start: a line search turns back from it."""
MOST_ITERATIONS = 30


def optimal_schedule(
    model: LinearModel,
    t_end: float,
    *,
    over: tuple[str, ...] = ("learning_rate",),
    knots: int = 9,
    rates: tuple[float, float] = (0.005, 1.0),
    baselines: tuple[str, ...] | None = None,
    intervals: int = 384,
    teacher_values: int = 12,
    tolerance: float = 1e-3,
) -> OptimalSchedule:
    """The learning-rate schedule of smallest error at the end of training, and what usual schedules reach.

    The logarithm of the rate is linear between `knots` equally spaced times: a rate positive by construction, with one
    number for each knot. They follow the gradient of the error at `t_end`, through the whole limit (`limit_function`),
    by L-BFGS within bounds, from the best constant rate and from the best of the usual schedules. Those are tuned by
    the same gradients, so that nothing is compared with a badly chosen peak. The errors returned are solved anew, each
    with the error control of `solve`.

    Usual schedules: "constant", "cosine", "warm-up-stable-decay"; and, where weights are quantized, two that begin
    without any quantizer and switch all of them on at a time that is tuned too: "full precision first" (a whole cosine
    before, a constant rate after) and "decay under quantization" (a constant rate before, a cosine after). Before the
    switch the law of the weights follows from closed moment equations.

    Parameters
    ----------
    model : the specification; its own learning rate is ignored.
    t_end : the rescaled time tau = step/d at which the error counts, > 0.
    over : "learning_rate", and "range" where the weights have one: a constant, tuned together with the rate, within a
        factor 4 of the model's own.
    knots : how many rates the schedule goes through, 2 to 24.
    rates : the lowest and the highest rate allowed.
    baselines : names of the usual schedules to tune; None: all that the model allows.
    intervals, teacher_values : size of the mesh on which schedules are tuned, as in `limit_function`.
    tolerance : of the errors returned, as in `solve`.

    Returns
    -------
    OptimalSchedule : all schedules by name, the best of them, a table, `verify` by simulation.

    Raises
    ------
    SpecificationError
        If an argument makes no sense, or the weights have no range to tune.
    UnsupportedError
        As `limit_function`; if a schedule of "dampening" is asked for, which is not derived as a function yet; or for a
        baseline that the model does not allow.
    ConvergenceError
        If no rate tried gives a finite error, or the tolerance cannot be reached.
    """
    check_model(model)
    t_end = check_positive("t_end", t_end)
    _check_over(model, over)
    knots, (low, high) = _checked_knots(knots), _checked_rates(rates)
    tolerance = check_positive("tolerance", tolerance)
    families = _families(model, baselines)
    tuning = _Tuning(model, t_end, "range" in over, (low, high), intervals, teacher_values, knots)
    with jax.enable_x64(True):
        found = {family.name: tuning.tuned(family) for family in families}
        whole = {name: entry for name, entry in found.items() if FAMILIES[name].switch is None}
        found["optimal"] = tuning.spline(min(whole.values(), key=lambda entry: entry[0]))
        schedules = {name: tuning.solved(name, *entry[1:], tolerance) for name, entry in found.items()}
    return OptimalSchedule(model, t_end, tuple(over), schedules)


class _Tuning:
    """The error at `t_end` as a function of log rates at the fine times, and its minimizers; 64-bit floats are on."""

    def __init__(self, model, t_end, with_range, rates, intervals, teacher_values, knots):
        self.model, self.t_end, self.low, self.high = model, t_end, *rates
        self.with_range, self.knots = with_range, knots
        self.times = np.linspace(0.0, t_end, -(-FINE // (knots - 1)) * (knots - 1) + 1)
        # the mesh reaches as far as the highest rate takes the weights, and is as fine as a low one needs
        falling = np.where(self.times < 0.9 * t_end, self.high, max(self.low, self.high / 50))
        self.shaped = model.replace(learning_rate=Schedule(LogLinear(self.times, falling)))
        method = "density" if derive(model).exact_moments is None else "gaussian"
        self.size = {"intervals": intervals, "teacher_values": teacher_values}
        self.function = limit_function(self.shaped, [t_end], method=method, tolerance=1e-3, **self.size)
        self.narrow_mesh = None
        with jax.enable_x64(True):
            self.own_range = self.function.parameters.get("weight_range", 1.0)
            self.one_part = jax.jit(jax.value_and_grad(self._whole, (0, 1)))
            self.two_parts = jax.jit(jax.value_and_grad(self._switched, (0, 1)))

    def _parameters(self, logs, scale):
        ranges = {"weight_range": self.own_range * jnp.exp(scale)} if self.with_range else {}
        return {"learning_rate": jnp.exp(logs)} | ranges

    def _whole(self, logs, scale):
        return self.function(self._parameters(logs, scale))["eps_g"][-1]

    def _switched(self, given, scale):
        """`given`: the part of the time before the switch, log rates before it, and after it at the fine times."""
        part, before, after = given
        rows = trained(self.model, self.function.rows, part * self.times, before)
        left = jnp.stack([(1 - part) * self.t_end])
        following = dataclasses.replace(self.function, rows=rows, mesh=self.narrow_mesh, times=left)
        return following(self._parameters(after, scale))["eps_g"][-1]

    def _mesh_after_full_precision(self):
        """A mesh as fine as the laws need that full precision leaves at a low rate."""
        rate = np.log(max(self.low, 0.1 * self.high)) + 0 * self.times
        start = after_full_precision(self.model, self.times, rate)
        return fixed_mesh(self.shaped, start, self.function.rows, self.t_end, self.size["intervals"])

    def logs(self, family: Family, p):
        """What `_whole` or `_switched` takes, from the parameters of a family."""
        part = self.times / self.t_end
        if family.switch is None:
            return self._bounded(family.rate(p, part))
        switch = p[family.switch]
        # the last rate before the switch is that of the left side
        before, after = family.rate(p, part * switch * (1 - 1e-12)), family.rate(p, switch + part)
        return switch, self._bounded(before), self._bounded(after)

    def _bounded(self, rate):
        return jnp.log(jnp.clip(rate, self.low, self.high))

    def tuned(self, family: Family) -> tuple[float, np.ndarray, float, tuple]:
        """Error, parameters and log scale of the range of the best schedule of a family, and its log rates."""
        LOG.info("tuning the schedule %s", family.name)
        function = self.one_part
        if family.switch is not None:
            function = self.two_parts
            self.narrow_mesh = self.narrow_mesh or self._mesh_after_full_precision()
        peaks = np.geomspace(max(self.low, self.high / 30), self.high, PEAKS)
        bounds = family.bounds(self.low, self.high)

        def error(p):
            logs, pull = jax.vjp(lambda p: self.logs(family, p), jnp.asarray(p[:-1]))
            value, (by_logs, by_scale) = function(logs, p[-1])
            return value, np.append(pull(by_logs)[0], by_scale)

        starts = [np.append(start, 0.0) for start in family.starts(peaks)]
        value, p = self._minimize(error, starts, bounds)
        return value, jax.tree.map(np.asarray, self.logs(family, jnp.asarray(p[:-1]))), float(p[-1])

    def spline(self, best: tuple) -> tuple[float, np.ndarray, float]:
        """The same of the schedule through `knots` values, from the best constant one and from `best`."""
        LOG.info("tuning %d rates", self.knots)
        every = (self.times.size - 1) // (self.knots - 1)
        coarse = self.times[::every]
        weights = np.stack([np.interp(self.times, coarse, row) for row in np.eye(self.knots)], axis=1)

        def error(p):
            value, (by_logs, by_scale) = self.one_part(jnp.asarray(weights @ p[:-1]), p[-1])
            return value, np.append(weights.T @ by_logs, by_scale)

        level = np.full(self.knots, np.mean(best[1]))
        starts = [np.append(best[1][::every], best[2]), np.append(level, best[2])]
        bounds = [(np.log(self.low), np.log(self.high))] * self.knots
        found = [self._minimize(error, [start], bounds) for start in starts]
        value, p = min(found, key=lambda entry: entry[0])
        return value, weights @ p[:-1], float(p[-1])

    def _minimize(self, error, starts, bounds) -> tuple[float, np.ndarray]:
        """The minimum by L-BFGS from the best of the starts."""

        def finite(p):
            value, slope = error(p)
            value, slope = float(value), np.asarray(slope)
            if not np.isfinite(value) or not np.all(np.isfinite(slope)):
                return FAILED, np.zeros(p.size)
            return value, slope

        values = [finite(start)[0] for start in starts]
        if min(values) == FAILED:
            remedy = "lower the rates, or raise intervals."
            raise ConvergenceError(f"optimal_schedule: no schedule that was tried first has a finite error; {remedy}")
        limit = np.log(RANGES) if self.with_range else 0.0
        found = scipy.optimize.minimize(
            finite,
            starts[int(np.argmin(values))],
            jac=True,
            method="L-BFGS-B",
            bounds=[*bounds, (-limit, limit)],
            options={"maxiter": MOST_ITERATIONS, "ftol": 1e-6, "gtol": 1e-7},
        )
        return float(found.fun), found.x

    def solved(self, name: str, logs, scale: float, tolerance: float) -> TunedSchedule:
        """A tuned schedule, its error solved with error control."""
        switch, before, after = (0.0, None, logs) if isinstance(logs, np.ndarray) else logs
        model = (
            with_range(self.model, "weight_range", self.own_range * np.exp(scale)) if self.with_range else self.model
        )
        every = (self.times.size - 1) // (self.knots - 1) if name == "optimal" else 1
        rate = LogLinear(self.times[::every], np.exp(after[::every]))
        # a text can be written to a file
        named = model.replace(learning_rate=Schedule(rate.expression if name == "optimal" else rate))
        switch = float(switch) * self.t_end
        if switch == 0.0:
            start, before = nominal_start(model), None
        else:
            times = self.times * (switch / self.t_end)
            start, before = after_full_precision(model, times, before), Schedule(LogLinear(times, np.exp(before)))
        if self.function.mesh is None:
            return TunedSchedule(name, float(self.one_part(after, scale)[0]), 0.0, switch, before, named)
        # rates as numbers: one compiled program serves all schedules
        model, rates = model.replace(learning_rate=self.shaped.learning_rate), {"learning_rate": np.exp(after)}
        left = np.array([self.t_end - switch])
        found = solve_density(lambda rows: (make_problem(model, *rows, rates),), (start,), left, left, tolerance)
        values = float(found.observables["eps_g"][-1]), float(found.error["eps_g"][-1])
        return TunedSchedule(name, *values, switch, before, named)


def _check_over(model: LinearModel, over) -> None:
    if isinstance(over, str) or not isinstance(over, tuple | list) or "learning_rate" not in over:
        remedy = 'For example ("learning_rate",); the range alone is tuned by optimal_range(model, at=t_end).'
        raise SpecificationError("over", 'a tuple of names with "learning_rate"', over, remedy)
    for name in over:
        if name == "dampening":
            raise UnsupportedError(
                'optimal_schedule: the limit is not a function of the schedule of "dampening" yet; compare given '
                "schedules of it by solve, and tune the learning rate under each."
            )
        if name not in OVER:
            raise SpecificationError("over", "names among " + ", ".join(OVER), name, 'For example ("learning_rate",).')
    if "range" in over:
        check_parameter(model, "weight_range")


def _checked_knots(knots) -> int:
    knots = check_integer("knots", knots, 2)
    if knots > 24:
        raise SpecificationError("knots", "at most 24", knots, "Nine rates come within a percent of the best schedule.")
    return knots


def _checked_rates(rates) -> tuple[float, float]:
    if not isinstance(rates, tuple | list) or len(rates) != 2:
        raise SpecificationError("rates", "a pair (lowest, highest)", rates, "For example (0.005, 1.0).")
    low, high = (check_positive("rates", rate) for rate in rates)
    if not 2 * low <= high:
        raise SpecificationError("rates", "a highest rate of at least twice the lowest", rates, "Widen the interval.")
    return low, high


def _families(model: LinearModel, baselines) -> list[Family]:
    whole = [family for family in FAMILIES.values() if family.switch is None]
    refusal = "the weights are not quantized" if isinstance(model.weight_quantizer, Identity) else ""
    refusal = refusal or can_begin_unquantized(model)
    if baselines is None:
        return whole if refusal else list(FAMILIES.values())
    if isinstance(baselines, str) or not all(name in FAMILIES for name in baselines):
        raise SpecificationError("baselines", "names among " + ", ".join(FAMILIES), baselines, "Or None for all.")
    chosen = [FAMILIES[name] for name in baselines]
    for family in chosen:
        if family.switch is not None and refusal:
            raise UnsupportedError(f"optimal_schedule, {family.name}: {refusal}; leave this baseline out.")
    return chosen or whole[:1]
