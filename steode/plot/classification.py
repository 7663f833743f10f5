"""Figures of the classification system: loss along training, shares of perfect runs, neurons of a class in a plane."""

import numpy as np
import scipy.spatial
from matplotlib.axes import Axes
from matplotlib.patches import Wedge

from steode.errors import SpecificationError, check_integer
from steode.plot import style
from steode.systems.classification import ClassificationModel, ClassificationRuns, spans
from steode.systems.classification.plane import arcs_with_loss
from steode.systems.classification.simulate import check_weights

OWN, OTHER, LOSS = style.COLORS[0], style.GRAY, style.COLORS[1]


@style.styled
def loss_curve(runs: ClassificationRuns, *, label: str = "", color: int = 0, ax: Axes | None = None) -> Axes:
    """Mean loss of the runs on fresh samples against the number of steps; the band holds the middle half of the runs.

    Parameters
    ----------
    runs : from `steode.classification.simulate`.
    label : of the model in the legend.
    color : number of the model on these axes.
    ax : axes to draw on, or None for a new figure.

    Step 0 is drawn at half a step. A mean of zero has no place on the logarithmic axis.
    """
    ax = style.axes(ax)
    steps = np.maximum(runs.steps, 0.5)
    look = style.look(color)
    mean = runs.loss.mean(axis=0)
    ax.plot(steps, np.where(mean > 0, mean, np.nan), label=label, **look)
    low, high = np.quantile(runs.loss, (0.25, 0.75), axis=0)
    ax.fill_between(steps, low, high, color=look["color"], alpha=0.15, linewidth=0)
    ax.set(xscale="log", yscale="log", xlabel="steps", ylabel="loss on fresh samples")
    style.legend(ax)
    return ax


@style.styled
def success(results: dict[str, ClassificationRuns], *, ax: Axes | None = None) -> Axes:
    """Share of perfect runs with its 95 percent interval, one row for each entry, and the median number of steps.

    Raises `SpecificationError` if there is nothing to draw.
    """
    if not results:
        raise SpecificationError("results", "at least one entry", results, "Label -> runs.")
    ax = style.axes(ax)
    for place, runs in enumerate(results.values()):
        share, low, high = runs.success()
        ax.errorbar(share, place, xerr=[[share - low], [high - share]], marker="o", color=OWN, capsize=3)
        if runs.perfect.any():
            text = f"{np.nanmedian(runs.steps_to_perfect):.0f} steps"
            ax.annotate(text, (1.06, place), va="center", fontsize="small", annotation_clip=False)
    ax.set(yticks=range(len(results)), yticklabels=list(results), xlim=(-0.04, 1.04), xlabel="share of perfect runs")
    ax.set_ylim(len(results) - 0.5, -0.5)
    return ax


@style.styled
def neurons(model: ClassificationModel, weights, number: int, *, ax: Axes | None = None) -> Axes:
    """Neurons in the plane of a class: own ones and the edge of their convex hull, all others, and where there is loss.

    Samples of the class at angles in the colored sectors have positive loss, at the mean length r.

    Parameters
    ----------
    model : the specification, with d_i = 2 for this class.
    weights : W in the coordinates of the subspaces, (K, sum of d_i).
    number : of the class, from 0.
    ax : axes to draw on, or None for a new figure.

    Raises `SpecificationError` if the weights have another shape, or the subspace is no plane.
    """
    weights = check_weights("weights", model, weights)
    number = check_integer("number", number, 0, model.classes - 1)
    if model.dimensions[number] != 2:
        raise SpecificationError("number", "a class in a plane", model.dimensions[number], "d_i = 2 can be drawn.")
    ax = style.axes(ax)
    inside = weights[:, model.blocks[number]]
    own = model.votes == number
    reach = 1.25 * max(np.linalg.norm(inside, axis=1).max(), 1e-12)
    for start, stop in arcs_with_loss(inside, model, number):
        ax.add_patch(Wedge((0, 0), reach, np.degrees(start), np.degrees(stop), color=LOSS, alpha=0.22, linewidth=0))
    for chosen, color, label in ((~own, OTHER, "other neurons"), (own, OWN, "own neurons")):
        for vector in inside[chosen]:
            ax.plot([0, vector[0]], [0, vector[1]], color=color, linewidth=1.0)
        ax.plot(*inside[chosen].T, "o" if color == OWN else "s", color=color, markersize=4, label=label)
    points = inside[own]
    if len(points) > 2:
        hull = points[scipy.spatial.ConvexHull(points).vertices]
        covered = spans(points)
        line = "-" if covered else (0, (4, 2))
        ax.fill(*hull.T, facecolor=OWN if covered else "none", alpha=0.12, linewidth=0)
        ax.plot(*np.concatenate([hull, hull[:1]]).T, color=OWN, linestyle=line, linewidth=0.8)
    ax.plot(0, 0, "+", color="black", markersize=9)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return ax
