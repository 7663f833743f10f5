"""Learning-rate schedules beside each other, and the errors they end with."""

import numpy as np
from matplotlib.axes import Axes

from steode.plot import style
from steode.systems.linear.schedules_found import OptimalSchedule

POINTS = 401
"""Times at which a rate is drawn."""


@style.styled
def schedules(found: OptimalSchedule, *, ax: Axes | None = None) -> Axes:
    """Draw every tuned schedule over time on a logarithmic axis, with its error in the legend, best first.

    A dot marks the time at which quantizers are switched on, where that is not the start; the line before it is
    thinner.

    Parameters
    ----------
    found : the result of `steode.optimal_schedule`.
    """
    ax = style.axes(ax)
    times = np.linspace(0, found.t_end, POINTS)
    ordered = sorted(found.schedules.values(), key=lambda entry: entry.eps_g)
    for number, entry in enumerate(ordered):
        look = {"color": style.COLORS[number % len(style.COLORS)], "linestyle": style.LINES[number % len(style.LINES)]}
        rate, before = entry.rate(times), times < entry.quantized_from
        label = rf"{entry.name}: $\varepsilon_g$ = {entry.eps_g:.4g}"
        ax.plot(times[~before], rate[~before], linewidth=2.0, label=label, **look)
        if before.any():
            ax.plot(times[before], rate[before], linewidth=0.9, **look)
            switch = entry.quantized_from
            ax.plot([switch], entry.rate(np.array([switch])), "o", color=look["color"], markersize=5)
    ax.set(yscale="log", xlabel=r"rescaled time $\tau$", ylabel=r"learning rate $\eta$")
    style.legend(ax)
    return ax
