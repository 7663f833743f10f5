"""Where the error ends up and how long it waits: bars of the error's terms, plateau length against range."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from steode.plot import style
from steode.systems.linear.fixed_points import FixedPoints

TERMS = (
    ("input_term", "input quantization"),
    ("dithering_term", "dithering between levels"),
    ("clipping_term", "clipping at the range"),
    ("decay_term", "pull of weight decay"),
    ("noise_term", "stochastic maps"),
)
HATCHES = ("", "///", "...", "xx", "\\\\\\")
MOST_MARKS = 15
"""Ranges up to which each has a marker on the limit's line."""


@style.styled
def decomposition(points: FixedPoints | Mapping[str, FixedPoints], *, ax: Axes | None = None) -> Axes:
    """Draw the generalization error of every fixed point as a stack of its terms.

    `points` is the result of `fixed_points`, or several of them by label. A dash marks the error of the same model
    without quantizers.
    """
    by_label = points if isinstance(points, Mapping) else {"": points}
    bars = [
        (label + (f" ({number})" if len(found) > 1 else ""), point, found.unquantized_eps_g)
        for label, found in by_label.items()
        for number, point in enumerate(found, start=1)
    ]
    ax = style.axes(ax)
    positions, base = np.arange(len(bars)), np.zeros(len(bars))
    for (name, meaning), hatch, color in zip(TERMS, HATCHES, style.COLORS, strict=False):
        heights = np.array([getattr(point, name) for _, point, _ in bars])
        if name in ("decay_term", "noise_term") and not heights.any():
            continue
        ax.bar(
            positions, heights, 0.55, base, color=color, hatch=hatch, edgecolor="white", linewidth=0.6, label=meaning
        )
        base += heights
    for position, total in zip(positions, base, strict=True):
        ax.annotate(
            f"{total:.4g}", (position, total), (0, 3), textcoords="offset points", ha="center", fontsize="small"
        )
    unquantized = np.array([value for *_, value in bars])
    finite = np.isfinite(unquantized)
    ax.hlines(
        unquantized[finite],
        positions[finite] - 0.38,
        positions[finite] + 0.38,
        color="black",
        label="without quantizers",
    )
    ax.set_xticks(positions, [label for label, *_ in bars])
    ax.set(ylabel=r"$\varepsilon_g$ at the fixed point", xlim=(-0.8, len(bars) - 0.2))
    ax.set_ylim(0, 1.35 * max(base.max(initial=0), unquantized[finite].max(initial=0), 1e-12))
    ax.grid(False, axis="x")
    style.legend(ax, ncols=2, loc="upper center")
    return ax


@style.styled
def plateau_against_range(
    ranges: Sequence[float],
    theory: Sequence[float],
    runs: Sequence[float] | None = None,
    *,
    spread: Sequence[float] | None = None,
    estimate: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw plateau length against quantization range: limit, runs with their spread, analytic estimate.

    A nan (no plateau) leaves a gap.
    """
    ax = style.axes(ax)
    if estimate is not None:
        ax.plot(ranges, estimate, "--", color=style.GRAY, label="analytic estimate")
    marker = "s" if len(ranges) <= MOST_MARKS else ""
    ax.plot(ranges, theory, "-", marker=marker, color=style.COLORS[0], markersize=5, label="limit")
    if runs is not None:
        ax.errorbar(
            ranges, runs, spread, fmt="o", color=style.COLORS[1], fillstyle="none", capsize=4,
            label="simulation" + (r" ($\pm 1$ std over seeds)" if spread is not None else ""),
        )  # fmt: skip
    ax.set(xlabel=r"quantization range $\omega$", ylabel=r"plateau length in $\tau$")
    ax.set_ylim(bottom=0)
    style.legend(ax)
    return ax
