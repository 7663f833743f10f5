"""What averaging and rounding recover, measured from the weights of runs that have settled.

The weights are kept at many times. Their averages, roundings and errors are computed here with NumPy and the quantizers
alone. Teachers have as many weights as a run, so that every run has exactly the same and no error is that of a draw.
"""

import json
import pathlib
import runpy

import numpy as np
import pytest
import scipy.stats

from steode.errors import DivergenceError
from steode.parts.laws import Empirical, Normal, TwoPoint
from steode.parts.quantizers import Identity, Uniform
from steode.systems.linear.compare import normal_score
from steode.systems.linear.deployments import deployments
from steode.systems.linear.fixed_points import fixed_points
from steode.systems.linear.simulate import simulate
from steode.systems.linear.spec import LinearModel

LARGEST_Z = 4.0
SEEDS = 5
FINE, COARSE = 0.1, 0.2
"""Time between two kept weights. What the average misses between them is of order 1/T; it is below the fluctuations of
the fine one, and removed from errors of which the part of order 1/T is removed."""
ROUNDING = 2e-5
"""Accuracy of the input moments computed here."""

DISCRETE = LinearModel(
    teacher=Empirical(np.tile([-1.2, -0.5, 0.3, 0.7, 1.6], 100)),  # 1.6 lies outside the range
    weight_quantizer=Uniform(2, 1.5),
    init=Normal(mean=0.0, std=0.5),
    learning_rate=0.8,
    noise=0.3,
    batch_size=2,
)
GAUSSIAN = LinearModel(
    teacher=Empirical(scipy.stats.norm.ppf((np.arange(600) + 0.5) / 600)),
    weight_quantizer=Uniform(3, 2.0),
    input_quantizer=Uniform(3, 2.5),
    init=Normal(mean=0.0, std=0.5),
    learning_rate=0.5,
    noise=0.3,
)
DECAY = GAUSSIAN.replace(teacher=Empirical(np.tile([-1.2, -0.4, 0.3, 1.1], 200)), weight_decay=0.3)


def errors(model, weights, teacher):
    """Generalization error of weights (..., d) on quantized inputs, from input moments by the midpoint rule."""
    x = (np.arange(-600_000, 600_000) + 0.5) * 2e-5
    image, density = model.input_quantizer(x), scipy.stats.norm.pdf(x) * 2e-5
    cross, power = density @ (x * image), density @ image**2
    return np.mean(power * weights**2 - 2 * cross * weights * teacher + teacher**2, axis=-1) / 2


class Settled:
    """Latent weights (S, T, d) of settled runs at many times, and the errors of what may be deployed from them."""

    def __init__(self, model, seeds, averaged, spacing=COARSE, key=1, burn_in=60.0):
        times = burn_in + spacing * np.arange(1, round(averaged / spacing) + 1)
        dim = len(model.teacher.values)
        kept = simulate(model, dim, times[-1], seeds=seeds, key=key, times=times[-1:], snapshot_times=times).snapshots
        self.model, self.time, self.latent = model, averaged, kept.weights[:, 1:].astype(float)
        self.teacher = np.asarray(model.teacher.values)[None, :]

    def last_iterate(self):
        return errors(self.model, self.model.weight_quantizer(self.latent), self.teacher[:, None]).mean(axis=1)

    def averaged_iterates(self, parts=1):
        """Of the averages over each of so many parts of the time."""
        means = self._means(self.model.weight_quantizer(self.latent), parts)
        return errors(self.model, means, self.teacher[:, None]).mean(axis=1)

    def rounded_average(self, parts=1, quantizer=None):
        images = (quantizer or self.model.weight_quantizer)(self._means(self.latent, parts))
        return errors(self.model, images, self.teacher[:, None]).mean(axis=1)

    def _means(self, values, parts):
        return np.stack([part.mean(axis=1) for part in np.split(values, parts, axis=1)], axis=1)


def limit(error):
    """Without the part of order 1/T: twice the error of the average over T minus that of averages over T/2."""
    return 2 * error(1) - error(2)


def score(values, expected):
    seeds = values.size
    return float(normal_score((values.mean() - expected) / (values.std(ddof=1) / np.sqrt(seeds)), seeds - 1))


