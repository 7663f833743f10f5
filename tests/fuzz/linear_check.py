"""What must hold of a linear model's limit, of its fixed points and of its runs.

Runs of finite dimension d have a systematic gap to the limit, of order 1/d, and of order d^-1/2 with the clipped
surrogate and with FOGZO on quantized weights. Where the runs of the smaller dimension deviate by more than `LARGEST_Z`
standard errors, those of four times that dimension are made. What deviates there too is extrapolated to infinite d in
that power, and only what is left beyond `LARGEST_Z` of the extrapolation's own standard errors is a wrong limit.
"""

import itertools

import numpy as np

from steode import (
    FOGZO,
    SPSA,
    Adam,
    ClippedSurrogate,
    Constant,
    DerivativeOf,
    Trajectory,
    compare,
    derive,
    fixed_points,
    simulate,
    solve,
)
from steode.parts.quantizers import StepFunction
from steode.parts.schedule import Schedule
from steode.systems.linear.properties import missing
from tests.fuzz.report import LARGEST_Z, Report, score
from tests.fuzz.scan import scan_problems
from tests.fuzz.specifications import Specification

TOLERANCE = 1e-3
DIM, RATIO, SEEDS = 240, 4, 16
"""Smaller dimension, a multiple of 1 to 6 eigenvalues; the larger over it; runs of each."""
SPSA_DIM = 120
"""Smaller dimension with SPSA, whose steps cost the square of it."""
GRID = 40
"""Times are multiples of 1/GRID, so that they are whole steps at every dimension."""
MASS = 1e-10
COMPARED = ("eps_g", "m", "q", "mean_w", "std_w")
"""Observables held against runs; a single one, of which runs scatter more, would miss more."""
FROZEN = 1e-3
"""Mean slope of the weights' map below which nothing moves to speak of."""
FIXED_POINT_CHECKS = (scan_problems,)
"""Further checks of fixed points, called with (model, found), which return problems as texts."""


def check_linear(report: Report, specification: Specification, model) -> None:
    """Solve, find the fixed points, simulate and compare; problems are recorded in `report`."""
    times = _times(specification, model)
    end = float(times[-1])
    report.notes["t_end"] = end
    closed = missing(model, "solve, density kept") is not None or derive(model).exact_moments is not None
    options = {"times": times, "tolerance": TOLERANCE} | ({} if closed else {"snapshot_times": times[1::2]})
    limit = report.attempt("solve", solve, model, end, **options)
    if limit is not None:
        _check_limit(report, model, limit)
    if limit is not None and limit.provenance.method == "density":
        _check_density(report, limit)
    elif limit is not None and limit.provenance.method == "moments":
        options = {"times": times[-1:], "snapshot_times": times[-1:], "tolerance": TOLERANCE}
        density = report.attempt("density", solve, model, end, **options)
        if density is not None:
            _check_density(report, density, limit)
    found = _fixed_points(report, model)
    if found is not None:
        _check_fixed_points(report, model, found)
    runs = _runs(report, specification, model, times, 1)
    if limit is not None and runs is not None:
        _compare(report, specification, model, limit, runs)


def _times(specification: Specification, model) -> np.ndarray:
    """0 and three times up to a few relaxation times, in whole steps of every dimension."""
    generator = specification.generator
    rate = 0.3 if isinstance(model.learning_rate, Schedule) else model.learning_rate
    longest = 3.0 if isinstance(model.update_rule, SPSA) else 12.0
    end = float(np.clip(generator.uniform(0.3, 3.0) / rate, 0.5, longest))
    return np.unique(np.maximum(np.round(np.array([0, 0.15, 0.4, 1.0]) * end * GRID), [0, 1, 2, 3])) / GRID


def _check_limit(report: Report, model, limit: Trajectory) -> None:
    for name, values in (*limit.observables.items(), *((f"error of {name}", e) for name, e in limit.error.items())):
        report.expect(np.all(np.isfinite(values)), f"limit: {name} is not finite: {values}")
    eps_g, size = limit["eps_g"], np.abs(limit["eps_g"]).max()
    report.expect(np.all(eps_g >= -1e-12 * size), f"limit: negative eps_g {eps_g}")
    if model.has_linear_output and model.is_basic:
        gap = np.abs(limit["V"] - 2 * eps_g - model.noise**2)
        report.expect(np.all(gap <= 1e-9 * limit["V"].max()), f"limit: V is not 2 eps_g + sigma^2, by {gap}")
    if "level_fraction" in limit.observables:
        fractions = limit["level_fraction"]
        report.expect(np.all(fractions >= 0), f"limit: a negative fraction of weights at a level {fractions.min()}")
        total = np.abs(fractions.sum(axis=-1) - 1).max()
        report.expect(total < MASS, f"limit: fractions at levels sum to 1 + {total:.1e}")


