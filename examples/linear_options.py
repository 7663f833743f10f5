"""The limit against runs for options of the linear system: a spectrum, rounding, noise models, and the output.

    python examples/linear_options.py --out docs/images/linear_options

Each panel varies one thing in the same model: two bits of range 2 for the weights, teacher weights +-1, label noise
0.2, learning rate 0.3. Lines are `steode.solve`, points averages of runs with two standard errors, and dashes the fixed
points.

Written: OUT.png, and OUT.json with every number in it. About a minute.
"""

import argparse
import json
import pathlib

import numpy as np
import sympy
from matplotlib.figure import Figure

from steode import (
    AdditiveNoise,
    CommonFactor,
    DerivativeOf,
    Elementwise,
    LinearModel,
    MultiplicativeNoise,
    Normal,
    PowerLaw,
    StochasticRounding,
    TwoPoint,
    Uniform,
    compare,
    fixed_points,
    simulate,
    solve,
)
from steode.plot import style

GRID = Uniform(bits=2, range=2.0)
TANH = Elementwise(sympy.tanh(sympy.Symbol("x")))
MODEL = LinearModel(weight_quantizer=GRID, teacher=TwoPoint(1.0), init=Normal(std=0.8), learning_rate=0.3, noise=0.2)
PANELS = {
    "spectrum of the inputs": {
        "isotropic": MODEL,
        r"$\lambda_i \propto 1/i$": MODEL.replace(spectrum=PowerLaw(exponent=1.0, count=10, scale=10 / 2.929)),
        r"the same, inputs quantized": MODEL.replace(
            spectrum=PowerLaw(exponent=1.0, count=10, scale=10 / 2.929), input_quantizer=GRID
        ),
    },
    "rounding of the weights": {
        "to nearest": MODEL,
        "stochastic": MODEL.replace(weight_quantizer=StochasticRounding(GRID)),
        "additive model": MODEL.replace(weight_quantizer=AdditiveNoise((4 / 3) ** 2 / 6)),
    },
    "noise on inputs, variance 0.2": {
        "additive": MODEL.replace(input_quantizer=AdditiveNoise(0.2)),
        "multiplicative": MODEL.replace(input_quantizer=MultiplicativeNoise(0.2)),
        "common factor": MODEL.replace(input_quantizer=CommonFactor(0.2)),
    },
    "output and residual": {
        "two-bit output": MODEL.replace(activation=GRID),
        "two-bit residual": MODEL.replace(residual_quantizer=GRID),
        "tanh, tanh teacher": MODEL.replace(
            activation=TANH, activation_surrogate=DerivativeOf(TANH), teacher_activation=TANH
        ),
    },
}
DIM, SEEDS, T_END = 1200, 16, 25.0
TIMES = np.array([0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 25.0])


def measured(model: LinearModel, key: int) -> dict:
    """Limit, runs and their z-scores, and the smallest fixed point."""
    theory = solve(model, T_END, tolerance=5e-4)
    runs = simulate(model, DIM, T_END, seeds=SEEDS, times=TIMES, key=key)
    comparison = compare(theory, runs)
    errors = runs["eps_g"]
    points = fixed_points(model)
    return {
        "method": theory.provenance.method,
        "tau": theory.times.tolist(),
        "limit": theory["eps_g"].tolist(),
        "mean": errors.mean(axis=0).tolist(),
        "standard_error": (errors.std(axis=0, ddof=1) / np.sqrt(SEEDS)).tolist(),
        "z": comparison.z.tolist(),
        "fixed_point": points[0].eps_g if len(points) else None,
    }


@style.styled
def draw(results: dict) -> Figure:
    """One panel for each group of models."""
    figure = Figure(figsize=(9.6, 6.6), layout="constrained")
    for ax, (title, group) in zip(figure.subplots(2, 2).flat, results.items(), strict=True):
        for (label, values), color in zip(group.items(), style.COLORS, strict=False):
            ax.plot(values["tau"], values["limit"], color=color, label=label)
            ax.errorbar(TIMES, values["mean"], 2 * np.array(values["standard_error"]), fmt="o", color=color, ms=3.5)
            if values["fixed_point"] is not None:
                ax.axhline(values["fixed_point"], xmin=0.9, color=color, linestyle="--", linewidth=1)
        ax.set(title=title, xlabel=r"$\tau$", ylabel=r"$\varepsilon_g$", xlim=(0, T_END))
        ax.set_ylim(bottom=0)
        style.legend(ax)
    return figure


def main() -> None:
    """Compute, write the numbers, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="results/linear_options", type=pathlib.Path)
    out = parser.parse_args().out
    results, key = {}, 0
    for title, group in PANELS.items():
        results[title] = {}
        for label, model in group.items():
            results[title][label] = measured(model, key)
            key += 1
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results).savefig(out.with_suffix(".png"), dpi=150)
    largest = max(abs(z) for group in results.values() for values in group.values() for z in values["z"])
    for title, group in results.items():
        for label, values in group.items():
            point = "none" if values["fixed_point"] is None else f"{values['fixed_point']:.5f}"
            worst = max(map(abs, values["z"]))
            print(f"{title:32s} {label:32s} {values['method']:8s} fixed point {point}  largest |z| {worst:.2f}")
    print(f"largest |z| over {sum(map(len, results.values())) * TIMES.size} points: {largest:.2f}")


if __name__ == "__main__":
    main()
