"""The linear system from a file: derived, solved, simulated, compared, in a report."""

import pathlib

import typer

from steode.studies.report.study import built_in_studies, read_study
from steode.studies.report.summary import table
from steode.studies.report.write import write_report


def run_file(path: pathlib.Path | None, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Do everything about the study of a file, or about the built-in ones.

    Parameters
    ----------
    path : the TOML file; None: the studies that come with steode.
    changes : dotted keys such as "run.dim" -> new values.
    out : folder, made if it is not there.
    allow_outside : whether files that it names may lie outside its own folder.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    more = {"allow_outside": allow_outside}
    studies = built_in_studies(changes, **more) if path is None else [read_study(path, changes, **more)]
    try:
        results = write_report(studies, out, lambda text: typer.echo(text, err=True))
    except KeyboardInterrupt:
        typer.echo(f"steode: interrupted; what was finished is in {out}", err=True)
        raise typer.Exit(130) from None
    for result in results:
        typer.echo(f"\n{table(result)}")
    typer.echo(f"\nReport: {out / 'report.html'}")
