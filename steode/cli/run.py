"""steode run: everything about a specification, into a folder."""

import pathlib
from typing import Annotated

import typer

from steode.cli.options import AllowOutside, Dim, End, Key, Method, Seeds, Set, Spec, Times, Tolerance, all_changes


def run(
    spec: Spec = None,
    out: Annotated[pathlib.Path, typer.Option(help="Folder of results.")] = pathlib.Path("results"),
    dim: Dim = None,
    seeds: Seeds = None,
    key: Key = None,
    t_end: End = None,
    times: Times = None,
    method: Method = None,
    tolerance: Tolerance = None,
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Do everything and write a report.

    Derives, solves, simulates and compares; writes figures, data, derivations, summary.json and report.html. Without a
    file: the reference model and the plateau example. Files of an earlier run in the same folder are replaced, other
    files are left alone. Everything is written as soon as it is computed.

    \b
    Examples
        steode run
        steode run my_model.toml --out my_results --seeds 16
        steode run --dim 500 --t-end 20 --set learning_rate=0.2
    """
    # figures need matplotlib, which the other commands do without
    from steode.report.study import built_in_studies, read_study
    from steode.report.summary import table
    from steode.report.write import write_report

    settings = {"dim": dim, "seeds": seeds, "key": key, "t_end": t_end, "times": times, "method": method}
    changes = all_changes(entries, settings | {"tolerance": tolerance})
    more = {"allow_outside": allow_outside}
    studies = built_in_studies(changes, **more) if spec is None else [read_study(spec, changes, **more)]
    try:
        results = write_report(studies, out, lambda text: typer.echo(text, err=True))
    except KeyboardInterrupt:
        typer.echo(f"steode: interrupted; what was finished is in {out}", err=True)
        raise typer.Exit(130) from None
    for result in results:
        typer.echo(f"\n{table(result)}")
    typer.echo(f"\nReport: {out / 'report.html'}")
