"""Figures show the numbers they are given, on the Axes they are given."""

import dataclasses

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from matplotlib.colors import to_hex

from steode import plot
from steode.compare import Comparison
from steode.configuration import to_dict
from steode.deployments import deployments
from steode.errors import SpecificationError
from steode.fixed_points import fixed_points
from steode.laws import Constant
from steode.plateau import plateau
from steode.plot import style
from steode.quantizers import Uniform
from steode.systems.linear.spec import ClippedSurrogate, LinearModel
from steode.trajectory import Density, Provenance, Snapshots, Trajectory

MODEL = LinearModel(
    teacher=Constant(1.0), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0), learning_rate=0.1
)
TIMES = np.linspace(0, 10, 101)
CURVE = np.interp(TIMES, [0, 4, 5, 10], [1.0, 1.0, 0.2, 0.2])
NODES = np.linspace(-3, 3, 601)
VOLUMES = np.full(601, 0.01)
MASSES = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()


def limit(model=MODEL, masses=MASSES) -> Trajectory:
    law = Density(np.array([2.0]), NODES, VOLUMES, np.array([1.0]), np.array([1.0]), masses[None, None])
    provenance = Provenance("limit", "density", to_dict(model), {}, "0", "cpu")
    return Trajectory(TIMES, {"eps_g": CURVE, "m": 1 - CURVE}, {}, law, None, provenance)


def simulation(seeds: int = 4) -> Trajectory:
    generator = np.random.default_rng(0)
    values = CURVE + 0.05 * generator.normal(size=(seeds, 101))
    kept = Snapshots(np.array([0.0, 2.0]), generator.normal(size=(seeds, 2, 500)), np.ones((seeds, 500)))
    provenance = Provenance("simulation", "sgd", to_dict(MODEL), {"dim": 500}, "0", "cpu")
    return Trajectory(TIMES, {"eps_g": values}, {}, None, kept, provenance)


def comparison(z) -> Comparison:
    known = {"observable": "eps_g", "start": "nominal", "seeds": 4, "times": np.linspace(0, 1, z.size), "z": z}
    zeros = {field.name: np.zeros(z.size) for field in dataclasses.fields(Comparison)}
    return Comparison(**zeros | known)


@pytest.fixture
def ax():
    return matplotlib.figure.Figure().subplots()


def lines(ax) -> dict:
    return {line.get_label(): line for line in ax.lines}


SWEPT = xarray.Dataset(
    {"eps_g": (("noise", "learning_rate"), np.arange(6.0).reshape(3, 2))},
    {"noise": [0.1, 0.2, 0.3], "learning_rate": [0.1, 0.2]},
)

CALLS = {
    "trajectory": lambda ax: plot.trajectory(limit(), simulation(), ax=ax),
    "density": lambda ax: plot.density(limit(), 2.0, simulation(), ax=ax),
    "plateaus": lambda ax: plot.plateaus(plateau(limit()), 4.4, ax=ax),
    "gaps": lambda ax: plot.gaps(comparison(np.array([0.1, -1.0])), ax=ax),
    "deployments": lambda ax: plot.deployments([2], [deployments(MODEL)], averaged=10.0, ax=ax),
    "decomposition": lambda ax: plot.decomposition(fixed_points(MODEL), ax=ax),
    "plateau_against_range": lambda ax: plot.plateau_against_range([1, 2], [3, 6], [3.1, 6.2], ax=ax),
    "phase_diagram": lambda ax: plot.phase_diagram(SWEPT, "noise", "learning_rate", ax=ax),
    "profile": lambda ax: plot.profile(SWEPT.isel(learning_rate=0), "noise", ax=ax),
}


@pytest.mark.parametrize("name", plot.__all__)
def test_draws_on_the_axes_it_is_given_and_touches_no_other(name, ax):
    before = plt.get_fignums()
    assert CALLS[name](ax) is ax
    assert plt.get_fignums() == before
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize("name", plot.__all__)
def test_makes_its_own_axes_when_given_none(name):
    made = CALLS[name](None)
    assert plt.fignum_exists(made.figure.number)
    plt.close(made.figure)


def test_trajectory_shows_limit_mean_and_band(ax):
    runs = simulation()
    plot.trajectory(limit(), runs, ax=ax)
    assert np.array_equal(lines(ax)["limit"].get_ydata(), CURVE)
    markers = lines(ax)["simulation, $d = 500$, 4 seeds"]
    shown = np.isin(TIMES, markers.get_xdata())
    assert np.allclose(markers.get_ydata(), runs["eps_g"].mean(axis=0)[shown])
    corners = ax.collections[0].get_paths()[0].vertices
    mean, std = runs["eps_g"].mean(axis=0), runs["eps_g"].std(axis=0, ddof=1)
    at_five = corners[np.isclose(corners[:, 0], 5.0), 1]
    assert (at_five.min(), at_five.max()) == pytest.approx((mean[50] - std[50], mean[50] + std[50]))
    assert ax.get_xlabel() == r"rescaled time $\tau = k/d$"
    assert r"$\varepsilon_g$" in ax.get_ylabel()


