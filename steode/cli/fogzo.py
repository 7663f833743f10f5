"""The linear system updated by FOGZO, from a file: beside the straight-through estimator, at equal passes."""

import math
import pathlib

import typer

from steode.cli.options import keeping, results_folder
from steode.errors import ConvergenceError, DivergenceError, SpecificationError, UnsupportedError
from steode.parts.configuration import load_toml
from steode.studies.report.folder import ResultsFolder

SEEDS = 8
"""Runs where neither the file nor the command says how many."""


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Limit, fixed points and runs of FOGZO, and the straight-through estimator at the same tau and at equal passes.

    The file is one of the linear system whose [model] has update_rule = {type = "FOGZO", c = 2.0, eps = 0.3}; [vary]
    makes several cases. A step of FOGZO is 2n + 2 forward and backward passes, one of the straight-through estimator 2,
    so that FOGZO at tau is compared with the latter at (n + 1) tau.

    For each case a figure, the .nc files of both limits and of the runs, and an entry of summary.json, each written as
    soon as it exists. What cannot be computed is noted, and the rest goes on.

    Parameters
    ----------
    path : the TOML file; see `steode.studies.report.study.read_study`. Its [run] table may ask for no runs: seeds = 0.
    changes : dotted keys such as "run.dim" -> new values.
    out : folder, made if it is not there.
    allow_outside : whether files that it names may lie outside its own folder.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    study, seeds = _read(path, changes, allow_outside)
    folder = results_folder(out)
    summary: dict = {}
    with keeping(folder):
        try:
            for case in study.cases:
                typer.echo(f"{case.label or study.title} ...", err=True)
                about = summary[case.label or "model"] = {"notes": []}
                found = _case(case, study.settings, seeds, folder, about)
                _draw(folder, case.label or study.title, case.slug, found)
                typer.echo(_report(case.label or study.title, about))
        finally:
            folder.json("summary.json", summary, indent=1)
    folder.close()
    typer.echo(f"\nWritten to {out}: *.png, *.nc, summary.json")


def _read(path: pathlib.Path, changes: dict, allow_outside: bool = False):
    """The study of a file, all of whose models are updated by FOGZO, and the number of runs."""
    from steode.parts.update_rules import FOGZO
    from steode.studies.report.study import read_study

    table = load_toml(path).get("run")
    seeds = changes.get("run.seeds", table.get("seeds", SEEDS) if isinstance(table, dict) else SEEDS)
    # studies of `steode run` have at least one run
    without = isinstance(seeds, int) and not isinstance(seeds, bool) and seeds == 0
    study = read_study(path, changes | ({"run.seeds": 1} if without else {}), allow_outside=allow_outside)
    for case in study.cases:
        if not isinstance(case.model.update_rule, FOGZO):
            remedy = 'Write {type = "FOGZO", c = 2.0, eps = 0.3}; the system "linear" takes every rule.'
            received = case.model.update_rule
            raise SpecificationError("model.update_rule", "FOGZO", received, remedy)
    return study, seeds


