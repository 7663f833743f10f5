"""Best ranges, flips and advice: each number against the verb or the density it comes from."""

import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

from steode import SpecificationError, fixed_points, layer
from steode.systems.layer.flips import flip_rate

pytestmark = pytest.mark.representative

RNG = np.random.default_rng(11)
DIM = 48
MOMENT = scipy.linalg.toeplitz(0.7 ** np.arange(DIM))
WEIGHTS = RNG.normal(size=(5, DIM))


@pytest.fixture(autouse=True)
def _small_layers_are_noisy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", layer.LayerWarning)
        yield


def model(**changes):
    options = {"bits": 3, "learning_rate": 0.1, "noise": 0.1, "second_moment": MOMENT} | changes
    return layer.LayerModel(WEIGHTS, **options)


@pytest.mark.parametrize("kind", ["mid-tread", "asymmetric"])
@pytest.mark.parametrize("granularity", ["row", "layer", 12])
def test_a_scan_of_ranges_is_a_loop_over_models(kind, granularity):
    own = model(kind=kind, granularity=granularity)
    scan = layer.optimal_range(own, factors=(0.5, 0.8, 1.0))
    rows = "row" if granularity == "layer" else granularity
    for k, factor in enumerate(scan.factors):
        alone = own.replace(range=factor * scan.largest, granularity=rows)
        np.testing.assert_allclose(scan.V["training"][k], fixed_points(alone).V, rtol=1e-9)
        once = layer.rounding(alone)
        for name in ("nearest", "gptq"):
            np.testing.assert_allclose(scan.V[name][k], once.V[name], rtol=1e-9)
    chosen = own.replace(range=scan.range("training"), granularity=rows)
    assert fixed_points(chosen).total == pytest.approx(scan.best("training"), rel=1e-9)
    assert scan.best("training") <= scan.V["training"].sum(axis=1).min()


def test_scans_refuse_what_makes_no_sense():
    with pytest.raises(SpecificationError, match="factors"):
        layer.optimal_range(model(), factors=(1.0, 0.5))
    with pytest.raises(SpecificationError, match="purpose"):
        layer.optimal_range(model(), factors=(0.5,)).range("floor")


@pytest.mark.parametrize("batch", [1, 6])
def test_flips_are_the_density_at_the_thresholds(batch):
    own = model(batch_size=batch)
    found = fixed_points(own)
    noise = np.abs((RNG.normal(size=(400_000, batch)) * RNG.normal(size=(400_000, batch))).mean(axis=1))
    step, theta = own.grid.step[0, 0], 0.1 * found.V[0] / batch
    total = 0.0
    for a in found.best[0]:
        edges = own.grid.low[0, 0] + step * (np.arange(own.grid.count - 1) + 0.5)
        start = own.grid.low[0, 0] - a

        def potential(w, a=a, edges=edges, start=start):
            return start * (w - edges[0]) + step * np.sum(np.maximum(w - edges, 0))

        if np.abs(a) > own.grid.high[0, 0] - 1e-6:
            continue
        least = min(potential(edge) for edge in edges)
        near = np.unique(np.clip([edges[0] - 20 * theta, *edges, edges[-1] + 20 * theta], -9, 9))
        ends = (min(near[0], edges[0] - 20 * theta / abs(start)), max(near[-1], edges[-1] + 20 * theta / (-start)))
        grid = np.unique([-abs(ends[0]) - 1, *edges, abs(ends[1]) + 1])
        parts = (
            scipy.integrate.quad(lambda w: np.exp(-2 * (potential(w) - least) / theta), p, q, limit=500)[0]  # noqa: B023
            for p, q in zip(grid[:-1], grid[1:], strict=True)
        )
        heights = sum(np.exp(-2 * (potential(edge) - least) / theta) for edge in edges)
        total += heights / sum(parts)
    # |step of a weight| is eta/sqrt(d) sqrt(V) times the noise; d steps make a unit of tau
    expected = DIM * 0.1 / np.sqrt(DIM) * np.sqrt(found.V[0]) * noise.mean() * total / DIM
    assert flip_rate(own, found.V, found.best)[0] == pytest.approx(expected, rel=0.01)


