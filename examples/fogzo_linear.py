"""What FOGZO does on the linear system: frozen starts, its own learning rate, fixed points, and passes.

    python examples/fogzo_linear.py --out docs/images
    python examples/fogzo_linear.py --out results/fogzo --parts frozen rate

Teacher weights N(0, 1), label noise 0.1, weights quantized, inputs not. Four parts, each a figure:

    frozen        starts with few weights or none near a threshold, limit and runs
    rate          the mean slope p beside the error, FOGZO beside the STE, and the STE under FOGZO's own learning rate
    fixed_points  fixed points and relaxation times against the learning rate, beside the STE's
    passes        FOGZO at tau against the STE at (n + 1) tau: bits, range, c, learning rate

Everything but the runs of `frozen` is the limit, by the density equation. A step of FOGZO is 2n + 2 forward and
backward passes, one of the STE 2.

Written: fogzo_PART.png, and fogzo_linear.json with every number of the parts computed so far. All of it takes about a
quarter of an hour on two cores, half of it for `passes`.
"""

import argparse
import itertools
import json
import pathlib
import time

import jax.numpy as jnp
import numpy as np
import scipy.stats
from matplotlib.figure import Figure

from steode import (
    FOGZO,
    STE,
    Constant,
    LinearModel,
    Normal,
    Schedule,
    TwoPoint,
    Uniform,
    fixed_points,
    simulate,
    solve,
    stability,
)
from steode.plot import style

RULE = FOGZO(c=2.0, eps=0.3)
MODEL = LinearModel(
    weight_quantizer=Uniform(bits=3, range=2.0), teacher=Normal(), noise=0.1, learning_rate=0.3, update_rule=RULE
)
MIDDLE = Uniform(bits=3, range=2.0, kind="mid-tread")
"""A quantizer with a level at zero, so that zero is the middle of a cell."""
STEP = float(MIDDLE.levels[1] - MIDDLE.levels[0])


def twin(model: LinearModel, **changes) -> LinearModel:
    """The same model updated by the STE."""
    return model.replace(update_rule=STE(), **changes)


def half_time(times, errors) -> float | None:
    """First time at which the error is half its initial value, by interpolation; None if it never is."""
    below = np.flatnonzero(errors <= errors[0] / 2)
    if not below.size:
        return None
    last = slice(below[0] - 1, below[0] + 1)
    return float(np.interp(-errors[0] / 2, -errors[last], times[last]))


def compute_frozen(dims=(100, 400, 1600), seeds=8, distances=(0.03, 0.1, 0.3)) -> dict:
    """Runs from a point at a distance from the threshold, and the limit from narrow Gaussians in the middle."""
    model = MODEL.replace(weight_quantizer=MIDDLE)
    limit = solve(model.replace(init=Constant(0.0)), 8.0, times=[0.0, 8.0], tolerance=1e-3)
    times, points = np.linspace(0, 8, 33), []
    for distance in distances:
        start = model.replace(init=Constant(STEP / 2 - distance))
        for dim in dims:
            errors = simulate(start, dim, 8.0, seeds=seeds, times=times)["eps_g"]
            moved = int((errors[:, -1] != errors[:, 0]).sum())
            about = {"distance": distance, "dim": dim, "moved": moved, "eps_g": errors.mean(axis=0).tolist()}
            points.append(about | {"predicted_slope": first_slope(model, distance, dim)})
    starts = []
    for share in (0.15, 0.2, 0.3, 0.5, 1.0):
        init = Normal(std=share * STEP)
        end = 160.0 if share < 0.2 else 40.0
        found, late = {}, np.linspace(0, end, 401)
        for rule in (RULE, STE()):
            curve = solve(model.replace(init=init, update_rule=rule), end, times=late, tolerance=3e-3)
            found[type(rule).__name__] = half_time(late, curve["eps_g"])
            if rule is RULE:
                found |= {"first_slope": float(curve["mean_slope"][0]), "eps_g": curve["eps_g"][::4].tolist()}
        starts.append({"share": share, "t_end": end} | found)
    point = {"eps_g": limit["eps_g"].tolist(), "mean_slope": limit["mean_slope"].tolist()}
    return {"limit": point, "times": times.tolist(), "seeds": seeds, "points": points, "starts": starts}


