"""What the explorer shows for one model: computed in two parts, the curve first, and drawn."""

import dataclasses
import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from steode import plot
from steode.errors import SpecificationError, SteodeError, UnsupportedError
from steode.fixed_point import FixedPoints
from steode.fixed_points import fixed_points
from steode.plateau import Plateaus, plateau
from steode.plateau_estimate import PlateauEstimate, plateau_estimate
from steode.plot import style
from steode.simulate import simulate
from steode.solve import solve
from steode.systems.linear.spec import LinearModel
from steode.trajectory import Trajectory

TOLERANCE = 2e-3
"""Relative accuracy of the density solution: well below the width of a line."""
TIMES = 201
SIZE, DPI = (9.0, 3.4), 80


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """The limit of a model up to `t_end`, and what else is known of it so far."""

    model: LinearModel
    theory: Trajectory
    law_time: float | None  # of the law of the weights, where there is one
    stationary: FixedPoints | None = None
    plateaus: Plateaus | None = None
    estimate: PlateauEstimate | None = None
    runs: Trajectory | None = None


def limit(model: LinearModel, t_end: float, method: str, law_time: float) -> View:
    """The curve, and by method "density" the law of the weights at `law_time`."""
    times = np.linspace(0, t_end, TIMES)
    if method == "gaussian":
        return View(model, solve(model, t_end, times=times, method="gaussian"), None)
    theory = solve(model, t_end, times=times, tolerance=TOLERANCE, density_times=[law_time])
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
    """The view with runs of the algorithm, recorded at 41 times."""
    times = view.theory.times[:: (TIMES - 1) // 40]
    kept = [] if view.law_time is None else [view.law_time]
    t_end = float(view.theory.times[-1])
    runs = simulate(view.model, dim, t_end, seeds=seeds, times=times, snapshot_times=kept, progress=False)
    return dataclasses.replace(view, runs=runs)


def draw(view: View) -> bytes:
    """The view as a PNG image."""
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    with_law = view.law_time is not None
    axes = figure.subplots(1, 2, width_ratios=(3, 2)) if with_law else [figure.subplots()]
    _draw_curve(view, axes[0])
    if with_law:
        _draw_law(view, axes[1])
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _draw_curve(view: View, ax) -> None:
    plot.trajectory(view.theory, view.runs, ax=ax)
    if view.plateaus:
        plot.plateaus(view.plateaus, None if view.estimate is None else view.estimate.length, ax=ax)
    levels = () if view.stationary is None else [p.eps_g for p in view.stationary if np.isfinite(p.eps_g)]
    for index, level in enumerate(levels):
        name = "fixed point" if index == 0 else None
        ax.axhline(level, color=style.COLORS[1], linestyle="--", linewidth=1, label=name)
    style.legend(ax)


def _draw_law(view: View, ax) -> None:
    try:
        plot.density(view.theory, view.law_time, view.runs, bins=50, ax=ax)
    except (SpecificationError, UnsupportedError) as error:
        ax.text(0.5, 0.5, str(error), ha="center", va="center", wrap=True, transform=ax.transAxes)
