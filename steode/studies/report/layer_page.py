"""index.html of a layer: advice first, then figures and tables; one page that needs no network."""

import html
import pathlib

import numpy as np

from steode._version import __version__
from steode.studies.report import documents
from steode.studies.report.figures import Entry
from steode.studies.report.folder import ResultsFolder
from steode.studies.report.layer_case import LayerCase
from steode.studies.report.layer_figures import DATA, PURPOSES
from steode.studies.report.page import embedded_figure
from steode.systems.layer.advice import BASES
from steode.systems.layer.rounding import METHODS

INTRODUCTION = """
What quantization does to the given weights under the given inputs. V is the residual variance, the mean square of
what an output is off, of one row. Every number says what it rests on. Gaussian inputs with the same second moment are
what the theory knows of the inputs; where activations were given, runs on them show what it leaves out.
"""


def write_page(
    title: str, cases: list[LayerCase], figures: list[list[Entry]], folder: ResultsFolder, complete: bool
) -> pathlib.Path:
    """Write index.html for the cases so far, whose figures are already in `folder`."""
    state = "" if complete else "<p class=bad>Not finished: what follows is what was computed so far.</p>"
    body = f"""<h1>{html.escape(title)}</h1>
{state}<p>{INTRODUCTION}</p>
{"".join(_case(case, entries, folder) for case, entries in zip(cases, figures, strict=True))}
<footer>steode {__version__}. Numbers: summary.json. V of every row and the runs (netCDF), figures (PNG, SVG) and the
text of the advice lie in the same folder.</footer>"""
    return folder.text("index.html", documents.web_page(title, body))


def _case(case: LayerCase, figures: list[Entry], folder: ResultsFolder) -> str:
    advice = case.advice
    shown = "\n".join(embedded_figure(*entry[:2], folder) for entry in figures)
    heading = f"<h2>{html.escape(case.label)}</h2>" if case.label else ""
    tau = f"{advice.steps / case.model.dim:.3g}"
    return f"""<section>{heading}
<h3>Advice for {advice.steps} steps (&tau; = {tau})</h3>
{_errors(case)}
<ul class=findings>{"".join(_finding(finding) for finding in advice.findings)}</ul>
{"".join(f"<p class=bad>{html.escape(note)}</p>" for note in advice.notes)}
{shown}
<h3>All {case.model.rows} rows</h3>
{_rounding(case)}
{_fixed_points(case)}
<h3>The rows looked at</h3>
{_rows(case)}
<details><summary>Specification</summary><pre>{html.escape(repr(case.model))}</pre></details>
</section>"""


def _table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    titles = "".join(f"<th>{html.escape(cell)}" for cell in head)
    return f"<table><caption>{html.escape(caption)}</caption><tr>{titles}</tr>{cells}</table>"


def _finding(finding) -> str:
    return f"<li>{html.escape(finding.statement)} <span class=source>[{html.escape(finding.basis)}]</span></li>"


def _errors(case: LayerCase) -> str:
    rows = [[name, f"{v:.4g}", f"{e:.1g}" if e else "", BASES[name]] for name, (v, e) in case.advice.errors.items()]
    caption = f"What it comes to: mean V of {case.advice.model.rows} rows, best first"
    return _table(caption, ["method", "V", "error", "rests on"], rows)


def _quantiles(values: np.ndarray) -> list[str]:
    return [f"{value:.4g}" for value in (values.mean(), *np.quantile(values, (0, 0.5, 1)))]


def _rounding(case: LayerCase) -> str:
    rows = [[name, *_quantiles(case.once.V[name]), METHODS[name]] for name in case.once.V]
    return _table("Rounding once", ["method", "mean V", "least", "median", "largest", ""], rows)


def _fixed_points(case: LayerCase) -> str:
    late = case.late
    parts = {
        "V": late.V,
        "weights between levels (dithering)": late.dithering,
        "targets outside the range (clipping)": late.clipping,
        "rounded inputs": late.input_term,
        "label noise": np.full(case.model.rows, case.model.noise**2),
        "share of weights outside the range": late.clipped,
    }
    fast, slow = late.relaxation
    table = _table(
        "Where training ends: fixed points of the limit, and what they are made of",
        ["", "mean", "least", "median", "largest"],
        [[name, *_quantiles(values)] for name, values in parts.items()],
    )
    size = 100 / np.sqrt(late.effective_dimension)
    return (
        f"{table}<p>Effective dimension {late.effective_dimension:.4g} of {case.model.dim}: what is left out is of the "
        f"size {size:.1f} %. One step moves &eta;&lambda;<sub>max</sub>/d = {late.largest_step:.3g} of the largest "
        f"mode; modes relax in &tau; = {fast:.3g} to {slow:.3g}.</p>"
    )


def _rows(case: LayerCase) -> str:
    chosen, scan = case.advice.chosen, case.advice.ranges
    columns = {
        "row": [str(row) for row in chosen],
        "nearest": _cells(case.once.V["nearest"][chosen]),
        "GPTQ": _cells(case.once.V["gptq"][chosen]),
        "fixed point": _cells(case.late.V[chosen]),
        **{DATA[data]: _cells(runs["V"][:, -1].mean(axis=0)) for data, runs in case.runs.items()},
        "clipped": [f"{100 * share:.1f} %" for share in case.late.clipped[chosen]],
        **{f"best range, {label}": [f"{f:.2f}" for f in scan.factor(name)] for name, label in PURPOSES.items()},
    }
    caption = "V by row at the end of the runs, and best ranges in parts of the row's largest weight"
    return _table(caption, list(columns), [list(row) for row in zip(*columns.values(), strict=True)])


def _cells(values: np.ndarray) -> list[str]:
    return [f"{value:.4g}" for value in values]