def _check_density(report: Report, limit: Trajectory, moments: Trajectory | None = None) -> None:
    """Masses are a probability law; where the moments are known exactly, they are those of the density."""
    masses, weights = limit.density.masses, limit.density.weights
    report.expect(np.all(np.isfinite(masses)) and masses.min() >= 0, f"density: smallest mass {masses.min():.3g}")
    lost = max(np.abs(masses.sum(axis=-1) - 1).max(), abs(weights.sum() - 1))
    report.expect(lost < MASS, f"density: mass 1 + {lost:.1e}")
    largest = max(limit["eps_g"].max(), 0 if moments is None else moments["eps_g"].max())
    estimated = limit.error["eps_g"].max()
    report.expect(estimated <= 1.001 * TOLERANCE * max(largest, 1e-300), f"density: estimated error {estimated:.2e}")
    if moments is not None:
        gap = abs(limit["eps_g"][-1] - moments["eps_g"][-1]) / largest
        report.expect(gap < 3 * TOLERANCE, f"density: eps_g off the exact moments by {gap:.1e} of its largest value")


def _fixed_points(report: Report, model):
    """What `fixed_points` finds; its refusals, of schedules for example, leave the status as it was."""
    status, reason = report.status, report.reason
    found = report.attempt("fixed points", fixed_points, model)
    if found is None and report.status == "refused":
        report.status = status
    if report.status != "gave up":
        report.reason = reason
    return found


def _check_fixed_points(report: Report, model, found) -> None:
    report.notes["fixed points"] = len(found)
    repr(found)
    unquantized = found.unquantized_eps_g
    report.expect(np.isnan(unquantized) or unquantized >= 0, f"fixed points: unquantized eps_g = {unquantized}")
    last = -np.inf
    for point in found:
        values = np.array([point.V, point.eps_g, point.residual, point.quadrature_error, point.escaping])
        report.expect(np.all(np.isfinite(values)), f"fixed points: not finite: {point!r:.400}")
        terms = [getattr(point, f"{name}_term") for name in ("input", "dithering", "clipping", "decay", "noise")]
        report.expect(point.converged, f"fixed points: V = {point.V} has not converged")
        report.expect(point.eps_g >= -1e-12 * point.V, f"fixed points: eps_g = {point.eps_g}")
        report.expect(last <= point.V, f"fixed points: V = {point.V} after {last}")
        report.expect(-1e-9 <= point.escaping <= 1 + 1e-9, f"fixed points: {point.escaping} of the weights escape")
        last = point.V
        if not np.isnan(terms).any():
            gap = abs(sum(terms) - point.eps_g)
            report.expect(gap <= 1e-9 * max(point.V, 1e-300), f"fixed points: {terms} do not sum to {point.eps_g}")
            report.expect(min(terms) >= -1e-9 * point.V, f"fixed points: a negative term among {terms}")
        if model.is_basic and point.V > 0:
            gap = abs(point.V - 2 * point.eps_g - model.noise**2)
            report.expect(gap <= 1e-9 * point.V, f"fixed points: V = {point.V} is not 2 eps_g + sigma^2, by {gap:.1e}")
        if model.is_basic and point.V > 0 and isinstance(model.weight_quantizer, StepFunction):
            shares = point.level_probabilities(float(model.teacher.mean))
            good = np.all(shares >= 0) and abs(shares.sum() - 1) < MASS
            report.expect(good, f"fixed points: probabilities of levels {shares}")
    for extra in FIXED_POINT_CHECKS:
        for problem in extra(model, found):
            report.expect(False, f"fixed points: {problem}")


def _runs(report: Report, specification: Specification, model, times, ratio: int):
    dim = ratio * (SPSA_DIM if isinstance(model.update_rule, SPSA) else DIM)
    key = specification.seed + 1_000_000 * (ratio > 1)
    options = {"seeds": SEEDS, "key": key, "times": times, "progress": False}
    return report.attempt("simulate", simulate, model, dim, float(times[-1]), **options)


