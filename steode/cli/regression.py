"""Quantized linear regression from a file: exact risk, stability, bounds and runs."""

import pathlib

import typer

from steode.cli.options import keeping, results_folder
from steode.errors import DivergenceError, UnsupportedError
from steode.studies.report.folder import ResultsFolder, distinct_names

POINTS = 12
"""Numbers of steps at which runs are measured and bounds are computed."""


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Exact risk, stability, bounds and simulation of every case, with figures and data.

    Writes risk_raw.png, risk_quantized.png, a .nc file of the exact risk and of the runs of each case, and
    summary.json. An unstable step size is reported, not refused; quantizers without an exact risk are simulated only.

    Parameters
    ----------
    path : the TOML file; see `steode.regression.read_study`.
    changes : dotted keys such as "model.step_size" or "run.steps" -> new values.
    out : folder, made if it is not there.
    allow_outside : whether files that it names may lie outside its own folder.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    from steode.systems.regression import read_study

    study = read_study(path, changes, allow_outside=allow_outside)
    folder = results_folder(out)
    results = {}
    with keeping(folder):
        for (label, model), name in zip(study.cases.items(), distinct_names(map(_name, study.cases)), strict=True):
            typer.echo(f"{label or study.title} ...", err=True)
            results[label] = _case(model, study.settings)
            typer.echo(_report(label or study.title, results[label]))
            for kind in ("exact", "runs"):
                if results[label][kind] is not None:
                    folder.dataset(f"{name}-{kind}.nc", results[label][kind].to_xarray())
            summary = {label or "model": _numbers(result) for label, result in results.items()}
            folder.json("summary.json", summary, indent=1)
        _draw(folder, study.title, results)
    folder.close()
    typer.echo(f"\nWritten: {out / 'risk_raw.png'}, {out / 'risk_quantized.png'}, {out / 'summary.json'}, *.nc")


def _case(model, settings) -> dict:
    """Everything about one model by name; what does not exist for it is None, and `notes` says why."""
    import numpy as np

    from steode import regression

    found = {"exact": None, "stability": None, "runs": None, "comparison": None, "bounds": (), "notes": []}
    few = np.unique(np.append(0, np.geomspace(1, settings.steps, POINTS).round())).astype(int)
    try:
        many = np.union1d(few, np.geomspace(1, settings.steps, 100).round().astype(int))
        found["exact"] = regression.risk(model, settings.steps, record=many)
        found["stability"] = regression.stability(model)
        found["bounds"] = tuple(regression.bounds(model, int(number)) for number in few[1:])
    except UnsupportedError as error:
        found["notes"].append(str(error))
    if settings.seeds:
        try:
            runs = {"seeds": settings.seeds, "key": settings.key, "record": few}
            found["runs"] = regression.simulate(model, settings.steps, **runs)
        except DivergenceError as error:
            found["notes"].append(str(error))
    if found["exact"] is not None and found["runs"] is not None and settings.seeds > 1:
        found["comparison"] = regression.compare(found["exact"], found["runs"])
    return found


def _report(label: str, found: dict) -> str:
    lines = [f"\n{label}"]
    if found["stability"] is not None:
        stable = found["stability"]
        state = "stable" if stable.stable else "UNSTABLE: the risk grows without bound"
        lines.append(f"step size {stable.step_size:g}, largest stable {stable.largest_step_size:.6g}: {state}")
    if found["exact"] is not None:
        final = ", ".join(f"{name} {array[-1]:.6g}" for name, array in found["exact"].values.items())
        lines.append(f"exact risk after {found['exact'].steps[-1]} steps: {final}")
    elif found["runs"] is not None:
        final = ", ".join(f"{name} {found['runs'].mean(name)[-1]:.6g}" for name in found["runs"].values)
        lines.append(f"mean risk of the runs after {found['runs'].steps[-1]} steps: {final}")
    if found["bounds"]:
        from steode.systems.regression.bounds import SOURCE

        last = found["bounds"][-1]
        lines.append(f"bound ({SOURCE}): raw {last.raw:.6g}, k* = {last.effective_dimension}")
    if found["comparison"] is not None:
        lines.append(f"largest |z| of the runs: {found['comparison'].largest_z:.2f}")
    return "\n".join([*lines, *(f"note: {note}" for note in found["notes"])])


def _numbers(found: dict) -> dict:
    """The last risks, the threshold and the comparison as plain numbers; infinite ones as text, which JSON lacks."""
    import math

    def plain(value: float):
        return value if math.isfinite(value) else str(value)

    numbers: dict = {"notes": found["notes"]}
    if found["exact"] is not None:
        numbers["exact"] = {name: plain(float(array[-1])) for name, array in found["exact"].values.items()}
        numbers["stable"] = found["exact"].stable
        numbers["largest_step_size"] = plain(found["exact"].largest_step_size)
    if found["runs"] is not None:
        numbers["simulation"] = {name: plain(float(found["runs"].mean(name)[-1])) for name in found["runs"].values}
    if found["bounds"]:
        numbers["bound"] = {name: plain(getattr(found["bounds"][-1], name)) for name in ("raw", "quantized", "excess")}
    if found["comparison"] is not None:
        numbers["largest_z"] = plain(found["comparison"].largest_z)
    return numbers


def _name(label: str) -> str:
    return label.replace(" = ", "-").replace("/", "_").replace(" ", "_").replace("\0", "_") or "model"


def _draw(folder: ResultsFolder, title: str, results: dict) -> None:
    # figures need matplotlib, which the rest does without
    from matplotlib.figure import Figure

    from steode.plot.regression import regression_risk

    for kind in ("raw", "quantized"):
        ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
        for number, (label, found) in enumerate(results.items()):
            if found["exact"] is not None or found["runs"] is not None:
                parts = found["exact"], found["runs"], found["bounds"]
                regression_risk(*parts, quantity=f"{kind}_average", label=label, color=number, ax=ax)
        ax.set_title(title, fontsize="medium")
        folder.figure(f"risk_{kind}", ax.figure, (".png",))
