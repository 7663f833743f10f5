"""What toolkits mean by "b bits, range omega", and what training on each of their grids costs.

    python examples/toolkit_grids.py --out results/toolkit_grids

Weights on each grid, inputs not quantized, a teacher with standard normal weights, learning rate 0.2, noise 0.1. At a
range of 2 and at the best range of each grid: the error of the fixed point, the floor it has at small learning rates,
and the error of rounding the teacher's weights once. The plateau is that of a start at zero and a teacher of ones at
learning rate 0.02.

Written: OUT.png, and OUT.json with every number in it; the table is printed. Two to three minutes.
"""

import argparse
import dataclasses
import json
import pathlib

import jax
import numpy as np
import scipy.optimize
from matplotlib.figure import Figure

from steode import Constant, LinearModel, Normal, fixed_point_function, plateau_estimate, plot
from steode.errors import UnsupportedError
from steode.parts.format_error import format_error
from steode.parts.formats import float4_e2m1fn, float8_e4m3fn, float8_e5m2
from steode.parts.quantizers import StepFunction
from steode.parts.stochastic import StochasticRounding
from steode.parts.toolkit_grid import toolkit_grid
from steode.plot import style

RANGE = 2.0
RATE, NOISE = 0.2, 0.1
PLATEAU_RATE = 0.02
RANGES = np.geomspace(0.5, 16.0, 41)
INTEGERS = {
    "Brevitas activations": "brevitas",
    "Brevitas weights, PyTorch narrow": "brevitas-narrow",
    "PyTorch, torchao, qwix fixed": "qwix",
    "AQT, qwix absmax": "aqt",
    "torchao without clipping": "torchao-no-clipping",
    "DoReFa": "dorefa",
}
FLOATS = {4: {"float4_e2m1fn": float4_e2m1fn}, 8: {"float8_e4m3fn": float8_e4m3fn, "float8_e5m2": float8_e5m2}}
BITS = (2, 4, 8)
MANY_BITS = 8
"""Integer grids of so many bits differ by less than a percent: only two of them are computed."""


def grids(bits: int) -> dict[str, StepFunction]:
    """Every grid of that width at range 2, by what it is called in the table."""
    names = dict(list(INTEGERS.items())[: 2 if bits >= MANY_BITS else None])
    integers = {label: toolkit_grid(name, bits, RANGE) for label, name in names.items()}
    return integers | {label: make(RANGE) for label, make in FLOATS.get(bits, {}).items()}


def model_of(grid: StepFunction) -> LinearModel:
    return LinearModel(teacher=Normal(std=1.0), weight_quantizer=grid, learning_rate=RATE, noise=NOISE)


def errors_over_range(grid: StepFunction) -> tuple[list[float], float, float]:
    """Error of the fixed point at `RANGES`; the best range, to a percent, and the error there."""
    with jax.enable_x64(True):
        function = fixed_point_function(model_of(grid))
        error = jax.jit(lambda largest: function({"weight_range": largest})["eps_g"])
        curve = [float(error(largest)) for largest in RANGES]
        best = int(np.argmin(curve))
        bracket = np.log(RANGES[[max(best - 1, 0), min(best + 1, RANGES.size - 1)]])
        found = scipy.optimize.minimize_scalar(
            lambda log: float(error(np.exp(log))), bounds=bracket, method="bounded", options={"xatol": 1e-2}
        )
        at_range = float(error(RANGE))
    return [at_range, *curve], float(np.exp(found.x)), float(found.fun)


def plateau_length(grid: StepFunction) -> float | None:
    """Of a start at zero: none if zero is a threshold."""
    start = LinearModel(teacher=Constant(1.0), weight_quantizer=grid, init=Normal(std=0.05), learning_rate=PLATEAU_RATE)
    try:
        return plateau_estimate(start).length
    except UnsupportedError:
        return None


def row_of(label: str, bits: int, grid: StepFunction) -> dict:
    """One row of the table and its curve."""
    curve, best_range, best = errors_over_range(grid)
    gaps = np.diff(grid.levels)
    row = {"grid": label, "bits": bits, "lowest": float(grid.levels[0]), "highest": float(grid.levels[-1])}
    row |= {"smallest_step": float(gaps.min()), "largest_step": float(gaps.max()), "plateau": plateau_length(grid)}
    row |= {"eps_g": curve[0], "floor": float(format_error(StochasticRounding(grid), 1.0).absolute) / 2}
    row |= {"rounded_once": float(format_error(grid, 1.0).absolute) / 2}
    at_best = dataclasses.replace(grid, range=best_range)
    row |= {"best_range": best_range, "best_eps_g": best}
    row |= {"best_floor": float(format_error(StochasticRounding(at_best), 1.0).absolute) / 2}
    return row | {"curve": curve[1:]}


