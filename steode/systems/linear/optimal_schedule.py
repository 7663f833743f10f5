"""The verb `optimal_schedule`: how to train for the smallest error at the end."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from steode.errors import ConvergenceError, check_positive
from steode.parts.schedule import Schedule
from steode.solvers.adaptive import solve_density
from steode.solvers.libraries import numeric
from steode.solvers.log_linear import LogLinear
from steode.systems.linear.derive import derive
from steode.systems.linear.full_precision import after_full_precision, trained
from steode.systems.linear.limit_function import fixed_mesh, limit_function
from steode.systems.linear.optimal_range import with_range
from steode.systems.linear.problem import make_problem, nominal_start
from steode.systems.linear.schedule_families import FAMILIES, Family
from steode.systems.linear.schedule_requests import check_over, checked_knots, checked_rates, families_of
from steode.systems.linear.schedules_found import OptimalSchedule, TunedSchedule
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import LinearModel

LOG = logging.getLogger(__name__)

FINE = 32
"""Intervals at whose ends every schedule is given, at least; its logarithm is linear between them."""
PEAKS = 4
"""Rates tried before gradients take over."""
RANGES = 4.0
"""By which factor the range may grow or shrink."""
STRENGTHS, FIRST_STRENGTH = (0.01, 30.0), 0.5
"""Of the dampening at the end: bounds, and the one tried first."""
LEAST_GROWTH = 1e-4
"""Part of its last strength that dampening has at least: its logarithm is followed."""
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
    over : "learning_rate"; "range", where the weights have one: a constant, tuned together with the rate, within a
        factor 4 of the model's own; "dampening", where the weights are quantized: in place of the model's own it grows
        like (1 - cos(pi tau/t_end))/2, as in Nagel et al. (2022), to a strength that is tuned too.
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
        As `limit_function`, or for a baseline that the model does not allow.
    ConvergenceError
        If no rate tried gives a finite error, or the tolerance cannot be reached.
    """
    check_model(model)
    t_end = check_positive("t_end", t_end)
    check_over(model, over)
    knots, (low, high) = checked_knots(knots), checked_rates(rates)
    tolerance = check_positive("tolerance", tolerance)
    families = families_of(model, baselines)
    tuning = _Tuning(model, t_end, over, (low, high), intervals, teacher_values, knots)
    with jax.enable_x64(True):
        found = {family.name: tuning.tuned(family) for family in families}
        whole = {name: entry for name, entry in found.items() if FAMILIES[name].switch is None}
        found["optimal"] = tuning.spline(min(whole.values(), key=lambda entry: entry[0]))
        schedules = {name: tuning.solved(name, *entry[1:], tolerance) for name, entry in found.items()}
    return OptimalSchedule(model, t_end, tuple(over), schedules)