def test_advice_has_a_number_and_a_basis_for_every_sentence():
    own = model(noise=0.0)
    advice = layer.advise(own, 2000, rows=3)
    assert advice.model.rows == 3
    assert list(advice.errors.values()) == sorted(advice.errors.values(), key=lambda value: value[0])
    assert advice.errors["gptq"][0] < advice.errors["nearest"][0]
    assert advice.errors["frozen"][0] < advice.errors["last iterate"][0]
    assert all(finding.basis and np.isfinite(finding.value) for finding in advice.findings)
    once, late = layer.rounding(own), fixed_points(own)
    assert advice.errors["nearest"][0] == pytest.approx(once.V["nearest"][[0, 2, 4]].mean())
    assert advice.errors["last iterate, late"][0] == pytest.approx(late.V[[0, 2, 4]].mean())
    low = np.linalg.eigvalsh(MOMENT)[0]
    assert advice["slow rate"].value == pytest.approx(3 / (low * 2000 / DIM))
    large = advice["large rate"].value
    small, grown = (fixed_points(advice.model.replace(learning_rate=rate)).V for rate in (1e-4, large))
    assert np.median(grown / small) == pytest.approx(1.1, rel=1e-3)
    text = repr(advice)
    assert all(finding.statement in text for finding in advice.findings)


def test_advice_on_activations_and_groups():
    inputs = RNG.normal(size=(200, DIM))
    own = model(second_moment=None, activations=inputs, kind="asymmetric", granularity=12, batch_size=4)
    advice = layer.advise(own, 300, rows=2)
    # a mean of the activations' own rows, on the grids they have in the layer
    assert advice.errors["nearest"][0] == pytest.approx(layer.rounding(own).V["nearest"][[0, 4]].mean())


def test_advice_refuses_what_makes_no_sense():
    for wrong in ({"steps": 0}, {"steps": 10, "rows": 0}, {"steps": 10, "seeds": 1}):
        with pytest.raises(SpecificationError):
            layer.advise(model(), **wrong)


@pytest.mark.parametrize(("kind", "granularity"), [("mid-tread", "layer"), ("asymmetric", 12)])
def test_a_scan_for_a_number_of_steps_trains_each_range(kind, granularity):
    own = model(kind=kind, granularity=granularity, noise=0.0, initial=WEIGHTS + 0.1)
    steps = 96
    scan = layer.optimal_range(own, factors=(0.5, 1.0), steps=steps, rows=3, seeds=2, key=4)
    assert scan.model.rows == 3
    chosen = [0, 2, 4]
    np.testing.assert_array_equal(scan.model.weights, WEIGHTS[chosen])
    whole = layer.optimal_range(own, factors=(0.5, 1.0))
    for name in whole.V:
        np.testing.assert_allclose(scan.V[name], whole.V[name][:, chosen], rtol=1e-9)
    times = np.unique(np.linspace(0.9 * steps, steps, 20).round()) / DIM
    for k, factor in enumerate(scan.factors):
        alone = scan.model.replace(range=factor * scan.largest)
        runs = layer.simulate(alone, steps / DIM, times=times, seeds=2, key=4, progress=False)
        np.testing.assert_allclose(scan.V["steps"][k], runs["V"].mean(axis=(0, 1)), rtol=0.02)
    assert "runs" in repr(scan)


def test_long_training_has_the_ranges_of_late_training_and_short_training_wider_ones():
    own = model(noise=0.0, learning_rate=0.2)
    scan = layer.optimal_range(own, factors=(0.4, 0.6, 0.8, 1.0), steps=200 * DIM, seeds=8)
    # few inputs are effective, so that V of one time is noisy; the late floor is three times higher at the widest
    np.testing.assert_allclose(scan.V["steps"].mean(axis=1), scan.V["training"].mean(axis=1), rtol=0.2)
    short = layer.optimal_range(own, factors=(0.4, 0.6, 0.8, 1.0), steps=2 * DIM, seeds=8)
    early, late = (short.V[name].mean(axis=1) for name in ("steps", "training"))
    assert np.all(early[2:] < 0.7 * late[2:])
    assert early.argmin() > late.argmin()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 5, "rows": 0}, {"steps": 5, "seeds": 0}])
def test_a_scan_refuses_what_makes_no_sense(wrong):
    with pytest.raises(SpecificationError):
        layer.optimal_range(model(), **wrong)