def compute(bits=BITS) -> dict:
    """Every number, by name."""
    rows = [row_of(label, b, grid) for b in bits for label, grid in grids(b).items()]
    settings = {"range": RANGE, "learning_rate": RATE, "noise": NOISE, "plateau_learning_rate": PLATEAU_RATE}
    return {"settings": settings, "ranges": RANGES.tolist(), "rows": rows}


def table(data: dict) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| bits | grid | levels | step | plateau | error | floor | rounded once | best range | error there |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        steps = sorted({f"{row['smallest_step']:.3g}", f"{row['largest_step']:.3g}"}, key=float)
        plateau = "none" if row["plateau"] is None or row["plateau"] < 0.05 else f"{row['plateau']:.1f}"
        lines.append(
            f"| {row['bits']} | {row['grid']} | {row['lowest']:.3g} to {row['highest']:.3g} | {' to '.join(steps)} "
            f"| {plateau} | {row['eps_g']:.5f} | {row['floor']:.5f} | {row['rounded_once']:.5f} "
            f"| {row['best_range']:.2f} | {row['best_eps_g']:.5f} |"
        )
    return "\n".join(lines)


def draw(data: dict) -> Figure:
    """Grids of two bits, whose lines are the key to the rest: the error of four and eight bits against the range."""
    figure = Figure(figsize=(10.0, 3.9), layout="constrained")
    left, *right = figure.subplots(1, 3, width_ratios=(1.1, 1, 1))
    style.axes(left)
    shown = grids(2)
    last = len(shown) - 1
    for number, grid in enumerate(shown.values()):
        line, color = style.look(number), style.COLORS[number]
        left.plot(grid.levels[[0, -1]], [last - number] * 2, **line)
        left.plot(grid.levels, np.full(grid.levels.size, last - number), "o", color=color)
        left.plot(grid.thresholds, np.full(grid.thresholds.size, last - number), "|", color="black", markersize=14)
    for edge in (-RANGE, RANGE):
        left.axvline(edge, color=style.GRAY, linestyle="--", linewidth=1.0)
    labels = [label.replace(", ", ",\n") for label in reversed(shown)]
    left.set_yticks(range(len(shown)), labels, fontsize=7.5)
    left.set(xlabel="levels (dots) and thresholds (bars)", ylim=(-0.6, len(shown) - 0.4))
    left.set_title(r"2 bits, $\omega = 2$", fontsize="medium")
    for ax, bits in zip(right, (4, 8), strict=True):
        style.axes(ax)
        floats = 0
        for row in (row for row in data["rows"] if row["bits"] == bits):
            if row["grid"] in INTEGERS:
                ax.plot(data["ranges"], row["curve"], **style.look(list(INTEGERS).index(row["grid"])))
            else:
                ax.plot(data["ranges"], row["curve"], color="black", linestyle=style.LINES[floats], label=row["grid"])
                floats += 1
        ax.set(xscale="log", yscale="log", xlabel=r"range $\omega$", xticks=[0.5, 1, 2, 4, 8, 16])
        ax.set_xticklabels(["0.5", "1", "2", "4", "8", "16"])
        ax.minorticks_off()
        ax.set_title(f"{bits} bits", fontsize="medium")
        style.legend(ax, loc="upper right" if bits > 4 else "lower right")
    right[0].set(xlim=(1, 8), ylim=(8e-3, 0.1), xticks=[1, 2, 4, 8], yticks=[0.01, 0.02, 0.05, 0.1])
    right[0].set_yticklabels(["0.01", "0.02", "0.05", "0.1"])
    right[0].set_xticklabels(["1", "2", "4", "8"])
    right[0].set_ylabel(style.scalar("eps_g"))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("results/toolkit_grids"), help="path without suffix"
    )
    out = parser.parse_args().out
    data = compute()
    print(table(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    with plot.style.settings():
        draw(data).savefig(out.with_suffix(".png"), dpi=150, bbox_inches="tight")
    print(f"written: {out.with_suffix('.png')}, {out.with_suffix('.json')}")


if __name__ == "__main__":
    main()
