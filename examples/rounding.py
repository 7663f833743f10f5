"""What to deploy after training with quantized weights: the last iterate, an average, or a rounding?

    python examples/rounding.py --out results/rounding

A teacher whose weights are the quantiles of a standard Gaussian, inputs that are not quantized, weights on grids of one
to six bits with about the best range for the last iterate. Lines are `steode.deployments`; points are measured from the
weights of `simulate` themselves: they are kept at many times once training has settled, and averaged over these times.

An average over a finite time T keeps an error of order 1/T. That of the quantized weights is predicted, and compared as
it is. From the errors of rounded averages it is removed by comparing T with T/2: twice the error over the whole time
minus that over its halves.

Written: OUT.png, and OUT.json with every number in it. One to two minutes.
"""

import argparse
import json
import pathlib

import jax
import numpy as np
import scipy.optimize
import scipy.stats
from matplotlib.figure import Figure

from steode import Empirical, Identity, LinearModel, Normal, Uniform, deployments, fixed_point_function, plot, simulate
from steode.plot import style
from steode.systems.linear.compare import normal_score

DIM = 500
BITS = (1, 2, 3, 4, 5, 6)
SEEDS = 4
BURN_IN, AVERAGED, SPACING = 60.0, 60.0, 0.2
"""In rescaled time: until averages begin, their length T, and the time between two of their weights."""
KINDS = ("last_iterate", "rounded_average", "averaged_iterates", "rounded_teacher")
RATE_AND_NOISE = (0.4, 0.15)
SMALL = (0.02, 0.0)
"""Learning rate and noise at which the last iterate is twice as far above the floor as rounding once."""


def model_of(bits: int, largest: float, rate_and_noise=RATE_AND_NOISE, dim: int = DIM) -> LinearModel:
    """As many teacher weights as dimensions: every run has exactly these, and none of its error is that of a draw."""
    rate, noise = rate_and_noise
    quantiles = scipy.stats.norm.ppf((np.arange(dim) + 0.5) / dim)
    return LinearModel(
        teacher=Empirical(quantiles),
        weight_quantizer=Uniform(bits, largest),
        init=Normal(std=0.5),
        learning_rate=rate,
        noise=noise,
    )


def best_range(bits: int) -> float:
    """The range with the smallest error of the last iterate, to about one percent."""
    with jax.enable_x64(True):
        function = fixed_point_function(model_of(bits, 2.0))
        error = jax.jit(lambda largest: function({"weight_range": largest})["eps_g"])
        found = scipy.optimize.minimize_scalar(
            lambda largest: float(error(largest)), bounds=(0.4, 5.0), method="bounded", options={"xatol": 1e-2}
        )
    return round(float(found.x), 2)


def error_of(weights, teacher):
    """Generalization error of weights, averaged over the last axis; the inputs are standard normal."""
    return np.mean((weights - teacher) ** 2, axis=-1) / 2


def kept_weights(model: LinearModel, key: int, seeds: int = SEEDS, burn_in=BURN_IN, averaged=AVERAGED):
    """Latent weights at many times of the stationary state (seeds, times, dim), and the teacher (seeds, 1, dim)."""
    times = burn_in + SPACING * np.arange(1, round(averaged / SPACING) + 1)
    dim = len(model.teacher.values)
    kept = simulate(model, dim, times[-1], seeds=seeds, key=key, times=times[-1:], snapshot_times=times).snapshots
    return kept.weights[:, 1:].astype(float), kept.teacher[:, None].astype(float)


def measured(quantizer, latent: np.ndarray, teacher: np.ndarray, unquantized: np.ndarray) -> dict[str, np.ndarray]:
    """The error of each deployment, a number for each seed; `unquantized` are latent weights trained without."""

    def over(values, parts):
        """Error of the averages over consecutive parts of the time, each rounded."""
        averages = np.stack([part.mean(axis=1) for part in np.split(values, parts, axis=1)], axis=1)
        return error_of(quantizer(averages), teacher).mean(axis=1)

    def rounded(values):
        """Without the part of order 1/T."""
        return 2 * over(values, 1) - over(values, 2)

    images = quantizer(latent)
    return {
        "last_iterate": error_of(images, teacher).mean(axis=1),
        "rounded_average": rounded(latent),
        "averaged_iterates": error_of(images.mean(axis=1), teacher[:, 0]),
        "rounded_teacher": rounded(unquantized),
    }


