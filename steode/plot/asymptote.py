"""Where a curve ends: the fixed points as lines across it."""

from matplotlib.axes import Axes

from steode.plot import style
from steode.systems.linear.fixed_points import FixedPoints


@style.styled
def fixed_points(
    found: FixedPoints, *, unquantized: bool = False, label: str = "", color: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw the generalization error of every fixed point as a horizontal line, as `trajectory` approaches it.

    Parameters
    ----------
    found : from `steode.fixed_points`.
    unquantized : also draw the error of the same model without quantizers, where that has a fixed point.
    label, color : name and number of the model where an Axes holds several, as in `trajectory`.
    """
    ax = style.axes(ax)
    paint = style.COLORS[color % len(style.COLORS)]
    for number, point in enumerate(found):
        name = (label or "fixed point") if number == 0 else None
        ax.axhline(point.eps_g, color=paint, linewidth=1.0, dashes=(7, 2.5), zorder=1, label=name)
    if unquantized and found.unquantized_eps_g < float("inf"):
        ax.axhline(
            found.unquantized_eps_g, color="black", linewidth=1.0, dashes=(1.5, 1.5), zorder=1,
            label="fixed point without quantizers",
        )  # fmt: skip
    if not ax.get_ylabel():
        ax.set_ylabel(style.SYMBOLS["eps_g"])
    style.legend(ax)
    return ax
