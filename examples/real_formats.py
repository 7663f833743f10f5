"""What rounding to integers and floating point really does, beside additive and multiplicative noise.

    python examples/real_formats.py --out results/real_formats

Left: the error of one number x ~ N(0, s^2), relative to its variance, against s. Middle: vectors of 128 independent
Gaussian coordinates with variances i^-2, quantized as they are; the error in each direction. Right: the same vectors
after a rotation (a Hadamard matrix with random signs, so that every coordinate has the same variance), the error in
the directions of the spectrum. Scales as in practice, one for all coordinates: the range is six times the largest
standard deviation of a coordinate. Lines are `steode.format_error`, points averages over 20,000 draws, gray lines the
two models.

Written: OUT.png, and OUT.json with every number in it; a summary is printed. Ten seconds.
"""

import argparse
import json
import pathlib

import numpy as np
import scipy.linalg
from matplotlib.figure import Figure

from steode import plot
from steode.parts.format_error import format_error
from steode.parts.formats import FloatFormat, IntegerFormat, float8_e4m3fn, float8_e5m2
from steode.parts.stochastic import StochasticRounding
from steode.plot import style

DIM = 128
DRAWS = 20_000
REACH = 6.0
"""Range over the largest standard deviation: saturation is rarer than one number in 10^8."""
SPECTRUM = np.arange(1, DIM + 1) ** -2.0
STDS = np.geomspace(1e-4, 3.0, 120)
FORMATS = {
    "INT8": lambda largest: IntegerFormat(8, largest),
    "INT6": lambda largest: IntegerFormat(6, largest),
    "FP8 e4m3": float8_e4m3fn,
    "FP8 e5m2": float8_e5m2,
}
COMPARED = ("INT8", "FP8 e4m3")
MODEL_CONSTANT = 1 / (16 * np.log(2))
"""Of floating point with stochastic rounding: E e^2/E x^2 = 4^-m/(16 ln 2), averaged over the scale of x."""


def idealized(fmt) -> tuple[float, float]:
    """Variance of the additive model, of an integer grid, or of the multiplicative one, of floating point; else 0."""
    if isinstance(fmt, FloatFormat):
        return 0.0, MODEL_CONSTANT * 4.0**-fmt.mantissa_bits
    return fmt.step**2 / 6, 0.0


def one_number(names=tuple(FORMATS)) -> dict:
    """Relative errors against the standard deviation of one number, range 4."""
    result = {}
    for name in names:
        fmt = FORMATS[name](4.0)
        additive, multiplicative = idealized(fmt)
        result[name] = {
            "stochastic": format_error(StochasticRounding(fmt), STDS).relative.tolist(),
            "nearest": format_error(fmt, STDS).relative.tolist(),
            "model": (additive / STDS**2 + multiplicative).tolist(),
        }
    return result


def rotation(generator) -> np.ndarray:
    """Orthogonal matrix with entries of one magnitude: coordinates have equal variances, whatever the spectrum."""
    return scipy.linalg.hadamard(DIM) / np.sqrt(DIM) * generator.choice([-1.0, 1.0], DIM)


def vectors(name: str, rotated: bool, draws: int = DRAWS) -> dict:
    """Error variance in each direction of the spectrum: exact for stochastic rounding, and measured for both."""
    generator = np.random.default_rng(1)
    turn = rotation(generator) if rotated else np.eye(DIM)
    stds = np.sqrt(turn**2 @ SPECTRUM)
    fmt = FORMATS[name](REACH * stds.max())
    rounding = StochasticRounding(fmt)
    # unbiased errors are uncorrelated: their covariance is diagonal in the coordinates that are quantized
    exact = turn.T**2 @ format_error(rounding, stds).absolute
    x = (np.sqrt(SPECTRUM) * generator.standard_normal((draws, DIM))) @ turn.T
    stochastic = ((rounding.sample(x, generator) - x) @ turn) ** 2
    nearest = ((fmt(x) - x) @ turn) ** 2
    additive, multiplicative = idealized(fmt)
    error = stochastic.std(axis=0, ddof=1) / np.sqrt(draws)
    return {
        "exact": exact.tolist(),
        "stochastic": stochastic.mean(axis=0).tolist(),
        "nearest": nearest.mean(axis=0).tolist(),
        "z": ((stochastic.mean(axis=0) - exact) / error).tolist(),
        "model": (additive + multiplicative * SPECTRUM).tolist(),
    }


