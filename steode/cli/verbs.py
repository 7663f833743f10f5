"""The verbs of the library as commands that print a short table and may write a file."""

import pathlib
from typing import Annotated

import numpy as np
import typer

import steode
from steode.cli.options import (
    DATA,
    AllowOutside,
    DataFile,
    Dim,
    End,
    Key,
    Method,
    Seeds,
    Set,
    Spec,
    Times,
    Tolerance,
    check_out,
    file_of,
    save,
    show_label,
    the_study,
)
from steode.errors import SpecificationError, UnsupportedError

MODULE = ".py"
"""Suffix of a derived limit as a program of its own."""


def derive(
    spec: Spec = None,
    step: Annotated[str | None, typer.Option(help="Only the step of this title.")] = None,
    out: Annotated[
        pathlib.Path | None, typer.Option(help="Write a .md, .tex or .html file, or the equations as a .py module.")
    ] = None,
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Print the derivation of the limit (Markdown).

    \b
    Examples
        steode derive
        steode derive --step "density equation"
        steode derive my_model.toml --out derivation.html
        steode derive my_model.toml --out limit.py
    """
    from steode import store
    from steode.studies.report import documents
    from steode.studies.report.folder import written
    from steode.symbolic.derivation import Derivation

    check_out(out, (*documents.FORMATS, MODULE))
    if step is not None and out is not None and out.suffix == MODULE:
        raise SpecificationError("--step", "none with a .py file", step, "A module holds the equations of all steps.")
    study = the_study(spec, entries, allow_outside=allow_outside)
    limit = steode.derive(study.cases[0].model)
    derivation = limit.derivation
    if step is not None:
        derivation = Derivation((derivation.step(step),))
    if out is None:
        typer.echo(derivation[0].markdown() if step is not None else derivation.markdown())
    else:
        module = out.suffix == MODULE
        text = limit.to_python() if module else documents.FORMATS[out.suffix](study.title, derivation)
        content = text.encode()
        typer.echo(f"written: {written(out, lambda path: store.write(path, content))}", err=True)


def solve(
    spec: Spec = None,
    t_end: End = None,
    times: Times = None,
    method: Method = None,
    tolerance: Tolerance = None,
    out: DataFile = None,
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Solve the limit; print its error over time.

    The last column is the estimated error of the numbers themselves.

    \b
    Examples
        steode solve --t-end 50
        steode solve my_model.toml --method gaussian --out limit.nc
    """
    from steode.studies.report.study import nearest

    check_out(out, DATA)
    changes = {"t_end": t_end, "times": times, "method": method, "tolerance": tolerance}
    study = the_study(spec, entries, changes, allow_outside=allow_outside)
    check_out(out, study=study)
    settings = study.settings
    for case in study.cases:
        theory = steode.solve(
            case.model,
            settings.t_end,
            times=np.union1d(np.linspace(0, settings.t_end, settings.times), settings.table_times),
            method=settings.method,
            tolerance=settings.tolerance,
            snapshot_times=settings.snapshot_times if settings.method == "density" else (),
            **settings.remedies,
        )
        show_label(case)
        errors = theory.error.get("eps_g")
        typer.echo(f"{'tau':>8} {'eps_g':>10}" + ("" if errors is None else f" {'error':>9}"))
        for index in nearest(theory.times, settings.table_times):
            error = "" if errors is None else f" {errors[index]:9.1e}"
            typer.echo(f"{theory.times[index]:8g} {theory['eps_g'][index]:10.5f}{error}")
        save(theory, out, study, case)


def simulate(
    spec: Spec = None,
    dim: Dim = None,
    seeds: Seeds = None,
    key: Key = None,
    t_end: End = None,
    times: Times = None,
    out: DataFile = None,
    checkpoint: Annotated[
        pathlib.Path | None, typer.Option(help="Save what is done there, and go on from what is there.")
    ] = None,
    basis: Annotated[str, typer.Option(help="Axes of the quantizers: eigenbasis or rotated.")] = "eigenbasis",
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Run the training itself; print its error over time.

    \b
    Examples
        steode simulate --dim 500 --t-end 20
        steode simulate my_model.toml --dim 100000 --checkpoint run.npz
        steode simulate my_model.toml --seeds 4 --key 7 --out runs.nc
    """
    from steode import store
    from steode.studies.report.study import nearest, record_times

    check_out(out, DATA)
    changes = {"dim": dim, "seeds": seeds, "key": key, "t_end": t_end, "times": times}
    study = the_study(spec, entries, changes, allow_outside=allow_outside)
    check_out(out, study=study)
    if checkpoint is not None:
        for case in study.cases:
            store.output_file("--checkpoint", file_of(checkpoint, study, case), make=True)
        if out is not None and out.resolve() == checkpoint.resolve():
            remedy = "The result would take the checkpoint's place."
            raise SpecificationError("--checkpoint", "another file than --out", str(checkpoint), remedy)
    settings = study.settings
    for case in study.cases:
        runs = steode.simulate(
            case.model,
            settings.dim,
            settings.t_end,
            seeds=settings.seeds,
            key=settings.key,
            times=record_times(settings),
            snapshot_times=settings.snapshot_times,
            basis=basis,
            **settings.remedies,
            checkpoint=None if checkpoint is None else file_of(checkpoint, study, case),
        )
        show_label(case)
        typer.echo(f"{'tau':>8} {'eps_g':>10} {'std. error':>11}   ({settings.seeds} seeds, d = {settings.dim})")
        for index in nearest(runs.times, settings.table_times):
            values = runs["eps_g"][:, index]
            error = f"{values.std(ddof=1) / np.sqrt(values.size):11.5f}" if values.size > 1 else ""
            typer.echo(f"{runs.times[index]:8g} {values.mean():10.5f} {error}".rstrip())
        save(runs, out, study, case)
        if runs.provenance.settings["interrupted"]:
            again = "" if checkpoint is None else " The same command goes on from the checkpoint."
            done = f"interrupted at tau = {runs.times[-1]:g}; this is what was done by then."
            typer.echo(f"steode: {done}{again}", err=True)
            raise typer.Exit(130)


def plateau(
    spec: Annotated[
        pathlib.Path | None,
        typer.Argument(
            metavar="SPEC.toml|TRAJECTORY.nc", show_default=False, help="Specification or saved trajectory."
        ),
    ] = None,
    observable: Annotated[str, typer.Option(help="Which curve.")] = "eps_g",
    band: Annotated[
        float | None, typer.Option(help="Half width of the band, as a fraction of the curve's range.")
    ] = None,
    contrast: Annotated[float, typer.Option(help="How many times slower than its surroundings a plateau is.")] = 3.0,
    t_end: End = None,
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Find plateaus and the drops after them.

    Of the limit of a specification, or of a saved trajectory. Without a file: of the plateau example.

    \b
    Examples
        steode plateau
        steode plateau results/plateau/simulation-range-2.nc
        steode plateau my_model.toml --t-end 200 --band 0.03
    """
    if spec is not None and spec.suffix in (".nc", ".npz"):
        found = steode.plateau(
            steode.Trajectory.load(spec), observable, tolerance=0.05 if band is None else band, contrast=contrast
        )
        typer.echo(str(found))
        return
    changes = {"t_end": t_end, "plateau_tolerance": band}
    study = the_study(spec, entries, changes, built_in="plateau", allow_outside=allow_outside)
    settings = study.settings
    for case in study.cases:
        theory = steode.solve(case.model, settings.t_end, method=settings.method, tolerance=settings.tolerance)
        show_label(case)
        typer.echo(str(steode.plateau(theory, observable, tolerance=settings.plateau_tolerance, contrast=contrast)))
        try:
            typer.echo(f"analytic estimate of the length: {steode.plateau_estimate(case.model).length:.4g}")
        except UnsupportedError as error:
            typer.echo(str(error))
