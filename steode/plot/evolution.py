"""How the law of the weights moves: densities at several times, and the fraction of weights at each level."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from steode.errors import SpecificationError
from steode.parts.quantizers import StepFunction
from steode.plot import style
from steode.plot.law import kept_time, weights_at
from steode.systems.linear.trajectory import Trajectory

OVERLAP = 1.35
"""Height of the tallest density in units of the distance between two base lines."""
VISIBLE = 0.01
"""Fraction of the weights from which a level is drawn."""
MARKS = 13


@style.styled
def densities(
    theory: Trajectory,
    runs: Trajectory | None = None,
    *,
    times: Sequence[float] | None = None,
    bins: int = 120,
    ax: Axes | None = None,
) -> Axes:
    """Draw the density of latent weights at several times, one above the other, earliest at the top.

    Each density is a line with a base line of its own, labeled by its time, all on one scale; a run's histogram is
    filled behind it. Thresholds of the weight quantizer go through all of them: one sees weights cross. The weights of
    a clipped surrogate that froze have no density and are left out: see `density`.

    Parameters
    ----------
    theory : from `solve(..., snapshot_times=[...])`.
    runs : from `simulate(..., snapshot_times=[...])` with the same times.
    times : those drawn; None: all that theory keeps.
    bins : of the histograms.

    Raises
    ------
    SpecificationError
        If a trajectory holds no law at one of the times.
    """
    if theory.density is None:
        raise SpecificationError("theory", "a trajectory with densities", theory, "Pass snapshot_times to solve.")
    law, model = theory.density, theory.model
    indices = [kept_time("times", law.times, time) for time in (law.times if times is None else times)]
    # a node that holds a frozen share has a negligible volume; its quotient is no density
    regular = law.volumes > 1e-3 * np.median(law.volumes)
    curves = law.marginal[indices][:, regular]
    nodes = law.nodes[regular]
    scale = OVERLAP / curves.max()
    seen = nodes[np.any(curves * scale > 3e-3, axis=0)]
    low, high = seen[0], seen[-1]
    ax = style.axes(ax)
    ax.grid(False)
    for row, (index, curve) in enumerate(zip(indices, curves, strict=True)):
        base, order = len(indices) - 1 - row, 3 * row
        first = row == 0
        ax.axhline(base, color=style.GRAY, linewidth=0.5, zorder=order)
        if runs is not None:
            weights = weights_at(runs, law.times[index])
            edges = np.linspace(low, high, bins + 1)
            heights = scale * np.histogram(weights, edges)[0] / (weights.size * np.diff(edges))
            ax.stairs(
                base + heights, edges, baseline=base, fill=True, color=style.COLORS[5], alpha=0.55, linewidth=0,
                label=f"simulation, {weights.size} weights" if first else None, zorder=order + 1,
            )  # fmt: skip
        name = "limit" if first else None
        ax.plot(nodes, base + scale * curve, color=style.COLORS[0], linewidth=1.4, label=name, zorder=order + 2)
    _mark_thresholds(ax, model.weight_quantizer, low, high)
    ax.set_yticks(range(len(indices)), [rf"$\tau = {law.times[index]:g}$" for index in reversed(indices)])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set(xlabel=r"latent weight $w$", ylabel=r"density $\mu_\tau(w)$", xlim=(low, high))
    ax.set_ylim(-0.08, len(indices) - 1 + OVERLAP * 1.05)
    # above the frame: inside it would cover a threshold
    style.legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)
    return ax


def _mark_thresholds(ax: Axes, quantizer, low: float, high: float) -> None:
    if not isinstance(quantizer, StepFunction):
        return
    inside = [value for value in quantizer.thresholds if low <= value <= high]
    for number, threshold in enumerate(inside):
        name = "thresholds $T_j$" if number == 0 else None
        ax.axvline(threshold, color=style.COLORS[1], linewidth=1.2, linestyle=":", label=name, zorder=100)


@style.styled
def level_fractions(theory: Trajectory, runs: Trajectory | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the fraction of weights at each level over time: the limit as lines, the mean of runs as markers.

    Levels that never hold one percent of the weights are left out.

    Parameters
    ----------
    theory : from `solve` for weights quantized by a step function; methods "density" and "particles" count levels.
    runs : from `simulate` of the same model.

    Raises
    ------
    SpecificationError
        If a trajectory does not hold the fractions.
    """
    levels = theory.model.weight_quantizer.levels if _counts(theory) else ()
    fractions = theory.mean("level_fraction")
    measured = None if runs is None else runs.mean("level_fraction")
    ax = style.axes(ax)
    shown = [column for column in range(len(levels)) if fractions[:, column].max() >= VISIBLE]
    for number, column in enumerate(shown):
        name = f"$L_{{{column}}} = {levels[column]:.3g}$"
        ax.plot(theory.times, fractions[:, column], label=name, **style.look(number))
        if measured is not None:
            marks = np.unique(np.linspace(0, runs.times.size - 1, MARKS).round().astype(int))
            marker, color = style.MARKERS[number % len(style.MARKERS)], style.COLORS[number % len(style.COLORS)]
            ax.plot(runs.times[marks], measured[marks, column], marker, color=color, markersize=4.5, fillstyle="none")
    if measured is not None:
        ax.plot([], [], "o", color=style.GRAY, markersize=4.5, fillstyle="none", label="simulation")
    ax.set(xlabel=style.TIME, ylabel="fraction of weights at level $L_j$", ylim=(-0.02, 1.02))
    ax.margins(x=0.01)
    style.legend(ax)
    return ax


def _counts(theory: Trajectory) -> bool:
    return "level_fraction" in theory.observables
