"""Observables over time: limit and simulation, plateaus, and the gap between the two."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from steode.plot import style
from steode.systems.linear.comparison import Comparison
from steode.systems.linear.fluctuation import Fluctuations
from steode.systems.linear.plateau import Plateaus
from steode.systems.linear.trajectory import Trajectory

MARKS = 21
"""Markers on a simulated curve: enough to see it follow the line, few enough to see the line."""


@style.styled
def trajectory(
    theory: Trajectory | None,
    runs: Trajectory | None = None,
    *,
    observable: str = "eps_g",
    label: str = "",
    color: int = 0,
    fluctuations: Fluctuations | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an observable of the limit as a line, and of a simulation as markers with a band.

    The markers are the mean over seeds, the band one standard deviation between seeds on either side. Either trajectory
    may be None. `label` names the model where an Axes holds several, `color` counts through the palette.

    With `fluctuations` (of the same model and observable), and both trajectories, the band is the predicted one: two
    standard deviations of a run of this dimension on either side of the limit. Beside it every seed is a thin line.

    Raises `SpecificationError` if the observable is not a scalar that the trajectories hold, or the limit's times
    reach beyond those of the fluctuations.
    """
    ylabel = style.scalar(observable)
    ax = style.axes(ax)
    paint, marker = style.COLORS[color % len(style.COLORS)], style.MARKERS[color % len(style.MARKERS)]
    if theory is not None:
        ax.plot(theory.times, theory.mean(observable), label=label or "limit", zorder=2, **style.look(color))
    if runs is not None:
        mean = runs.mean(observable)
        shown = np.unique(np.linspace(0, runs.times.size - 1, MARKS).round().astype(int))
        if label:
            # several models share the Axes: one gray entry says what markers are
            _name_once(ax, _run_name(runs), marker="o", linestyle="none", fillstyle="none", markersize=4.5)
        name = None if label else _run_name(runs)
        ax.plot(
            runs.times[shown], mean[shown], marker, color=paint, markersize=4.5, fillstyle="none", label=name, zorder=3
        )
        if fluctuations is not None and theory is not None:
            _predicted_band(theory, runs, observable, fluctuations, paint, ax)
        elif runs[observable].shape[0] > 1:
            std = runs[observable].std(axis=0, ddof=1)
            ax.fill_between(runs.times, mean - std, mean + std, color=paint, alpha=0.25, linewidth=0, zorder=1)
    ax.set(xlabel=style.TIME, ylabel=ylabel)
    ax.margins(x=0.01)
    if observable in ("eps_g", "V"):
        # anew for every model on these Axes: a limit once set is not widened by what is drawn later
        ax.autoscale(axis="y")
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    style.legend(ax)
    return ax


def _predicted_band(theory, runs, observable, fluctuations, paint, ax) -> None:
    std = fluctuations.std(runs.provenance.settings["dim"], observable, times=theory.times)
    limit = theory.mean(observable)
    ax.fill_between(
        theory.times, limit - 2 * std, limit + 2 * std, color=paint, alpha=0.16, linewidth=0, zorder=0,
        label=r"limit $\pm 2$ predicted std of a run",
    )  # fmt: skip
    ax.plot(runs.times, runs[observable].T, color=paint, linewidth=0.5, alpha=0.55, zorder=1)


def _run_name(runs: Trajectory) -> str:
    seeds, dim = runs["eps_g"].shape[0], runs.provenance.settings.get("dim")
    size = f"$d = {dim}$, " if dim else ""
    return f"simulation, {size}{seeds} seed{'s' if seeds > 1 else ''}"


def _name_once(ax: Axes, name: str, **look) -> None:
    if name not in ax.get_legend_handles_labels()[1]:
        ax.plot([], [], color=style.GRAY, label=name, **look)


@style.styled
def plateaus(
    found: Plateaus, estimate: float | None = None, *, shade: bool = True, color: int = 0, ax: Axes | None = None
) -> Axes:
    """Mark plateaus on a curve: the flat stretch, its height, and with its length the middle of the drop that ends it.

    `shade` fills the time of each flat stretch; without it, as suits several curves on one Axes, the stretch is a broad
    stroke. `estimate` adds the analytic plateau length as a tick on the time axis.
    """
    ax = style.axes(ax)
    paint = style.COLORS[color % len(style.COLORS)]
    for item in found:
        middle = (item.end, (item.height + item.drop_to) / 2)
        if shade:
            ax.axvspan(item.start, item.flat_until, color=paint, alpha=0.10, linewidth=0, zorder=0)
        else:
            ax.hlines(item.height, item.start, item.flat_until, color=paint, linewidth=7, alpha=0.2, zorder=0)
        ax.hlines(item.height, item.start, item.end, color=paint, linewidth=0.9, linestyle=":")
        ax.plot(*middle, "|", color=paint, markersize=16, markeredgewidth=1.6)
        # below and left of a falling curve there is room
        look = {"color": paint, "fontsize": "small", "ha": "right", "va": "top"}
        ax.annotate(f"{item.length:.3g}", middle, (-5, -2), textcoords="offset points", **look)
    if estimate is not None:
        foot = blended_transform_factory(ax.transData, ax.transAxes)
        ax.plot([estimate, estimate], [0, 0.07], color=paint, linewidth=2.5, transform=foot, solid_capstyle="butt")
        _name_once(ax, "analytic estimate", marker="|", linestyle="none", markersize=10, markeredgewidth=2.5)
        style.legend(ax)
    return ax


@style.styled
def gaps(comparison: Comparison, *, label: str = "", color: int = 0, ax: Axes | None = None) -> Axes:
    """Draw the z-score of the gap between simulation and limit over time, with lines at 2 and 4 standard errors.

    `label` and `color` as in `trajectory`. Of an observable with levels each level is a thin line.
    """
    ax = style.axes(ax)
    for size, dashes in ((2, (4, 3)), (4, (1, 0))):
        for level in (-size, size):
            ax.axhline(level, color=style.GRAY, linewidth=0.9, dashes=dashes, zorder=1)
    paint = style.COLORS[color % len(style.COLORS)]
    columns = comparison.z.reshape(comparison.times.size, -1)
    for column in columns.T:
        ax.plot(comparison.times, column, color=paint, linewidth=1.3 if columns.shape[1] == 1 else 0.7)
    name = label or f"{comparison.seeds} seeds, {comparison.start} start"
    ax.plot([], [], color=paint, label=f"{name}: $|z| \\leq {comparison.largest_z:.2f}$")
    bound = max(5.0, 1.15 * comparison.largest_z, *np.abs(ax.get_ylim()))
    ax.set(xlabel=style.TIME, ylabel="simulation $-$ limit, in standard errors", ylim=(-bound, bound))
    ax.margins(x=0.01)
    # above the frame: inside it would cover scores or the lines at 4
    style.legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)
    return ax
