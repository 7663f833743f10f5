"""The limit of rotated axes against training in rotated axes, and its late end against the stationary law."""

import functools

import numpy as np
import pytest

from steode import (
    Eigenvalues,
    Identity,
    LinearModel,
    Momentum,
    Normal,
    Paired,
    Schedule,
    StochasticRounding,
    TwoPoint,
    Uniform,
    compare,
    fixed_points,
    simulate,
    solve,
)

SPECTRUM = Eigenvalues([0.3, 0.3, 0.3, 3.1])
MODEL = LinearModel(
    teacher=TwoPoint(1.0), weight_quantizer=Uniform(3, 3.0), learning_rate=0.3, noise=0.2, spectrum=SPECTRUM
)
TIMES = np.array([0, 0.5, 1, 2, 4, 8.0])
CASES = {
    "plain": MODEL,
    "two bits, power law": MODEL.replace(weight_quantizer=Uniform(2, 2.0), spectrum=Eigenvalues(2.0 / np.arange(1, 9))),
    "quantized inputs": MODEL.replace(input_quantizer=Uniform(2, 1.5)),
    "all at once": MODEL.replace(
        learning_rate=Schedule("0.3/(1 + tau/4)"), weight_decay=0.3, batch_size=2, update_rule=Momentum(0.5),
        init=Normal(mean=0.5, std=0.5), weight_quantizer=StochasticRounding(Uniform(2, 2.0)),
        input_quantizer=StochasticRounding(Uniform(3, 2.0)),
    ),
}  # fmt: skip


@functools.cache
def limit(name):
    return solve(CASES[name], 8, method="dmft", times=TIMES)


@pytest.mark.parametrize(("name", "dim"), [*((name, 400) for name in CASES), ("plain", 1600)])
def test_in_standard_errors(name, dim):
    runs = simulate(CASES[name], dim, 8, times=TIMES, seeds=16 if dim == 400 else 4, basis="rotated")
    for observable in ("V", "m", "q", "std_w"):
        z = compare(limit(name), runs, observable=observable).z
        assert np.abs(z).max() < 4, (observable, z)


def test_the_gap_falls_as_one_over_the_dimension():
    """Mean relative gap of V over the times, 2.5 % at d = 20; every key has a rotation of its own."""
    V = limit("plain")["V"]
    gaps = {}
    for dim, keys in ((12, 60), (24, 40), (48, 20)):
        runs = [simulate(MODEL, dim, 8, times=TIMES, seeds=64, key=key, basis="rotated")["V"] for key in range(keys)]
        mean = np.mean(np.stack(runs)[..., 1:] / V[1:] - 1, axis=(1, 2))
        gaps[dim] = mean.mean(), mean.std(ddof=1) / np.sqrt(keys)
    slope = (gaps[12][0] - gaps[48][0]) / (1 / 12 - 1 / 48)
    error = np.hypot(gaps[12][1], gaps[48][1]) / (1 / 12 - 1 / 48)
    assert slope > 4 * error, gaps
    expected = gaps[48][0] + slope * (1 / 24 - 1 / 48)
    assert abs(gaps[24][0] - expected) < 4 * np.hypot(gaps[24][1], gaps[48][1]), gaps
    # and goes to zero
    assert abs(gaps[48][0] - slope / 48) < 4 * np.hypot(gaps[48][1], error / 48) + 0.005, gaps


def test_late_it_is_the_stationary_law_of_gaussian_targets():
    """Correlations decide how fast it is reached, not what it is; the range holds all targets."""
    model = MODEL.replace(
        spectrum=Eigenvalues([0.8, 0.8, 0.8, 1.6]), weight_quantizer=Uniform(3, 4.0), learning_rate=0.5
    )
    found = solve(model, 40, method="dmft", times=[36, 38, 40])
    end = fixed_points(model.replace(spectrum=Eigenvalues([1.0]), teacher=Normal(std=1.0)))[0].V
    assert np.all(np.abs(found["V"] - end) < 4 * found.error["V"]), (found["V"], found.error["V"], end)


def test_it_differs_from_the_limit_in_the_eigenbasis_by_more_than_its_error():
    own, turned = solve(MODEL, 8, times=TIMES, method="density", tolerance=1e-2), limit("plain")
    assert np.abs(own["V"] - turned["V"]).max() > 10 * turned.error["V"].max()


def test_why_a_teacher_paired_with_the_eigenvalues_is_refused():
    """It is not in general position: without quantizers, where moments are exact, pairs and their mixture differ."""
    pairs = MODEL.replace(teacher=Paired([1.5, 1.5, 1.5, 0.1]), weight_quantizer=Identity())
    mixed = MODEL.replace(teacher=Normal(std=np.sqrt(np.mean(pairs.teacher.values**2))), weight_quantizer=Identity())
    runs = simulate(pairs, 400, 1, times=[0.5, 1], seeds=24, basis="rotated")
    exact, other = (solve(given, 1, times=[0.5, 1]) for given in (pairs, mixed))
    error = runs["V"].std(axis=0, ddof=1) / np.sqrt(24)
    assert np.all(np.abs(runs["V"].mean(axis=0) - exact["V"]) < 4 * error)
    assert np.all(np.abs(runs["V"].mean(axis=0) - other["V"]) > 5 * error)
