"""What must hold of quantized regression, of the binarized ReLU, and of classification.

Their expectations are exact at finite size, so that runs have no systematic gap to them.
"""

import numpy as np

from steode import binary_relu, classification, regression
from steode.systems.regression.results import QUANTITIES
from tests.fuzz.report import LARGEST_Z, Report, score
from tests.fuzz.specifications import Specification

SEEDS = 16
RISK_SEEDS, MORE_SEEDS = 128, 2048
"""Runs of quantized regression, which cost little and scatter much; more of them where few deviate."""
HEAVY = 0.5
"""Step size, in units of the largest stable one, above which the risk of a run has so heavy a tail that its mean over
runs says little."""
SAMPLES = 8192
SMALLEST = 1e-12


def check_regression(report: Report, specification: Specification, model) -> None:
    """The exact risk, its stability, and runs."""
    steps = int(specification.generator.integers(20, 200))
    exact = report.attempt("risk", regression.risk, model, steps)
    state = report.attempt("stability", regression.stability, model)
    record = [0, steps // 4, steps] if exact is not None else None
    if exact is not None and state is not None:
        report.expect(np.isfinite(state.largest_step_size), f"stability: largest step {state.largest_step_size}")
        report.expect(state.stable == exact.stable == (state.spectral_radius < 1), f"stability: {state}")
        for name in QUANTITIES:
            values = exact[name]
            # of an unstable step size the risk is infinite where it overflows
            finite = np.all(np.isfinite(values)) if state.stable else not np.any(np.isnan(values))
            report.expect(finite and values.min() >= 0, f"risk: {name} = {values}")
        with np.errstate(invalid="ignore"):
            gap = exact["quantized_last"] - exact["excess_last"] - exact.approximation
        good = np.abs(gap) <= 1e-9 * exact["quantized_last"]
        report.expect(np.all(good | np.isinf(exact["excess_last"])), f"risk: excess and approximation leave {gap}")
        if state.stable:
            report.expect(state.excess >= 0 and np.isfinite(state.raw), f"stability: {state}")
            exact = regression.risk(model, steps, record=record)
    options = {"seeds": RISK_SEEDS, "key": specification.seed, "record": record, "dtype": "float64"}
    runs = report.attempt("simulate", regression.simulate, model, steps, **options)
    if report.status == "gave up" and state is not None and not state.stable:
        report.status, report.reason = "right", ""  # its runs diverge, as predicted
    if runs is None or exact is None or state is None or model.step_size > HEAVY * state.largest_step_size:
        return
    report.z = _largest_z(exact, runs)
    if report.z >= LARGEST_Z:
        # risks have heavy tails: a mean over few runs is too small more often than a Gaussian is
        options = options | {"seeds": MORE_SEEDS, "key": specification.seed + 10**6}
        runs = report.attempt("simulate", regression.simulate, model, steps, **options)
        report.notes["few runs"], report.z = report.z, _largest_z(exact, runs)
    compared = regression.compare(exact, runs, "raw_average")
    report.expect(report.z < LARGEST_Z, f"runs: |z| = {report.z:.1f}\n{compared}")


def _largest_z(exact, runs) -> float:
    scores = [regression.compare(exact, runs, name).z for name in QUANTITIES if name in runs.values]
    return max(float(np.abs(z).max(initial=0.0)) for z in scores)


def check_binary_relu(report: Report, specification: Specification, model) -> None:
    """Expected gradients against samples, fixed points, the flow, and runs."""
    points = binary_relu.random_starts(model, 4, key=specification.seed)
    found = report.attempt("gradients", binary_relu.gradients, model, points)
    given = {"key": specification.seed}
    measured = report.attempt("samples", binary_relu.sampled_gradients, model, points, SAMPLES, **given)
    if found is None or measured is None:
        return
    for name in ("loss", "output", "coarse"):
        expected, mean, error = getattr(found, name), getattr(measured, name), measured.errors[name]
        report.expect(np.all(np.isfinite(expected)), f"gradients: {name} = {expected}")
        _z(report, f"gradients: {name}", mean - expected, error, SAMPLES, np.abs(expected).max())
    report.expect(np.all(np.isfinite(found.filter)), f"gradients: filter = {found.filter}")
    for point in report.attempt("fixed points", binary_relu.fixed_points, model) or ():
        values = (point.loss, point.coarse_gradient, *point.v, *point.eigenvalues)
        report.expect(np.all(np.isfinite(values)), f"fixed points: {point}")
        size = model.v_star @ model.v_star
        report.expect(point.loss >= -1e-12 * size and point.coarse_gradient >= 0, f"fixed points: {point}")
        there = binary_relu.gradients(model, binary_relu.starts(model, point.v, point.theta, point.length))
        report.expect(abs(there.loss[0] - point.loss) <= 1e-9 * size, f"fixed points: {point}, loss {there.loss[0]}")
        slope = np.abs(there.output).max()
        report.expect(slope <= 1e-9 * size**0.5, f"fixed points: {point} has df/dv up to {slope:.1e}")
    _check_flow(report, report.attempt("solve", binary_relu.solve, model, points, 3.0, points=7))
    runs = report.attempt("simulate", binary_relu.simulate, model, points, 40, batch=16, seeds=4, every=40, **given)
    if runs is None:
        return
    for seed in range(4):
        last = binary_relu.starts(model, runs.v[seed, :, -1], runs.theta[seed, :, -1], runs.length[seed, :, -1])
        gap = runs.loss[seed] - binary_relu.gradients(model, last).loss
        _z(report, "runs: loss", gap, runs.loss_error[seed], 20_000, np.abs(runs.loss[seed]).max())


def _check_flow(report: Report, flow) -> None:
    if flow is None:
        return
    there = (flow.outcome != "vanished")[:, None] | (flow.times[None, :] <= flow.end_time[:, None])
    for name in ("theta", "length", "loss"):
        values = getattr(flow, name)
        report.expect(np.all(np.isfinite(values[there])), f"flow: {name} = {values}, {flow.outcome}")
    inside = (flow.theta[there] >= 0) & (flow.theta[there] <= np.pi)
    report.expect(np.all(inside), f"flow: angles {flow.theta}")


def check_classification(report: Report, specification: Specification, model) -> None:
    """Expected gradients against samples, obstacles, and runs."""
    scale = specification.generator.choice([0.5, 2.0])
    weights = scale * specification.generator.standard_normal((model.neurons, sum(model.dimensions)))
    planes = set(model.dimensions) == {2}
    found = report.attempt("gradients", classification.gradients, model, weights) if planes else None
    given = {"key": specification.seed}
    measured = report.attempt("samples", classification.sampled_gradients, model, weights, SAMPLES, **given)
    if measured is not None:
        values = (measured.loss, measured.positive, *measured.coarse)
        report.expect(all(np.all(np.isfinite(value)) for value in values), "samples: not finite")
    if found is not None and measured is not None:
        for name in ("loss", "positive", "coarse"):
            expected, mean, error = getattr(found, name), getattr(measured, name), measured.errors[name]
            # batches of 64, of which a class has its share
            _z(report, f"gradients: {name}", mean - expected, error, SAMPLES // 64, np.abs(expected).max())
    report.attempt("obstacles", classification.obstacles, model, weights)
    states = report.attempt("examine", classification.examine, model, weights) if planes else None
    for state in states or ():
        good = state.kind in ("perfect", "trapped", "moving") and np.isfinite(state.loss) and state.loss >= 0
        report.expect(good and -1e-12 <= state.positive <= 1 + 1e-12, f"examine: {state}")
    runs = report.attempt("simulate", classification.simulate, model, 60, seeds=SEEDS, test_samples=256, **given)
    if runs is None:
        return
    report.expect(np.all(np.isfinite(runs.weights)), "runs: weights are not finite")


def _z(report: Report, what: str, gap, error, samples: int, size: float) -> None:
    """Hold gaps of means over `samples` against their standard errors; a single sample is worth size/samples."""
    z = score(gap, error, samples - 1, numerical=SMALLEST * size, resolution=max(size, 1e-300) / samples)
    largest = float(np.abs(z).max())
    report.z = float(np.fmax(report.z, largest))
    report.expect(largest < LARGEST_Z, f"{what}: |z| = {largest:.1f}, gaps {gap}, standard errors {error}")
