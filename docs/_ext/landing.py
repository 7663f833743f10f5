"""The figure of the landing page: one derived equation, the law it moves, the error that follows, runs on top."""

import functools

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from steode import Constant, LinearModel, Normal, Uniform, derive, plateau, plateau_estimate, plot, simulate, solve
from steode.plot import style

RANGES = (2.0, 3.2, 4.4)
SHOWN = (5.0, 12.0, 17.0, 24.0)
"""Times at which the law of the latent weights is drawn, for the first range."""
T_END = 60.0
DIM, SEEDS = 1000, 4
ALT = (
    "Three panels: the derived equation of one weight; the density of latent weights crossing a threshold of the "
    "quantizer; the error, flat until then, for three quantization ranges, limit and simulation on top of each other."
)


def _model(omega: float) -> LinearModel:
    grid = Uniform(bits=3, range=omega, kind="mid-tread")
    return LinearModel(weight_quantizer=grid, teacher=Constant(1.0), init=Normal(std=0.1), learning_rate=0.02)


@functools.cache
def _solved(omega: float):
    return solve(_model(omega), T_END, tolerance=1e-3, snapshot_times=SHOWN)


@functools.cache
def _simulated(omega: float):
    return simulate(_model(omega), DIM, T_END, seeds=SEEDS)


def landing():
    """The figure, and its caption with what was measured."""
    figure = plt.figure(figsize=(9.6, 4.3), layout="constrained")
    rows = figure.add_gridspec(2, 2, height_ratios=(1, 8), width_ratios=(1, 1.25))
    _equation(figure.add_subplot(rows[0, :]))
    _law(figure.add_subplot(rows[1, 0]))
    numbers = _errors(figure.add_subplot(rows[1, 1]))
    return figure, _caption(numbers, "Left", "Right")


def landing_narrow():
    """The same, one below the other, in letters that can be read on a phone."""
    figure = plt.figure(figsize=(4.6, 7.4), layout="constrained")
    rows = figure.add_gridspec(3, 1, height_ratios=(1, 7, 7))
    _equation(figure.add_subplot(rows[0]), size=10)
    _law(figure.add_subplot(rows[1]))
    numbers = _errors(figure.add_subplot(rows[2]))
    return figure, _caption(numbers, "Middle", "Bottom")


def _caption(numbers: str, first: str, second: str) -> str:
    return (
        f"**Derived, solved, simulated.** Top: the limit of one weight, as `derive` prints it. {first}: the law of the "
        "latent weights moves to the right; while it is inside one cell of the three-bit quantizer (dotted lines) "
        f"nothing changes for the forward pass. {second}: so the error stays flat, and drops when the weights cross. "
        f"Lines are the exact limit, points {SEEDS} runs of the training algorithm at $d = {DIM}$, ticks on the axis "
        f"the time that the derivation predicts. Length of the plateau, predicted and measured on the limit: {numbers}."
    )


def _equation(ax, size: int = 15) -> None:
    line = derive(_model(RANGES[0])).step("stochastic differential equation").lines[0]
    ax.set_axis_off()
    ax.text(0.5, 0.5, f"${line}$", ha="center", va="center", fontsize=size, transform=ax.transAxes)


def _law(ax) -> None:
    spec = _model(RANGES[0])
    law = _solved(RANGES[0]).density
    style.axes(ax)
    for number, time in enumerate(SHOWN):
        index = int(np.argmin(np.abs(law.times - time)))
        ax.fill_between(law.nodes, law.marginal[index], color=style.COLORS[number], alpha=0.25, linewidth=0)
        ax.plot(law.nodes, law.marginal[index], color=style.COLORS[number], label=rf"$\tau$ = {time:g}")
    for threshold in spec.weight_quantizer.thresholds:
        ax.axvline(threshold, color=style.GRAY, linestyle=":", linewidth=1)
    ax.set(xlim=(-0.5, 1.4), ylim=(0, None), xlabel="latent weight $w$", ylabel=r"density $\mu_\tau(w)$")
    style.legend(ax)


def _errors(ax) -> str:
    numbers = []
    style.axes(ax)
    for number, omega in enumerate(RANGES):
        spec = _model(omega)
        theory, runs = _solved(omega), _simulated(omega)
        plot.trajectory(theory, runs, label=rf"range $\omega$ = {omega:g}", color=number, ax=ax)
        predicted = plateau_estimate(spec).length
        foot = ax.get_xaxis_transform()
        ax.plot([predicted, predicted], [0, 0.06], color=style.COLORS[number], linewidth=3, transform=foot)
        numbers.append(f"{predicted:.1f} and {plateau(theory).length:.1f} at $\\omega = {omega:g}$")
    return "; ".join(numbers)
