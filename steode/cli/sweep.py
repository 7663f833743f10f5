"""steode sweep: measures over a grid of parameters, as a table, a file and a figure."""

from __future__ import annotations

import itertools
import pathlib
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import steode
from steode.cli.options import FIGURES, AllowOutside, Set, Spec, all_changes, check_out
from steode.errors import SpecificationError, WriteError

if TYPE_CHECKING:
    import xarray

NAMES = "fixed_point, optimal_range, stability, plateau, time_to_error"
"""Keys of `steode.studies.sweep.measures.MEASURES`."""


def sweep(
    spec: Spec = None,
    out: Annotated[
        pathlib.Path | None, typer.Option(help="Keep results in a .nc file; an unfinished one is resumed.")
    ] = None,
    figure: Annotated[pathlib.Path | None, typer.Option(help="Draw a .png, .svg or .pdf file.")] = None,
    csv: Annotated[pathlib.Path | None, typer.Option(help="Write every number as a table to a .csv file.")] = None,
    measure: Annotated[list[str], typer.Option(help=f"One of {NAMES}, instead of the file's. May be repeated.")] = (),
    variable: Annotated[
        str | None, typer.Option(help="Which number is tabulated and drawn; the first if left out.")
    ] = None,
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Compute measures over a grid of parameters.

    Prints every value along a single axis; of several axes, where along the first the smallest value lies. The file
    has a table [sweep] with measures and settings, and a table [sweep.axes] of keys and values. Without a file: the
    best range at every bit width.

    \b
    Examples
        steode sweep --figure phase_diagram.png
        steode sweep my_sweep.toml --out my_sweep.nc --figure my_sweep.svg
        steode sweep my_sweep.toml --measure plateau --set sweep.t_end=60
    """
    from steode import store
    from steode.studies.report.folder import drawn, written
    from steode.studies.report.sweep_study import read_sweep
    from steode.studies.sweep.measures import MEASURES
    from steode.studies.sweep.results import write_dataset

    check_out(out, (".nc",))
    check_out(figure, FIGURES, "--figure")
    check_out(csv, (".csv",), "--csv")
    study = read_sweep(spec, all_changes(entries, {}), allow_outside=allow_outside)
    if figure is not None and len(study.axes) > 3:
        remedy = "Draw slices of the --out file with steode.plot.phase_diagram."
        raise SpecificationError("--figure", "a sweep with one to three axes", list(study.axes), remedy)
    settings = study.settings | ({"measure": tuple(measure)} if measure else {})
    asked = settings.get("measure", "fixed_point")
    asked = [asked] if isinstance(asked, str) else asked
    numbers = [number for name in asked if name in MEASURES for number in MEASURES[name].variables]
    if variable is not None and variable not in numbers:
        raise SpecificationError("--variable", "one of " + ", ".join(numbers), variable, "Ask for another measure.")
    failed = False
    try:
        dataset = steode.sweep(study.model, study.axes, path=out, **settings)
    except WriteError as error:
        # the result is in hand, and is printed before it is written elsewhere
        failed, dataset = True, error.result
    variable = variable or numbers[0]
    typer.echo(table(dataset, variable))
    if dataset.attrs["unconverged"]:
        count = f"{dataset.attrs['unconverged']} of {dataset['converged'].size}"
        typer.echo(f"{count} points did not converge; their values are nan", err=True)
    if figure is not None:
        content = drawn(_figure(dataset, variable, study.title), figure.suffix)
        typer.echo(f"written: {written(figure, lambda path: store.write(path, content))}", err=True)
    if csv is not None:
        typer.echo(
            f"written: {written(csv, lambda path: store.write(path, store.csv_bytes(columns(dataset))))}", err=True
        )
    if failed:
        written(out, lambda path: write_dataset(dataset, path))
    if out is not None:
        typer.echo(f"written: {out}", err=True)
    if not dataset.attrs["complete"]:
        again = " The same command goes on from there." if out is not None else ""
        typer.echo(f"steode: interrupted; points that were not computed are nan.{again}", err=True)
        raise typer.Exit(130)


def columns(dataset: xarray.Dataset) -> dict[str, np.ndarray]:
    """Every axis and every number, flat: one row for each point of the grid."""
    flags = dataset["converged"]
    axes = {str(dim): dataset[dim].broadcast_like(flags).transpose(*flags.dims).values.ravel() for dim in flags.dims}
    return axes | {
        str(name): dataset[name].values.ravel() for name in dataset.data_vars if not str(name).endswith("_status")
    }


def table(dataset: xarray.Dataset, variable: str) -> str:
    """All numbers along the only axis, or the smallest of one along the first axis for each value of the others."""
    first, *others = (str(dim) for dim in dataset["converged"].dims)
    if not others:
        names = [str(name) for name in dataset.data_vars if dataset[name].dtype.kind == "f"]
        rows = [
            [dataset[first].values[i], *(dataset[name].values[i] for name in names)] for i in range(dataset[first].size)
        ]
        return _aligned([first, *names], rows)
    rows = []
    for place in itertools.product(*(range(dataset[name].size) for name in others)):
        values = dataset[variable].isel(dict(zip(others, place, strict=True))).values
        where, best = "none", np.nan
        if np.isfinite(values).any():
            index = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
            where, best = dataset[first].values[index], values[index]
        rows.append([*(dataset[name].values[i] for name, i in zip(others, place, strict=True)), where, best])
    return _aligned([*others, f"best {first}", variable], rows)


def _aligned(names: list[str], rows: list[list]) -> str:
    texts = [names, *([value if isinstance(value, str) else f"{value:.6g}" for value in row] for row in rows)]
    widths = [max(len(text) for text in column) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in texts)


def _figure(dataset: xarray.Dataset, variable: str, title: str):
    # figures need matplotlib, which the tables do without
    from matplotlib.figure import Figure

    from steode import plot

    dims = [str(dim) for dim in dataset["converged"].dims]
    if len(dims) == 3:
        panels = plot.phase_diagram(dataset, dims[0], dims[1], variable)
        panels[0].figure.suptitle(title, fontsize="medium")
        return panels[0].figure
    ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
    if len(dims) == 1:
        plot.profile(dataset, dims[0], variable, ax=ax)
    else:
        plot.phase_diagram(dataset, dims[0], dims[1], variable, ax=ax)
    ax.figure.suptitle(title, fontsize="medium")
    return ax.figure
