"""The law of the latent weights: density of the limit against the weights of a run."""

import numpy as np
from matplotlib.axes import Axes

from steode.errors import SpecificationError
from steode.parts.quantizers import StepFunction
from steode.parts.surrogates import ClippedSurrogate
from steode.plot import style
from steode.systems.linear.trajectory import Trajectory

MOST_LINES = 33
"""Thresholds and levels are drawn up to this many; beyond it they would hide the density."""


@style.styled
def density(
    theory: Trajectory, time: float, runs: Trajectory | None = None, *, bins: int = 80, ax: Axes | None = None
) -> Axes:
    """Draw the law of latent weights at `time`: the limit's density against a histogram of a run's weights.

    Averaged over the teacher. Thresholds of the weight quantizer are dotted lines, its levels triangles on the axis.
    Weights frozen at the bounds of a clipped surrogate are two bars labeled with their share: they have no density.

    Parameters
    ----------
    theory : from `solve(..., snapshot_times=[...])`.
    time : one of those times.
    runs : from `simulate(..., snapshot_times=[...])` with a snapshot within one step of that time; all seeds together.
    bins : of the histogram.

    Raises
    ------
    SpecificationError
        If a trajectory holds no law at that time; the message lists those it holds.
    """
    if theory.density is None:
        raise SpecificationError("theory", "a trajectory with densities", theory, "Pass snapshot_times to solve.")
    law, model = theory.density, theory.model
    index = kept_time("time", law.times, time)
    atoms = _atoms(law.nodes, model.surrogate)
    marginal = np.where(atoms, np.nan, law.marginal[index])
    ax = style.axes(ax)
    # an atom has no density: the line goes on between its neighbors
    ax.plot(law.nodes[~atoms], marginal[~atoms], color=style.COLORS[0], linewidth=1.6, label="limit")
    height = (1.3 if atoms.any() else 1.12) * np.nanmax(marginal)
    visible = law.nodes[atoms | (marginal > 2e-3 * height)]
    margin = 0.08 * (visible[-1] - visible[0])
    low, high = visible[0] - margin, visible[-1] + margin
    if runs is not None:
        weights = weights_at(runs, time)
        edges = np.linspace(low, high, bins + 1)
        # bins where there is something to see; their heights count the weights outside too
        heights = np.histogram(weights, edges)[0] / (weights.size * np.diff(edges))
        name = f"simulation, {weights.size} weights"
        ax.stairs(heights, edges, fill=True, color=style.COLORS[5], alpha=0.5, linewidth=0, label=name, zorder=1)
    _mark_atoms(ax, law.nodes[atoms], (law.marginal[index] * law.volumes)[atoms], height)
    _mark_grid(ax, model.weight_quantizer, low, high)
    ax.set(xlim=(low, high), ylim=(0, height))
    ax.set(xlabel=r"latent weight $w$", ylabel=r"density $\mu_\tau(w)$", title=rf"$\tau = {law.times[index]:g}$")
    style.legend(ax)
    return ax


def _atoms(nodes: np.ndarray, surrogate) -> np.ndarray:
    """True at the two nodes where weights freeze under a clipped surrogate."""
    if not isinstance(surrogate, ClippedSurrogate):
        return np.zeros(nodes.size, dtype=bool)
    return np.any([np.isclose(nodes, end, rtol=0, atol=1e-9 * surrogate.bound) for end in surrogate.band], axis=0)


def _mark_atoms(ax: Axes, places: np.ndarray, masses: np.ndarray, height: float) -> None:
    for number, (place, mass) in enumerate(zip(places, masses, strict=True)):
        label = None if number else "frozen weights, with their share"
        ax.vlines(place, 0, 0.75 * height, color=style.COLORS[3], linewidth=3, label=label)
        ax.annotate(
            f"{mass:.3g}", (place, 0.75 * height), (0, 3), textcoords="offset points", ha="center", fontsize="small"
        )


def kept_time(argument: str, held: np.ndarray, time: float, slack: float = 0.0) -> int:
    """Index of `time` among the times held, to rounding or to `slack`. Raises `SpecificationError` if not there."""
    slack = max(slack, 1e-9 * (1 + abs(time)))
    index = int(np.argmin(np.abs(held - time))) if held.size else 0
    if not held.size or abs(held[index] - time) > slack:
        listed = ", ".join(f"{value:g}" for value in held) or "none"
        raise SpecificationError(
            argument, f"one of the times kept ({listed})", time, "Ask solve or simulate to keep it."
        )
    return index


def weights_at(runs: Trajectory, time: float) -> np.ndarray:
    """All seeds' weights within one step of `time`, flat. Raises `SpecificationError` if there are none."""
    if runs.snapshots is None:
        raise SpecificationError("runs", "a trajectory with weights", runs, "Pass snapshot_times to simulate.")
    dim = runs.snapshots.weights.shape[-1]
    return runs.snapshots.weights[:, kept_time("time", runs.snapshots.times, time, slack=1 / dim)].ravel()


def _mark_grid(ax: Axes, quantizer, low: float, high: float) -> None:
    if not isinstance(quantizer, StepFunction):
        return
    thresholds, levels = (grid[(grid >= low) & (grid <= high)] for grid in (quantizer.thresholds, quantizer.levels))
    if thresholds.size > MOST_LINES:
        return
    for number, threshold in enumerate(thresholds):
        name = None if number else "thresholds $T_j$"
        ax.axvline(threshold, color=style.GRAY, linewidth=0.9, linestyle=":", label=name, zorder=1)
    if levels.size:
        look = {"color": style.COLORS[1], "markersize": 7, "clip_on": False, "zorder": 4}
        ax.plot(levels, np.zeros_like(levels), "^", label="levels $L_j$", **look)
