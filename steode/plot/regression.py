"""Risk of quantized linear regression against the number of steps: exact curve, simulated runs, bounds."""

import numpy as np
from matplotlib.axes import Axes

from steode.errors import SpecificationError
from steode.plot import style
from steode.systems.regression import QUANTITIES, RegressionBounds, RegressionRisk, RegressionRuns

SHORT = {
    "raw_last": "risk on raw inputs, last iterate",
    "raw_average": "risk on raw inputs, average",
    "quantized_last": "risk on quantized inputs, last iterate",
    "quantized_average": "risk on quantized inputs, average",
    "excess_last": "excess risk on quantized inputs, last iterate",
    "excess_average": "excess risk on quantized inputs, average",
}
BOUNDED = {"raw_average": "raw", "quantized_average": "quantized", "excess_average": "excess"}
"""Quantity -> the field of `RegressionBounds` that bounds it."""
BOUND = "upper bound"
LARGEST = 1e30
"""Risks beyond it, of unstable training, are left out."""


@style.styled
def regression_risk(
    exact: RegressionRisk | None,
    runs: RegressionRuns | None = None,
    bounds: tuple[RegressionBounds, ...] = (),
    *,
    quantity: str = "raw_average",
    label: str = "",
    color: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw one model: the exact risk as a line, the mean of simulated runs as points, bounds as a thin dotted line.

    Parameters
    ----------
    exact : from `steode.regression.risk`, or None.
    runs : from `steode.regression.simulate`; bars are two standard errors.
    bounds : from `steode.regression.bounds` at several numbers of steps; infinite ones are left out.
    quantity : name in `steode.systems.regression.QUANTITIES`.
    label : of the model in the legend.
    color : number of the model on these axes.
    ax : axes to draw on, or None for a new figure.

    Step 0 has no place on the logarithmic axis. Raises `SpecificationError` for an unknown quantity or nothing to
    draw.
    """
    if quantity not in QUANTITIES:
        raise SpecificationError("quantity", "one of " + ", ".join(QUANTITIES), quantity, "For example raw_average.")
    if exact is None and runs is None:
        raise SpecificationError("exact", "an exact risk, or runs", None, "There is nothing to draw.")
    ax = style.axes(ax)
    look = style.look(color)
    if exact is not None:
        shown = (exact.steps > 0) & (exact[quantity] < LARGEST)
        ax.plot(exact.steps[shown], exact[quantity][shown], label=label, **look)
    if runs is not None:
        shown = runs.steps > 0
        mean, error = runs.mean(quantity)[shown], 2 * runs.standard_error(quantity)[shown]
        points = {"color": look["color"], "marker": style.MARKERS[color % len(style.MARKERS)]}
        name = label if exact is None else None
        ax.errorbar(runs.steps[shown], mean, np.nan_to_num(error), linestyle="", fillstyle="none", label=name, **points)
    kept = [bound for bound in bounds if np.isfinite(bound.raw)]
    if kept and quantity in BOUNDED:
        values = [getattr(bound, BOUNDED[quantity]) for bound in kept]
        ax.plot([bound.steps for bound in kept], values, color=look["color"], linestyle=":", linewidth=1.0)
        if BOUND not in ax.get_legend_handles_labels()[1]:
            # one entry for the bounds of all models
            ax.plot([], [], color=style.GRAY, linestyle=":", linewidth=1.0, label=BOUND)
    ax.set(xscale="log", yscale="log", xlabel="SGD steps", ylabel=SHORT[quantity])
    style.legend(ax)
    return ax
