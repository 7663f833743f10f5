"""Figures show the numbers they are given, on the Axes they are given."""

import equinox as eqx
import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pytest

from steode import plot
from steode.errors import SpecificationError
from steode.parts.quantizers import Levels, Uniform
from steode.systems.linear.plateau import plateau
from steode.systems.linear.spec import ClippedSurrogate
from tests import figures
from tests.figures import CALLS, CURVE, MASSES, MODEL, MOVES, NODES, TIMES, VOLUMES, comparison, limit, simulation


@pytest.fixture
def ax():
    return matplotlib.figure.Figure().subplots()


def lines(ax) -> dict:
    return {line.get_label(): line for line in ax.lines}


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
    assert np.allclose(lines(ax)["levels $L_j$"].get_xdata(), [-2, -2 / 3, 2 / 3, 2])


def test_frozen_weights_are_bars_with_their_share(ax):
    atoms = np.isclose(np.abs(NODES), 1.5)
    masses = np.where(atoms, 0.2, 0.6 * MASSES / MASSES[~atoms].sum())
    plot.density(limit(MODEL.replace(surrogate=ClippedSurrogate(1.5)), masses), 2.0, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["0.2", "0.2"]
    assert ax.get_ylim()[1] < 1


def test_density_refuses_a_time_it_does_not_have(ax):
    with pytest.raises(SpecificationError, match=r"one of the times kept \(2\)"):
        plot.density(limit(), 3.0, ax=ax)
    with pytest.raises(SpecificationError, match="snapshot_times"):
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
    points = figures.stationary(0.3)
    plot.decomposition({"a": points, "b": points}, ax=ax)
    tops = [patch.get_y() + patch.get_height() for patch in ax.patches]
    assert max(tops) == pytest.approx(points[0].eps_g)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


def test_plateau_lengths_with_a_gap_where_there_is_none(ax):
    plot.plateau_against_range([1, 2, 3], [np.nan, 5, 7], estimate=[2, 4, 6], ax=ax)
    assert np.array_equal(lines(ax)["limit"].get_ydata(), [np.nan, 5, 7], equal_nan=True)
    assert list(lines(ax)["analytic estimate"].get_ydata()) == [2, 4, 6]


def test_densities_are_the_limits_each_on_its_base_line(ax):
    theory = figures.moving_limit()
    plot.densities(theory, figures.moving_simulation(), ax=ax)
    curves = [line.get_xydata().T for line in ax.lines if len(line.get_xdata()) == NODES.size]
    scale = np.ptp(curves[0][1]) / theory.density.marginal[0].max()
    for base, (nodes, heights), law in zip((2, 1, 0), curves, theory.density.marginal, strict=True):
        assert np.allclose(heights, base + scale * law)
        assert np.array_equal(nodes, NODES)
    assert [nodes[heights.argmax()] for nodes, heights in curves] == pytest.approx(MOVES)
    assert [text.get_text() for text in ax.get_yticklabels()] == [rf"$\tau = {time}$" for time in (4, 2, 0)]
    crossed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert crossed == list(MODEL.weight_quantizer.thresholds)


def test_histograms_behind_densities_have_the_same_area(ax):
    plot.densities(figures.moving_limit(), figures.moving_simulation(), times=[2.0], ax=ax)
    (curve,) = (line.get_xydata().T for line in ax.lines if len(line.get_xdata()) == NODES.size)
    heights, edges, base = ax.patches[0].get_data()
    inside = (curve[0] >= edges[0]) & (curve[0] <= edges[-1])
    assert np.sum((heights - base) * np.diff(edges)) == pytest.approx(np.trapezoid(*curve[::-1, inside]), rel=0.01)


def test_densities_refuse_what_they_do_not_have(ax):
    with pytest.raises(SpecificationError, match=r"one of the times kept \(0, 2, 4\)"):
        plot.densities(figures.moving_limit(), times=[1.0], ax=ax)
    with pytest.raises(SpecificationError, match="snapshot_times"):
        plot.densities(simulation(), ax=ax)


def test_level_fractions_show_the_levels_that_hold_weights(ax):
    plot.level_fractions(limit(), simulation(), ax=ax)
    drawn = lines(ax)
    assert set(drawn) >= {"$L_{1} = -0.667$", "$L_{2} = 0.667$", "simulation"}
    assert "$L_{0} = -2$" not in drawn
    assert np.array_equal(drawn["$L_{2} = 0.667$"].get_ydata(), figures.fractions()["level_fraction"][:, 2])
    assert np.array_equal(drawn["$L_{2} = 0.667$"].get_xdata(), TIMES)


def test_fixed_points_are_lines_at_their_errors(ax):
    plot.fixed_points(figures.stationary(0.2, 0.5), unquantized=True, ax=ax)
    assert [line.get_ydata()[0] for line in ax.lines] == [0.2, 0.5, 0.05]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "fixed point",
        "fixed point without quantizers",
    ]


def test_staircase_has_the_levels_between_the_thresholds(ax):
    odd_steps = Levels((-1.0, 0.1, 3.0))
    plot.quantizer(odd_steps, ax=ax)
    values, ends, _ = ax.patches[0].get_data()
    assert list(values) == [-1.0, 0.1, 3.0]
    assert list(ends[1:-1]) == list(odd_steps.thresholds)
    assert sorted(line.get_xdata()[0] for line in ax.lines[1:]) == list(odd_steps.thresholds)
    with pytest.raises(SpecificationError, match="entrywise map"):
        plot.quantizer(2, ax=ax)
    with pytest.raises(SpecificationError, match='"w" or "x"'):
        plot.quantizer(Uniform(2, 1.0), of="y", ax=ax)


def test_profiles_show_sweeps_runs_limits_and_bounds(ax):
    CALLS["profiles"](ax)
    drawn = lines(ax)
    for name, row in figures.ROWS.items():
        assert np.array_equal(drawn[name].get_xydata().T, [figures.RATES, row["eps_g"].values])
    assert any(np.array_equal(line.get_xydata().T, figures.POINTS["range 1"][:2]) for line in ax.lines)
    assert any(list(line.get_xdata()) == [0.9, 0.9] for line in ax.lines)
    assert any(list(line.get_ydata()) == [0.3, 0.3] for line in ax.lines)
    with pytest.raises(SpecificationError, match="names among range 1, range 2"):
        plot.profiles(figures.ROWS, "learning_rate", bounds={"range 9": 1.0}, ax=ax)


def test_a_later_model_with_a_larger_error_is_not_cut_off(ax):
    plot.trajectory(limit(), ax=ax)
    higher = eqx.tree_at(lambda trajectory: trajectory.observables["eps_g"], limit(), 3 * CURVE)
    plot.trajectory(higher, label="higher", color=1, ax=ax)
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > 3