def _case(case, settings, seeds: int, folder: ResultsFolder, about: dict) -> dict:
    """Both limits and the runs by name, None where there are none; numbers go to `about`, data to `folder` at once."""
    from steode import STE, compare, fixed_points, simulate, solve
    from steode.studies.report.study import record_times

    rule, slug = case.model.update_rule, case.slug or "model"
    models = {"fogzo": case.model, "ste": case.model.replace(update_rule=STE())}
    times, found = record_times(settings), dict.fromkeys(("fogzo", "ste", "runs"))
    plan = {"method": settings.method, "tolerance": settings.tolerance}
    for name, model in models.items():
        # the straight-through estimator runs for as many passes
        stretch = 1 if name == "fogzo" else rule.passes / 2
        try:
            points = fixed_points(model)
            about[f"fixed points {name}"] = [_point(point) for point in points]
        except (ConvergenceError, UnsupportedError) as error:
            about["notes"].append(f"{name}: {error}")
        try:
            found[name] = solve(model, times[-1] * stretch, times=times * stretch, **plan)
            folder.trajectory(f"{slug}-{name}.nc", found[name])
        except (ConvergenceError, UnsupportedError) as error:
            about["notes"].append(f"{name}: {error}")
    if found["fogzo"] is not None and found["ste"] is not None:
        about["equal passes"] = _equal_passes(found, rule.passes)
    if seeds:
        few = times[:: max(times.size // 20, 1)]
        try:
            runs = simulate(case.model, settings.dim, times[-1], seeds=seeds, key=settings.key, times=few)
            found["runs"] = runs
            folder.trajectory(f"{slug}-runs.nc", runs)
            about["error of runs"] = _plain(runs.mean("eps_g")[-1])
            if seeds > 1 and found["fogzo"] is not None:
                comparison = compare(found["fogzo"], runs)
                about["largest z"] = _plain(comparison.largest_z)
                about["largest gap"] = _plain(abs(comparison.gap).max())
        except DivergenceError as error:
            about["notes"].append(str(error))
    return found


def _plain(value) -> float | None:
    """A number for JSON, which has no infinity; None for what there is none of."""
    return float(value) if value is not None and math.isfinite(value) else None


def _point(point) -> dict:
    return {name: _plain(getattr(point, name)) for name in ("eps_g", "V", "mean_slope")} | {"kind": point.kind}


def _equal_passes(found: dict, passes: int) -> dict:
    """Errors after as many passes, in units of d passes, and where FOGZO's is the smaller one."""
    import numpy as np

    own, other = (found[name].mean("eps_g") for name in ("fogzo", "ste"))
    spent = passes * found["fogzo"].times
    better = (own < other) & (spent > 0)
    numbers = {"passes": _plain(spent[-1]), "fogzo": _plain(own[-1]), "ste": _plain(other[-1])}
    numbers["share of passes at which fogzo has the smaller error"] = float(np.mean(better[1:]))
    slope = found["fogzo"].observables.get("mean_slope")
    if slope is not None:
        numbers |= {"first slope": _plain(slope[0]), "last slope": _plain(slope[-1])}
    return numbers


def _report(title: str, about: dict) -> str:
    lines = [f"\n{title}"]
    for name, text in (("fogzo", "FOGZO"), ("ste", "STE")):
        for point in about.get(f"fixed points {name}", ()):
            slope = point["mean_slope"]
            lines.append(f"fixed point of {text}: eps_g {point['eps_g']:.6g}" + (f", p {slope:.4g}" if slope else ""))
    equal = about.get("equal passes")
    if equal:
        share = equal["share of passes at which fogzo has the smaller error"]
        lines.append(
            f"after {equal['passes']:g} d passes: eps_g {equal['fogzo']:.6g} (FOGZO), {equal['ste']:.6g} (STE)"
        )
        lines.append(f"FOGZO has the smaller error at {100 * share:.0f} percent of the recorded numbers of passes")
        if "first slope" in equal:
            lines.append(f"mean slope p: {equal['first slope']:.4g} at first, {equal['last slope']:.4g} at last")
    if "largest z" in about:
        lines.append(f"largest |z| of the runs: {about['largest z']:.2f}, largest gap {about['largest gap']:.4f}")
    return "\n".join([*lines, *(f"note: {note}" for note in about["notes"])])


def _draw(folder: ResultsFolder, title: str, slug: str, found: dict) -> None:
    """Error against tau, error against passes, and the mean slope."""
    # figures need matplotlib, which the rest does without
    from matplotlib.figure import Figure

    from steode import plot
    from steode.plot import style

    fogzo, ste, runs = (found[name] for name in ("fogzo", "ste", "runs"))
    with style.settings():
        figure = Figure(figsize=(11.0, 3.6), layout="constrained")
        left, middle, right = (style.axes(ax) for ax in figure.subplots(1, 3))
        if fogzo is not None or runs is not None:
            plot.trajectory(fogzo, runs, label="FOGZO", ax=left)
        if ste is not None:
            plot.trajectory(ste, label="STE", color=1, ax=left)
        if fogzo is not None:
            passes = 2 * (ste.times if ste is not None else fogzo.model.update_rule.passes / 2 * fogzo.times)
            left.set_xlim(0, fogzo.times[-1])
            for number, (name, curve) in enumerate((("FOGZO", fogzo), ("STE", ste))):
                if curve is not None:
                    middle.plot(passes, curve.mean("eps_g"), label=name, **style.look(number))
            middle.set(xlabel="passes$/d$", ylabel=style.SYMBOLS["eps_g"], ylim=(0, None))
            style.legend(middle)
        if fogzo is not None and "mean_slope" in fogzo.observables:
            right.plot(fogzo.times, fogzo["mean_slope"], **style.look(0))
            right.axhline(1, color=style.GRAY, linewidth=0.8)
        right.set(xlabel=style.TIME, ylabel="mean slope $p$", ylim=(0, None))
        figure.suptitle(title, fontsize="medium")
        folder.figure(f"{slug or 'model'}-fogzo", figure, (".png",))