def first_slope(model: LinearModel, distance: float, dim: int) -> float:
    """Mean slope of a point mass, over which the perturbation smears the quantizer: step times a density.

    The perturbation of a coordinate is eps d^-1/2 (z + sqrt(c) u) with z Gaussian and u uniform (derived here).
    """
    width, part = model.update_rule.eps / dim**0.5, np.sqrt(3 * model.update_rule.c)
    nodes = np.linspace(-part, part, 2001)
    density = scipy.stats.norm.pdf(distance / width - nodes).mean() / width
    return STEP * float(density)


def draw_frozen(data: dict, figure: Figure) -> None:
    """Runs from points, and the time to half the error from narrow Gaussians."""
    left, right = (style.axes(ax) for ax in figure.subplots(1, 2))
    dims = sorted({row["dim"] for row in data["points"]})
    distances = sorted({row["distance"] for row in data["points"]})
    for row in data["points"]:
        color, line = style.COLORS[distances.index(row["distance"])], style.LINES[dims.index(row["dim"])]
        label = rf"distance {row['distance']:g}, $d$ = {row['dim']}"
        left.plot(data["times"], np.divide(row["eps_g"], row["eps_g"][0]), color=color, linestyle=line, label=label)
    left.axhline(1, color=style.GRAY, label="limit: never moves", linewidth=0.8)
    left.set(xlabel=style.TIME, ylabel=r"$\varepsilon_g$ over its first value", ylim=(0, 1.15))
    style.legend(left, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
    shares = [row["share"] for row in data["starts"]]
    for number, name in enumerate(("FOGZO", "STE")):
        values = [row[name] or np.nan for row in data["starts"]]
        look = style.look(number) | {"marker": style.MARKERS[number], "markerfacecolor": "white"}
        right.plot(shares, values, label=name, **look)
    right.set(xlabel="initial standard deviation / step of the quantizer", ylim=(0, None))
    right.set_ylabel(r"$\tau$ until $\varepsilon_g$ is halved")
    style.legend(right)


def compute_rate() -> dict:
    """Slope and error over time from a broad and a narrow start, and the equivalence at c = 0."""
    times, cases = 20 * np.linspace(0, 1, 401) ** 2, []  # p changes fast at first
    for name, std in (("broad start", 1.0), ("start on a threshold", 0.1)):
        for rate in (0.03, 0.3):
            model = MODEL.replace(init=Normal(std=std), learning_rate=rate, update_rule=FOGZO(c=0.0, eps=0.3))
            own = solve(model, 20.0, times=times, tolerance=1e-3)
            slope = jnp.asarray(own["mean_slope"])
            scheduled = Schedule(lambda tau, rate=rate, slope=slope: rate * jnp.interp(tau, jnp.asarray(times), slope))
            same = solve(twin(model, learning_rate=scheduled), 20.0, times=times, tolerance=1e-3)
            plain = solve(twin(model), 20.0, times=times, tolerance=1e-3)
            gap = float(np.abs(own["eps_g"] - same["eps_g"]).max())
            curves = {"slope": own["mean_slope"], "FOGZO": own["eps_g"], "STE": plain["eps_g"]}
            about = {"name": name, "std": std, "rate": rate, "gap": gap, "error": float(own.error["eps_g"].max())}
            cases.append(about | {key: value[::4].tolist() for key, value in curves.items()})
    return {"times": times[::4].tolist(), "cases": cases}


def draw_rate(data: dict, figure: Figure) -> None:
    """Error and slope, one column for each start."""
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    names = list(dict.fromkeys(case["name"] for case in data["cases"]))
    rates = sorted({case["rate"] for case in data["cases"]})
    for case in data["cases"]:
        column, color = names.index(case["name"]), style.COLORS[rates.index(case["rate"])]
        above, below = (style.axes(ax) for ax in panels[:, column])
        for line, name in zip(style.LINES, ("FOGZO", "STE"), strict=False):
            label = rf"{name}, $\eta$ = {case['rate']:g}"
            above.plot(data["times"], case[name], color=color, linestyle=line, label=label)
        below.plot(data["times"], case["slope"], color=color)
        above.set(title=case["name"], yscale="log")
        below.set(xlabel=style.TIME, ylim=(0, None))
        below.axhline(1, color=style.GRAY, linewidth=0.8)
    panels[0, 0].set_ylabel(r"$\varepsilon_g$")
    panels[1, 0].set_ylabel("mean slope $p$")
    style.legend(panels[0, 1])


def compute_fixed_points(relaxing=(0.1, 0.3, 1.0)) -> dict:
    """Fixed points of both rules against the learning rate, and how fast they are reached."""
    rows, found = [], []
    for rate in np.geomspace(1e-4, 2, 18).tolist():
        points = [fixed_points(spec.replace(learning_rate=rate))[0] for spec in (MODEL, twin(MODEL))]
        rows.append({"rate": rate, "FOGZO": points[0].eps_g, "STE": points[1].eps_g, "slope": points[0].mean_slope})
    small = np.log([(row["rate"], row["rate"] * row["slope"]) for row in rows if row["rate"] < 2e-3])
    for rate, share in itertools.product(relaxing, (None, 0.0, 2.0)):
        rule = STE() if share is None else FOGZO(c=share, eps=0.3)
        # targets inside the range: those on its end settle as a power of tau
        model = MODEL.replace(teacher=TwoPoint(1.1), init=Normal(std=0.5), learning_rate=rate, update_rule=rule)
        point = fixed_points(model)[0]
        same = point if share is None else fixed_points(point.ste_model)[0]
        about = {"rate": rate, "c": share, "slope": point.mean_slope, "time": relaxation(model)}
        found.append(about | {"STE with the same law": stability(same).relaxation_time})
    return {"rows": rows, "exponent": float(np.polyfit(*small.T, 1)[0]), "relaxation": found}


def relaxation(model: LinearModel) -> float:
    """Time constant of the last part of the error's approach to rest that the solver resolves."""
    curve = solve(model, 80.0, times=np.linspace(0, 80, 801), tolerance=1e-4)
    distance = curve["eps_g"] - curve["eps_g"][-1]
    end = np.flatnonzero(np.abs(distance) > 1e-5 * curve["eps_g"][0])[-1] + 1
    turns = np.flatnonzero(np.diff(np.sign(distance[:end])))
    late = np.arange(turns[-1] + 1 if turns.size else 0, end)
    size = np.abs(distance[late])
    used = late[(np.arange(late.size) >= size.argmax()) & (size < min(10 * size[-1], 0.5 * size.max()))]
    return float(-1 / np.polyfit(curve.times[used], np.log(np.abs(distance[used])), 1)[0])


def draw_fixed_points(data: dict, figure: Figure) -> None:
    """Error, slope, and relaxation times against the learning rate."""
    panels = [style.axes(ax) for ax in figure.subplots(1, 3)]
    rates, slope = (np.array([row[name] for row in data["rows"]]) for name in ("rate", "slope"))
    for number, name in enumerate(("FOGZO", "STE")):
        panels[0].plot(rates, [row[name] for row in data["rows"]], label=name, **style.look(number))
    panels[1].plot(rates, slope, label="$p$", **style.look(0))
    panels[1].plot(rates, rates * slope, label=r"$\eta p$", **style.look(1))
    root = rates[0] * slope[0] * (rates / rates[0]) ** 0.5
    panels[1].plot(rates, root, color=style.GRAY, linewidth=0.8, label=r"$\propto\sqrt{\eta}$")
    for number, share in enumerate((0.0, None, 2.0)):
        rows = [row for row in data["relaxation"] if row["c"] == share]
        look = style.look(number) | {"marker": style.MARKERS[number], "markerfacecolor": "white"}
        label = "STE" if share is None else f"FOGZO, $c$ = {share:g}"
        panels[2].plot([row["rate"] for row in rows], [row["time"] for row in rows], label=label, **look)
    panels[0].set(ylabel=r"$\varepsilon_g$ at the fixed point", yscale="log")
    panels[1].set(ylabel="at the fixed point", yscale="log")
    panels[0].set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
    panels[0].minorticks_off()
    panels[2].set(ylabel=r"relaxation time in $\tau$", ylim=(0, None))
    for ax in panels:
        ax.set(xlabel=r"learning rate $\eta$", xscale="log")
        style.legend(ax)


def compute_passes(bits=(1, 2, 3, 4), ranges=(1.0, 2.0, 3.0), shares=(0.0, 2.0)) -> dict:
    """Errors of both rules at 10, 20 and 40 passes per dimension, for every quantizer, c and learning rate."""
    rates, times, rows = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.2), np.array([0, 2.5, 5, 10]), []
    cases = [(width, size, 1.0) for width in bits for size in ranges] + [(width, 2.0, 0.1) for width in bits]
    for width, size, std in sorted(cases):
        model = MODEL.replace(weight_quantizer=Uniform(bits=width, range=size), init=Normal(std=std))
        rules = {"STE": STE()} | {f"FOGZO, c = {c:g}": FOGZO(c=c, eps=0.3) for c in shares}
        found = {"bits": width, "range": size, "std": std, "rules": {}}
        for name, rule in rules.items():
            due = times * 4 / (2 if rule == STE() else rule.passes)
            specs = [model.replace(update_rule=rule, learning_rate=rate) for rate in rates]
            curves = [solve(spec, due[-1], times=due, tolerance=3e-3) for spec in specs]
            found["rules"][name] = [curve["eps_g"][1:].tolist() for curve in curves]
        rows.append(found)
    return {"rates": rates, "passes": (4 * times[1:]).tolist(), "rows": rows}


