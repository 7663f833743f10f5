"""Freezing and running averages: runs against particles, and both against the stationary state."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from steode import (
    Discrete,
    Eigenvalues,
    Freezing,
    LinearModel,
    Normal,
    OscillationFreezing,
    RunningAverage,
    Schedule,
    SignSGD,
    SpecificationError,
    Uniform,
    compare,
    deployments,
    fixed_points,
    simulate,
    solve,
)

GRID = Uniform(bits=2, range=1.6)
MODEL = LinearModel(teacher=Normal(std=1.0), weight_quantizer=GRID, noise=0.1, learning_rate=0.3)
AVERAGES = ("eps_g_mean_q", "eps_g_mean_q_rounded", "eps_g_mean_w", "eps_g_mean_w_rounded")
LARGEST_Z = 4.0


def gaps(limit, runs, names):
    """Runs minus particles in standard errors, over times."""
    found = {}
    for name in names:
        seeds = runs[name].shape[0]
        error = np.hypot(runs[name].std(axis=0, ddof=1) / np.sqrt(seeds), limit.error[name])
        found[name] = (runs[name].mean(axis=0) - limit[name]) / error
    return found


@pytest.mark.representative
@pytest.mark.parametrize("average", [RunningAverage(3.0), RunningAverage(0.0, 2.0)], ids=str)
def test_averages_beside_runs_are_those_beside_particles(average):
    options = {"times": [2.0, 6.0, 12.0], "average": average}
    limit, runs = solve(MODEL, 12.0, **options), simulate(MODEL, 1000, 12.0, seeds=16, key=1, **options)
    for name, z in gaps(limit, runs, ("eps_g", *AVERAGES)).items():
        assert np.all(np.abs(z) < LARGEST_Z), (name, z)


@pytest.mark.representative
def test_weights_frozen_in_the_order_of_certainty():
    # in single precision running means stop short of the level, and with them the order among the certain
    options = {"times": [5.0, 8.0, 12.0], "freezing": Freezing(3.0, 10.0), "average": RunningAverage(3.0, 2.0)}
    limit = solve(MODEL, 12.0, **options)
    runs = simulate(MODEL, 1000, 12.0, seeds=16, key=2, dtype="float64", **options)
    for name, z in gaps(limit, runs, ("eps_g", *AVERAGES)).items():
        assert np.all(np.abs(z) < LARGEST_Z), (name, z)
    assert np.all(np.abs(runs["frozen_fraction"] - limit["frozen_fraction"]) <= 1e-3)
    assert limit["frozen_fraction"][-1] == 1


CASES = {
    "constant": ({}, OscillationFreezing(0.4, memory=2.0)),
    "falling": ({}, OscillationFreezing(Schedule("0.8*(1 - tau/10)"), memory=2.0, start=2.0)),
    "batch and quantized inputs": ({"batch_size": 2, "input_quantizer": GRID}, OscillationFreezing(0.4, memory=2.0)),
    "sign": ({"update_rule": SignSGD(), "learning_rate": 0.2}, OscillationFreezing(0.4, memory=2.0)),
    "spectrum": ({"spectrum": Eigenvalues((0.5, 1.5))}, OscillationFreezing(0.4, memory=2.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_frozen_where_they_oscillate(name):
    """Runs at two dimensions, extrapolated: their gap is of the order of the length of a step, d^-1/2."""
    changes, rule = CASES[name]
    model, options = MODEL.replace(**changes), {"times": [4.0, 8.0], "freezing": rule}
    limit = solve(model, 8.0, **options)
    near, far = (simulate(model, dim, 8.0, seeds=seeds, key=3, **options) for dim, seeds in ((1024, 24), (256, 48)))
    for observable in ("eps_g", "frozen_fraction"):
        means, errors = zip(
            *((run[observable].mean(axis=0), run[observable].std(axis=0, ddof=1)) for run in (near, far)), strict=True
        )
        error = np.sqrt(4 * errors[0] ** 2 / 24 + errors[1] ** 2 / 48 + limit.error[observable] ** 2)
        z = (2 * means[0] - means[1] - limit[observable]) / error
        assert np.all(np.abs(z) < LARGEST_Z), (observable, z)
    assert 0.2 < limit["frozen_fraction"][-1] < 0.95


@pytest.mark.representative
def test_comparisons_take_the_remedies_along():
    rule = Freezing(1.0, 3.0)
    limit = solve(MODEL, 4.0, times=[2.0, 4.0], freezing=rule)
    assert limit.provenance.method == "particles"
    runs = simulate(MODEL, 500, 4.0, seeds=8, times=[3.0, 4.0], freezing=rule, key=4, dtype="float64")
    # times that the limit lacks: it is solved again, with the same freezing
    assert np.all(np.abs(compare(limit, runs).z) < LARGEST_Z)
    with pytest.raises(SpecificationError, match="freezing of the limit"):
        compare(limit, simulate(MODEL, 50, 4.0, seeds=2, times=[4.0]))


@pytest.mark.representative
def test_late_averages_are_what_the_stationary_state_says():
    grid = Uniform(bits=3, range=2.0, kind="mid-tread")
    model = LinearModel(
        weight_quantizer=grid, teacher=Discrete((-1.1, 0.2, 0.5), (0.5, 0.3, 0.2)), learning_rate=0.3, noise=0.1
    )
    theory, memory = deployments(model), 25.0
    # a plain mean until it spans the memory, and then long enough to forget that
    found = solve(model, 140.0, times=[140.0], average=RunningAverage(15.0, memory))
    left = {name: found[name][-1] - value for name, value in late_values(theory, memory).items()}
    assert abs(left["eps_g_mean_q"]) < 0.04 * theory.averaging_excess / memory
    # of order 1/memory, by the same argument
    assert 0 < left["eps_g_mean_w"] < 0.15 * theory.averaged_latent
    assert theory.averaged_exponentially(1e9) == pytest.approx(theory.averaged_iterates, abs=1e-9)


def late_values(theory, memory):
    return {"eps_g_mean_q": theory.averaged_exponentially(memory), "eps_g_mean_w": theory.averaged_latent}


@pytest.mark.representative
@pytest.mark.parametrize("changes", [{}, {"dampening": 0.4}, {"weight_decay": 0.2}], ids=str)
def test_averaged_latent_weights_of_a_target_by_hand(changes):
    """One target: the mean latent weight by quadrature of the stationary density exp(-2 U/theta)."""
    target, eta, grid = 0.4, 0.3, Uniform(bits=2, range=2.0)
    model = LinearModel(
        teacher=Discrete((target,), (1.0,)), weight_quantizer=grid, learning_rate=eta, noise=0.4, **changes
    )
    found, (point,) = deployments(model), fixed_points(model)
    # thresholds, multiples of 4/3, are nodes, and forces are those between nodes
    w, between = np.linspace(-6, 6, 360_001), (np.arange(360_000) + 0.5) / 30_000 - 6
    kappa = changes.get("dampening", 0.0)
    force = grid(between) - target + kappa * (between - grid(between)) + changes.get("weight_decay", 0.0) * between
    potential = np.concatenate([[0.0], np.cumsum(force / 30_000)])
    density = np.exp(-2 * (potential - potential.min()) / (eta * point.V))
    mean = np.sum(w * density) / np.sum(density)
    assert found.averaged_latent == pytest.approx((mean - target) ** 2 / 2, rel=1e-6)


@pytest.mark.representative
def test_averaged_latent_weights_at_small_learning_rates_are_at_thresholds():
    """On a fine grid their error is that of rounding once, alpha_2 Delta^2/24, and they do not settle at the ends."""
    fine = Uniform(bits=5, range=2.0)
    step = 4 / 31
    inside = Discrete(tuple(np.linspace(-1.5, 1.5, 601)), (1 / 601,) * 601)
    found = deployments(LinearModel(teacher=inside, weight_quantizer=fine, learning_rate=1e-3))
    assert found.averaged_latent == pytest.approx(step**2 / 24, rel=0.01)
    assert deployments(MODEL).averaged_latent == np.inf
    assert np.isfinite(deployments(MODEL.replace(weight_decay=0.1)).averaged_latent)
    assert np.isnan(deployments(LinearModel(teacher=Discrete((2.0,), (1.0,)), weight_quantizer=fine)).averaged_latent)


def example():
    root = pathlib.Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("ending_dithering", root / "examples" / "ending_dithering.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data = json.loads((root / "docs" / "images" / "ending_dithering.json").read_text(encoding="utf-8"))
    return module, data, (root / "docs" / "dithering.md").read_text(encoding="utf-8")


@pytest.mark.representative
def test_the_page_shows_the_tables_of_its_example():
    module, data, page = example()
    for text in module.tables(data).values():
        assert text in page
    images = pathlib.Path(module.__file__).parents[1] / "docs" / "images"
    assert data["network"] == module.network(images / "digits_training.json")
    # what the page says of them
    limits = {row["name"]: row["limit"] for row in data["remedies"]}
    flipped = {row["name"]: row["flips"][0] for row in data["remedies"] if row["flips"]}
    nothing, once = limits["nothing"], data["once"]
    for name in ("momentum 0.9", "Adam"):
        assert limits[name] == pytest.approx(nothing, rel=0.01)
        assert flipped[name] < 0.5 * flipped["nothing"]
    stopped = ("dampening that grows", "freezing, order of certainty")
    assert all(flipped[name] < 1e-4 and limits[name] < 1.1 * once["rounded_target"] for name in stopped)
    off_grid = {module.AVERAGES["eps_g_mean_q"], module.AVERAGES["eps_g_mean_w"]}
    assert all(value > once["rounded_target"] for name, value in limits.items() if name not in off_grid)
    assert limits[module.AVERAGES["eps_g_mean_q"]] < 0.4 * once["rounded_target"]
    for row in data["remedies"]:
        # eight runs, and a gap of the order of a step
        assert abs(row["run"] - row["limit"]) < 4 * row["error"]
    by_case = {(row["rule"], row["dim"]): row for row in data["scalings"]}
    published, fixed, scaled = module.SCALINGS
    # at no dimension better than nothing
    for dim in module.DIMS:
        assert 1.2 * nothing < by_case[published, dim]["eps_g"] < by_case[published, None]["eps_g"]
    frozen = [by_case[fixed, dim]["frozen"] for dim in module.DIMS]
    assert frozen == sorted(frozen, reverse=True)
    assert frozen[-1] < 0.01
    assert abs(by_case[scaled, 4000]["frozen"] - by_case[scaled, None]["frozen"]) < 0.02
