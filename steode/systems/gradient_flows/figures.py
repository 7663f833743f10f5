"""Figures of a study's panels."""

from matplotlib.figure import Figure

from steode.plot import style
from steode.systems.gradient_flows.findings import Findings


@style.styled
def draw(findings: Findings) -> Figure:
    """One figure with the panels of `findings` in a row."""
    count = len(findings.panels)
    figure = Figure(figsize=(3.6 * count, 3.4), layout="constrained")
    for panel, ax in zip(findings.panels, figure.subplots(1, count, squeeze=False)[0], strict=True):
        ax = style.axes(ax)
        for index, (label, (x, y)) in enumerate(panel.curves.items()):
            look = style.look(index) | ({"marker": style.MARKERS[index % len(style.MARKERS)]} if panel.marks else {})
            ax.plot(x, y, label=label, **look)
        scales = {f"{axis}scale": "log" for axis in panel.logarithmic}
        ax.set(xlabel=panel.x, ylabel=panel.y, **scales)
        style.legend(ax)
    return figure
