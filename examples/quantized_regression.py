"""Quantized SGD for linear regression: exact risk, simulation and bound, and integers against floating point.

    python examples/quantized_regression.py --out docs/images/regression

The setting of Zhang, Su, Zou (arXiv 2510.18259): lambda_i = i^-2, all teacher weights 1, label noise of variance 1, one
sample a step; all five quantizers with the same noise, additive (integer-like) or with one common factor (float-like).
Their step size is not in the public notes; 0.05 is used here.

Written: OUT_noise.png (d = 200, four noise variances), OUT_dimension.png (noise variance 0.01, four dimensions),
OUT_crossover.png (bits of floating point as good as integers, against d and the integers' bits), and OUT.json with
every number in them. Two to three minutes.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import regression
from steode.parts.spectrum import PowerLaw
from steode.plot import style
from steode.plot.regression import regression_risk

EXPONENT, STEP_SIZE = 2.0, 0.05
SCHEMES = {"additive": "additive (integer-like)", "common": "multiplicative, rank one (float-like)"}
NOISES, DIM = (0.0, 1e-3, 5e-3, 1e-2), 200
DIMS, NOISE = (50, 100, 200, 400), 1e-2
STEPS, SEEDS, POINTS = 10_000, 32, 9
CROSSOVER_DIMS, CROSSOVER_BITS, CROSSOVER_STEPS = (8, 16, 32, 64, 128, 256, 512, 1024), (4, 6, 8), 10_000
CROSSOVER_QUANTITIES = {"raw_average": "risk on raw inputs", "quantized_average": "risk on quantized inputs"}


def model_of(dim: int) -> regression.RegressionModel:
    """The setting in dimension `dim`, nothing quantized."""
    return regression.RegressionModel(spectrum=PowerLaw(EXPONENT, dim), teacher=1.0, step_size=STEP_SIZE, noise=1.0)


def experiment(dims, noises, steps: int = STEPS, seeds: int = SEEDS) -> list[dict]:
    """Exact risk, runs and bounds of both schemes, for every pair of a dimension and a noise variance."""
    few = np.unique(np.geomspace(10, steps, POINTS).round().astype(int))
    many = np.union1d(few, np.geomspace(1, steps, 80).round().astype(int))
    cases = []
    for scheme in SCHEMES:
        for dim, noise in zip(dims, noises, strict=True):
            model = regression.quantize(model_of(dim), scheme, noise)
            exact = regression.risk(model, steps, record=many)
            runs = regression.simulate(model, steps, seeds=seeds, key=dim, record=few)
            limits = tuple(regression.bounds(model, int(number)) for number in few)
            cases.append({"scheme": scheme, "dim": dim, "noise": noise, "exact": exact, "runs": runs, "bounds": limits})
    return cases


def numbers(case: dict) -> dict:
    """One case's last risks, bound and largest z as plain numbers."""
    exact, runs, last = case["exact"], case["runs"], case["bounds"][-1]
    scores = {name: round(regression.compare(exact, runs, name).largest_z, 2) for name in runs.values}
    return {
        "scheme": case["scheme"],
        "d": case["dim"],
        "epsilon": case["noise"],
        "largest_step_size": exact.largest_step_size,
        "exact": {name: float(values[-1]) for name, values in exact.values.items()},
        "simulation": {name: float(runs.mean(name)[-1]) for name in runs.values},
        "standard_error": {name: float(runs.standard_error(name)[-1]) for name in runs.values},
        "largest_z": scores,
        "bound_raw": last.raw,
        "bound_excess": last.excess,
        "effective_dimension": last.effective_dimension,
    }


def draw(cases: list[dict], label, quantities=("raw_average", "quantized_average")) -> Figure:
    """One row for each quantity, one panel for each scheme."""
    figure = Figure(figsize=(10.5, 7.6), layout="constrained")
    panels = figure.subplots(len(quantities), len(SCHEMES), sharey="row")
    for quantity, row in zip(quantities, panels, strict=True):
        for (scheme, title), ax in zip(SCHEMES.items(), row, strict=True):
            chosen = [case for case in cases if case["scheme"] == scheme]
            for color, case in enumerate(chosen):
                parts = case["exact"], case["runs"], case["bounds"]
                regression_risk(*parts, quantity=quantity, label=label(case), color=color, ax=ax)
            ax.set_title(title, fontsize="medium")
    return figure


