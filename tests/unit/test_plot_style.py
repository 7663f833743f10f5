"""One style: the notation's letters on every axis, settings of its own, figures that can be told apart in gray."""

import itertools
import pathlib
import re

import matplotlib
import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from steode import plot
from steode.plot import style
from steode.plot.panels import panels, share_legend
from steode.studies.sweep import labels
from tests.figures import CALLS, limit, simulation

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "notation.md"
WIDTHS = ("b", "b_x")
"""Bit widths: they choose the levels and stand in no equation, so docs/notation.md has no row for them."""
GRAY_STEP = 0.12
"""Difference of lightness (0 to 1) from which two lines differ in print."""


@pytest.fixture
def ax():
    return matplotlib.figure.Figure().subplots()


def spelled(latex: str) -> str:
    """The tokens of a formula, each with a space on either side, without braces and spacing."""
    tokens = re.findall(r"\\[a-zA-Z]+|\\[,;!]|\S", latex)
    return " " + " ".join(token for token in tokens if token not in ("{", "}", r"\,", r"\;", r"\!")) + " "


def notation() -> list[str]:
    """Symbols of docs/notation.md, long ones first."""
    rows = re.findall(r"^\| \$(.*?)\$ \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) > 40
    return sorted(map(spelled, rows), key=len, reverse=True)


def foreign(mathematics: str, symbols: list[str]) -> str:
    """What is left of a formula when symbols of the notation, numbers and operators are taken out."""
    rest = spelled(mathematics)
    for symbol in (spelled(r"\mathrm{E}"), *symbols):
        rest = rest.replace(symbol, " | ")
    return "".join(token for token in rest.split() if not re.fullmatch(r"\\pm|\\leq|[-+=/()|,.\d_]", token))


def shown_labels(ax) -> list[str]:
    texts = [text for every in ax.figure.axes for text in (every.get_xlabel(), every.get_ylabel(), every.get_title())]
    return [text for text in texts if text]


@pytest.mark.parametrize("name", plot.__all__)
def test_letters_on_the_axes_are_those_of_the_notation(name, ax):
    CALLS[name](ax)
    formulas = [formula for label in shown_labels(ax) for formula in re.findall(r"\$(.*?)\$", label)]
    assert {formula: foreign(formula, notation()) for formula in formulas} == dict.fromkeys(formulas, "")


@pytest.mark.parametrize("name", sorted({*plot.__all__} - {"gaps", "decomposition", "deployments"}))
def test_both_axes_name_their_quantity_by_its_letter(name, ax):
    CALLS[name](ax)
    if name == "fixed_points":
        ax.set_xlabel(style.TIME)
    assert all("$" in label for label in (ax.get_xlabel(), ax.get_ylabel()))


def test_letters_of_observables_and_of_sweeps_are_those_of_the_notation():
    letters = [letter for _, letter in labels.KEYS.values()] + [letter for _, letter, _ in labels.VARIABLES.values()]
    letters += re.findall(r"\$(.*?)\$", " ".join(style.SYMBOLS.values()))
    assert [letter for letter in letters if letter not in WIDTHS and foreign(letter, notation())] == []


def test_a_letter_that_is_not_in_the_notation_is_found():
    assert foreign(r"\digamma", notation())
    assert foreign(r"\tau = k/d", notation()) == "k"
    assert foreign(r"\eta w^*", notation()) == ""


def lightness(color) -> float:
    return float(np.dot(to_rgb(color), [0.299, 0.587, 0.114]))


def test_colors_are_dark_enough_to_read_on_white():
    assert max(lightness(color) for color in style.COLORS) < 0.7
    assert len(set(style.COLORS)) == len(style.MARKERS) == len(set(style.MARKERS)) == len(set(style.LINES))


def test_any_two_models_differ_in_gray(ax):
    for number in range(len(style.COLORS)):
        plot.trajectory(limit(), simulation(), label=f"model {number}", color=number, ax=ax)
    drawn = [line for line in ax.lines if line.get_label().startswith("model")]
    markers = [
        line.get_marker() for line in ax.lines if line.get_marker() not in ("None", "") and line.get_xdata().size
    ]
    looks = [(lightness(line.get_color()), line._unscaled_dash_pattern) for line in drawn]
    assert len(drawn) == len(style.COLORS)
    assert len(set(markers)) == len(style.COLORS)
    for (gray, dashes), (other_gray, other_dashes) in itertools.combinations(looks, 2):
        assert dashes != other_dashes or abs(gray - other_gray) > GRAY_STEP


def test_bars_differ_in_gray(ax):
    CALLS["decomposition"](ax)
    looks = {(patch.get_hatch(), round(lightness(patch.get_facecolor()[:3]), 2)) for patch in ax.patches}
    assert len({hatch for hatch, _ in looks}) == len(looks) == 3


@pytest.mark.parametrize("name", plot.__all__)
def test_no_text_is_too_small_to_print(name):
    made = CALLS[name](None)
    sizes = [text.get_fontsize() for text in made.figure.findobj(Text) if text.get_text() and text.get_visible()]
    width = made.figure.get_size_inches()[0]
    plt.close(made.figure)
    # in a column of 4.5 inches letters are at least 6 points high
    assert min(sizes) * 4.5 / width > 6


def test_the_users_settings_are_neither_used_nor_changed():
    with matplotlib.rc_context({"font.size": 23.0, "axes.facecolor": "black", "lines.linewidth": 9.0}):
        before = dict(matplotlib.rcParams)
        made = CALLS["trajectory"](None)
        assert {key for key, value in matplotlib.rcParams.items() if before[key] != value} == set()
        assert made.get_facecolor() == (1, 1, 1, 1)
        assert made.xaxis.label.get_fontsize() == style.SETTINGS["axes.labelsize"]
        assert {line.get_linewidth() for line in made.lines if line.get_linestyle() == "-"} == {1.5}
        plt.close(made.figure)


def test_panels_share_one_legend_with_each_name_once():
    figure, axes = panels(1, 2, share="y")
    for panel in axes:
        plot.trajectory(limit(), simulation(), ax=panel)
    share_legend(figure)
    plt.close(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["limit", "simulation, $d = 500$, 4 seeds"]
    assert all(panel.get_legend() is None for panel in axes)
    assert axes[0].get_ylim() == axes[1].get_ylim()
