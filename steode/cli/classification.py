"""The classification system from a file: simulate each case, report, and write data, figures and a summary."""

import pathlib
import re

import typer

from steode.cli.options import keeping, results_folder
from steode.errors import SpecificationError
from steode.studies.report.folder import ResultsFolder, distinct_names


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Simulate every case of a specification file and print a report of each.

    Writes one .nc file for each case as soon as it is done, outcomes.png, and summary.json. A case whose file is
    already in `out`, with the same specification, steps, seeds and key, is read instead of computed again.

    Parameters
    ----------
    path : the TOML file; see `steode.classification.read_study`.
    changes : dotted keys such as "model.bits" or "run.steps" -> new values.
    out : folder, made if it is not there.
    allow_outside : as of every system; these files name no others.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    from steode.systems.classification import read_study

    study = read_study(path, changes)
    folder = results_folder(out)
    results, summary = {}, {}
    with keeping(folder):
        for (label, model), slug in zip(study.cases.items(), distinct_names(map(_slug, study.cases)), strict=True):
            name = label or study.title
            typer.echo(f"{name} ...", err=True)
            runs = _case(model, study.settings, folder, f"{slug}.nc")
            results[name], summary[label or "model"] = runs, _numbers(runs)
            typer.echo(_report(name, runs))
            folder.json("summary.json", summary, indent=1)
        _draw(folder, study.title, results)
    folder.close()
    typer.echo(f"\nWritten: {out / 'outcomes.png'}, {out / 'summary.json'}, *.nc")


def _case(model, settings, folder: ResultsFolder, name: str):
    """The runs of one case, from its file if that holds them already."""
    from steode import classification
    from steode.engine.request import key_words

    file = folder.path / name
    if file.exists():
        try:
            kept = classification.ClassificationRuns.load(file)
        except SpecificationError:
            kept = None  # another file, which is written over
        wanted = (
            classification.to_toml(model),
            settings.steps,
            settings.seeds,
            tuple(map(int, key_words(settings.key))),
        )
        if kept is not None and wanted == (
            classification.to_toml(kept.model), kept.steps[-1], kept.seeds, kept.key
        ) and kept.test_samples >= settings.test_samples:  # fmt: skip
            typer.echo(f"  read from {file}", err=True)
            return kept
    runs = classification.simulate(
        model, settings.steps, seeds=settings.seeds, key=settings.key, test_samples=settings.test_samples
    )
    folder.dataset(name, runs.to_xarray())
    return runs


def _slug(label: str) -> str:
    return re.sub(r"[^\w.=+-]+", "_", label.replace(" = ", "=")) or "model"


def _report(label: str, runs) -> str:
    report = runs.model.admissibility
    verdict = "admissible" if report.admissible else "not admissible"
    share, low, high = runs.success()
    lines = [f"\n{label}", f"surrogate {report.name}, {report.bits} bits: {verdict}"]
    lines += [f"  {reason}" for reason in report.reasons]
    lines.append(
        f"perfect: {int(runs.perfect.sum())} of {runs.seeds} runs, {share:.2f} (95 %: {low:.2f} to {high:.2f})"
    )
    if runs.perfect.any():
        import numpy as np

        low, median, high = np.nanquantile(runs.steps_to_perfect, (0.25, 0.5, 0.75))
        lines.append(f"steps to perfect classification: median {median:.0f}, quartiles {low:.0f} and {high:.0f}")
    lines.append(
        f"after {runs.steps[-1]} steps: loss {runs.loss[:, -1].mean():.4g}, error {runs.error[:, -1].mean():.4g}"
    )
    covered = [runs.covered(record).mean() for record in (0, -1)]
    lines.append(
        f"classes whose neurons cover all directions: {covered[0]:.2f} at the start, {covered[1]:.2f} at the end"
    )
    lines += [f"note: {one}" for one in _obstacles(runs)]
    return "\n".join(lines)


def _obstacles(runs) -> list[str]:
    """What stands in the way of every run, whatever its start."""
    from steode.systems.classification import obstacles

    found = [obstacles(runs.model, start) for start in runs.weights[:, 0]]
    return [one for one in found[0] if all(one in other for other in found)]


def _numbers(runs) -> dict:
    import numpy as np

    share, low, high = runs.success()
    times = [None if np.isnan(time) else int(time) for time in runs.steps_to_perfect]
    return {
        "admissible": runs.model.admissibility.admissible,
        "reasons": list(runs.model.admissibility.reasons),
        "obstacles": _obstacles(runs),
        "success": share,
        "interval": [low, high],
        "steps_to_perfect": times,
        "mean_loss": float(runs.loss[:, -1].mean()),
        "mean_error": float(runs.error[:, -1].mean()),
    }


def _draw(folder: ResultsFolder, title: str, results: dict) -> None:
    # figures need matplotlib, which the rest does without
    from matplotlib.figure import Figure

    from steode.plot.classification import loss_curve, success

    figure = Figure(figsize=(11, max(3.8, 1.6 + 0.4 * len(results))), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (label, runs) in enumerate(results.items()):
        loss_curve(runs, label=label, color=number, ax=left)
    success(results, ax=right)
    figure.suptitle(title, fontsize="medium")
    folder.figure("outcomes", figure, (".png",))
