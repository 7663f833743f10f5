"""What the explorer shows for one model: computed in two parts, the curve first, and drawn."""

import dataclasses
import io

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from steode import plot
from steode.errors import SteodeError
from steode.plot import style
from steode.systems.linear.fixed_point import FixedPoints
from steode.systems.linear.fixed_points import fixed_points
from steode.systems.linear.plateau import Plateaus, plateau
from steode.systems.linear.plateau_estimate import PlateauEstimate, plateau_estimate
from steode.systems.linear.simulate import simulate
from steode.systems.linear.solve import solve
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.trajectory import Trajectory

TOLERANCE = 2e-3
"""Relative accuracy of the density solution: well below the width of a line."""
TIMES = 201
LAWS = 40
"""Equidistant times at which the law of the weights is kept, so that choosing one computes nothing."""
SIZE = (9.0, 3.6)
MARGINS = {"left": 0.075, "right": 0.985, "bottom": 0.14, "top": 0.83, "wspace": 0.22}
"""Fixed: measuring the labels to find margins would take as long as drawing."""


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """The limit of a model up to `t_end`, and what else is known of it so far."""

    model: LinearModel
    theory: Trajectory
    law_time: float | None  # of the law drawn, where the method has one
    stationary: FixedPoints | None = None
    plateaus: Plateaus | None = None
    estimate: PlateauEstimate | None = None
    runs: Trajectory | None = None


def law_times(t_end: float) -> np.ndarray:
    """Times at which the law of the weights is kept."""
    return np.linspace(0, t_end, LAWS + 1)[1:]


def limit(model: LinearModel, t_end: float, method: str, law_time: float) -> View:
    """The curve, and by method "density" the law of the weights, drawn at `law_time`."""
    times = np.linspace(0, t_end, TIMES)
    if method == "gaussian":
        return View(model, solve(model, t_end, times=times, method="gaussian"), None)
    theory = solve(model, t_end, times=times, tolerance=TOLERANCE, snapshot_times=law_times(t_end))
    return View(model, theory, law_time)


def completed(view: View) -> View:
    """The view with fixed points and plateaus, as far as they exist."""
    found = {}
    for name, compute in (
        ("stationary", lambda: fixed_points(view.model)),
        ("plateaus", lambda: plateau(view.theory)),
        ("estimate", lambda: plateau_estimate(view.model)),
    ):
        try:
            found[name] = compute()
        except SteodeError:  # a model without one: nothing to draw
            found[name] = None
    return dataclasses.replace(view, **found)


def simulated(view: View, dim: int, seeds: int) -> View:
    """The view with runs of the algorithm, recorded at the times of the laws."""
    t_end = float(view.theory.times[-1])
    kept = law_times(t_end)
    times = [0.0, *kept]
    runs = simulate(view.model, dim, t_end, seeds=seeds, times=times, snapshot_times=kept, progress=False)
    return dataclasses.replace(view, runs=runs)


def draw(view: View) -> bytes:
    """The view as an SVG image, the same for the same view."""
    with style.settings():
        figure = Figure(figsize=SIZE)
        figure.subplots_adjust(**MARGINS)
        if view.law_time is None:
            _draw_curve(view, figure.subplots())
        else:
            left, right = figure.subplots(1, 2, width_ratios=(3, 2))
            _draw_curve(view, left)
            _draw_law(view, right)
        buffer = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


def _draw_curve(view: View, ax) -> None:
    plot.trajectory(view.theory, view.runs, ax=ax)
    if view.plateaus:
        plot.plateaus(view.plateaus, None if view.estimate is None else view.estimate.length, ax=ax)
    if view.stationary is not None and any(np.isfinite(point.eps_g) for point in view.stationary):
        plot.fixed_points(view.stationary, color=1, ax=ax)
    if view.law_time is not None:
        height = np.interp(view.law_time, view.theory.times, view.theory["eps_g"])
        ax.plot(view.law_time, height, "o", color=style.COLORS[0], markersize=6, zorder=4)
    _legend_above(ax)


def _draw_law(view: View, ax) -> None:
    plot.density(view.theory, view.law_time, view.runs, bins=50, ax=ax)
    ax.set(title="", ylabel=rf"density $\mu_\tau(w)$ at $\tau = {view.law_time:g}$")
    _legend_above(ax)


def _legend_above(ax) -> None:
    """Nothing that is drawn can lie under it."""
    place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.1}
    style.legend(ax, ncols=2, columnspacing=1.0, handlelength=1.7, **place)