def test_one_seed_has_no_band(ax):
    plot.trajectory(None, simulation(seeds=1), ax=ax)
    assert len(ax.collections) == 0


def test_several_models_share_one_entry_for_the_markers(ax):
    for color in range(3):
        plot.trajectory(limit(), simulation(), label=f"model {color}", color=color, ax=ax)
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries == ["model 0", "model 1", "model 2", "simulation, $d = 500$, 4 seeds"]


def test_trajectory_refuses_what_has_no_curve(ax):
    with pytest.raises(SpecificationError, match="level_fraction"):
        plot.trajectory(limit(), observable="level_fraction", ax=ax)
    with pytest.raises(SpecificationError, match="observable"):
        plot.trajectory(limit(), observable="q", ax=ax)


def test_density_is_the_limits_and_the_histogram_has_the_same_area(ax):
    plot.density(limit(), 2.0, simulation(), ax=ax)
    assert np.allclose(lines(ax)["limit"].get_ydata(), MASSES / VOLUMES)
    heights, edges, _ = ax.patches[0].get_data()
    weights = simulation().snapshots.weights[:, 1]
    inside = np.mean((weights >= edges[0]) & (weights <= edges[-1]))
    assert np.sum(heights * np.diff(edges)) == pytest.approx(inside)
    assert inside > 0.99
    thresholds = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert thresholds == pytest.approx([-4 / 3, 0, 4 / 3])
    assert np.allclose(lines(ax)["levels"].get_xdata(), [-2, -2 / 3, 2 / 3, 2])


def test_frozen_weights_are_bars_with_their_share(ax):
    atoms = np.isclose(np.abs(NODES), 1.5)
    masses = np.where(atoms, 0.2, 0.6 * MASSES / MASSES[~atoms].sum())
    plot.density(limit(MODEL.replace(surrogate=ClippedSurrogate(1.5)), masses), 2.0, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["0.2", "0.2"]
    assert ax.get_ylim()[1] < 1


def test_density_refuses_a_time_it_does_not_have(ax):
    with pytest.raises(SpecificationError, match=r"one of the times kept \(2\)"):
        plot.density(limit(), 3.0, ax=ax)
    with pytest.raises(SpecificationError, match="density_times"):
        plot.density(simulation(), 2.0, ax=ax)


def test_plateaus_mark_the_flat_stretch_and_the_length(ax):
    (found,) = plateau(limit())
    plot.plateaus(plateau(limit()), ax=ax)
    span = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (span.x0, span.x1) == pytest.approx((found.start, found.flat_until))
    assert [text.get_text() for text in ax.texts] == [f"{found.length:.3g}"]


def test_gaps_show_every_score_within_the_frame(ax):
    z = np.array([0.3, -7.0, 1.0])
    plot.gaps(comparison(z), ax=ax)
    assert any(np.array_equal(line.get_ydata(), z) for line in ax.lines)
    levels = sorted(line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1)
    assert levels == [-4, -2, 2, 4]
    assert ax.get_ylim()[0] < -7
    assert r"$|z| \leq 7.00$" in ax.get_legend().get_texts()[0].get_text()


def test_decomposition_stacks_to_the_error(ax):
    points = fixed_points(MODEL)
    plot.decomposition({"a": points, "b": points}, ax=ax)
    tops = [patch.get_y() + patch.get_height() for patch in ax.patches]
    assert max(tops) == pytest.approx(points[0].eps_g)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


def test_plateau_lengths_with_a_gap_where_there_is_none(ax):
    plot.plateau_against_range([1, 2, 3], [np.nan, 5, 7], estimate=[2, 4, 6], ax=ax)
    assert np.array_equal(lines(ax)["limit"].get_ydata(), [np.nan, 5, 7], equal_nan=True)
    assert list(lines(ax)["analytic estimate"].get_ydata()) == [2, 4, 6]


def luminance(color: str) -> float:
    return float(np.dot([int(to_hex(color)[i : i + 2], 16) / 255 for i in (1, 3, 5)], [0.2126, 0.7152, 0.0722]))


def test_colors_are_dark_enough_to_read_on_white():
    assert max(luminance(color) for color in style.COLORS) < 0.7
    assert len(set(style.COLORS)) == len(style.MARKERS) == len(set(style.MARKERS))
