"""Phase diagrams show the numbers of a sweep where they belong, and mark the smallest."""

import matplotlib.figure
import numpy as np
import pytest
import xarray
from matplotlib.colors import LogNorm, Normalize

from steode import plot
from steode.errors import SpecificationError
from steode.plot import style

RANGES = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
BITS = np.array([1, 2, 3])
BEST = {1: 1.0, 2: 2.0, 3: 8.0}
"""Where the error below is smallest in each row; in the last row at the end of the axis."""


def dataset(**changes) -> xarray.Dataset:
    best = np.array([BEST[bits] for bits in BITS])
    error = 0.1 / BITS + np.log(RANGES[:, None] / best[None, :]) ** 2
    dims = ("weight_quantizer.range", "weight_quantizer.bits")
    words = {"long_name": "generalization error", "symbol": r"$\varepsilon_g$", "better": "smaller"}
    coords = {dims[0]: (dims[0], RANGES, {"long_name": "range", "symbol": r"$\omega$"}), dims[1]: BITS}
    return xarray.Dataset({"eps_g": (dims, error, words)}, coords)


@pytest.fixture
def ax():
    return matplotlib.figure.Figure().subplots()


def lines(ax) -> dict:
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def test_optimum_is_marked_in_every_row_and_over_all(ax):
    plot.phase_diagram(dataset(), x="range", y="bits", ax=ax)
    assert lines(ax)["best in each row"] == [[1.0, 1.0], [2.0, 2.0]]
    assert lines(ax)["best at an end of the axis"] == [[8.0, 3.0]]
    assert lines(ax)["best"] == [[8.0, 3.0]]


def test_order_of_values_and_of_dimensions_does_not_matter(ax):
    shuffled = dataset().isel({"weight_quantizer.range": [3, 0, 4, 2, 1]}).transpose()
    plot.phase_diagram(shuffled, x="range", y="bits", ax=ax)
    assert lines(ax)["best in each row"] == [[1.0, 1.0], [2.0, 2.0]]


def test_every_cell_has_its_color(ax):
    ds = dataset()
    plot.phase_diagram(ds, x="range", y="bits", ax=ax)
    mesh = ax.collections[0]
    assert np.array_equal(mesh.get_array().reshape(3, 5), ds["eps_g"].values.T)
    corners = mesh.get_coordinates()
    # edges halfway between the values, in ratio where the values are in ratio
    assert np.allclose(corners[0, :, 0], 0.5 * 2.0 ** (np.arange(6) - 0.5))
    assert corners[:, 0, 1].tolist() == [0.5, 1.5, 2.5, 3.5]


def test_axes_follow_the_values(ax):
    plot.phase_diagram(dataset(), x="range", y="bits", ax=ax)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1", "2", "3"]
    assert ax.get_xlabel() == r"range $\omega$"
    assert ax.figure.axes[1].get_ylabel() == r"generalization error $\varepsilon_g$"


@pytest.mark.parametrize(("largest", "norm"), [(10.0, Normalize), (1000.0, LogNorm)])
def test_colors_are_logarithmic_over_decades(ax, largest, norm):
    ds = dataset()
    values = np.linspace(1.0, largest, 15).reshape(5, 3)
    plot.phase_diagram(ds.assign(eps_g=(ds["eps_g"].dims, values)), x="range", y="bits", ax=ax)
    assert type(ax.collections[0].norm) is norm


def test_missing_values_are_not_colored_nor_best(ax):
    ds = dataset()
    ds["eps_g"][4, 2] = -np.inf
    ds["eps_g"][:, 0] = np.nan
    plot.phase_diagram(ds, x="range", y="bits", ax=ax)
    assert ax.collections[0].get_array().mask.sum() == 6
    assert lines(ax)["best in each row"] == [[2.0, 2.0], [4.0, 3.0]]
    assert "no finite value" in lines(ax)


def test_optimum_only_where_smaller_is_better(ax):
    ds = dataset()
    del ds["eps_g"].attrs["better"]
    plot.phase_diagram(ds, x="range", y="bits", ax=ax)
    assert "best" not in lines(ax)
    plot.phase_diagram(ds, x="range", y="bits", optimum=True, ax=ax)
    assert "best" in lines(ax)


def test_words_have_ticks_of_their_own(ax):
    ds = dataset().assign_coords({"weight_quantizer.bits": ["Sign()", "Ternary()", "Uniform(bits=2)"]})
    plot.phase_diagram(ds, x="range", y="bits", ax=ax)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Sign()", "Ternary()", "Uniform(bits=2)"]


def test_a_new_figure_is_made_without_axes():
    ax = plot.phase_diagram(dataset(), x="range", y="bits")
    matplotlib.pyplot.close(ax.figure)
    assert len(ax.figure.axes) == 2


def test_profile_shows_the_values_and_marks_the_smallest(ax):
    row = dataset().sel({"weight_quantizer.bits": 2})
    plot.profile(row, "range", ax=ax)
    assert np.array_equal(ax.lines[0].get_xydata().T, [RANGES, row["eps_g"].values])
    assert lines(ax)["smallest, at 2"] == [[2.0, 0.05]]
    assert ax.lines[1].get_color() == style.COLORS[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": "rnage"}, "x: expected one of weight_quantizer.range"),
        ({"y": "range"}, "another dimension than x"),
        ({"variable": "V"}, "variable: expected one of eps_g"),
        ({"ds": dataset().expand_dims({"noise": [0.0], "learning_rate": [0.1]})}, r'ds.sel\({"noise": '),
        ({"ds": dataset() * np.nan}, "finite values"),
        ({"ds": dataset()["eps_g"]}, "a dataset from sweep"),
    ],
)
def test_bad_requests_are_refused(change, message):
    with pytest.raises(SpecificationError, match=message):
        plot.phase_diagram(**({"ds": dataset(), "x": "range", "y": "bits"} | change))


def test_a_third_dimension_gives_panels_in_the_same_colors():
    ds = dataset()
    several = xarray.concat([ds, 100 * ds], "learning_rate").assign_coords(learning_rate=[0.1, 0.2])
    several["eps_g"].attrs = ds["eps_g"].attrs
    panels = plot.phase_diagram(several, x="range", y="bits")
    assert [panel.get_title() for panel in panels] == ["learning_rate = 0.1", "learning_rate = 0.2"]
    meshes = [panel.collections[0] for panel in panels]
    assert [float(mesh.get_array().max()) for mesh in meshes] == pytest.approx(
        [float(ds["eps_g"].max()), 100 * float(ds["eps_g"].max())]
    )
    assert meshes[0].norm.vmax == meshes[1].norm.vmax


def test_rows_that_are_best_at_an_end_share_a_mark(ax):
    ds = dataset()
    ds["eps_g"][:] = RANGES[:, None] * np.ones(len(BITS))
    plot.phase_diagram(ds, x="range", y="bits", ax=ax)
    assert lines(ax)["best at an end of the axis"] == [[RANGES[0], BITS[1]]]
    assert "best in each row" not in lines(ax)


def test_dimensions_are_found_by_their_keys(ax):
    ds = dataset().rename({"weight_quantizer.range": "range", "weight_quantizer.bits": "bits"})
    ds["range"].attrs["keys"] = "weight_quantizer.range, input_quantizer.range"
    plot.phase_diagram(ds, x="input_quantizer.range", y="bits", ax=ax)
    assert ax.get_xscale() == "log"
