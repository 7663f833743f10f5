"""Options that commands share, and the specification they describe.

The modules of the commands import what computes inside their functions: help, and what is wrong with an option, are
told before any of it is loaded.
"""

from __future__ import annotations

import contextlib
import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from steode.errors import SpecificationError

if TYPE_CHECKING:
    from steode import Trajectory
    from steode.studies.report.folder import ResultsFolder
    from steode.studies.report.study import Case, Study

Spec = Annotated[
    pathlib.Path | None, typer.Argument(metavar="SPEC.toml", show_default=False, help="Specification file.")
]
FIGURES = (".png", ".svg", ".pdf")
"""Suffixes of figures."""

Set = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace one entry of the model, or of [run] as run.KEY. May be repeated."
    ),
]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let SPEC.toml name .npy files outside its own folder.")
]
End = Annotated[float | None, typer.Option("--t-end", help="Last rescaled time tau = step/d.")]
Times = Annotated[int | None, typer.Option(help="Number of recorded times.")]
Dim = Annotated[int | None, typer.Option(help="Input dimension of the simulation.")]
Seeds = Annotated[int | None, typer.Option(help="Number of simulated runs.")]
Key = Annotated[int | None, typer.Option(help="Random key; the same key gives the same runs.")]
Method = Annotated[str | None, typer.Option(help="density (exact), gaussian (closure), moments, or particles.")]
Tolerance = Annotated[float | None, typer.Option(help="Wanted relative accuracy of the limit.")]
DATA = (".nc", ".npz", ".csv")
"""Suffixes of trajectories; a table (.csv) cannot be read back."""
DataFile = Annotated[
    pathlib.Path | None, typer.Option("--out", help="Write the trajectory to a .nc or .npz file, or a table to a .csv.")
]


def the_study(
    spec: pathlib.Path | None,
    entries: list[str],
    settings: dict | None = None,
    built_in: str = "reference",
    allow_outside: bool = False,
) -> Study:
    """The study a file describes, or the named built-in one, with the changes asked for on the command line."""
    from steode.studies.report.study import built_in_studies, read_study

    changes = all_changes(entries, settings or {})
    if spec is not None:
        return read_study(spec, changes, allow_outside=allow_outside)
    return next(study for study in built_in_studies(changes, allow_outside=allow_outside) if study.name == built_in)


def all_changes(entries: list[str], settings: dict) -> dict:
    """Dotted keys and values from --set and from the options for [run] that were given."""
    changes = {f"run.{name}": value for name, value in settings.items() if value is not None}
    for entry in entries:
        key, sign, text = entry.partition("=")
        if not sign or not key.strip():
            raise SpecificationError("--set", "KEY=VALUE", entry, "For example --set learning_rate=0.2.")
        key = key.strip()
        place = key if key.startswith(("run.", "vary.", "sweep.")) else f"model.{key.removeprefix('model.')}"
        changes[place] = _value(text.strip())
    return changes


def _value(text: str):
    from steode.parts.configuration import parse_toml

    try:
        return parse_toml(f"value = {text}", "--set")["value"]
    except SpecificationError:
        # a bare word is a string, so that nobody has to quote for both the shell and TOML
        return text


def check_out(
    path: pathlib.Path | None, suffixes: tuple[str, ...] = (), option: str = "--out", study: Study | None = None
) -> None:
    """Refuse a file that could not be written, before anything is computed; given a study, that of every case."""
    if path is not None:
        from steode import store

        for place in [path] if study is None else [file_of(path, study, case) for case in study.cases]:
            store.output_file(option, place, suffixes)


def save(trajectory: Trajectory, out: pathlib.Path | None, study: Study, case: Case) -> None:
    """Write a trajectory where --out says."""
    if out is not None:
        from steode.studies.report.folder import written

        save = trajectory.to_csv if out.suffix == ".csv" else trajectory.save
        typer.echo(f"written: {written(file_of(out, study, case), save)}", err=True)


@contextlib.contextmanager
def keeping(folder: ResultsFolder):
    """An interruption says where what was finished is."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"steode: interrupted; what was finished is in {folder.kept or folder.path}", err=True)
        raise typer.Exit(130) from None


def results_folder(path: pathlib.Path) -> ResultsFolder:
    """The folder of --out, which tells standard error where a file went if not there."""
    from steode.studies.report.folder import ResultsFolder

    return ResultsFolder(path, "--out", lambda text: typer.echo(f"steode: {text}", err=True))


def file_of(path: pathlib.Path, study: Study, case: Case) -> pathlib.Path:
    """The path itself, or of several cases one with the case's value in its name."""
    return path.with_name(f"{path.stem}-{case.slug}{path.suffix}") if len(study.cases) > 1 else path


def show_label(case: Case) -> None:
    """The case's label, if its study has several."""
    if case.label:
        typer.echo(f"\n{case.label}")
