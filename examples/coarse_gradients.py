"""Coarse gradients of a binarized ReLU: correlation, descent, the identity's instability, basins, finite samples.

    python examples/coarse_gradients.py --out docs/images/coarse

Written: OUT_correlation.png, OUT_descent.png, OUT_instability.png, OUT_basins.png, OUT_samples.png, and OUT.json with
the numbers that the documentation quotes. About three minutes.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import binary_relu
from steode.plot import style

TEACHER, FILTER_SIZE = (1.0, -0.5, 2.0), 4
SURROGATES = {"identity": "identity", "relu": "ReLU", "clipped relu": "clipped ReLU"}
GRID = 25
"""Angles and positions of a basin panel in each direction."""


def model_of(surrogate: str, step: float = 0.02) -> binary_relu.BinaryReLUModel:
    """The teacher of all figures."""
    return binary_relu.BinaryReLUModel(
        rows=len(TEACHER), filter_size=FILTER_SIZE, output_teacher=TEACHER, surrogate=surrogate, step=step
    )


def panels(count: int, height: float = 3.6, **options):
    """A row of axes with steode's look."""
    figure = Figure(figsize=(3.9 * count, height), layout="constrained")
    return figure, [style.axes(ax) for ax in np.ravel(figure.subplots(1, count, **options))]


@style.styled
def correlation(count: int = 1500) -> tuple[Figure, dict]:
    """Cosine of the angle between coarse and true gradient in w, at random points."""
    figure, axes = panels(len(SURROGATES), sharey=True)
    numbers = {}
    for (name, title), ax in zip(SURROGATES.items(), axes, strict=True):
        points = binary_relu.random_starts(model_of(name), count, key=1, spread=2.0)
        found = binary_relu.gradients(model_of(name), points)
        norms = np.linalg.norm(found.coarse, axis=1) * np.linalg.norm(found.filter, axis=1)
        ax.plot(points.theta, found.correlation / norms, ".", markersize=3, color=style.COLORS[0])
        ax.axhline(0, color=style.GRAY, linewidth=1)
        ax.set(title=title, xlabel=r"angle $\theta$ between $w$ and $w^*$", ylim=(-0.25, 1.05))
        numbers[name] = {"smallest": float(found.correlation.min()), "points": count}
    axes[0].set_ylabel("cosine of coarse and true gradient")
    return figure, numbers


@style.styled
def descent() -> tuple[Figure, dict]:
    """Population loss in steps of 0.02, and the flow, from the same starts."""
    figure, axes = panels(len(SURROGATES), sharey=True)
    numbers = {}
    for (name, title), ax in zip(SURROGATES.items(), axes, strict=True):
        model = model_of(name)
        starts = binary_relu.starts(
            model, [[1, 0.5, 1], [2, -1, 1], [-1, 1, -2], [-0.2, 0.1, 0.3]], [2, 1, 2.8, 0.5], 2
        )
        runs, flow = binary_relu.descend(model, starts, 2000, every=10), binary_relu.solve(model, starts, 40.0)
        for index in range(len(starts)):
            ax.plot(runs.times, runs.loss[index], **style.look(index), label=f"start {index + 1}")
            marked = {"markevery": (5, 20), "marker": style.MARKERS[index], "markersize": 4, "fillstyle": "none"}
            ax.plot(flow.times, flow.loss[index], linestyle="", color=style.COLORS[index], **marked)
        ax.set(title=title, xlabel="steps times step size", yscale="log", ylim=(1e-8, 30))
        numbers[name] = {
            "largest_increase": float(np.diff(runs.loss, axis=1).max()),
            "last_loss": runs.loss[:, -1].tolist(),
            "smallest_length": runs.length.min(axis=1).tolist(),
        }
    axes[0].set_ylabel("population loss $f$")
    axes[0].plot([], [], "o", color=style.GRAY, fillstyle="none", markersize=4, label="flow")
    style.legend(axes[0], loc="lower left")
    return figure, numbers


