"""How large a learning rate may be: without quantizers, with quantized inputs, with quantized weights, and with both.

    python examples/learning_rates.py --out results/learning_rates

One model in four variants: two bits of range 2 for what is quantized, teacher weights +-1, label noise 0.3. Unquantized
weights have a largest stable learning rate, 2, or 2/alpha_2 with quantized inputs, alpha_2 = E[Q_x(x)^2]; toward it
their error grows without bound. Quantized weights are bounded, and so is their error at every learning rate: it cannot
exceed that of weights which flip between the two outermost levels.

Lines are `steode.fixed_points`. Points are averages of simulated errors over the stationary state, which begins after
several relaxation times, known from `steode.stability`. Runs that diverge say so and are marked.

Written: OUT.png, and OUT.json with every number in it. About two minutes.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import DivergenceError, Identity, LinearModel, TwoPoint, Uniform, fixed_points, simulate, stability, sweep
from steode.plot import style
from steode.systems.linear.compare import normal_score

GRID = Uniform(bits=2, range=2.0)
MODEL = LinearModel(teacher=TwoPoint(1.0), learning_rate=0.1, noise=0.3)
VARIANTS = {
    "no quantizers": MODEL,
    "inputs quantized": MODEL.replace(input_quantizer=GRID),
    "weights quantized": MODEL.replace(weight_quantizer=GRID),
    "both quantized": MODEL.replace(weight_quantizer=GRID, input_quantizer=GRID),
}
RATES = np.round(np.concatenate([np.arange(0.05, 1.6, 0.05), np.arange(1.6, 2.0, 0.01), np.arange(2.0, 4.01, 0.1)]), 2)
SIMULATED = {
    "no quantizers": (0.25, 0.75, 1.25, 1.7, 2.5, 3.5),
    "inputs quantized": (0.25, 0.75, 1.25, 1.55, 2.5, 3.5),
    "weights quantized": (0.25, 0.75, 1.25, 1.75, 2.5, 3.5),
    "both quantized": (0.25, 0.75, 1.25, 1.75, 2.5, 3.5),
}
DIM = 500
SEEDS = 4
RELAXATIONS = 8.0
"""Relaxation times before the stationary state counts as reached: exp(-8) of a deviation is left."""
AVERAGED = 40.0
"""Rescaled time over which the error is averaged then."""
HUGE = 1e6
"""A learning rate at which quantized weights flip between the outermost levels."""
BOTTOM, TOP = 1e-3, 6.0
"""Ends of the error axis; at the upper one diverged runs are marked."""


def curve(model: LinearModel) -> np.ndarray:
    """Error at the fixed point for each of RATES; NaN where there is none."""
    return sweep(model, {"learning_rate": RATES}, progress=False)["eps_g"].values


def measured(model: LinearModel, key: int, seeds: int = SEEDS, averaged: float = AVERAGED) -> dict:
    """Theory, simulated error averaged over the stationary state, and its z-score; or when the run diverged."""
    points = fixed_points(model)
    if not len(points):
        return diverged(model, key)
    burn_in = RELAXATIONS * stability(points[0]).relaxation_time
    times = burn_in + np.arange(0.5, averaged + 0.5, 0.5)
    errors = simulate(model, DIM, times[-1], seeds=seeds, key=key, times=times)["eps_g"].mean(axis=1)
    mean, spread = float(errors.mean()), float(errors.std(ddof=1) / np.sqrt(seeds))
    z = float(normal_score(np.array((mean - points[0].eps_g) / spread), seeds - 1))
    return {"theory": points[0].eps_g, "simulation": mean, "standard_error": spread, "z": z, "burn_in": burn_in}


def diverged(model: LinearModel, key: int) -> dict:
    """When training stops being finite; its error grows by a factor e in less than a unit of time here."""
    try:
        simulate(model, DIM, 400.0, key=key, times=np.arange(1.0, 401.0))
    except DivergenceError as error:
        return {"diverged_at": error.tau}
    raise AssertionError(f"training did not diverge: {model}")


def compute(variants=tuple(VARIANTS), **settings) -> dict:
    """Curves, points and limits by variant."""
    data = {"rates": RATES.tolist(), "settings": {"dim": DIM, "seeds": SEEDS, "averaged": AVERAGED} | settings}
    for name in variants:
        model = VARIANTS[name]
        rows = [
            {"learning_rate": rate} | measured(model.replace(learning_rate=rate), number, **settings)
            for number, rate in enumerate(SIMULATED[name])
        ]
        limit = stability(fixed_points(model)[0]).largest_learning_rate
        data[name] = {
            "eps_g": [None if np.isnan(value) else value for value in curve(model)],
            "points": rows,
            "largest_learning_rate": limit if np.isfinite(limit) else None,
        }
        if not isinstance(model.weight_quantizer, Identity):
            data[name]["bound"] = fixed_points(model.replace(learning_rate=HUGE))[0].eps_g
    return data


def table(data: dict) -> str:
    """The points as text."""
    lines = [f"{'':<18} {'rate':>5} {'theory':>10} {'simulation':>11} {'s.e.':>9} {'z':>6}"]
    for name in VARIANTS:
        for row in data[name]["points"] if name in data else ():
            start = f"{name:<18} {row['learning_rate']:5.2f}"
            if "diverged_at" in row:
                lines.append(f"{start} {'none':>10}    diverged at tau = {row['diverged_at']:.0f}")
            else:
                numbers = (
                    f"{row['theory']:10.6f} {row['simulation']:11.6f} {row['standard_error']:9.6f} {row['z']:6.2f}"
                )
                lines.append(f"{start} {numbers}")
    limits = [f"{name} {data[name]['largest_learning_rate'] or np.inf:.4g}" for name in data if name in VARIANTS]
    bounds = [f"{name} {data[name]['bound']:.4g}" for name in data if "bound" in data[name]]
    lines.append("largest stable learning rate: " + ", ".join(limits))
    lines.append("error at any learning rate below: " + ", ".join(bounds))
    return "\n".join(lines)


def draw(data: dict) -> Figure:
    """Error against learning rate, with the largest stable learning rates."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    ax = style.axes(figure.subplots())
    for number, name in enumerate(VARIANTS):
        color, marker = style.COLORS[number], style.MARKERS[number]
        found, rows = data[name], data[name]["points"]
        errors = np.array([np.nan if value is None else value for value in found["eps_g"]])
        ax.plot(data["rates"], errors, color=color, linewidth=1.7, label=name)
        kept = [row for row in rows if "simulation" in row]
        mean, spread = ([row[key] for row in kept] for key in ("simulation", "standard_error"))
        look = {"color": color, "marker": marker, "markerfacecolor": "white", "linestyle": "none", "markersize": 6}
        ax.errorbar([row["learning_rate"] for row in kept], mean, spread, capsize=2.5, zorder=3, **look)
        lost = np.array([row["learning_rate"] for row in rows if "diverged_at" in row])
        if lost.size:
            # side by side, where two variants diverge
            ax.plot(lost + 0.04 * (2 * number - 1), np.full(lost.size, TOP), clip_on=False, zorder=4, **look)
        if name == "no quantizers":
            ax.annotate("diverged", (lost.mean(), TOP), ha="center", va="center", color=style.GRAY)
        limit = found["largest_learning_rate"]
        if limit:
            ax.axvline(limit, color=color, linewidth=1.0, linestyle=(0, (4, 3)))
            side = {"ha": "left", "xytext": (3, 2)} if name == "no quantizers" else {"ha": "right", "xytext": (-3, 2)}
            ax.annotate(f"{limit:.3g}", (limit, BOTTOM), textcoords="offset points", color=color, **side)
        if "bound" in found:
            ax.axhline(found["bound"], color=color, linewidth=1.0, linestyle=":")
    ax.plot([], [], "o", color=style.GRAY, markerfacecolor="white", markersize=6, label="simulation")
    ax.plot([], [], color=style.GRAY, linewidth=1.0, linestyle=(0, (4, 3)), label="largest stable learning rate")
    ax.plot([], [], color=style.GRAY, linewidth=1.0, linestyle=":", label="bound of the error at any learning rate")
    ax.set(xlabel=r"learning rate $\eta$", ylabel=style.SYMBOLS["eps_g"], yscale="log")
    ax.set(xlim=(0, RATES[-1]), ylim=(BOTTOM, TOP))
    style.legend(ax, loc="lower right")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/learning_rates"), help="no suffix")
    out = parser.parse_args().out
    data = compute()
    print(table(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    draw(data).savefig(out.with_suffix(".png"), dpi=150, bbox_inches="tight")
    print(f"written: {out.with_suffix('.png')}, {out.with_suffix('.json')}")


if __name__ == "__main__":
    main()