class _Tuning:
    """The error at `t_end` and its minimizers; 64-bit floats are on.

    It is a function of log rates at the fine times and of two more numbers, the logarithms of the range, in units of
    the model's, and of the dampening at the end; either is 0 unless it is tuned.
    """

    def __init__(self, model, t_end, over, rates, intervals, teacher_values, knots):
        self.model, self.t_end, self.low, self.high = model, t_end, *rates
        self.with_range, self.with_dampening, self.knots = "range" in over, "dampening" in over, knots
        self.times = np.linspace(0.0, t_end, -(-FINE // (knots - 1)) * (knots - 1) + 1)
        # the mesh reaches as far as the highest rate takes the weights, and is as fine as a low one needs
        falling = np.where(self.times < 0.9 * t_end, self.high, max(self.low, self.high / 50))
        pull = {"dampening": Schedule(LogLinear(self.times, growth(self.times / t_end)))} if self.with_dampening else {}
        self.shaped = model.replace(learning_rate=Schedule(LogLinear(self.times, falling)), **pull)
        method = "density" if derive(model).exact_moments is None else "gaussian"
        self.size = {"intervals": intervals, "teacher_values": teacher_values}
        self.function = limit_function(self.shaped, [t_end], method=method, tolerance=1e-3, **self.size)
        self.narrow_mesh = None
        with jax.enable_x64(True):
            self.own_range = self.function.parameters.get("weight_range", 1.0)
            self.one_part = jax.jit(jax.value_and_grad(self._whole, (0, 1)))
            self.two_parts = jax.jit(jax.value_and_grad(self._switched, (0, 1)))

    def _parameters(self, logs, more, part=0.0):
        """Those of the limit after a part of the time."""
        given = {"weight_range": self.own_range * jnp.exp(more[0])} if self.with_range else {}
        if self.with_dampening:
            given["dampening"] = jnp.exp(more[1]) * growth(part + self.times / self.t_end)
        return {"learning_rate": jnp.exp(logs)} | given

    def _whole(self, logs, more):
        return self.function(self._parameters(logs, more))["eps_g"][-1]

    def _switched(self, given, more):
        """`given`: the part of the time before the switch, log rates before it, and after it at the fine times."""
        part, before, after = given
        rows = trained(self.model, self.function.rows, part * self.times, before)
        left = jnp.stack([(1 - part) * self.t_end])
        following = dataclasses.replace(self.function, rows=rows, mesh=self.narrow_mesh, times=left)
        return following(self._parameters(after, more, part))["eps_g"][-1]

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

    def tuned(self, family: Family) -> tuple[float, np.ndarray | tuple, np.ndarray]:
        """Error, log rates and the two more numbers of the best schedule of a family."""
        LOG.info("tuning the schedule %s", family.name)
        function = self.one_part
        if family.switch is not None:
            function = self.two_parts
            self.narrow_mesh = self.narrow_mesh or self._mesh_after_full_precision()
        peaks = np.geomspace(max(self.low, self.high / 30), self.high, PEAKS)
        bounds = family.bounds(self.low, self.high)

        def error(p):
            logs, pull = jax.vjp(lambda p: self.logs(family, p), jnp.asarray(p[:-2]))
            value, (by_logs, by_more) = function(logs, p[-2:])
            return value, np.append(pull(by_logs)[0], by_more)

        first = [0.0, np.log(FIRST_STRENGTH) if self.with_dampening else 0.0]
        starts = [np.append(start, first) for start in family.starts(peaks)]
        value, p = self._minimize(error, starts, bounds)
        return value, jax.tree.map(np.asarray, self.logs(family, jnp.asarray(p[:-2]))), p[-2:]

    def spline(self, best: tuple) -> tuple[float, np.ndarray, np.ndarray]:
        """The same of the schedule through `knots` values, from the best constant one and from `best`."""
        LOG.info("tuning %d rates", self.knots)
        every = (self.times.size - 1) // (self.knots - 1)
        coarse = self.times[::every]
        weights = np.stack([np.interp(self.times, coarse, row) for row in np.eye(self.knots)], axis=1)

        def error(p):
            value, (by_logs, by_more) = self.one_part(jnp.asarray(weights @ p[:-2]), p[-2:])
            return value, np.append(weights.T @ by_logs, by_more)

        level = np.full(self.knots, np.mean(best[1]))
        starts = [np.append(best[1][::every], best[2]), np.append(level, best[2])]
        bounds = [(np.log(self.low), np.log(self.high))] * self.knots
        found = [self._minimize(error, [start], bounds) for start in starts]
        value, p = min(found, key=lambda entry: entry[0])
        return value, weights @ p[:-2], p[-2:]

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
        strengths = tuple(np.log(STRENGTHS)) if self.with_dampening else (0.0, 0.0)
        found = scipy.optimize.minimize(
            finite,
            starts[int(np.argmin(values))],
            jac=True,
            method="L-BFGS-B",
            bounds=[*bounds, (-limit, limit), strengths],
            options={"maxiter": MOST_ITERATIONS, "ftol": 1e-6, "gtol": 1e-7},
        )
        return float(found.fun), found.x

    def solved(self, name: str, logs, more: np.ndarray, tolerance: float) -> TunedSchedule:
        """A tuned schedule, its error solved with error control."""
        switch, before, after = (0.0, None, logs) if isinstance(logs, np.ndarray) else logs
        scale, strength = np.exp(more)
        model = with_range(self.model, "weight_range", self.own_range * scale) if self.with_range else self.model
        every = (self.times.size - 1) // (self.knots - 1) if name == "optimal" else 1
        rate = LogLinear(self.times[::every], np.exp(after[::every]))
        # a text can be written to a file
        named = model.replace(learning_rate=Schedule(rate.expression if name == "optimal" else rate))
        part, switch = float(switch), float(switch) * self.t_end
        if self.with_dampening:
            time = f"(tau + {switch!r})" if switch else "tau"
            named = named.replace(dampening=Schedule(f"{float(strength)!r}*(1 - cos(pi*{time}/{self.t_end!r}))/2"))
        if switch == 0.0:
            start, before = nominal_start(model), None
        else:
            times = self.times * (switch / self.t_end)
            start, before = after_full_precision(model, times, before), Schedule(LogLinear(times, np.exp(before)))
        if self.function.mesh is None:
            return TunedSchedule(name, float(self.one_part(after, more)[0]), 0.0, switch, before, named)
        # rates as numbers: one compiled program serves all schedules
        model = model.replace(learning_rate=self.shaped.learning_rate, dampening=self.shaped.dampening)
        rates = {"learning_rate": np.exp(after)}
        if self.with_dampening:
            rates["dampening"] = strength * growth(part + self.times / self.t_end)
        left = np.array([self.t_end - switch])
        found = solve_density(lambda rows: (make_problem(model, *rows, rates),), (start,), left, left, tolerance)
        values = float(found.observables["eps_g"][-1]), float(found.error["eps_g"][-1])
        return TunedSchedule(name, *values, switch, before, named)


def growth(part):
    """Dampening at a part of the time, in units of that at the end."""
    part = numeric.clip(part, 0.0, 1.0)
    return numeric.maximum((1 - numeric.cos(np.pi * part)) / 2, LEAST_GROWTH)
