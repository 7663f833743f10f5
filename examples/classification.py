"""Which surrogates of the quantized ReLU classify perfectly: surrogate, bits, neurons, dimension, start; a picture.

    python examples/classification.py --out docs/images/classification

Written: OUT_surrogates.png, OUT_size.png, OUT_dimension.png, OUT_geometry.png, OUT_trapped.png, and OUT.json with the
numbers that the documentation quotes. About a quarter of an hour on two cores; --only NAME draws one figure, and leaves
the other numbers in OUT.json as they are.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import classification
from steode.plot import style
from steode.plot.classification import loss_curve, neurons
from steode.systems.classification import SURROGATES, ClassificationModel, ClassificationRuns

STEPS, SEEDS, STEP = 8000, 30, 1.0
TESTS = 20_000
TITLES = {"relu": "ReLU", "clipped relu": "clipped ReLU"}
ORDER = ("relu", "exponential tail", "logarithmic tail", "clipped relu", "identity")


def model_of(**changes) -> ClassificationModel:
    """Three classes in planes, six neurons for each, two bits."""
    return ClassificationModel(**({"classes": 3, "dimensions": 2, "neurons_per_class": 6, "step": STEP} | changes))


def trained(model: ClassificationModel, **options) -> ClassificationRuns:
    return classification.simulate(
        model, STEPS, **({"seeds": SEEDS, "key": 1, "record": (0, STEPS), "test_samples": TESTS} | options)
    )


def numbers_of(runs: ClassificationRuns) -> dict:
    """Share of perfect runs with its interval, quartiles of their time, loss and covering."""
    share, low, high = runs.success()
    quartiles = np.nanquantile(runs.steps_to_perfect, (0.25, 0.5, 0.75)).tolist() if runs.perfect.any() else None
    return {
        "success": share,
        "interval": [low, high],
        "steps_to_perfect": quartiles,
        "mean_loss": float(runs.loss[:, -1].mean()),
        "covered": [float(runs.covered(record).mean()) for record in (0, -1)],
    }


def panels(count: int, height: float = 3.7, width: float = 4.4, **options):
    """A row of axes with steode's look."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, [style.axes(ax) for ax in np.ravel(figure.subplots(1, count, **options))]


def draw(axes, results: dict[str, dict], values, xlabel: str) -> None:
    """Success with intervals and, below, quartiles of the time, against `values`, one curve for each surrogate."""
    places = np.arange(len(values))
    for index, (name, found) in enumerate(results.items()):
        shift, color = 0.07 * (index - (len(results) - 1) / 2), style.COLORS[index]
        look = {"color": color, "marker": style.MARKERS[index], "markersize": 4, "capsize": 2, "linewidth": 1.2}
        share = np.array([one["success"] for one in found])
        ends = np.array([one["interval"] for one in found]).T
        bars = np.abs(ends - share[None, :])
        axes[0].errorbar(places + shift, share, bars, label=TITLES.get(name, name), elinewidth=0.8, **look)
        times = np.array([one["steps_to_perfect"] or [np.nan] * 3 for one in found]).T
        bars = np.abs(times[[0, 2]] - times[1][None, :])
        axes[1].errorbar(places + shift, times[1], bars, elinewidth=0.8, **look)
    axes[0].set(ylabel="share of perfect runs", ylim=(-0.04, 1.04))
    axes[1].set(ylabel="steps to perfect classification", yscale="log", ylim=(10, 10_000))
    for ax in axes:
        ax.set(xlabel=xlabel, xticks=places, xticklabels=values, xlim=(-0.4, len(values) - 0.6))


@style.styled
def surrogates(bits=(1, 2, 3, 4)) -> tuple[Figure, dict]:
    """Success and time against surrogate and bits."""
    figure, axes = panels(2)
    found = {name: [numbers_of(trained(model_of(surrogate=name, bits=number))) for number in bits] for name in ORDER}
    draw(axes, found, bits, "bits")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure, {"bits": list(bits), **found}


@style.styled
def size(counts=(3, 4, 5, 6, 8, 12), dims=(1, 2, 3, 4, 5)) -> tuple[Figure, dict]:
    """Success and time against neurons for each class, and against dimension with 2 (d + 1) neurons."""
    names = ("relu", "logarithmic tail", "clipped relu")
    figure, axes = panels(4, width=3.5)
    by_count = {
        name: [numbers_of(trained(model_of(surrogate=name, neurons_per_class=n))) for n in counts] for name in names
    }
    draw(axes[:2], by_count, counts, "neurons for each class, $d = 2$")
    chance = [classification.covering_probability(n, 2) ** 3 for n in counts]
    axes[0].plot(range(len(counts)), chance, "--", color=style.GRAY, label="covered at the start, by chance")
    by_dim = {
        name: [numbers_of(trained(model_of(surrogate=name, dimensions=d, neurons_per_class=2 * d + 2))) for d in dims]
        for name in names
    }
    draw(axes[2:], by_dim, dims, "dimension $d$, with $2(d + 1)$ neurons")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure, {
        "neurons": list(counts),
        "chance": chance,
        "by_neurons": by_count,
        "dims": list(dims),
        "by_dim": by_dim,
    }


