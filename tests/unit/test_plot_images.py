"""The main figures look as they did. Baselines are in tests/images; where a change is meant, look at it and write them:

    python -m tests.unit.test_plot_images

Drawn at a fixed size with fixed settings and without text, whose pixels depend on the version of the font library;
words and letters are checked by the other tests of figures.
"""

import pathlib

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

from steode import plot
from steode.plot import style
from steode.systems.linear.plateau import plateau
from tests import figures
from tests.figures import CALLS

FOLDER = pathlib.Path(__file__).parents[1] / "images"
TOLERANCE = 2.0
"""Root mean square over all pixels and colors, of 255. A line moved by its own width gives 5 to 15."""
LARGEST = 20_000
"""Bytes of a baseline."""

IMAGES = {name: CALLS[name] for name in ("decomposition", "densities", "density", "phase_diagram", "profiles")} | {
    "trajectory": lambda ax: plot.plateaus(plateau(figures.limit()), 4.4, ax=CALLS["trajectory"](ax)),
    "predicted_band": lambda ax: plot.trajectory(
        figures.limit(), figures.simulation(), fluctuations=figures.predicted(), ax=ax
    ),
    "plateau_against_range": CALLS["plateau_against_range"],
}


def write(draw, path: pathlib.Path) -> str:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style.SETTINGS)
        figure = Figure(figsize=(4.0, 3.0), dpi=80)
        ax = draw(figure.add_axes((0.1, 0.1, 0.85, 0.85)))
        for every in figure.axes:
            every.tick_params(which="both", labelleft=False, labelright=False, labelbottom=False)
            if every.get_legend() is not None:
                every.get_legend().remove()
        assert ax in figure.axes
        for text in figure.findobj(Text):
            text.set_visible(False)
        FigureCanvasAgg(figure).print_png(path, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return str(path)


@pytest.mark.parametrize("name", IMAGES)
def test_figure_looks_like_its_baseline(name, tmp_path):
    baseline = FOLDER / f"{name}.png"
    assert baseline.stat().st_size < LARGEST
    difference = compare_images(str(baseline), write(IMAGES[name], tmp_path / f"{name}.png"), TOLERANCE)
    assert difference is None, difference


def shifted(ax):
    return plot.trajectory(figures.limit(), figures.simulation(), ax=ax)


def other_threshold(ax):
    ax = CALLS["densities"](ax)
    line = next(line for line in ax.lines if line.get_linestyle() == ":")
    line.set_xdata(np.add(line.get_xdata(), 0.05))
    return ax


def other_dashes(ax):
    CALLS["profiles"](ax)
    ax.lines[0].set_linestyle("--")
    return ax


@pytest.mark.parametrize(
    ("name", "change"), [("trajectory", shifted), ("densities", other_threshold), ("profiles", other_dashes)]
)
def test_a_small_change_is_seen(name, change, tmp_path):
    assert compare_images(str(FOLDER / f"{name}.png"), write(change, tmp_path / "changed.png"), TOLERANCE) is not None


def test_every_baseline_has_a_figure():
    assert {path.stem for path in FOLDER.glob("*.png")} == set(IMAGES)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for title, drawn in IMAGES.items():
        print(write(drawn, FOLDER / f"{title}.png"))
