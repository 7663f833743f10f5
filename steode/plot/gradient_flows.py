"""Figures of a study's panels."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from steode.plot import style
from steode.plot.panels import panels
from steode.systems.gradient_flows.findings import Findings


@style.styled
def draw(findings: Findings) -> Figure:
    """One figure with the panels of `findings` in a row."""
    count = len(findings.panels)
    figure, axes = panels(1, count, width=3.6 * count, height=3.4)
    for panel, ax in zip(findings.panels, np.atleast_1d(axes), strict=True):
        ax = style.axes(ax)
        for index, (label, (x, y)) in enumerate(panel.curves.items()):
            look = style.look(index) | ({"marker": style.MARKERS[index % len(style.MARKERS)]} if panel.marks else {})
            ax.plot(x, y, label=label, **look)
        ax.set(xlabel=panel.x, ylabel=panel.y, **{f"{axis}scale": "log" for axis in panel.logarithmic})
        for axis in panel.logarithmic:
            # within a decade matplotlib would number minor ticks, one over the other
            scale = getattr(ax, f"{axis}axis")
            low, high = scale.get_view_interval()
            scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1e2 else (1.0,), numticks=8))
            scale.set_minor_formatter(NullFormatter())
        style.legend(ax)
    return figure
