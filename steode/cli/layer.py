"""A layer from files: rounding, where training ends, and advice for a number of steps."""

import pathlib
import warnings

import typer

from steode.cli.options import keeping, results_folder
from steode.studies.report.folder import distinct_names


def run_file(path: pathlib.Path, changes: dict, out: pathlib.Path, allow_outside: bool = False) -> None:
    """Rounding and fixed points of all rows and advice of every case.

    Writes advice.txt, what is printed; rows-CASE.nc with V of every row by method; and summary.json.

    Parameters
    ----------
    path : the TOML file; see `steode.layer.read_study`.
    changes : dotted keys such as "model.bits" or "run.steps" -> new values.
    out : folder, made if it is not there.
    allow_outside : whether files that it names may lie outside its own folder.

    Raises `SpecificationError` for anything that does not make sense, before anything is computed.
    """
    from steode.systems.layer import read_study

    study = read_study(path, changes, allow_outside=allow_outside)
    folder = results_folder(out)
    summary, texts = {}, []
    with keeping(folder):
        for (label, model), name in zip(study.cases.items(), distinct_names(map(_name, study.cases)), strict=True):
            typer.echo(f"{label or study.title} ...", err=True)
            dataset, numbers, text = _case(model, study.settings)
            texts.append(f"{label or study.title}\n\n{text}\n")
            typer.echo(f"\n{texts[-1]}")
            summary[label or "model"] = numbers
            folder.dataset(f"rows-{name}.nc", dataset)
            folder.text("advice.txt", "\n".join(texts))
            folder.json("summary.json", summary, indent=1)
    folder.close()
    typer.echo(f"Written: {out / 'advice.txt'}, {out / 'summary.json'}, rows-*.nc")


def _case(model, settings) -> tuple:
    """V of every row, the numbers of the summary, and the text."""
    import math

    import xarray

    from steode import layer

    with warnings.catch_warnings():
        # notes are part of what is printed
        warnings.simplefilter("ignore", layer.LayerWarning)
        once, late = layer.rounding(model), layer.fixed_points(model)
        options = {"rows": settings.rows, "seeds": settings.seeds, "key": settings.key}
        advice = layer.advise(model, settings.steps, **options)
    values = {**once.V, "training": late.V}
    dataset = xarray.Dataset({name.replace(" ", "_"): ("row", value) for name, value in values.items()})
    numbers = {
        "mean V of all rows": {name: float(value.mean()) for name, value in values.items()},
        "V and its error": {name: list(value) for name, value in advice.errors.items()},
        "findings": {
            # JSON has no infinity
            finding.name: finding.value if math.isfinite(finding.value) else str(finding.value)
            for finding in advice.findings
        },
        "notes": list(advice.notes),
    }
    return dataset, numbers, "\n\n".join(map(repr, (advice, once, late)))


def _name(label: str) -> str:
    return label.replace(" = ", "-").replace("/", "_").replace(" ", "_").replace("\0", "_") or "model"
