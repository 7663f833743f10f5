"""What ends the dithering of quantized weights: falling rates, dampening, freezing, averages, and what does not.

    python examples/ending_dithering.py --out docs/images/ending_dithering

Two bits with range 1.6, normal teacher weights, label noise 0.1, learning rate 0.1, from tau = 0 to 100; averages and
freezing begin at tau = 20. Beside the limit (densities and particles) stand 8 runs at d = 1000, with the flips of their
last five units of time, and one network trained on digits, from digits_training.json.

- remedies: errors at the end, of the last iterate and of averages;
- scalings: the freezing of oscillating weights at three dimensions, with the rate m of its running means and its
  threshold f on their frequency as numbers, the rate alone scaled, and both scaled so that the limit is not trivial.

Written: OUT.png, and OUT.json with every number in it. Takes about a quarter of an hour on two cores.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import (
    Adam,
    Freezing,
    LinearModel,
    Momentum,
    Normal,
    OscillationFreezing,
    RunningAverage,
    Schedule,
    Uniform,
    deployments,
    flips,
    simulate,
    solve,
)
from steode.plot import style

MODEL = LinearModel(
    teacher=Normal(std=1.0), weight_quantizer=Uniform(2, 1.6), noise=0.1, learning_rate=0.1, init=Normal(std=1.0)
)
BEGIN, END, LAST = 20.0, 100.0, 5.0
TIMES = np.linspace(0.0, END, 101)
AVERAGE = RunningAverage(start=BEGIN)
ORDER = Freezing(BEGIN, 90.0)
MEMORY, THRESHOLD = 5.0, 0.3
REMEDIES = {
    "nothing": ({}, {"average": AVERAGE}),
    "a tenth of the rate": ({"learning_rate": Schedule("0.01 + 0.09/(1 + exp(2*(tau - 20)))")}, {}),
    "rate 1/tau": ({"learning_rate": Schedule("0.1/(1 + tau/20)")}, {}),
    "rate to zero, linear": ({"learning_rate": Schedule("0.1*(1.0001 - tau/100)")}, {}),
    "momentum 0.9": ({"learning_rate": 0.01, "update_rule": Momentum(0.9)}, {}),
    "Adam": ({"learning_rate": 0.05, "update_rule": Adam()}, {}),
    "dampening 0.5": ({"dampening": 0.5}, {}),
    "dampening that grows": ({"dampening": Schedule("tau/20")}, {}),
    "freezing, order of certainty": ({}, {"freezing": ORDER}),
    "freezing of oscillations": ({}, {"freezing": OscillationFreezing(THRESHOLD, MEMORY, BEGIN)}),
    "the same, threshold falling": (
        {},
        {"freezing": OscillationFreezing(Schedule("0.8*(1 - tau/100)"), MEMORY, BEGIN)},
    ),
}
"""Name -> changes of the model, and what runs and particles take beside it."""
AVERAGES = {
    "eps_g_mean_q": "average of Q(w), not rounded",
    "eps_g_mean_q_rounded": "average of Q(w), rounded",
    "eps_g_mean_w": "average of w, not rounded",
    "eps_g_mean_w_rounded": "average of w, rounded",
}
NETWORK = {
    "nothing": "momentum, fixed",
    "rate to zero, linear": "momentum, fixed, decay",
    "dampening that grows": "momentum, fixed, dampening",
    "freezing, order of certainty": "momentum, fixed, freezing",
    AVERAGES["eps_g_mean_q"]: "the average of Q(w), not rounded",
    AVERAGES["eps_g_mean_w_rounded"]: "the average of w, rounded once",
}
"""Name -> row, or statement, of digits_training.json."""
SCALINGS = {
    "m = 0.1, f = 0.1": lambda d: OscillationFreezing(0.1 * np.sqrt(d), 10 / d, BEGIN),
    "m = 1/(5 d), f = 0.03": lambda d: OscillationFreezing(0.03 * np.sqrt(d), MEMORY, BEGIN),
    "m = 1/(5 d), f = 0.3/sqrt(d)": lambda d: OscillationFreezing(THRESHOLD, MEMORY, BEGIN),
}
LIMITS = (OscillationFreezing(1e-6, 1e-6, BEGIN), None, OscillationFreezing(THRESHOLD, MEMORY, BEGIN))
"""Of these: each weight stops at the next threshold, on both sides alike, a bound; none stops; the limit."""
DIMS = {250: 32, 1000: 8, 4000: 4}
SCALED_END = 60.0


def remedies(dim: int = 1000, seeds: int = 8) -> list[dict]:
    """Errors and flips at the end, by the limit and by runs."""
    found = []
    for name, (changes, options) in REMEDIES.items():
        model = MODEL.replace(**changes)
        limit = solve(model, END, times=TIMES, tolerance=1e-3, **options)
        times = np.union1d(TIMES[::5], [END - LAST])
        runs = simulate(model, dim, END, seeds=seeds, times=times, flips=True, key=1, progress=False, **options)
        counted = flips(runs)
        late = [float(counted.total[-1]), float(counted.total_error[-1])]
        for observable, deployed in {"eps_g": name, **AVERAGES}.items():
            if observable in limit.observables:
                own = runs[observable]
                row = {"name": deployed, "limit": float(limit[observable][-1])}
                row |= {"run": float(own[:, -1].mean()), "error": float(own[:, -1].std(ddof=1) / np.sqrt(seeds))}
                row |= {"flips": late if observable == "eps_g" else None}
                row |= {"over_time": np.round(limit[observable], 6).tolist()}
                row |= {"run_times": runs.times.tolist(), "runs": np.round(own.mean(axis=0), 6).tolist()}
                found.append(row)
        print(f"{name}: done", flush=True)
    return found


def scalings() -> list[dict]:
    """Frozen weights and error of runs at several dimensions, and the limit."""
    found = []
    for (name, rule), limiting in zip(SCALINGS.items(), LIMITS, strict=True):
        for dim, seeds in DIMS.items():
            runs = simulate(MODEL, dim, SCALED_END, seeds=seeds, times=[SCALED_END], freezing=rule(dim), progress=False)
            frozen, error = runs["frozen_fraction"][:, -1], runs["eps_g"][:, -1]
            row = {"rule": name, "dim": dim, "frozen": float(frozen.mean()), "eps_g": float(error.mean())}
            found.append(row | {"error": float(error.std(ddof=1) / np.sqrt(seeds))})
        limit = solve(MODEL, SCALED_END, times=[SCALED_END], method="particles", freezing=limiting)
        frozen = 0.0 if limiting is None else float(limit["frozen_fraction"][-1])
        row = {"rule": name, "dim": None, "frozen": frozen, "eps_g": float(limit["eps_g"][-1])}
        found.append(row | {"error": float(limit.error["eps_g"][-1])})
        print(f"{name}: done", flush=True)
    return found


def once() -> dict:
    """What the stationary state gives without a run."""
    found = deployments(MODEL)
    names = ("last_iterate", "rounded_average", "rounded_teacher", "rounded_target", "floor")
    return {name: getattr(found, name) for name in names}


def network(path: pathlib.Path) -> dict[str, list[str]]:
    """Name -> training loss at 2, 3 and 4 bits of the network of examples/digits_training.py."""
    data = json.loads(path.read_text(encoding="utf-8"))
    found = {}
    for name, wanted in NETWORK.items():
        rows = [row[2] for row in data["table"] if row[0] == wanted]
        said = [row["network"] for row in data["statements"] if row["rule"] == "momentum" and wanted in row["theory"]]
        found[name] = rows or [text.split(" against ")[0] for text in said[0]]
    return found


def tables(data: dict) -> dict[str, str]:
    """The tables of docs/dithering.md."""
    lost = data["once"]["last_iterate"] - data["once"]["floor"]
    rows = []
    for row in data["remedies"]:
        left = f"{100 * (row['limit'] - data['once']['floor']) / lost:.0f} %"
        flipped = "" if row["flips"] is None else f"{row['flips'][0]:.4f}"
        losses = data["network"].get(row["name"], ["", "", ""])
        cells = [row["name"], f"{row['limit']:.4f}", f"{row['run']:.4f} ± {row['error']:.4f}", left, flipped]
        rows.append([*cells, losses[0], losses[2]])
    for name, text in (("rounded_teacher", "teacher rounded once"), ("rounded_target", "nearest level")):
        value = data["once"][name]
        left = f"{100 * (value - data['once']['floor']) / lost:.0f} %"
        rows.append([text, f"{value:.4f}", "", left, "", "", ""])
    heads = ["deployed", "limit", "runs", "dithering left", "flips", "network, 2 bits", "network, 4 bits"]
    found = {"remedies": _table(heads, rows)}
    by_case = {(row["rule"], row["dim"]): row for row in data["scalings"]}
    rows = []
    for dim in (*DIMS, None):
        cells = ["limit" if dim is None else f"{dim}"]
        for name in SCALINGS:
            row = by_case[name, dim]
            bound = "at most " if dim is None and LIMITS[len(cells) - 1] is LIMITS[0] else ""
            cells.append(f"{100 * row['frozen']:.0f} %, {bound}{row['eps_g']:.4f} ± {row['error']:.4f}")
        rows.append(cells)
    found["scalings"] = _table(["d", *SCALINGS], rows)
    return found


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(data: dict) -> Figure:
    """Errors over time: rates and dampening; freezing; averages."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    names = list(REMEDIES)
    groups = (["nothing", *names[1:4], *names[6:8]], ["nothing", *names[8:]], ["nothing", *AVERAGES.values()])
    rows = {row["name"]: row for row in data["remedies"]}
    for ax, group in zip(panels, groups, strict=True):
        style.axes(ax)
        for number, name in enumerate(group):
            row, color = rows[name], style.COLORS[number % len(style.COLORS)]
            ax.plot(TIMES, row["over_time"], color=color, linewidth=1.4, label=name)
            ax.plot(row["run_times"], row["runs"], "o", color=color, markersize=2.5)
        for value in (data["once"]["rounded_target"], data["once"]["floor"]):
            ax.axhline(value, color="black", linestyle=":", linewidth=1.0)
        ax.set(xlabel=r"$\tau$", yscale="log", ylim=(0.015, 1.0))
        ax.legend(fontsize="x-small")
    panels[0].set_ylabel(r"$\varepsilon_g$")
    return figure


def main(arguments=None) -> None:
    """Compute, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redraw", action="store_true", help="take the numbers from the file that is there")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="path of the two files without their suffixes")
    options = parser.parse_args(arguments)
    path = options.out.with_suffix(".json")
    if options.redraw:
        data = json.loads(path.read_text(encoding="utf-8"))
    else:
        data = {"once": once(), "remedies": remedies(), "scalings": scalings()}
    # from its own file every time
    data["network"] = network(pathlib.Path(__file__).parents[1] / "docs" / "images" / "digits_training.json")
    path.write_text(json.dumps(data) + "\n", encoding="utf-8")
    for text in tables(data).values():
        print(text, end="\n\n")
    with style.settings():
        draw(data).savefig(options.out.with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    main()
