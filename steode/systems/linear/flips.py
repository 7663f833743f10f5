"""The verb `flips`: how many weights change their level in one step, in the limit, at a fixed point, and in runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from steode.bridge import entrywise_function
from steode.errors import SpecificationError, UnsupportedError
from steode.parts.schedule import Schedule
from steode.parts.surrogates import ClippedSurrogate
from steode.parts.update_rules import KineticMomentum
from steode.solvers import stationary
from steode.systems.linear.fixed_point import FixedPoint
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.step_length import check_steps, mean_steps
from steode.systems.linear.trajectory import Trajectory

EQUAL = 1e-9
"""Relative distance within which a threshold and a node, or a bound, are the same."""


@dataclasses.dataclass(frozen=True, eq=False)
class Flips:
    """Rates of flips in units of d^-1/2: the share of weights that pass a threshold in one step, times sqrt(d).

    With `KineticMomentum`, whose weights pass a threshold a finite number of times in a unit of tau, in units of 1/d.

    Attributes
    ----------
    model : the specification.
    kind : "limit", "fixed point" or "simulation".
    times : (T,); of a simulation the ends of the windows between records, the first record being the first beginning;
        empty for a fixed point.
    thresholds : (n - 1,).
    rate : through each threshold, (T, n - 1); (n - 1,) for a fixed point.
    error : standard errors of `rate` over the seeds of a simulation (NaN for one seed), zeros otherwise.
    total, total_error : the same of all thresholds together, (T,); single numbers for a fixed point. A step that passes
        two thresholds at once counts twice, which has no weight in the limit.
    """

    model: LinearModel
    kind: str
    times: np.ndarray
    thresholds: np.ndarray
    rate: np.ndarray
    error: np.ndarray
    total: np.ndarray
    total_error: np.ndarray

    def per_step(self, dim: int) -> np.ndarray:
        """The share of weights that flip in one step at dimension `dim`, of the shape of `total`."""
        return self.total / unit(self.model, dim)

    def __repr__(self) -> str:
        names = " ".join(f"{f'T = {threshold:.4g}':>12}" for threshold in self.thresholds)
        lines = [f"{'tau':>10} {names} {'total':>10} {'error':>8}"]
        rates, totals, errors = np.atleast_2d(self.rate), np.atleast_1d(self.total), np.atleast_1d(self.total_error)
        times = [f"{time:10.4g}" for time in self.times] or ["infinity".rjust(10)]
        shown = np.unique(np.linspace(0, len(times) - 1, min(len(times), 11)).round().astype(int))
        for index in shown:
            cells = " ".join(f"{value:12.5f}" for value in rates[index])
            lines.append(f"{times[index]} {cells} {totals[index]:10.5f} {errors[index]:8.1e}")
        scale = "d" if isinstance(self.model.update_rule, KineticMomentum) else "sqrt(d)"
        return "\n".join([f"flips per step times {scale}, {self.kind}", *lines])


def unit(model: LinearModel, dim: int) -> float:
    """What the share of weights that flip in a step is multiplied by at dimension `dim`."""
    return float(dim) if isinstance(model.update_rule, KineticMomentum) else np.sqrt(dim)


def flips(found: FixedPoint | Trajectory) -> Flips:
    r"""Flips of quantized weights per step, times sqrt(d), through every threshold and in total.

    A step moves a weight by delta = O(d^-1/2), and the density mu of the latent weights hardly changes over that
    distance: the share that passes the threshold T is E|delta| mu(T), half of it in either direction. Given the inputs,
    the residuals of a batch are independent and normal, so that

        sqrt(d) E|delta| = eta sqrt(2 V/pi) E|z|_B / B,

    with |z|_B the Euclidean length of the B quantized inputs of one coordinate (E|Q_x(x)| for B = 1), an exact
    one-dimensional integral. With `SignSGD` every step has the length eta/sqrt(d), unless all B inputs vanish. With a
    spectrum each eigenvalue has its own length. Under a clipped surrogate a threshold beyond the bound is never passed,
    and one at the bound only by weights that freeze there, fewer than d^-1/2 of them in a step.

    With `KineticMomentum` the weights have a velocity, at a fixed point normal and independent of where they are: d
    times the share is that velocity's mean size times the density, eta sqrt(gamma alpha_2 c_2/(pi B)) mu(T), Rice's
    formula (1944).

    At a fixed point and a small learning rate the rate does not contain the learning rate: the density at a threshold
    is proportional to 1/eta. For one target a between the levels L and L' it is
    (4/pi) (a - L)(L' - a)/((L' - L) sqrt(V)) for inputs that are not quantized.

    Parameters
    ----------
    found : a fixed point (`fixed_points(model)[0]`; exact stationary density); a limit solved with
        `solve(model, t_end, snapshot_times=...)`, whose density gives the rate at these times; or a run of
        `simulate(..., flips=True)`, in which flips are counted, as averages between its record times.

    Raises
    ------
    SpecificationError
        If `found` is none of these, or has neither a density nor counts.
    UnsupportedError
        For the limit, where the law of a step is not derived: weights without levels, momentum (whose steps are sums),
        zeroth-order rules, random maps of the inputs, a residual that is not normal, quantized inputs other than by a
        step function under a spectrum. Runs count them all.

    Source: derived here.
    """
    if isinstance(found, FixedPoint):
        return _at_fixed_point(found)
    if not isinstance(found, Trajectory):
        expected = "a FixedPoint, or a Trajectory of solve or simulate"
        raise SpecificationError("found", expected, found, "For example fixed_points(model)[0].")
    if found.has_seeds:
        return _counted(found)
    if found.density is None:
        remedy = "solve(model, t_end, snapshot_times=[...]) keeps it."
        raise SpecificationError("found", "a limit with densities", found, remedy)
    return _from_density(found)


def _passed(model: LinearModel) -> np.ndarray:
    """1 for every threshold that moving weights pass, 0 for those at or beyond a bound."""
    thresholds = model.weight_quantizer.thresholds
    if isinstance(model.surrogate, ClippedSurrogate):
        low, high = np.array(model.surrogate.band) * (1 - EQUAL)
        return ((thresholds > low) & (thresholds < high)) * 1.0
    return np.ones(thresholds.shape)


def _at_fixed_point(point: FixedPoint) -> Flips:
    model = point.model
    check_steps(model, "flips")
    thresholds = model.weight_quantizer.thresholds
    rate = np.zeros(thresholds.shape)
    if point.V > 0:
        with jax.enable_x64(True):
            problem, strength = point.problem.under(jnp.asarray(point.force))
            density = np.asarray(stationary.density(problem, strength, jnp.asarray(thresholds)))
            diffusion = np.asarray(problem.diffusion(strength))
        values = None if problem.eigenvalues is None else np.asarray(problem.eigenvalues)
        if isinstance(model.update_rule, KineticMomentum):
            steps = np.sqrt(model.update_rule.friction * diffusion / np.pi)
        else:
            steps = mean_steps(model, point.V, values)
        # weights whose target is outside the range are never at a threshold again
        density = np.where(np.isnan(density), 0.0, density)
        rate = (np.asarray(problem.teacher_weights) * steps) @ density * _passed(model)
    nothing = np.zeros(rate.shape)
    return Flips(model, "fixed point", np.zeros(0), thresholds, rate, nothing, rate.sum(), np.zeros(()))


def _from_density(found: Trajectory) -> Flips:
    model, density = found.model, found.density
    check_steps(model, "flips")
    thresholds = model.weight_quantizer.thresholds
    nearest = np.abs(density.nodes[None, :] - thresholds[:, None]).argmin(axis=1)
    wrong = np.abs(density.nodes[nearest] - thresholds) > EQUAL * np.abs(density.nodes).max()
    if wrong.any():
        expected = "a density with nodes on the thresholds of its model"
        raise SpecificationError("found", expected, f"none at {thresholds[wrong][0]:g}", "Solve the model again.")
    variances = np.interp(density.times, found.times, found["V"])
    missing = ~np.isin(density.times, found.times)
    if missing.any():
        expected = "densities at times that are among `times`"
        received = f"one at tau = {density.times[missing][0]:g}"
        raise SpecificationError("found", expected, received, "Give solve(times=...) the same times.")
    if not model.spectrum.is_isotropic:
        # the rows of a density do not say which eigenvalue they belong to
        remedy = "the fixed point has them, flips(fixed_points(model)[0]), and runs count them."
        raise UnsupportedError(f"flips: under a spectrum not from a density; {remedy}")
    heights = density.values[:, :, nearest]
    rate = np.stack(
        [
            (density.weights * mean_steps(_at(model, time), V, None)) @ height
            for time, V, height in zip(density.times, variances, heights, strict=True)
        ]
    )
    rate = rate * _passed(model)
    nothing, total = np.zeros(rate.shape), rate.sum(axis=1)
    return Flips(model, "limit", density.times, thresholds, rate, nothing, total, np.zeros(total.shape))


def _at(model: LinearModel, time: float) -> LinearModel:
    """The model with the learning rate of this time."""
    rate = model.learning_rate
    if not isinstance(rate, Schedule):
        return model
    with jax.enable_x64(True):
        return model.replace(learning_rate=float(entrywise_function(rate)(jnp.asarray(time))))


def _counted(found: Trajectory) -> Flips:
    if "crossings" not in found.observables:
        remedy = "simulate(..., flips=True) counts them."
        raise SpecificationError("found", 'a simulation with "crossings"', "one without", remedy)
    if found.times.size < 2:
        raise SpecificationError("found", "two or more record times", f"{found.times.size}", "Flips need a window.")
    model, dim = found.model, found.provenance.settings["dim"]
    windows = np.diff(found.times)[None, :, None]
    rates = np.diff(found["crossings"], axis=1) / windows * (unit(model, dim) / dim)
    (rate, error), (total, total_error) = _mean(rates), _mean(rates.sum(axis=2))
    thresholds = model.weight_quantizer.thresholds
    return Flips(model, "simulation", found.times[1:], thresholds, rate, error, total, total_error)


def _mean(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds and its standard error."""
    seeds = values.shape[0]
    error = values.std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.full(values.shape[1:], np.nan)
    return values.mean(axis=0), error
