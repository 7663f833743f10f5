"""The one look of steode's figures: colors that differ for every kind of color vision and in gray print."""

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from steode.errors import SpecificationError

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, darkest first (their yellow is too light for lines on white)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Second code beside color, in the same order."""

GRAY = "#5F5F5F"

SYMBOLS = {
    "eps_g": r"generalization error $\varepsilon_g$",
    "eps_g_test": r"generalization error $\varepsilon_g$ on test inputs",
    "V": r"mean squared residual $V$",
    "m": r"teacher overlap $m$",
    "q": r"self overlap $q$",
    "mean_w": r"mean latent weight $\mathrm{E}\,w$",
    "std_w": r"standard deviation of latent weights",
}
"""Axis label of each scalar observable."""

TIME = r"rescaled time $\tau = k/d$"


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