def ratios(row: dict, name: str, place: int) -> tuple[np.ndarray, float]:
    """Error of FOGZO over the STE's: at each learning rate, and with the best one of either."""
    own, other = (np.array(row["rules"][key])[:, place] for key in (name, "STE"))
    return own / other, own.min() / other.min()


def draw_passes(data: dict, figure: Figure) -> None:
    """Logarithms of the ratio of errors: against the learning rate, and at the best ones."""
    names = [name for name in data["rows"][0]["rules"] if name != "STE"]
    columns = [f"{rate:g}" for rate in data["rates"]] + ["best"]
    panels = np.ravel(figure.subplots(1, len(names), sharey=True))
    labels = [f"{r['bits']} bit, range {r['range']:g}" + ", narrow" * (r["std"] < 1) for r in data["rows"]]
    for ax, name in zip(panels, names, strict=True):
        values = [np.append(*ratios(row, name, -1)) for row in data["rows"]]
        image = ax.pcolormesh(np.log2(values), cmap="PuOr_r", vmin=-1.5, vmax=1.5, edgecolors="white", linewidth=0.5)
        for (y, x), value in np.ndenumerate(np.array(values)):
            color = "white" if abs(np.log2(value)) > 1 else "black"
            ax.text(x + 0.5, y + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=7, color=color)
        ax.set_xticks(np.arange(len(columns)) + 0.5, columns)
        ax.set_yticks(np.arange(len(labels)) + 0.5, labels)
        ax.axvline(len(columns) - 1, color="black", linewidth=0.8)
        ax.set(title=name, xlabel=r"learning rate $\eta$ of both; best: each its own")
    figure.colorbar(image, ax=panels, label=r"$\log_2$ of $\varepsilon_g$(FOGZO) / $\varepsilon_g$(STE)")


PARTS = {
    "frozen": (compute_frozen, draw_frozen, (9.6, 5.0)),
    "rate": (compute_rate, draw_rate, (9.6, 5.6)),
    "fixed_points": (compute_fixed_points, draw_fixed_points, (11.0, 3.6)),
    "passes": (compute_passes, draw_passes, (11.0, 5.6)),
}


def main(arguments: list[str] | None = None) -> None:
    """Compute, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/fogzo_linear"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--redraw", action="store_true", help="figures from fogzo_linear.json, without computing")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "fogzo_linear.json"
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in given.parts:
        compute, draw, size = PARTS[name]
        if not given.redraw:
            begun = time.perf_counter()
            data[name] = compute()
            print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
            path.write_text(json.dumps(data) + "\n", encoding="utf-8")
        with style.settings():
            figure = Figure(figsize=size, layout="constrained")
            draw(data[name], figure)
            figure.savefig(given.out / f"fogzo_{name}.png", dpi=130)


if __name__ == "__main__":
    main()
