"""The one look of steode's figures: colors that differ for every kind of color vision, lines that differ in gray."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import matplotlib
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from steode.errors import SpecificationError

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, darkest first (their yellow is too light for lines on white)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Second code beside color, in the same order."""

LINES = ("-", (0, (5, 2)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 3)))
"""Third code, in the same order: printed in gray, several of the colors are one."""

GRAY = "#5F5F5F"

SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "text.usetex": False,
    "font.size": 10.0,
    "axes.labelsize": 10.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "normal",
    "axes.labelweight": "normal",
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.5,
    "lines.markersize": 6.0,
    "patch.linewidth": 1.0,
    "hatch.linewidth": 1.0,
    "figure.dpi": 100.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "black",
    "axes.labelcolor": "black",
    "text.color": "black",
    "xtick.color": "black",
    "ytick.color": "black",
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "svg.fonttype": "path",
    "svg.hashsalt": "steode",
}
"""Everything a figure takes from matplotlib's settings and that a user's own file could change; the fonts come with
matplotlib."""

SYMBOLS = {
    "eps_g": r"generalization error $\varepsilon_g$",
    "eps_g_test": r"generalization error $\varepsilon_g$ on test inputs",
    "V": r"mean squared residual $V$",
    "m": r"teacher overlap $m$",
    "q": r"self overlap $q$",
    "mean_w": r"mean latent weight $\mathrm{E}\,w$",
    "std_w": r"standard deviation of latent weights $w$",
}
"""Axis label of each scalar observable, in the letters of docs/notation.md."""

TIME = r"rescaled time $\tau$ (SGD steps$/d$)"


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """`SETTINGS` while the block runs, then the user's own again.

    Not `matplotlib.rc_context`, which restores every setting: a notebook's backend, chosen with the first figure, would
    lose that it is interactive and show no further figure.
    """
    kept = {name: matplotlib.rcParams[name] for name in SETTINGS}
    matplotlib.rcParams.update(SETTINGS)
    try:
        yield
    finally:
        matplotlib.rcParams.update(kept)


def styled(draw: Callable) -> Callable:
    """A drawing function that works under `SETTINGS`."""

    @functools.wraps(draw)
    def drawn(*arguments, **options):
        with settings():
            return draw(*arguments, **options)

    return drawn


def look(index: int) -> dict:
    """Color and line style of the model number `index` on an Axes."""
    return {"color": COLORS[index % len(COLORS)], "linestyle": LINES[index % len(LINES)]}


def axes(ax: Axes | None) -> Axes:
    """`ax` itself, or the axes of a new figure; either way with steode's look."""
    if ax is None:
        # pyplot only where a figure must be made: drawing on given axes leaves its global state alone
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(6.0, 3.8), layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#E3E3E3", linewidth=0.7)
    ax.set_axisbelow(True)
    return ax


def scalar(observable: str) -> str:
    """The label of a scalar observable. Raises `SpecificationError` if there is no such one."""
    if observable not in SYMBOLS:
        raise SpecificationError("observable", "one of " + ", ".join(SYMBOLS), observable, "Only scalars have a curve.")
    return SYMBOLS[observable]


def legend(ax: Axes, **options) -> None:
    """A legend without a frame, gray entries (which serve all models) last; none if there is nothing to name."""
    handles, labels = ax.get_legend_handles_labels()
    order = sorted(range(len(handles)), key=lambda index: _is_gray(handles[index]))
    if handles:
        chosen = [handles[index] for index in order], [labels[index] for index in order]
        ax.legend(*chosen, frameon=False, fontsize="small", **options)


def _is_gray(handle) -> bool:
    return isinstance(handle, Line2D) and handle.get_color() == GRAY
