"""A committee machine from a file: its limit, runs beside it, states of rest."""

import pathlib

import numpy as np
import typer

from steode.cli.options import keeping, results_folder
from steode.plot import committee as figures
from steode.studies.report.folder import distinct_names
from steode.systems import committee


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Solve and simulate every case and compare the two; the derivation of the first.

    Writes summary.txt, what is printed; summary.json; derivation.md; limit-CASE.nc and runs-CASE.nc; and the figure
    error (PNG, SVG). All are brought up to date after every case.

    Parameters
    ----------
    path : the TOML file; see `steode.committee.read_study`.
    changes : dotted keys such as "model.hidden" or "run.dim" -> new values.
    out : folder, made if it is not there.
    allow_outside : as of every system; these files name no others.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    study = committee.read_study(path, changes)
    folder = results_folder(out)
    texts, numbers, cases = [], {}, []
    with keeping(folder):
        names = distinct_names([label.replace(" = ", "-").replace("/", "_") or "model" for label in study.cases])
        for (label, model), name in zip(study.cases.items(), names, strict=True):
            typer.echo(f"{label or study.title} ...", err=True)
            limit, runs, compared = _case(model, study.settings)
            if not cases:
                folder.text("derivation.md", committee.derive(model).markdown())
            cases.append((label or study.title, limit, runs))
            texts.append(f"{label or study.title}\n\n{limit}\n{runs}\n{compared}\n")
            typer.echo(f"\n{texts[-1]}")
            numbers[label or "model"] = {
                "times": runs.times.tolist(),
                "limit": limit["eps_g"].tolist(),
                "runs": runs.mean("eps_g").tolist(),
                "largest z": compared.largest_z,
                "specialization": float(limit["specialization"][-1]),
            }
            folder.dataset(f"limit-{name}.nc", limit.to_xarray())
            folder.dataset(f"runs-{name}.nc", runs.to_xarray())
            folder.figure("error", figures.errors(cases))
            folder.text("summary.txt", "\n".join(texts))
            folder.json("summary.json", {"title": study.title, "description": study.description, "cases": numbers})
    folder.close()
    typer.echo(f"Written: {folder.place('summary.txt')}")


def _case(model, settings):
    """The limit, the runs and their comparison."""
    times = np.unique(np.round(np.linspace(0, settings.t_end, settings.times) * settings.dim)) / settings.dim
    options = {"method": settings.method, "tolerance": settings.tolerance}
    limit = committee.solve(model, settings.t_end, times=times, **options)
    runs = committee.simulate(
        model, settings.dim, settings.t_end, seeds=settings.seeds, key=settings.key, times=times, progress=False
    )
    return limit, runs, committee.compare(limit, runs)