@style.styled
def dimension(dims=(2, 3, 4, 5), bits=(2, 4), steps: int = 60_000) -> tuple[Figure, dict]:
    """Loss along long runs, against dimension and bits, with 2 (d + 1) neurons; for the last d with twice as many."""
    figure, axes = panels(len(bits), sharey=True)
    found = {}
    for number, ax in zip(bits, axes, strict=True):
        for index, size in enumerate([*dims, dims[-1]]):
            count = 2 * size + 2 if index < len(dims) else 4 * size + 4
            model = model_of(dimensions=size, neurons_per_class=count, bits=number)
            runs = classification.simulate(model, steps, seeds=10, key=2, test_samples=TESTS)
            loss_curve(runs, label=f"$d = {size}$, {count} neurons", color=index, ax=ax)
            found[f"{number} bits, {size}, {count} neurons"] = numbers_of(runs)
        ax.set_title(f"{number} bits")
    axes[1].set_ylabel("")
    return figure, found


@style.styled
def geometry(shown=(0, 20, 60, 200)) -> tuple[Figure, dict]:
    """The plane of one class along one run that starts uncovered; last panel: where it stops for good."""
    model = model_of(neurons_per_class=4, step=0.3)
    runs = classification.simulate(model, 20_000, seeds=24, key=4, record=(*shown, 20_000))
    start = ~runs.covered(0) & runs.perfect[:, None]
    # of the runs with a class that is not covered at the start, the one that is perfect first
    seed = int(np.argmin(np.where(start.any(axis=1), runs.last_loss, np.inf)))
    number = int(np.argmax(start[seed]))
    figure, axes = panels(5, width=2.7, height=3.3)
    for place, ax in enumerate(axes):
        neurons(model, runs.weights[seed, place], number, ax=ax)
        steps = runs.steps[place] if place < len(shown) else int(runs.last_loss[seed])
        ax.set_title(f"after {steps} steps")
        ax.tick_params(labelsize=7)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    before, after = (runs.covered(record) for record in (0, -1))
    classes = {
        "runs": runs.seeds,
        "uncovered_at_start": int((~before).sum()),
        "of_these_covered_at_end": int((~before & after).sum()),
        "covered_at_start": int(before.sum()),
        "of_these_uncovered_at_end": int((before & ~after).sum()),
        "perfect": int(runs.perfect.sum()),
        "last_loss": int(runs.last_loss[seed]),
    }
    return figure, classes


@style.styled
def trapped(scales=(0.2, 1.0, 2.0, 5.0, 10.0)) -> tuple[Figure, dict]:
    """From a saturated trapped state moved by 2 percent: loss; and success against the size of the start."""
    figure, axes = panels(2)
    model = model_of(neurons_per_class=3, bits=3)
    weights, random = classification.trapped(model, "saturated"), np.random.default_rng(5)
    init = weights * (1 + 0.02 * random.standard_normal((10, *weights.shape)))
    states = [classification.examine(model.replace(surrogate="clipped relu"), one) for one in init]
    numbers: dict = {"trapped_of_10": sum(all(c.kind == "trapped" for c in state) for state in states)}
    numbers["coarse"] = max(c.coarse for state in states for c in state)
    for index, name in enumerate(ORDER[:4]):
        runs = trained(model.replace(surrogate=name), seeds=10, init=init, record=None, test_samples=2000)
        loss_curve(runs, label=TITLES.get(name, name), color=index, ax=axes[0])
        numbers[name] = numbers_of(runs)
    found = {
        name: [numbers_of(trained(model_of(surrogate=name, init_scale=scale))) for scale in scales] for name in ORDER
    }
    draw((axes[1], style.axes(Figure().subplots())), found, scales, "standard deviation of the initial weights")
    axes[0].get_legend().remove()
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure, numbers | {"scales": list(scales), "by_scale": found}


FIGURES = {f.__name__: f for f in (surrogates, size, dimension, geometry, trapped)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/classification"), help="no suffix")
    parser.add_argument("--only", choices=[*FIGURES], help="one figure")
    arguments = parser.parse_args()
    out = arguments.out
    out.parent.mkdir(parents=True, exist_ok=True)
    numbers = out.with_suffix(".json")
    found = json.loads(numbers.read_text(encoding="utf-8")) if arguments.only and numbers.exists() else {}
    for name, draw_one in FIGURES.items():
        if arguments.only in (None, name):
            figure, found[name] = draw_one()
            figure.savefig(out.with_name(f"{out.name}_{name}.png"), dpi=110)
            print(name, json.dumps(found[name]), flush=True)
            numbers.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


assert set(ORDER) == set(SURROGATES)

if __name__ == "__main__":
    main()
