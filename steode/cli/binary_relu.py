"""Two linear layers with a binarized ReLU, from a file: landscape, flow, descent, training, and their agreement."""

import dataclasses
import json
import math
import pathlib
import re

import typer

from steode._version import __version__
from steode.cli.options import keeping, results_folder
from steode.errors import ConvergenceError, DivergenceError, SpecificationError
from steode.studies.report.folder import ResultsFolder, distinct_names

FILES = ("flow", "descent", "runs")
FIGURES = ("losses", "ends")
SHOWN = 5
"""Starts whose losses are drawn."""
KINDS = ("global minimum", "spurious minimum", "saddle", "saddle at pi", "vanished", "elsewhere")


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Stationary points, flow, descent, training and their agreement for every case of a specification file.

    A case that an earlier command finished in `out`, with the same model and the same [run], is read from its files.

    Parameters
    ----------
    path : a file that `steode.binary_relu.read_study` reads.
    changes : dotted keys -> new values.
    out : folder to write to; made if it does not exist.
    allow_outside : as of every system; these files name no others.

    Raises `SpecificationError` for anything in the file that makes no sense, before anything is computed.
    """
    from steode.systems.binary_relu import read_study

    study = read_study(path, changes)
    folder = results_folder(out)
    earlier, results, summary = _earlier(out), {}, {}
    slugs = [re.sub(r"[^\w.]+", "-", label).strip("-") or "model" for label in study.cases]
    if len(slugs) > 1:
        slugs = [f"{number}-{slug}" for number, slug in enumerate(slugs, start=1)]
    with keeping(folder):
        for (label, model), slug in zip(study.cases.items(), distinct_names(slugs), strict=True):
            title = label or study.title
            typer.echo(f"{title} ...", err=True)
            about = _about(model, study.settings)
            found = results[title] = _case(model, study.settings, _finished(out / slug, about, earlier.get(title)))
            typer.echo(_report(title, found))
            for kind in FILES:
                if found[kind] is not None:
                    folder.dataset(f"{slug}-{kind}.nc", found[kind].to_xarray())
            summary[title] = about | _numbers(found)
            # after every case: what is finished survives an interruption
            folder.json("summary.json", summary, indent=1)
        _draw(folder, study.title, results)
    folder.close()
    written = ", ".join(str(folder.place(f"{name}.png")) for name in FIGURES)
    typer.echo(f"\nWritten: {written}, {out / 'summary.json'}, *.nc")


def _about(model, settings) -> dict:
    """What decides the results of a case, as JSON gives it back."""
    from steode.systems.binary_relu import to_dict

    about = {"steode": __version__, "model": to_dict(model), "run": dataclasses.asdict(settings)}
    return json.loads(json.dumps(about))


def _earlier(out: pathlib.Path) -> dict:
    """The summary an earlier command left, or nothing."""
    try:
        found = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _finished(start: pathlib.Path, about: dict, entry: object) -> dict:
    """Results in files of an earlier command, if all of them are there and `entry` says that they are of this case."""
    from steode.systems.binary_relu import load

    if not isinstance(entry, dict) or entry.get("notes") or any(entry.get(key) != about[key] for key in about):
        return {}
    names = FILES if about["run"]["seeds"] else FILES[:2]
    try:
        return {name: load(f"{start}-{name}.nc") for name in names}
    except SpecificationError:
        return {}


def _case(model, settings, finished: dict) -> dict:
    """Everything about one model by name; what could not be computed is None, and `notes` says why."""
    from steode import binary_relu

    starts = settings.starts_of(model)
    steps = max(round(settings.t_end / model.step), 1)
    every = max(steps // settings.records, 1)
    steps -= steps % every
    names = ("flow", "ends", "descent", "runs", "step", "sampling")
    found = dict.fromkeys(names) | {"points": binary_relu.fixed_points(model), "starts": starts, "notes": []}
    try:
        found["flow"] = finished.get("flow") or binary_relu.solve(
            model, starts, steps * model.step, points=steps // every + 1
        )
        found["ends"] = binary_relu.endings(found["flow"])
    except ConvergenceError as error:
        found["notes"].append(str(error))
    found["descent"] = finished.get("descent") or binary_relu.descend(model, starts, steps, every=every)
    if settings.seeds:
        plan = {"batch": settings.batch, "samples": settings.samples or None, "seeds": settings.seeds, "every": every}
        try:
            found["runs"] = finished.get("runs") or binary_relu.simulate(model, starts, steps, key=settings.key, **plan)
        except DivergenceError as error:
            found["notes"].append(str(error))
    if found["flow"] is not None:
        found["step"] = binary_relu.compare(found["flow"], found["descent"])
    if found["runs"] is not None:
        found["sampling"] = binary_relu.compare(found["descent"], found["runs"])
    return found


def _counts(found: dict) -> dict[str, int]:
    return {kind: int((found["ends"] == kind).sum()) for kind in KINDS if (found["ends"] == kind).any()}


def _typical(comparison) -> tuple[float, float]:
    """Median and largest distance of the angle over starts, each with its largest over time."""
    import numpy as np

    largest = np.nanmax(comparison.deviation, axis=1)
    return float(np.median(largest)), float(largest.max())


def _report(title: str, found: dict) -> str:
    lines = [f"\n{title}", *(f"  {point}" for point in found["points"])]
    if found["ends"] is not None:
        ends = ", ".join(f"{count} {kind}" for kind, count in _counts(found).items())
        lines.append(f"the flow from {len(found['starts'])} starts ends at: {ends}")
    texts = {
        "step": "steps on the population, distance of the angle from the flow",
        "sampling": "training on samples, distance from steps on the population",
    }
    for name, text in texts.items():
        if found[name] is not None:
            median, largest = _typical(found[name])
            lines.append(f"{text}: median {median:.3g}, largest {largest:.3g}")
    return "\n".join([*lines, *(f"note: {note}" for note in found["notes"])])


def _numbers(found: dict) -> dict:
    """Landscape, endings and distances as plain numbers; what JSON lacks is null."""

    def plain(value: float):
        return float(value) if math.isfinite(value) else None

    numbers: dict = {"notes": found["notes"], "stationary points": []}
    for point in found["points"]:
        about = {name: float(getattr(point, name)) for name in ("theta", "loss", "coarse_gradient")}
        state = {"rests": point.rests, "stable": point.stable}
        numbers["stationary points"].append({"kind": point.kind, "v": point.v.tolist()} | about | state)
    if found["ends"] is not None:
        numbers["flow ends"] = _counts(found)
    for name in ("step", "sampling"):
        if found[name] is not None:
            median, largest = _typical(found[name])
            numbers[f"distance by {name}"] = {"median": plain(median), "largest": plain(largest)}
    if found["sampling"] is not None:
        numbers["largest z"] = plain(found["sampling"].largest_z)
        numbers["mean loss of runs"] = plain(found["runs"].loss.mean())
    return numbers


def _draw(folder: ResultsFolder, title: str, results: dict) -> None:
    """Two figures: losses of some starts, and where the flow from all of them ends."""
    # figures need matplotlib, which the rest does without
    from steode.plot import style

    with style.settings():
        for name, panel in zip(FIGURES, (_losses, _ends), strict=True):
            folder.figure(name, _figure(title, results, panel), (".png",))


def _figure(title: str, results: dict, panel):
    """One panel for each case, with one legend below."""
    import numpy as np
    from matplotlib.figure import Figure

    from steode.plot import style

    figure = Figure(figsize=(max(3.8 * len(results), 6.0), 4.0), layout="constrained")
    panels = np.ravel(figure.subplots(1, len(results), sharey=True))
    for ax, (label, found) in zip(panels, results.items(), strict=True):
        panel(style.axes(ax), found)
        ax.set_title(label if len(results) > 1 else title, fontsize="medium")
        ax.set_ylabel(ax.get_ylabel() if ax is panels[0] else "")
    named = {text: handle for ax in panels for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def _losses(ax, found: dict) -> None:
    """Lines: the flow. Points: the population's loss at the runs' weights, mean over seeds."""
    from steode.plot import style
    from steode.systems.binary_relu import compare

    descent, flow = found["descent"], found["flow"]
    sampled = compare(descent, found["runs"], "loss") if found["runs"] is not None else None
    for index in range(min(SHOWN, len(found["starts"]))):
        look = style.look(index)
        if flow is not None:
            ax.plot(flow.times, flow.loss[index], **look)
        points = {"color": look["color"], "marker": style.MARKERS[index], "fillstyle": "none", "linestyle": ""}
        points |= {"markevery": (2 + index, max(descent.steps.size // 12, 1)), "markersize": 4}
        values = descent.loss[index] if sampled is None else sampled.runs[index]
        ax.plot(descent.times, values, **points)
    ax.plot([], [], color=style.GRAY, label="flow")
    marked = "steps on the population" if sampled is None else "training on samples, mean over seeds"
    ax.plot([], [], "o", color=style.GRAY, fillstyle="none", markersize=4, label=marked)
    ax.set(xlabel="steps times step size", ylabel="population loss $f$", yscale="log")


def _ends(ax, found: dict) -> None:
    """Every start at its angle and overlap, marked by where its flow ends."""
    from steode.plot import style

    starts = found["starts"]
    star = found["descent"].model.v_star
    overlap = starts.v @ star / (star @ star)
    for index, kind in enumerate(KINDS):
        chosen = found["ends"] == kind if found["ends"] is not None else []
        if kind in (found["ends"] if found["ends"] is not None else ()):
            look = {"marker": style.MARKERS[index], "color": style.COLORS[index], "markersize": 4, "linestyle": ""}
            ax.plot(starts.theta[chosen], overlap[chosen], label=kind, **look)
    ax.set(xlabel=r"first angle $\theta$", ylabel=r"first $v\cdot v^*/|v^*|^2$", xlim=(-0.1, math.pi + 0.1))
