"""steode fixed-points: where training ends up, as tables and a figure."""

import pathlib
from typing import Annotated

import typer

import steode
from steode.cli.options import FIGURES, AllowOutside, Set, Spec, check_out, show_label, the_study


def fixed_points(
    spec: Spec = None,
    stability: Annotated[
        bool, typer.Option("--stability", help="Also eigenvalues and relaxation times of each fixed point.")
    ] = False,
    deployments: Annotated[
        bool, typer.Option("--deployments", help="Also what rounding and averaging would give instead.")
    ] = False,
    figure: Annotated[
        pathlib.Path | None, typer.Option(help="Draw the error's terms to a .png, .svg or .pdf file.")
    ] = None,
    entries: Set = (),
    allow_outside: AllowOutside = False,
):
    """Print where the error ends up, and what it is made of.

    \b
    Examples
        steode fixed-points
        steode fixed-points --set learning_rate=1.0 --set weight_quantizer.range=3.0 --stability
        steode fixed-points my_model.toml --deployments --figure terms.png
    """
    check_out(figure, FIGURES, "--figure")
    study = the_study(spec, entries, allow_outside=allow_outside)
    found = {}
    for case in study.cases:
        show_label(case)
        points = found[case.label or study.title] = steode.fixed_points(case.model)
        typer.echo(str(points))
        if stability:
            for point in points:
                typer.echo(f"\nstability of eps_g = {point.eps_g:.6g}\n{steode.stability(point)}")
        if deployments:
            typer.echo(f"\n{steode.deployments(case.model)}")
    if figure is not None:
        from steode import store
        from steode.studies.report.folder import drawn, written

        content = drawn(_figure(found), figure.suffix)
        typer.echo(f"written: {written(figure, lambda path: store.write(path, content))}", err=True)


def _figure(found: dict):
    # figures need matplotlib, which the tables do without
    from matplotlib.figure import Figure

    from steode import plot

    ax = Figure(figsize=(max(4.4, 1.6 * len(found)), 3.8), layout="constrained").subplots()
    return plot.decomposition(found, ax=ax).figure
