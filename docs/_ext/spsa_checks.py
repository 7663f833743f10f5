"""Check of the derivation of SPSA: runs with directions in proportion to the dimension beside the limit."""

import numpy as np
from checks import _axes

from steode import compare, simulate, solve
from steode.plot import style


def runs(model, t_end: float):
    """The error over time, limit by particles and runs of two dimensions, and their gap in standard errors."""
    times = np.linspace(0, t_end, 13)
    theory = solve(model, t_end, times=times)
    figure, ax = _axes()
    style.axes(ax).plot(times, theory["eps_g"], label="limit", **style.look(0))
    parts = []
    for number, (dim, seeds) in enumerate(((60, 64), (180, 16)), start=1):
        found = simulate(model, dim, t_end, seeds=seeds, times=times)
        largest = np.abs(compare(theory, found).z).max()
        parts.append(f"{largest:.1f} at $d = {dim}$ ({seeds} runs of {model.update_rule.count(dim)} directions a step)")
        look = {"color": style.COLORS[number], "marker": style.MARKERS[number], "linestyle": "none"}
        ax.plot(times, found.mean("eps_g"), fillstyle="none", markersize=4.5, label=f"$d = {dim}$", **look)
    ax.set(xlabel=style.TIME, ylabel=style.SYMBOLS["eps_g"], ylim=(0, None))
    style.legend(ax)
    return figure, (
        f"Limit by particles (standard error {theory.error['eps_g'].max():.4f}), and mean of runs of the algorithm; "
        f"largest $|z|$ over the times: {', '.join(parts)}."
    )
