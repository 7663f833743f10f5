"""Optimizers, dampening and ranges that move: what each does to the error, by the limit and by runs beside it.

    python examples/training_rules.py --out docs/images/training_rules

Normal teacher weights, label noise 0.1, unless said otherwise.

- floors: the error at the fixed point under each update rule, two bits, for learning rates that fall;
- dampened: the same under dampening of several strengths;
- ranges: where a learned range rests (LSQ's gradient, PACT's), the range of the smallest error of training, and that of
  the smallest mean square error of rounding the teacher, with the errors of training there;
- curves: the error and the range in time, two bits, for ranges that stand, are learned and follow the weights, with
  runs at d = 1000;
- crossings: of runs at d = 250 whose range is learned at LSQ's own gradient scale, the share in which the range becomes
  negative, and the same where its logarithm is learned.

Written: OUT.png, and OUT.json with every number in it. Takes about four minutes on two cores.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import (
    Adam,
    Constant,
    FollowingRange,
    LearnedRange,
    LinearModel,
    Momentum,
    Normal,
    SignSGD,
    Uniform,
    fixed_points,
    optimal_range,
    resting_ranges,
    simulate,
    solve,
)
from steode.plot import style

TWO_BITS = Uniform(2, 1.6)
MODEL = LinearModel(teacher=Normal(std=1.0), weight_quantizer=TWO_BITS, noise=0.1, init=Normal(std=1.0))
RULES = {"gradient": {}, "momentum 0.9": {"update_rule": Momentum(0.9)}, "sign": {"update_rule": SignSGD()}}
RULES |= {"Adam": {"update_rule": Adam()}}
RATES = (0.1, 0.01, 0.001)
STRENGTHS = (0.0, 0.25, 0.5, 0.9)
BITS = (2, 3, 4)
CURVES = {
    "fixed": {},
    "learned": {"range_rule": LearnedRange.of_step(0.1, TWO_BITS)},
    "learned after the weights": {"range_rule": LearnedRange.of_step(0.1, TWO_BITS, sequential=True)},
    "follows mean |w|": {"range_rule": FollowingRange(factor=2.0)},
}
TIMES = np.linspace(0.0, 40.0, 81)


def floors() -> list[dict]:
    """The fixed point of smallest error for every rule and rate."""
    return [
        {"rule": name, "learning_rate": rate, "eps_g": best(MODEL.replace(learning_rate=rate, **changes)).eps_g}
        for name, changes in RULES.items()
        for rate in RATES
    ]


def best(model: LinearModel):
    """The fixed point of smallest error."""
    return min(fixed_points(model), key=lambda point: point.eps_g)


def dampened() -> list[dict]:
    """Errors under dampening, and what they are made of."""
    found = []
    for strength in STRENGTHS:
        point = best(MODEL.replace(dampening=strength, learning_rate=0.01))
        parts = {name: getattr(point, f"{name}_term") for name in ("dithering", "clipping", "decay")}
        found.append({"dampening": strength, "eps_g": point.eps_g, **parts})
    return found


def ranges() -> list[dict]:
    """Learned ranges beside the best ones, for bits, label noise and learning rate."""
    settings = [(bits, noise, rate) for bits in BITS for noise, rate in ((0.0, 0.01), (0.5, 0.01), (0.5, 0.5))]
    found = []
    for bits, noise, rate in settings:
        model = MODEL.replace(weight_quantizer=Uniform(bits, 1.6), noise=noise, learning_rate=rate)
        row = {"bits": bits, "noise": noise, "learning_rate": rate}
        for gradient in ("lsq", "pact"):
            rests = resting_ranges(model.replace(range_rule=LearnedRange(rate=0.1, gradient=gradient)))
            held = [rest for rest in rests if rest.attracts]
            row[gradient] = held[-1].range if held else None
            row[f"{gradient}_eps_g"] = held[-1].eps_g if held else None
        optimum = optimal_range(model)
        row |= {"best": optimum.range, "best_eps_g": optimum.eps_g, "rounding": optimum.rounding_range}
        row["rounding_eps_g"] = best(model.replace(weight_quantizer=Uniform(bits, optimum.rounding_range))).eps_g
        found.append(row)
    return found


def curves() -> dict:
    """Errors and ranges in time by the limit, and runs beside them."""
    found = {}
    for name, changes in CURVES.items():
        model = MODEL.replace(teacher=Constant(1.0), learning_rate=0.1, **changes)
        limit = solve(model, TIMES[-1], times=TIMES, tolerance=1e-3)
        runs = simulate(model, 1000, TIMES[-1], seeds=4, times=TIMES[::8], progress=False)
        moves = "range" in limit.observables
        found[name] = {
            "eps_g": limit["eps_g"].tolist(),
            "range": limit["range"].tolist() if moves else [TWO_BITS.range] * TIMES.size,
            "run_times": runs.times.tolist(),
            "runs": runs["eps_g"].mean(axis=0).tolist(),
        }
    return found


def crossings(dim: int = 250, seeds: int = 40) -> dict:
    """Shares of runs in which a learned range crosses zero."""
    rate = 0.2
    # LSQ's step moves at the weights' rate times 1/sqrt(d Q_p), Q_p = 1.5 steps of the grid
    own = rate * np.sqrt(dim / 1.5)
    found = {}
    for name, options in (("range", {}), ("log range", {"logarithmic": True})):
        rule = LearnedRange.of_step(own, TWO_BITS, **options)
        model = MODEL.replace(weight_quantizer=Uniform(2, 0.45), learning_rate=rate, range_rule=rule)
        runs = simulate(model, dim, 10.0, seeds=seeds, times=np.linspace(0.1, 10.0, 100), progress=False)
        found[name] = float(np.mean((runs["range"] <= 0).any(axis=1)))
    return found


def tables(data: dict) -> dict[str, str]:
    """The tables of docs/optimizers.md."""
    found = {}
    by_rule = {(row["rule"], row["learning_rate"]): row["eps_g"] for row in data["floors"]}
    rows = [[name, *(f"{by_rule[name, rate]:.5f}" for rate in RATES)] for name in RULES]
    found["floors"] = _table(["rule", *(f"rate {rate:g}" for rate in RATES)], rows)
    names = ["dampening", "eps_g", "dithering", "clipping", "decay"]
    rows = [[f"{row['dampening']:g}", *(f"{row[name]:.4f}" for name in names[1:])] for row in data["dampened"]]
    found["dampened"] = _table(["dampening", "error", "dithering", "clipping", "pull"], rows)
    rows = []
    for row in data["ranges"]:
        cells = [f"{row['bits']}", f"{row['noise']:g}", f"{row['learning_rate']:g}"]
        for name in ("lsq", "pact", "best", "rounding"):
            value = row[name]
            cells.append("none" if value is None else f"{value:.3f} ({row[f'{name}_eps_g']:.4f})")
        rows.append(cells)
    heads = ["bits", "noise", "rate", "LSQ (error)", "PACT (error)", "best range (error)", "rounding (error)"]
    found["ranges"] = _table(heads, rows)
    shares = [[name, f"{100 * share:.0f} %"] for name, share in data["crossings"].items()]
    found["crossings"] = _table(["what is learned", "runs in which the range became negative"], shares)
    return found


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(data: dict) -> Figure:
    """Errors and ranges in time, and ranges over bits."""
    figure = Figure(figsize=(9.5, 3.2), layout="constrained")
    error, width, rest = figure.subplots(1, 3)
    for number, (name, curve) in enumerate(data["curves"].items()):
        color = f"C{number}"
        error.semilogy(TIMES, curve["eps_g"], color=color, label=name)
        error.semilogy(curve["run_times"], curve["runs"], "o", color=color, markersize=3)
        width.plot(TIMES, curve["range"], color=color)
    error.set(xlabel=r"$\tau$", ylabel=r"$\varepsilon_g$")
    width.set(xlabel=r"$\tau$", ylabel=r"range $\omega$")
    error.legend(fontsize="x-small")
    rows = [row for row in data["ranges"] if (row["noise"], row["learning_rate"]) == (0.5, 0.01)]
    for name, mark in (("best", "s"), ("lsq", "o"), ("rounding", "^")):
        rest.plot([row["bits"] for row in rows], [row[name] for row in rows], mark + "-", label=name)
    rest.set(xlabel="bits", ylabel=r"range $\omega$", xticks=BITS)
    rest.legend(fontsize="x-small")
    return figure


def main(arguments=None) -> None:
    """Compute, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redraw", action="store_true", help="take the numbers from the file that is there")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="path of the two files without their suffixes")
    options = parser.parse_args(arguments)
    path = options.out.with_suffix(".json")
    if options.redraw:
        data = json.loads(path.read_text())
    else:
        parts = {"floors": floors, "dampened": dampened, "ranges": ranges, "crossings": crossings, "curves": curves}
        data = {name: compute() for name, compute in parts.items()}
        path.write_text(json.dumps(data, indent=1) + "\n")
    for text in tables(data).values():
        print(text, end="\n\n")
    with style.settings():
        draw(data).savefig(options.out.with_suffix(".png"), dpi=160)


if __name__ == "__main__":
    main()
