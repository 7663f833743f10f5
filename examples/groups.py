"""What a range for each group of weights buys over one range for all, by how much the groups differ.

    python examples/groups.py --out docs/images/groups

Four groups of equal size. Their teacher weights are normal with standard deviations in geometric progression, the
largest `SPREAD` times the smallest, and unit mean square over all. With one range for all it is the one of smallest
error; with a range for each group they are the group's standard deviation times one factor, the best one.

Written: OUT.png, and OUT.json with every number in it. About two minutes.
"""

import argparse
import json
import pathlib

import numpy as np
import scipy
from matplotlib.figure import Figure

from steode import Group, LinearModel, Normal, Uniform, fixed_points
from steode.plot import style

GROUPS, SPREADS, BITS = 4, (1.0, 2.0, 4.0, 8.0, 16.0), (2, 3, 4)
RATE, NOISE = 0.05, 0.05
ACCURACY = 1e-3
"""Of the logarithm of a range."""
WIDEST = 6.0
"""Range in standard deviations up to which the best one is looked for."""


def widths(spread: float) -> np.ndarray:
    """Standard deviation of the teacher weights of each group."""
    stds = np.geomspace(1.0, spread, GROUPS)
    return stds / np.sqrt(np.mean(stds**2))


def error(bits: int, stds: np.ndarray, ranges: np.ndarray) -> float:
    """The error at the fixed point."""
    pairs = zip(stds, ranges, strict=True)
    groups = tuple(
        Group(1 / GROUPS, teacher=Normal(std=std), weight_quantizer=Uniform(bits, omega)) for std, omega in pairs
    )
    model = LinearModel(teacher=Normal(std=1.0), learning_rate=RATE, noise=NOISE, groups=groups)
    return min(point.eps_g for point in fixed_points(model))


def best(bits: int, stds: np.ndarray, shape: np.ndarray) -> dict:
    """The multiple of `shape` that is the best ranges, and the error with them."""
    found = scipy.optimize.minimize_scalar(
        lambda log: error(bits, stds, np.exp(log) * shape),
        bounds=np.log([0.3, WIDEST]),
        method="bounded",
        options={"xatol": ACCURACY},
    )
    return {"factor": float(np.exp(found.x)), "eps_g": float(found.fun)}


def study() -> list[dict]:
    """The best errors, for every number of bits and spread of the groups."""
    rows = []
    for bits in BITS:
        for spread in SPREADS:
            stds = widths(spread)
            common, own = best(bits, stds, np.ones(GROUPS)), best(bits, stds, stds)
            rows.append({"bits": bits, "spread": spread, "one range": common, "a range for each": own})
            ratio = common["eps_g"] / own["eps_g"]
            print(
                f"{bits} bits, spread {spread:4.0f}: {common['eps_g']:.5f} {own['eps_g']:.5f} {ratio:6.2f}", flush=True
            )
    return rows


def draw(rows: list[dict], path: pathlib.Path) -> None:
    """The error with one range over that with a range for each group."""
    with style.settings():
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        ax = style.axes(figure.subplots())
        for number, bits in enumerate(BITS):
            own = [row for row in rows if row["bits"] == bits]
            ratios = [row["one range"]["eps_g"] / row["a range for each"]["eps_g"] for row in own]
            ax.plot(SPREADS, ratios, label=f"{bits} bits", **style.look(number))
        ax.set(xscale="log", xlabel="largest over smallest width of the groups", ylabel="error: one range / own ranges")
        ax.set_xticks(SPREADS, [f"{spread:g}" for spread in SPREADS])
        ax.minorticks_off()
        style.legend(ax)
        figure.savefig(path, dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/groups"))
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = study()
    out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, out.with_suffix(".png"))


if __name__ == "__main__":
    main()
