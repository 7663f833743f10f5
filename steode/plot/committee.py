"""Figures of committee machines."""

from matplotlib.figure import Figure

from steode.plot import style
from steode.systems.committee import CommitteeTrajectory


@style.styled
def errors(cases: list[tuple[str, CommitteeTrajectory, CommitteeTrajectory]]) -> Figure:
    """Generalization error and specialization over time, limit (lines) beside the mean of runs (dots), case by case."""
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    left, right = map(style.axes, figure.subplots(1, 2))
    for number, (label, limit, runs) in enumerate(cases):
        color = style.COLORS[number % len(style.COLORS)]
        for ax, name in ((left, "eps_g"), (right, "specialization")):
            ax.plot(limit.times, limit[name], color=color, label=label)
            ax.plot(runs.times[::4], runs.mean(name)[::4], ".", color=color)
    left.set(yscale="log", xlabel=style.TIME, ylabel=r"generalization error $\varepsilon_g$")
    right.set(xlabel=style.TIME, ylabel="specialization")
    style.legend(left)
    return figure
