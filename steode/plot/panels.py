"""Figures of several panels, which the drawing functions fill one by one."""

import numpy as np
from matplotlib.figure import Figure

from steode.plot import style


def panels(
    rows: int = 1, columns: int = 1, *, width: float = 8.0, height: float = 3.2, share: str = ""
) -> tuple[Figure, np.ndarray]:
    """A new figure and its Axes, for small multiples.

    Parameters
    ----------
    rows, columns : of the grid.
    width, height : of the figure and of one row, in inches.
    share : axes with common limits: "x", "y", "xy" or "".

    Returns
    -------
    figure, and its Axes as an array of shape (rows, columns), without the dimensions of length 1.
    """
    import matplotlib.pyplot as plt

    with style.settings():
        return plt.subplots(
            rows,
            columns,
            figsize=(width, height * rows),
            layout="constrained",
            sharex="x" in share,
            sharey="y" in share,
        )


def share_legend(figure: Figure, columns: int = 4) -> Figure:
    """Replace the legends of all panels by one below them, each name once; returns the figure."""
    entries = {}
    for ax in figure.axes:
        entries |= {text: handle for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    look = {"frameon": False, "fontsize": "small", "ncols": min(columns, max(1, len(entries)))}
    figure.legend(entries.values(), entries, loc="outside lower center", **look)
    return figure