def crossovers(dims=CROSSOVER_DIMS, bits=CROSSOVER_BITS, steps: int = CROSSOVER_STEPS) -> list[dict]:
    """Mantissa bits of equal risk, exact and by the rule, for every quantity, dimension and number of bits."""
    rows = []
    for quantity in CROSSOVER_QUANTITIES:
        for b in bits:
            for dim in dims:
                found = regression.crossover(model_of(dim), b, steps, scheme="common", quantity=quantity)
                row = {"quantity": quantity, "b": b, "d": dim, "mantissa_bits": found.mantissa_bits}
                rows.append(row | {"rule": found.rule, "risk": found.risk, "unquantized": found.unquantized})
    return rows


def draw_crossovers(rows: list[dict]) -> Figure:
    """Exact crossover and rule against d, one panel for each quantity."""
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    for ax, (quantity, title) in zip(figure.subplots(1, 2, sharey=True), CROSSOVER_QUANTITIES.items(), strict=True):
        style.axes(ax)
        for color, b in enumerate(sorted({row["b"] for row in rows})):
            chosen = [row for row in rows if row["quantity"] == quantity and row["b"] == b]
            dims = [row["d"] for row in chosen]
            exact, rule = [row["mantissa_bits"] for row in chosen], [row["rule"] for row in chosen]
            ax.plot(dims, exact, "-" + style.MARKERS[color], color=style.COLORS[color], label=f"exact, b = {b}")
            ax.plot(dims, rule, "--", color=style.COLORS[color], linewidth=1.0)
        ax.plot([], [], "--", color=style.GRAY, linewidth=1.0, label=r"rule $m = b - (a/2)\,\log_2 d$")
        ax.set_xscale("log", base=2)
        ax.set(xlabel="dimension $d$", ylabel="mantissa bits $m$ of equal risk", title=title, ylim=(-7, 9))
        style.legend(ax, loc="lower left", ncols=2)
    return figure


def table(rows: list[dict]) -> str:
    """The cases as text."""
    head = f"{'scheme':<10}{'d':>5}{'epsilon':>9}{'raw':>10}{'runs':>10}{'bound':>9}{'quantized':>11}{'largest z':>11}"
    lines = [head]
    for row in rows:
        cells = f"{row['exact']['raw_average']:10.5f}{row['simulation']['raw_average']:10.5f}{row['bound_raw']:9.4f}"
        cells += f"{row['exact']['quantized_average']:11.5f}{max(row['largest_z'].values()):11.2f}"
        lines.append(f"{row['scheme']:<10}{row['d']:5d}{row['epsilon']:9.3g}{cells}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/regression"), help="without suffix")
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    by_noise = experiment([DIM] * len(NOISES), NOISES)
    by_dimension = experiment(DIMS, [NOISE] * len(DIMS))
    rows = {"noise": [numbers(case) for case in by_noise], "dimension": [numbers(case) for case in by_dimension]}
    rows["crossover"] = crossovers()
    for name in ("noise", "dimension"):
        print(table(rows[name]))
    figures = {
        "noise": draw(by_noise, lambda case: rf"$\epsilon$ = {case['noise']:g}"),
        "dimension": draw(by_dimension, lambda case: f"d = {case['dim']}"),
        "crossover": draw_crossovers(rows["crossover"]),
    }
    for name, figure in figures.items():
        figure.savefig(out.with_name(f"{out.name}_{name}.png"), dpi=110)
    settings = {"exponent": EXPONENT, "step_size": STEP_SIZE, "steps": STEPS, "seeds": SEEDS}
    text = json.dumps({"settings": settings} | rows, indent=1)
    out.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
