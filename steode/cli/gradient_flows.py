"""A gradient flow from a file: the claim of its system in numbers, with a figure."""

import pathlib

import typer

from steode.cli.options import results_folder
from steode.plot.gradient_flows import draw
from steode.systems.gradient_flows import read_study, study


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Run the study of a file; writes figure.png, and the numbers it prints into summary.json.

    Parameters
    ----------
    path : the TOML file; see `steode.gradient_flows.read_study`.
    changes : dotted keys such as "model.depth" -> new values.
    out : folder, made if it is not there.
    allow_outside : as of every system; these files name no others.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    asked = read_study(path, changes)
    folder = results_folder(out)
    typer.echo(f"{asked.title} ...", err=True)
    found = study(asked.cases[""], asked.settings)
    folder.json("summary.json", {"title": asked.title, "description": asked.description, "numbers": found.numbers})
    folder.figure("figure", draw(found), (".png",))
    folder.close()
    for name, value in found.numbers.items():
        typer.echo(f"{name}: {_shown(value)}")
    typer.echo(f"\nWritten: {folder.place('figure.png')}, {folder.place('summary.json')}")


def _shown(value: object) -> str:
    """Four digits for the terminal; the file has all of them."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
