"""The figures of a layer's report."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from steode.plot import style
from steode.studies.report.figures import Entry
from steode.studies.report.layer_case import LayerCase

DATA = {"epochs": "runs on the activations", "gaussian": "runs on Gaussian inputs"}
"""Data of a run -> its name in a legend."""
PURPOSES = {"nearest": "rounding to nearest", "gptq": "compensation (GPTQ)", "training": "late training"}
VARIANCE = r"residual variance $V$, mean of rows"


def figures(case: LayerCase, name: str) -> Iterator[Entry]:
    """The figures of a case, whose files begin with `name`."""
    with style.settings():
        yield f"{name}-error", *_error(case)
        yield f"{name}-range", *_range(case)
        yield f"{name}-rows", *_rows(case)


def _axes(height: float = 4.0):
    # no pyplot: nothing global is changed and no display is needed
    figure = Figure(figsize=(6.8, height), layout="constrained")
    return figure, style.axes(figure.subplots())


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")


def _error(case: LayerCase) -> tuple[str, Figure]:
    figure, ax = _axes()
    for number, (data, runs) in enumerate(case.runs.items()):
        own, times = runs["V"].mean(axis=-1)[:, 1:], runs.times[1:]
        color = style.COLORS[number]
        ax.plot(times, own.mean(axis=0), color=color, label=DATA[data])
        ax.fill_between(times, own.min(axis=0), own.max(axis=0), color=color, alpha=0.2, linewidth=0)
    path = case.path
    ax.plot(
        path.times[1:], path.V[1:].mean(axis=1), "--", color=style.COLORS[2], label="Gaussian closure (approximate)"
    )
    errors = case.advice.errors
    lines = {"last iterate, late": ("fixed point", "-."), "nearest": ("nearest", ":"), "gptq": ("GPTQ", (0, (1, 4)))}
    for method, (label, line) in lines.items():
        ax.axhline(errors[method][0], color=style.GRAY, linestyle=line, linewidth=1.2, label=label)
    ax.set(xscale="log", yscale="log", xlabel=style.TIME, ylabel=VARIANCE)
    _legend(figure)
    seeds = next(iter(case.runs.values()))["V"].shape[0]
    return (
        f"Error over training, mean of {case.advice.model.rows} rows. Runs: mean of {seeds}, band from the least to "
        "the largest. Where training ends according to the limit, and what rounding once gives, are the gray lines."
    ), figure


def _range(case: LayerCase) -> tuple[str, Figure]:
    figure, ax = _axes(3.6)
    scan = case.advice.ranges
    for number, (name, label) in enumerate(PURPOSES.items()):
        mean = scan.V[name].mean(axis=1)
        ax.plot(scan.factors, mean, marker=style.MARKERS[number], markersize=4, label=label, **style.look(number))
    ax.axvline(scan.present, color=style.GRAY, linestyle=":", linewidth=1.2, label="the model (median)")
    ax.set(yscale="log", xlabel="range in parts of the largest weight", ylabel=VARIANCE)
    _legend(figure)
    return (
        "Error against the range, one factor for all rows. Rounding is exact for the second moment of the inputs; late "
        "training is the fixed point."
    ), figure


def _rows(case: LayerCase) -> tuple[str, Figure]:
    figure, ax = _axes(3.6)
    order = np.argsort(case.late.V, kind="stable")
    names = {"training": "fixed point", "nearest": "nearest", "gptq": "GPTQ"}
    for number, (name, label) in enumerate(names.items()):
        ax.plot(
            np.arange(1, order.size + 1),
            case.values[name][order],
            style.MARKERS[number],
            markersize=3.5,
            color=style.COLORS[number],
            label=label,
        )
    ax.set(yscale="log", xlabel="row of the layer, by its fixed point", ylabel=r"residual variance $V$")
    _legend(figure)
    return f"All {order.size} rows: where training ends and what rounding once gives.", figure
