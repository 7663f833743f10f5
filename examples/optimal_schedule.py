"""The best learning-rate schedule of three models, beside tuned usual schedules, with runs of the best.

    python examples/optimal_schedule.py --out docs/images/optimal_schedule

Cases: no quantizers (noise 0.5, tau = 10); one target between two levels (w* = 1, weights and inputs at 2 bits, range
2, noise 0.1, tau = 20); targets spread over the grid (w* ~ N(0, 1), weights at 3 bits, range 2, noise 0.3, tau = 20).
All start from N(0, 1). Errors are those of the limit, each with its error control at 1e-3 of the largest; runs are
eight at d = 500, of the free schedule and of the best of all.

Written: OUT.json with every number, and OUT.png.
"""

import argparse
import json
import pathlib
import time

import numpy as np
from matplotlib.figure import Figure

from steode import Constant, LinearModel, Normal, Uniform, optimal_schedule, plot
from steode.plot import style

GRID = Uniform(bits=2, range=2.0)
CASES = {
    "no quantizers": (LinearModel(teacher=Normal(std=1.0), noise=0.5), 10.0),
    "one target": (
        LinearModel(teacher=Constant(1.0), weight_quantizer=GRID, input_quantizer=GRID, noise=0.1),
        20.0,
    ),
    "normal targets": (
        LinearModel(teacher=Normal(std=1.0), weight_quantizer=Uniform(bits=3, range=2.0), noise=0.3),
        20.0,
    ),
}
SIZES = {"intervals": 256, "teacher_values": 8}
RUNS = {"dim": 500, "seeds": 8}
SHOWN = 9
"""Times at which rates are written."""


def measured(found) -> dict:
    """The numbers of one case."""
    times = np.linspace(0, found.t_end, SHOWN)
    schedules = {
        name: {
            "eps_g": entry.eps_g,
            "error": entry.error,
            "quantized from": entry.quantized_from,
            "rates": entry.rate(times).tolist(),
        }
        for name, entry in found.schedules.items()
    }
    checks = {}
    for name in dict.fromkeys(("optimal", found.best.name)):
        check = found.verify(name=name, **RUNS)
        checks[name] = {"mean": check.mean, "standard error": check.standard_error, "z": check.z}
    return {"t_end": found.t_end, "schedules": schedules, "runs": checks}


def rows(numbers: dict) -> list[list[str]]:
    """The lines of the table of one case, best first."""
    lines = []
    for name, entry in sorted(numbers["schedules"].items(), key=lambda item: item[1]["eps_g"]):
        run = numbers["runs"].get(name)
        runs = f"{run['mean']:.4f} ± {run['standard error']:.4f}" if run else ""
        rates = ", ".join(f"{rate:.2g}" for rate in entry["rates"][:: (SHOWN - 1) // 4])
        switch = f"{entry['quantized from']:.3g}" if entry["quantized from"] else "0"
        lines.append([name, f"{entry['eps_g']:.4f}", switch, rates, runs])
    return lines


def table(numbers: dict) -> str:
    """The same as Markdown."""
    head = ["schedule", "error at the end", "quantized from", "rate at 0, 1/4, 1/2, 3/4, 1 of the time", "runs"]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows(numbers)])


def main(arguments: list[str] | None = None) -> None:
    """Tune, run, print, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/optimal_schedule"))
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    given = parser.parse_args(arguments)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    results, numbers = {}, {}
    for name in given.cases:
        begin = time.perf_counter()
        model, t_end = CASES[name]
        results[name] = optimal_schedule(model, t_end, **SIZES)
        numbers[name] = measured(results[name])
        print(f"{name}, {time.perf_counter() - begin:.0f} s\n\n{table(numbers[name])}\n", flush=True)
        given.out.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    with style.settings():
        figure = Figure(figsize=(4.2 * len(results), 3.6), layout="constrained")
        for ax, (name, found) in zip(figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True):
            plot.schedules(found, ax=ax).set_title(name)
        figure.savefig(given.out.with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main()