def compute(bits=BITS, seeds: int = SEEDS, dim: int = DIM, burn_in=BURN_IN, averaged=AVERAGED) -> tuple[list, dict]:
    """Theory (a list of `Deployments`) and the numbers of the table, by name."""
    ranges = [best_range(b) for b in bits]
    models = [model_of(b, largest, dim=dim) for b, largest in zip(bits, ranges, strict=True)]
    found = [deployments(model) for model in models]
    small = [deployments(model_of(b, largest, SMALL, dim)) for b, largest in zip(bits, ranges, strict=True)]
    time = {"burn_in": burn_in, "averaged": averaged}
    plain, _ = kept_weights(models[0].replace(weight_quantizer=Identity()), 100, seeds, **time)
    rows = []
    for number, (b, model, theory) in enumerate(zip(bits, models, found, strict=True)):
        latent, teacher = kept_weights(model, number, seeds, **time)
        predicted = theory.errors | {"averaged_iterates": theory.averaged_over(averaged)}
        for kind, errors in measured(model.weight_quantizer, latent, teacher, plain).items():
            mean, spread = float(errors.mean()), float(errors.std(ddof=1) / np.sqrt(seeds))
            row = {"bits": b, "range": ranges[number], "deployed": kind, "theory": predicted[kind]}
            row |= {"simulation": mean, "standard_error": spread}
            row["z"] = float(normal_score(np.array((mean - predicted[kind]) / spread), seeds - 1))
            rows.append(row)

    def ratios(results):
        return [(d.last_iterate - d.floor) / (d.rounded_target - d.floor) for d in results]

    settings = {"dim": dim, "seeds": seeds, **time, "spacing": SPACING, "learning_rate_and_noise": RATE_AND_NOISE}
    theory = [
        {"bits": b, "range": largest, "floor": d.floor, "averaging_excess": d.averaging_excess} | d.errors
        for b, largest, d in zip(bits, ranges, found, strict=True)
    ]
    ratio = {"bits": list(bits), "as_trained": ratios(found), "small_learning_rate_without_noise": ratios(small)}
    return found, {"settings": settings, "theory": theory, "rows": rows, "ratio": ratio}


def table(data: dict) -> str:
    """The rows as text."""
    lines = [f"{'bits':>4} {'range':>6}  {'deployed':<18} {'theory':>10} {'simulation':>11} {'s.e.':>9} {'z':>6}"]
    lines += [
        f"{row['bits']:4d} {row['range']:6.2f}  {row['deployed']:<18} {row['theory']:10.6f} {row['simulation']:11.6f} "
        f"{row['standard_error']:9.6f} {row['z']:6.2f}"
        for row in data["rows"]
    ]
    lines.append(
        f"averaged_iterates: over a time {data['settings']['averaged']:g}; other averages: limit of long times"
    )
    return "\n".join(lines)


def draw(found: list, data: dict) -> Figure:
    """Errors against bits, and how much farther above the floor the last iterate is than rounding once."""
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    bits = data["ratio"]["bits"]

    def column(kind, name):
        return [row[name] for row in data["rows"] if row["deployed"] == kind]

    runs = {kind: (column(kind, "simulation"), column(kind, "standard_error")) for kind in KINDS}
    plot.deployments(bits, found, runs, averaged=data["settings"]["averaged"], xlabel="bits of a weight", ax=left)
    rate, noise = data["settings"]["learning_rate_and_noise"]
    left.set_title(rf"$\eta = {rate:g}$, $\sigma = {noise:g}$", fontsize="medium")
    style.axes(right)
    names = {
        "as_trained": rf"$\eta = {rate:g}$, $\sigma = {noise:g}$",
        "small_learning_rate_without_noise": rf"$\eta = {SMALL[0]:g}$, $\sigma = {SMALL[1]:g}$",
    }
    right.axhline(2, color=style.GRAY, linewidth=1.0, linestyle="--")
    for number, (name, label) in enumerate(names.items()):
        right.plot(bits, data["ratio"][name], "-" + style.MARKERS[number], color=style.COLORS[number], label=label)
    right.set(xlabel="bits of a weight", yscale="log", ylim=(1, 16), yticks=[1, 2, 4, 8, 16])
    right.set_yticklabels(["1", "2", "4", "8", "16"])
    right.minorticks_off()
    right.set_title("last iterate / nearest level, above the floor", fontsize="medium")
    style.legend(right, loc="upper left")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("results/rounding"), help="path without suffix"
    )
    out = parser.parse_args().out
    found, data = compute()
    print(table(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    draw(found, data).savefig(out.with_suffix(".png"), dpi=150, bbox_inches="tight")
    print(f"written: {out.with_suffix('.png')}, {out.with_suffix('.json')}")


if __name__ == "__main__":
    main()
