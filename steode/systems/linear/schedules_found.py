"""What `optimal_schedule` returns: tuned schedules beside each other, and their check by simulation."""

import dataclasses

import jax
import numpy as np

from steode.errors import SpecificationError, check_integer
from steode.parts.quantizers import StepFunction
from steode.parts.schedule import Schedule
from steode.systems.linear.fixed_point_function import without_quantizers
from steode.systems.linear.simulate import simulate
from steode.systems.linear.spec import LinearModel


@dataclasses.dataclass(frozen=True)
class TunedSchedule:
    """One schedule with the best numbers found for it.

    Attributes
    ----------
    name : "optimal", or that of a usual schedule.
    eps_g, error : the generalization error at the end in the limit, and its estimated numerical error (0 where moment
        equations are exact).
    quantized_from : the time tau at which the quantizers are switched on; 0: they are on all the time.
    before : the rate until then, a function of tau; None where there is no such time.
    model : the specification trained with quantizers, with its range and the rate as a function of the time since
        `quantized_from`.
    """

    name: str
    eps_g: float
    error: float
    quantized_from: float
    before: Schedule | None
    model: LinearModel

    def rate(self, tau) -> np.ndarray:
        """The learning rate at each time, of the shape of tau."""
        from steode.bridge import entrywise_function

        tau = np.asarray(tau, dtype=float)
        with jax.enable_x64(True):
            after = np.asarray(
                jax.vmap(entrywise_function(self.model.learning_rate))(tau.ravel() - self.quantized_from)
            )
            if self.before is None:
                return after.reshape(tau.shape)
            before = np.asarray(jax.vmap(entrywise_function(self.before))(tau.ravel()))
        return np.where(tau.ravel() < self.quantized_from, before, after).reshape(tau.shape)


@dataclasses.dataclass(frozen=True)
class ScheduleCheck:
    """Runs of a schedule beside its limit: `z` = (mean - limit)/uncertainty.

    Attributes
    ----------
    name, limit, limit_error : the schedule, and eps_g at the end in the limit with its estimated numerical error.
    mean, standard_error : of eps_g at the end over the runs.
    resolution : by how much one weight of all the runs' weights on another level would change the mean: where all rest
        at the same level, the spread over the runs is nothing and says nothing. 0 for weights without levels.
    dim, seeds : of the runs.
    """

    name: str
    limit: float
    limit_error: float
    mean: float
    standard_error: float
    resolution: float
    dim: int
    seeds: int

    @property
    def z(self) -> float:
        """Standard errors between the runs and the limit; its numerical error and `resolution` count among them."""
        uncertain = float(np.sqrt(self.standard_error**2 + self.limit_error**2 + self.resolution**2))
        if uncertain == 0:
            return 0.0 if self.mean == self.limit else np.inf
        return (self.mean - self.limit) / uncertain

    def __str__(self) -> str:
        runs = f"{self.mean:.5f} +- {self.standard_error:.5f} ({self.seeds} runs, d = {self.dim})"
        return f"{self.name}: limit {self.limit:.5f}, runs {runs}, z = {self.z:.2f}"


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class OptimalSchedule:
    """The best schedule found, beside the usual ones, each with its own best numbers.

    Attributes
    ----------
    model, t_end, over : as given to `optimal_schedule`.
    schedules : name -> TunedSchedule: the usual ones, and "optimal", the rate through free knots.
    """

    model: LinearModel
    t_end: float
    over: tuple[str, ...]
    schedules: dict[str, TunedSchedule]

    @property
    def optimal(self) -> TunedSchedule:
        """The schedule through free knots, under quantization from the start."""
        return self.schedules["optimal"]

    @property
    def best(self) -> TunedSchedule:
        """The schedule of smallest error, of all of them."""
        return min(self.schedules.values(), key=lambda entry: entry.eps_g)

    def __getitem__(self, name: str) -> TunedSchedule:
        if name not in self.schedules:
            raise SpecificationError("name", "one of " + ", ".join(self.schedules), name, "")
        return self.schedules[name]

    def __repr__(self) -> str:
        width = max(map(len, self.schedules))
        ranged = "range" in self.over
        head = f"{'schedule':<{width}} {'eps_g':>9} {'error':>8} {'quantized from':>15} {'first rate':>11} {'last':>8}"
        lines = [head + (f" {'range':>8}" if ranged else "")]
        for name, entry in sorted(self.schedules.items(), key=lambda item: item[1].eps_g):
            first, last = entry.rate(np.array([0.0, self.t_end]))
            row = f"{name:<{width}} {entry.eps_g:9.5f} {entry.error:8.1e} {entry.quantized_from:15.4g} {first:11.4g}"
            scale = f" {entry.model.weight_quantizer.scale:8.4g}" if ranged else ""
            lines.append(f"{row} {last:8.3g}{scale}")
        return "\n".join([f"error at tau = {self.t_end:g}, best first", *lines])

    def verify(self, dim: int, *, seeds: int = 8, key: int = 0, name: str | None = None) -> ScheduleCheck:
        """Run the training itself with a schedule, the best one unless another is named, and hold it to the limit.

        With a switch these are two runs: without quantizers until then, and with them from the weights reached.
        Expect |z| of order one up to the gap of order 1/d between runs and limit.

        Parameters
        ----------
        dim, seeds, key : as in `steode.simulate`; at least two seeds. Samples after a switch are drawn with key + 1.
        """
        chosen = self.best if name is None else self[name]
        check_integer("seeds", seeds, 2)
        options = {"seeds": seeds, "dtype": "float64", "progress": False}
        start, left = {}, self.t_end - chosen.quantized_from
        if chosen.before is not None:
            first, switch = without_quantizers(chosen.model), chosen.quantized_from
            first = first.replace(learning_rate=chosen.before)
            run = simulate(first, dim, switch, times=[switch], snapshot_times=[switch], key=key, **options)
            weights = run.snapshots
            start = {"teacher_weights": weights.teacher, "initial_weights": weights.weights[:, -1]}
            key += 1
        run = simulate(chosen.model, dim, left, times=[left], key=key, **start, **options)
        errors = run["eps_g"][:, -1]
        spread = float(errors.std(ddof=1) / np.sqrt(seeds))
        grid, resolution = chosen.model.weight_quantizer, 0.0
        if isinstance(grid, StepFunction):
            resolution = float(np.diff(grid.levels).max() ** 2) / (2 * dim * seeds)
        limit = chosen.name, chosen.eps_g, chosen.error
        return ScheduleCheck(*limit, float(errors.mean()), spread, resolution, dim, seeds)