@style.styled
def instability() -> tuple[Figure, dict]:
    """From next to the spurious minimum: length of w and loss."""
    figure, axes = panels(3)
    numbers = {}
    for index, (name, title) in enumerate(SURROGATES.items()):
        model = model_of(name, step=0.01)
        point = next(p for p in binary_relu.fixed_points(model) if p.kind == "spurious minimum")
        runs = binary_relu.descend(model, binary_relu.starts(model, point.v + 0.01, np.pi - 0.01), 1500)
        curves = runs.length[0], runs.theta[0], runs.loss[0]
        for ax, curve in zip(axes, curves, strict=True):
            # the identity jumps between two values from step to step: points, not lines
            look = {"marker": ".", "markersize": 1.5, "linestyle": ""} if name == "identity" else {}
            ax.plot(runs.times, curve, **style.look(index) | look, label=title)
        numbers[name] = {"gradient_norm": point.coarse_gradient, "loss": [float(runs.loss[0, i]) for i in (0, -1)]}
        numbers[name]["largest_increase"] = float(np.diff(runs.loss[0]).max())
    norm = numbers["identity"]["gradient_norm"]
    times = np.linspace(0, 1 / norm, 5)
    axes[0].plot(times, 1 - norm * times, "o", color=style.GRAY, fillstyle="none", label="predicted rate")
    for ax, label in zip(axes, ("length $|w|$", r"angle $\theta$", "population loss $f$"), strict=True):
        ax.set(xlabel="steps times step size", ylabel=label)
    style.legend(axes[0], markerscale=1.5)
    return figure, numbers


@style.styled
def basins(grid: int = GRID) -> tuple[Figure, dict]:
    """Where the flow ends from v = x v* and any angle."""
    figure, axes = panels(len(SURROGATES), height=3.9, sharey=True)
    theta, x = np.linspace(0.02, np.pi - 0.02, grid), np.linspace(-1.5, 1.5, grid)
    kinds = ("global minimum", "spurious minimum", "w vanished", "still moving")
    numbers = {}
    for (name, title), ax in zip(SURROGATES.items(), axes, strict=True):
        model = model_of(name)
        angles, shares = (values.ravel() for values in np.meshgrid(theta, x))
        starts = binary_relu.starts(model, shares[:, None] * model.v_star, angles)
        flow = binary_relu.solve(model, starts, 400.0, points=2, tolerance=1e-7)
        spurious = next(p for p in binary_relu.fixed_points(model) if p.kind == "spurious minimum").loss
        kind = np.full(len(starts), 3)
        kind[flow.outcome == "vanished"] = 2
        kept = flow.outcome != "vanished"
        kind[kept & (flow.end_loss < 1e-3)] = 0
        kind[kept & (np.abs(flow.end_loss - spurious) < 1e-3)] = 1
        for number, label in enumerate(kinds):
            chosen = kind == number
            if chosen.any():
                look = {"marker": "os^x"[number], "color": style.COLORS[number], "markersize": 3.5}
                ax.plot(angles[chosen], shares[chosen], linestyle="", label=label, **look)
        ax.set(title=title, xlabel=r"first angle $\theta$")
        numbers[name] = {label: float(np.mean(kind == number)) for number, label in enumerate(kinds)}
    axes[0].set_ylabel("first $v$ in units of $v^*$")
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    return figure, numbers


@style.styled
def samples(sizes=(10, 100, 1000, 10_000)) -> tuple[Figure, dict]:
    """Empirical loss along the coarse direction, for growing data sets."""
    figure, axes = panels(2)
    distances = np.linspace(0, 1.2, 121)
    model = model_of("clipped relu")
    one = binary_relu.starts(model, np.ones(3), 2.0)
    many = binary_relu.starts(model, np.ones(3), np.full(16, 2.0))
    deviations = []
    for index, size in enumerate(sizes):
        shown = binary_relu.loss_profile(model, one, distances, size, key=2)
        axes[0].plot(distances, shown.empirical[0], **style.look(index), label=f"{size} samples")
        deviations.append(float(binary_relu.loss_profile(model, many, distances[::5], size, key=3).deviation.mean()))
    axes[0].plot(distances, shown.population[0], color="black", linewidth=2.5, alpha=0.35, label="population")
    axes[0].set(xlabel="distance along the coarse direction", ylabel="loss")
    axes[1].plot(sizes, deviations, "o-", label="mean over 16 data sets")
    axes[1].plot(
        sizes, deviations[-1] * np.sqrt(sizes[-1] / np.array(sizes)), "--", color=style.GRAY, label="slope $-1/2$"
    )
    axes[1].set(xscale="log", yscale="log", xlabel="samples", ylabel="largest deviation from the population")
    for ax in axes:
        style.legend(ax)
    slope = float(np.polyfit(np.log(sizes), np.log(deviations), 1)[0])
    return figure, {"samples": list(sizes), "deviation": deviations, "slope": slope}


FIGURES = {f.__name__: f for f in (correlation, descent, instability, basins, samples)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/coarse"), help="without suffix")
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, draw in FIGURES.items():
        figure, found[name] = draw()
        figure.savefig(out.with_name(f"{out.name}_{name}.png"), dpi=110)
        print(name, json.dumps(found[name]))
    out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
