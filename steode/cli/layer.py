"""A layer from files: rounding, where training ends, and advice for a number of steps, as a page."""

import pathlib

import typer

from steode.cli.options import keeping, results_folder
from steode.studies.report.folder import distinct_names


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Rounding and fixed points of all rows, advice and runs of some, of every case.

    Writes index.html, advice first; advice.txt, what is printed; figures (PNG, SVG); rows-CASE.nc with V of every row
    by method; runs-CASE-DATA.nc with the runs; and summary.json. All are brought up to date after every case.

    Parameters
    ----------
    path : the TOML file; see `steode.layer.read_study`.
    changes : dotted keys such as "model.bits" or "run.steps" -> new values.
    out : folder, made if it is not there.
    allow_outside : whether files that it names may lie outside its own folder.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    from steode.studies.report.layer_case import run_case
    from steode.studies.report.layer_figures import figures
    from steode.studies.report.layer_page import write_page
    from steode.systems.layer import read_study

    study = read_study(path, changes, allow_outside=allow_outside)
    folder = results_folder(out)
    cases, drawn, texts = [], [], []
    with keeping(folder):
        for (label, model), name in zip(study.cases.items(), distinct_names(map(_name, study.cases)), strict=True):
            typer.echo(f"{label or study.title} ...", err=True)
            case = run_case(label, model, study.settings)
            texts.append(f"{label or study.title}\n\n{case.text}\n")
            typer.echo(f"\n{texts[-1]}")
            cases.append(case)
            drawn.append(list(figures(case, name)))
            for file_name, _, figure in drawn[-1]:
                folder.figure(file_name, figure)
            folder.dataset(f"rows-{name}.nc", case.to_xarray())
            for data, runs in case.runs.items():
                folder.dataset(f"runs-{name}-{data}.nc", runs.to_xarray())
            folder.text("advice.txt", "\n".join(texts))
            folder.json("summary.json", {case.label or "model": case.numbers() for case in cases}, indent=1)
            write_page(study.title, cases, drawn, folder, complete=len(cases) == len(study.cases))
    folder.close()
    typer.echo(f"Report: {folder.place('index.html')}")


def _name(label: str) -> str:
    return label.replace(" = ", "-").replace("/", "_").replace(" ", "_").replace("\0", "_") or "model"
