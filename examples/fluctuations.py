"""How far runs scatter around the limit, predicted, and runs beside the prediction.

    python examples/fluctuations.py --out docs/images/fluctuations.png

Two-bit weights and inputs, a Gaussian teacher, label noise. For each of three dimensions: the limit, a band of two
predicted standard deviations of a run on either side, and eight runs. Then the table of docs/fluctuations.md: d Var by
cause, and what 200 runs gave. One to three minutes.
"""

import argparse
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import LinearModel, Normal, Uniform, plot, simulate, solve
from steode.systems.linear.fluctuations import fluctuations

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(
    teacher=Normal(std=1.0),
    weight_quantizer=GRID,
    input_quantizer=GRID,
    init=Normal(std=0.5),
    learning_rate=0.5,
    noise=0.3,
)
T_END = 8.0
DIMS = (100, 400, 1600)
SEEDS = 8
CHECK_DIM, CHECK_SEEDS = 400, 200


def draw(theory, predicted) -> Figure:
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    for ax, dim in zip(figure.subplots(1, 3, sharey=True), DIMS, strict=True):
        runs = simulate(MODEL, dim, T_END, seeds=SEEDS, key=1, times=theory.times)
        plot.trajectory(theory, runs, fluctuations=predicted, ax=ax)
        ax.set_title(f"$d = {dim}$", fontsize="medium")
        ax.label_outer()
    return figure


def table(predicted) -> str:
    times = predicted.times[::4]
    runs = simulate(MODEL, CHECK_DIM, T_END, seeds=CHECK_SEEDS, key=2, times=times)
    measured = CHECK_DIM * runs["eps_g"].var(axis=0, ddof=1)
    lines = [f"| tau | eps_g | teacher | w_0 | samples | d Var | {CHECK_SEEDS} runs, d = {CHECK_DIM} |"]
    lines.append("|---:" * 7 + "|")
    for i in range(times.size):
        parts = (predicted.value, predicted.teacher, predicted.initial, predicted.samples)
        numbers = [part["eps_g"][4 * i] for part in parts] + [predicted.variance()[4 * i], measured[i]]
        lines.append("| " + " | ".join([f"{times[i]:g}", *(f"{number:.4f}" for number in numbers)]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("fluctuations.png"))
    out = parser.parse_args().out
    theory = solve(MODEL, T_END, times=np.linspace(0, T_END, 81))
    predicted = fluctuations(MODEL, T_END, times=np.linspace(0, T_END, 17))
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(theory, predicted).savefig(out, dpi=130)
    print(table(predicted))
    width = predicted.std(DIMS[0])[-1] / predicted.value["eps_g"][-1]
    assert 0 < width < 0.2, "a run of the smallest dimension scatters by less than a fifth"


if __name__ == "__main__":
    main()