@pytest.mark.representative
def test_averaging_leaves_what_the_noise_of_the_samples_leaves():
    """The excess of averaged iterates over a time T is V/(2 B T) times the share of targets in the range, here 4/5."""
    theory, runs = deployments(DISCRETE), Settled(DISCRETE, seeds=8, averaged=80.0, spacing=FINE)
    assert theory.averaging_excess == pytest.approx(0.8 * theory.point.V / 4, rel=1e-9)
    assert abs(score(runs.last_iterate(), theory.last_iterate)) < LARGEST_Z
    assert abs(score(limit(runs.averaged_iterates), theory.averaged_iterates)) < LARGEST_Z
    for parts in (1, 2):
        excess = runs.averaged_iterates(parts) - theory.averaged_iterates
        predicted = theory.averaging_excess * parts / runs.time
        assert abs(score(excess, predicted)) < LARGEST_Z
        assert excess.std(ddof=1) / np.sqrt(8) < 0.04 * predicted
    # over a short time the second order counts, and the two together are right
    short, time = runs.averaged_iterates(8), runs.time / 8
    assert abs(score(short, theory.averaged_over(time))) < LARGEST_Z
    assert score(short, theory.averaged_iterates + theory.averaging_excess / time) < -LARGEST_Z
    # as 1/T already from a few correlation times on
    short = runs.averaged_iterates(8).mean() - theory.averaged_iterates
    assert 0.8 * 8 < short / (runs.averaged_iterates().mean() - theory.averaged_iterates) < 8
    # most of the error is dithering, which averaging removes
    assert theory.averaged_iterates < 0.02 * theory.last_iterate
    # no target is near the middle of two levels, so that averages are rounded right in every run
    assert runs.rounded_average() == pytest.approx(theory.rounded_average, rel=1e-12)
    # rounding after training: unquantized weights, averaged and rounded once
    unquantized = Settled(DISCRETE.replace(weight_quantizer=Identity()), seeds=2, averaged=40.0)
    after = unquantized.rounded_average(quantizer=DISCRETE.weight_quantizer)
    assert after == pytest.approx(theory.rounded_teacher, rel=1e-12)
    assert theory.last_iterate > 3 * theory.rounded_average


def test_gaussian_teacher():
    theory, runs = deployments(GAUSSIAN), Settled(GAUSSIAN, seeds=SEEDS, averaged=80.0)
    measured = {
        "last_iterate": runs.last_iterate(),
        "averaged_iterates": limit(runs.averaged_iterates),
        "rounded_average": limit(runs.rounded_average),
    }
    for name, values in measured.items():
        assert abs(score(values, theory.errors[name])) < LARGEST_Z, name
        assert values.std(ddof=1) / np.sqrt(SEEDS) < 0.01 * theory.errors[name], name
    once = errors(GAUSSIAN, GAUSSIAN.weight_quantizer(runs.teacher), runs.teacher)
    assert once == pytest.approx(theory.rounded_teacher, rel=ROUNDING)
    unquantized = Settled(GAUSSIAN.replace(weight_quantizer=Identity()), seeds=4, averaged=60.0)
    after = limit(lambda parts: unquantized.rounded_average(parts, GAUSSIAN.weight_quantizer))
    assert abs(score(after, theory.rounded_target)) < LARGEST_Z


def test_weight_decay_pulls_averages_off_their_targets():
    theory, runs = deployments(DECAY), Settled(DECAY, seeds=SEEDS, averaged=60.0)
    assert abs(score(runs.last_iterate(), theory.last_iterate)) < LARGEST_Z
    assert abs(score(limit(runs.averaged_iterates), theory.averaged_iterates)) < LARGEST_Z
    assert runs.rounded_average() == pytest.approx(theory.rounded_average, rel=ROUNDING)
    assert theory.averaged_iterates > 1.1 * theory.floor
    # decay moves latent weights across thresholds: rounding them is not rounding their targets
    assert theory.rounded_average > 1.02 * theory.rounded_target


@pytest.mark.representative
def test_quantized_weights_stay_bounded_where_unquantized_ones_diverge():
    grid = Uniform(2, 2.0)
    model = LinearModel(teacher=TwoPoint(1.0), learning_rate=3.0, noise=0.3, input_quantizer=grid)
    assert len(fixed_points(model)) == 0
    with pytest.raises(DivergenceError):
        simulate(model, 300, 60.0)
    quantized = model.replace(weight_quantizer=grid)
    times = np.arange(20.0, 40.0, 0.5)
    runs = simulate(quantized, 500, times[-1], seeds=6, key=4, times=times)["eps_g"].mean(axis=1)
    (point,) = fixed_points(quantized)
    assert abs(score(runs, point.eps_g)) < LARGEST_Z
    assert runs.std(ddof=1) / np.sqrt(6) < 0.01 * point.eps_g


@pytest.mark.parametrize("name", ["rounding", "learning_rates"])
def test_numbers_beside_the_published_figures_are_those_of_the_example(name):
    """And every simulated one agrees with its limit."""
    root = pathlib.Path(__file__).parents[2]
    data = json.loads((root / "docs" / "images" / f"{name}.json").read_text(encoding="utf-8"))
    example = runpy.run_path(str(root / "examples" / f"{name}.py"))
    if name == "rounding":
        row, scores = data["theory"][2], [row["z"] for row in data["rows"]]
        found = deployments(example["model_of"](row["bits"], row["range"])).errors
        assert {kind: row[kind] for kind in found} == pytest.approx(found, rel=1e-8)
    else:
        points = [point for variant in example["VARIANTS"] for point in data[variant]["points"]]
        scores = [point["z"] for point in points if "z" in point]
        model = example["VARIANTS"]["both quantized"]
        for point in data["both quantized"]["points"]:
            found = fixed_points(model.replace(learning_rate=point["learning_rate"]))[0]
            assert point["theory"] == pytest.approx(found.eps_g, rel=1e-8)
        assert sum("diverged_at" in point for point in points) == 4
    assert len(scores) >= 20
    assert np.abs(scores).max() < LARGEST_Z
    assert np.sqrt(np.mean(np.square(scores))) < 1.7