def compute(draws: int = DRAWS) -> dict:
    """Every number, by name."""
    cases = {
        where: {name: vectors(name, where == "rotated", draws) for name in FORMATS}
        for where in ("axis-aligned", "rotated")
    }
    return {"dim": DIM, "draws": draws, "stds": STDS.tolist(), "one_number": one_number(), **cases}


def summary(data: dict) -> str:
    """Error over variance, in the first and last direction and in all, and what the models say: a Markdown table."""
    lines = [
        "| coordinates | format | first direction | last direction | all | model: first | last | all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for where in ("axis-aligned", "rotated"):
        for name, case in data[where].items():
            cells = []
            for values in (np.array(case["exact"]), np.array(case["model"])):
                cells += [values[0] / SPECTRUM[0], values[-1] / SPECTRUM[-1], values.sum() / SPECTRUM.sum()]
            lines.append(f"| {where} | {name} | " + " | ".join(f"{cell:.2g}" for cell in cells) + " |")
    return "\n".join(lines)


def rounded(data):
    """The same with eight digits of every number."""
    if isinstance(data, dict):
        return {name: rounded(value) for name, value in data.items()}
    return [float(f"{value:.8g}") for value in data] if isinstance(data, list) else data


def draw(data: dict) -> Figure:
    """Error of one number, then of vectors in their own axes and rotated."""
    figure = Figure(figsize=(11.0, 3.9), layout="constrained")
    left, *right = figure.subplots(1, 3)
    style.axes(left)
    stds = np.array(data["stds"])
    for number, (name, curves) in enumerate(data["one_number"].items()):
        color = style.COLORS[number]
        left.plot(stds, curves["stochastic"], color=color, label=name)
        left.plot(stds, curves["nearest"], color=color, linestyle=style.LINES[1])
        left.plot(stds, curves["model"], color=style.GRAY, linewidth=0.8, linestyle=style.LINES[2])
    left.plot([], [], color="black", linestyle=style.LINES[1], label="nearest")
    left.plot([], [], color=style.GRAY, linewidth=0.8, linestyle=style.LINES[2], label="model")
    left.set(xscale="log", yscale="log", ylim=(1e-5, 1e3))
    left.set(xlabel=r"standard deviation $s$, range 4", ylabel=r"$\mathrm{E}(Q(x)-x)^2/s^2$")
    left.set_title("one number", fontsize="medium")
    style.legend(left)
    index = np.arange(1, data["dim"] + 1)
    points = np.unique(np.geomspace(1, data["dim"], 16).astype(int)) - 1
    for ax, where in zip(right, ("axis-aligned", "rotated"), strict=True):
        style.axes(ax)
        ax.plot(index, SPECTRUM, color="black", linewidth=1.0, linestyle=style.LINES[3], label=r"spectrum $\lambda_i$")
        for number, name in enumerate(COMPARED):
            case, color = data[where][name], style.COLORS[2 * number]
            ax.plot(index, case["exact"], color=color, label=name)
            ax.plot(index, case["model"], color=style.GRAY, linewidth=0.8, linestyle=style.LINES[2])
            for kind, filled in (("stochastic", color), ("nearest", "white")):
                marker = {"marker": style.MARKERS[number], "markersize": 4, "linestyle": "none"}
                ax.plot(index[points], np.array(case[kind])[points], color=color, markerfacecolor=filled, **marker)
        ax.set(xscale="log", yscale="log", xlabel="direction $i$ of the spectrum", ylim=(1e-8, 2))
        ax.set_title(f"vectors, {where}", fontsize="medium")
        style.legend(ax)
    right[0].set_ylabel("variance of the error in a direction")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("results/real_formats"), help="path without suffix"
    )
    out = parser.parse_args().out
    data = compute()
    print(summary(data))
    scores = np.concatenate([case["z"] for where in ("axis-aligned", "rotated") for case in data[where].values()])
    print(f"draws against format_error: largest |z| {np.abs(scores).max():.2f} of {scores.size}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(rounded(data)) + "\n", encoding="utf-8")
    with plot.style.settings():
        draw(data).savefig(out.with_suffix(".png"), dpi=150, bbox_inches="tight")
    print(f"written: {out.with_suffix('.png')}, {out.with_suffix('.json')}")


if __name__ == "__main__":
    main()