def _compare(report: Report, specification: Specification, model, limit, runs) -> None:
    for name, values in runs.observables.items():
        report.expect(np.all(np.isfinite(values)), f"runs: {name} is not finite")
    names = [name for name in COMPARED if name in limit.observables and name in runs.observables]
    if isinstance(model.init, Constant):
        names.remove("std_w")  # a point between two nodes of a mesh has a width of their distance
    first = {name: report.attempt("compare", compare, limit, runs, observable=name, refusable=False) for name in names}
    later = slice(int(_starts_on_a_threshold(model)), None)
    largest = {name: float(np.abs(found.z[later]).max()) for name, found in first.items() if found is not None}
    report.z = max(largest.values())
    suspects = [name for name, z in largest.items() if not z < LARGEST_Z]
    if not suspects:
        return
    if _starts_frozen(limit):
        report.notes["frozen"], report.z = report.z, float("nan")
        return
    reason = "perturbations longer than the layers at thresholds" if _steps_over_layers(model, limit) else ""
    if _steps_over_cells(model, limit):
        reason = "single steps longer than the cells of the weights"
    if reason:
        # neither right nor wrong: no power of d describes such runs
        report.notes["z of runs"], report.z = report.z, float("nan")
        if report.status != "wrong":
            report.status, report.reason = "gave up", f"runs: {reason}"
        return
    ratio = 2 if isinstance(model.update_rule, SPSA) else RATIO
    larger = _runs(report, specification, model, limit.times, ratio)
    if larger is None:
        return
    report.notes["extrapolated"], rate = largest, ratio ** _power(model)
    for name in suspects:
        one, two = first[name], compare(limit, larger, observable=name)
        largest[name] = float(np.abs(two.z[later]).max())
        if largest[name] < LARGEST_Z:
            continue  # a gap that falls faster than any power, as of weights that few perturbations move
        gap = (rate * two.gap - one.gap) / (rate - 1)
        error = np.hypot(rate * two.standard_error, one.standard_error) / (rate - 1)
        spread = np.hypot(error, one.resolution)
        z = np.abs(score(gap, spread, SEEDS - 1, numerical=one.numerical_error))[later].max()
        largest[name] = float(z)
        text = f"{name}: |z| = {z:.1f} extrapolated to infinite d\n{one}\n{two}"
        report.expect(z < LARGEST_Z, f"runs: {text}")
    report.z = max(largest.values())


def _starts_on_a_threshold(model) -> bool:
    """True if all weights start on one jump: there runs take the upper level, and the limit, from tau > 0 on, both."""
    quantizer = model.weight_quantizer
    on_steps = isinstance(model.init, Constant) and isinstance(quantizer, StepFunction)
    return on_steps and float(model.init.value) in [float(threshold) for threshold in quantizer.thresholds]


def _starts_frozen(limit) -> bool:
    """True if FOGZO's limit starts with no weight near a threshold: runs move as soon as a perturbation reaches one."""
    return "mean_slope" in limit.observables and limit["mean_slope"][0] < FROZEN


def _steps_over_layers(model, limit) -> bool:
    """True if one perturbation of FOGZO is longer than the layers at thresholds, D/|drift|, even in the larger runs."""
    rule, quantizer = model.update_rule, model.weight_quantizer
    if not (isinstance(rule, FOGZO) and isinstance(quantizer, StepFunction)):
        return False
    jump = max(float(high - low) for low, high in itertools.pairwise(quantizer.levels))
    layer = model.learning_rate * rule.noise_factor * float(limit["V"].min()) / (2 * model.batch_size * jump)
    return rule.eps * np.sqrt(rule.c / (RATIO * DIM)) > layer


def _steps_over_cells(model, limit) -> bool:
    """True if rare single steps carry a weight over a whole cell, even in the larger runs: they see no diffusion."""
    quantizer, surrogate = model.weight_quantizer, model.activation_surrogate
    if (
        not (isinstance(quantizer, StepFunction) and isinstance(surrogate, DerivativeOf))
        or len(quantizer.thresholds) < 2
    ):
        return False
    residual = np.sqrt(float(limit["V"].max()))
    if isinstance(model.residual_quantizer, StepFunction):
        residual = float(np.abs(model.residual_quantizer.levels).max())
    peak = float(np.abs(surrogate(np.linspace(-6, 6, 2401))).max())
    rate = model.learning_rate(limit.times).max() if isinstance(model.learning_rate, Schedule) else model.learning_rate
    step = rate * residual * peak * np.sqrt(model.spectrum.mean / (RATIO * DIM))
    return step > np.diff(quantizer.thresholds).min()


def _power(model) -> float:
    """The power of 1/d in which runs approach the limit."""
    flips = isinstance(model.update_rule, FOGZO) and isinstance(model.weight_quantizer, StepFunction)
    frozen = any(isinstance(member.surrogate, ClippedSurrogate) for member in model.members)
    return 0.5 if flips or frozen or isinstance(model.update_rule, Adam) else 1.0
